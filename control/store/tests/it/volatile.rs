//! Heartbeats: in memory at once, on disk rarely, and never a revision twice.

use std::time::Duration;

use minicloud_store::{Options, Store};
use tempfile::tempdir;

use super::support::{bytes, crash_image, events, is_compacted, open, open_with, poll, told};

/// What the files of the store take and when they were written.
fn files(dir: &std::path::Path) -> Vec<(String, u64, std::time::SystemTime)> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| {
            (
                file.file_name().to_string_lossy().into(),
                file.metadata().unwrap(),
            )
        })
        .map(|(name, metadata): (String, _)| (name, metadata.len(), metadata.modified().unwrap()))
        .collect();
    files.sort();
    files
}

async fn beat(store: &Store, times: usize) {
    for _ in 0..times {
        let lease = store.get("/leases/n").unwrap();
        store
            .update_volatile("/leases/n", bytes("beat"), lease.mod_revision)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn heartbeats_stay_in_memory_and_reach_watchers() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    store.create("/leases/n", bytes("new")).await.unwrap();
    beat(&store, 1).await;
    let written = files(dir.path());
    let mut watch = store.watch("/leases/", 3).await.unwrap();
    beat(&store, 2).await;
    assert_eq!(
        events(&mut watch, 2).await,
        "+/leases/n=beat@4<beat@3 +/leases/n=beat@5<beat@4"
    );
    assert_eq!(
        files(dir.path()),
        written,
        "a heartbeat was written to disk"
    );

    // What a kill -9 leaves: the marked value, and revisions that go on.
    let after = tempdir().unwrap();
    crash_image(dir.path(), after.path());
    let crashed = open(after.path());
    assert_eq!(crashed.get("/leases/n").unwrap().mod_revision, 3);
    assert!(crashed.revision() >= 5);
    // The restart took heartbeats away: nobody may resume over it as if nothing had happened.
    assert!(is_compacted(&crashed.watch("/leases/", 5).await));
    assert!(is_compacted(&crashed.watch("/", 5).await));
    assert!(is_compacted(
        &crashed.list("/leases/", None, 0, Some(5)).await
    ));
    crashed.watch("/pods/", 5).await.unwrap();
    crashed.watch("/leases/", crashed.revision()).await.unwrap();
    let lease = crashed
        .update_volatile("/leases/n", bytes("beat"), 3)
        .await
        .unwrap();
    assert!(lease.mod_revision > 5);
    crashed.close().await.unwrap();

    // A clean close writes the last value.
    store.close().await.unwrap();
    let store = open(dir.path());
    assert_eq!(
        told(&store.list("/leases/", None, 0, None).await.unwrap()),
        "/leases/n=beat@5"
    );
    assert_eq!(store.revision(), 5);
    store.close().await.unwrap();
}

#[tokio::test]
async fn heartbeats_reach_the_disk_in_time_and_old_ones_go() {
    let dir = tempdir().unwrap();
    let mut options = Options::default();
    options.volatile_age = Duration::from_millis(50);
    options.history_age = Duration::from_millis(200);
    let store = open_with(dir.path(), options);
    store.create("/leases/n", bytes("new")).await.unwrap();
    for _ in 0..5 {
        beat(&store, 20).await;
        let newest = store.get("/leases/n").unwrap().mod_revision;
        poll("the heartbeat is on disk", || {
            row_count(dir.path(), newest).1
        });
    }
    poll("rows that were replaced are gone", || {
        row_count(dir.path(), 0).0 == 1
    });
    store.close().await.unwrap();
    let store = open(dir.path());
    assert_eq!(store.get("/leases/n").unwrap().mod_revision, 102);
    store.close().await.unwrap();
}

/// How many rows there are, and whether there is one of `revision`.
fn row_count(dir: &std::path::Path, revision: u64) -> (i64, bool) {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(dir.join("store.db"), flags).unwrap();
    connection
        .query_row(
            "SELECT count(*), count(*) FILTER (WHERE revision = ?1) FROM log",
            [revision as i64],
            |row| Ok((row.get(0)?, row.get::<_, i64>(1)? == 1)),
        )
        .unwrap()
}

/// Revisions reserved for heartbeats run out: the next block is reserved before it is used.
#[tokio::test]
async fn revisions_are_reserved_before_they_are_used() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    store.create("/leases/n", bytes("new")).await.unwrap();
    let mut last = 2;
    for beats in [55_000, 55_000, 0] {
        let after = tempdir().unwrap();
        crash_image(dir.path(), after.path());
        let crashed = open(after.path());
        assert!(
            crashed.revision() >= last,
            "{} came back after {last}",
            crashed.revision()
        );
        crashed.close().await.unwrap();
        beat(&store, beats).await;
        last = store.revision();
    }
    store.close().await.unwrap();
}
