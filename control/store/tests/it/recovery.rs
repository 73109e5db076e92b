//! Restarts, damaged files, backups, and a file that does not grow.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use minicloud_store::{DATABASE_FILE, Options, RESTORE_FILE, StoreError};
use tempfile::tempdir;

use super::support::{
    bytes, crash_image, events, is_compacted, open, open_with, poll, told, try_open,
};

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    store.create("/a", bytes("1")).await.unwrap();
    store.create("/b", bytes("1")).await.unwrap();
    store.update("/a", bytes("2"), 2).await.unwrap();
    store.delete("/b", None).await.unwrap();
    let after = tempdir().unwrap();
    crash_image(dir.path(), after.path());
    let crashed = open(after.path());
    assert_eq!(
        told(&crashed.list("/", None, 0, None).await.unwrap()),
        "/a=2@4"
    );
    assert!(crashed.revision() >= 5);
    let mut watch = crashed.watch("/", 3).await.unwrap();
    assert_eq!(events(&mut watch, 2).await, "+/a=2@4<1@2 -/b=1@5<1@3");
    assert_eq!(
        told(&crashed.list("/", None, 0, Some(3)).await.unwrap()),
        "/a=1@2 /b=1@3"
    );
    let revision = crashed.create("/c", bytes("1")).await.unwrap().mod_revision;
    assert!(revision > 5);
    assert_eq!(events(&mut watch, 1).await, format!("+/c=1@{revision}"));
    crashed.close().await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn secrets_are_not_for_others() {
    let dir = tempdir().unwrap();
    let inner = dir.path().join("deep/store");
    let store = open(&inner);
    store.create("/secret", bytes("1")).await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    for file in fs::read_dir(&inner).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    store.close().await.unwrap();
}

/// Makes a store of 50 keys, closes it, lets `damage` at the file, and tells what opening says.
async fn damaged(damage: impl FnOnce(&mut Vec<u8>)) -> StoreError {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..50 {
        store
            .create(&format!("/a/{number}"), bytes(&"some value ".repeat(20)))
            .await
            .unwrap();
    }
    store.close().await.unwrap();
    let path = dir.path().join(DATABASE_FILE);
    let mut content = fs::read(&path).unwrap();
    damage(&mut content);
    fs::write(&path, content).unwrap();
    match try_open(dir.path()) {
        Ok(_) => panic!("a damaged file was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_damaged_file_is_named_with_what_to_do() {
    let check = |error: StoreError, what: &str| {
        let text = error.to_string();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{text}");
        for part in [what, "store.db is damaged", "/restore.db and start again"] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    };
    check(damaged(Vec::clear).await, "it is empty");
    check(
        damaged(|content| content.truncate(5_000)).await,
        "malformed",
    );
    check(
        damaged(|content| content[..16].fill(b'x')).await,
        "not a database",
    );
    check(damaged(|content| content[4096..8192].fill(0)).await, "");
    // One bit of one value: SQLite does not see it, the checksum of the row does.
    let flip = |content: &mut Vec<u8>| {
        let at = content
            .windows(10)
            .rposition(|window| window == b"some value")
            .unwrap();
        content[at] ^= 1;
    };
    check(damaged(flip).await, "does not match its checksum");
}

/// Any one damaged byte is either noticed or harmless: it never panics, and never changes a value.
#[tokio::test]
async fn no_single_damaged_byte_changes_an_answer() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..8 {
        store
            .create(&format!("/a/{number}"), bytes("some value"))
            .await
            .unwrap();
    }
    let right = told(&store.list("", None, 0, None).await.unwrap());
    store.close().await.unwrap();
    let path = dir.path().join(DATABASE_FILE);
    let content = fs::read(&path).unwrap();
    for at in (0..content.len()).filter(|at| at % 37 == 0 || content[*at] != 0 && at % 5 == 0) {
        let mut wrong = content.clone();
        wrong[at] ^= 0x15;
        fs::write(&path, wrong).unwrap();
        if let Ok(store) = try_open(dir.path()) {
            let found = told(&store.list("", None, 0, None).await.unwrap());
            let _ = store.close().await;
            assert_eq!(found, right, "byte {at}");
        }
        let _ = fs::remove_file(dir.path().join("store.db-wal"));
        let _ = fs::remove_file(dir.path().join("store.db-shm"));
    }
}

#[tokio::test]
async fn a_missing_database_with_its_log_is_not_a_new_one() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    store.create("/a", bytes("1")).await.unwrap();
    let after = tempdir().unwrap();
    crash_image(dir.path(), after.path());
    fs::remove_file(after.path().join(DATABASE_FILE)).unwrap();
    let error = try_open(after.path()).unwrap_err();
    assert!(error.to_string().contains("is missing"), "{error}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let dir = tempdir().unwrap();
    open(dir.path()).close().await.unwrap();
    let connection = rusqlite::Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    drop(connection);
    let error = try_open(dir.path()).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::UnknownFormat {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_backup_is_restored_by_putting_it_there() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    store.create("/a", bytes("1")).await.unwrap();
    store.create("/lease", bytes("1")).await.unwrap();
    for revision in 3..6 {
        store
            .update_volatile("/lease", bytes("beat"), revision)
            .await
            .unwrap();
    }
    let backup = dir.path().join("backup.db");
    store.backup(&backup).await.unwrap();
    assert!(
        matches!(store.backup(&backup).await, Err(StoreError::Io { .. })),
        "a file was overwritten"
    );
    let lost = store.create("/b", bytes("1")).await.unwrap().mod_revision;
    store.close().await.unwrap();

    fs::write(dir.path().join(DATABASE_FILE), "not a database at all").unwrap();
    let error = try_open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    // A damaged backup replaces nothing.
    fs::write(dir.path().join(RESTORE_FILE), "neither").unwrap();
    let error = try_open(dir.path()).unwrap_err();
    assert!(
        error.to_string().contains("restore.db is damaged"),
        "{error}"
    );

    fs::copy(&backup, dir.path().join(RESTORE_FILE)).unwrap();
    let store = open(dir.path());
    assert_eq!(
        told(&store.list("", None, 0, None).await.unwrap()),
        "/a=1@2 /lease=beat@6"
    );
    assert!(store.revision() > 1_000_000_000 && store.revision() < 1_100_000_000);
    assert!(is_compacted(&store.watch("/a", lost).await));
    assert_eq!(
        fs::read_to_string(dir.path().join("replaced-1/store.db")).unwrap(),
        "not a database at all"
    );
    let revision = store.create("/b", bytes("1")).await.unwrap().mod_revision;
    store.close().await.unwrap();
    // It does not jump again.
    let store = open(dir.path());
    assert_eq!(store.revision(), revision);
    assert!(is_compacted(&store.watch("/a", lost).await));
    store.close().await.unwrap();
}

/// 40 MB written and deleted: the file is small again, and so is the log beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_shrinks_after_what_came_and_went() {
    let dir = tempdir().unwrap();
    let mut options = Options::default();
    options.history_age = Duration::from_millis(300);
    let store = open_with(dir.path(), options);
    store.create("/stays", bytes("v")).await.unwrap();
    let value = "x".repeat(200_000);
    for round in 0..4 {
        let create = |number| {
            let (store, value) = (store.clone(), bytes(&value));
            tokio::spawn(async move {
                let key = format!("/a/{round}/{number}");
                store.create(&key, value).await.unwrap();
                store.delete(&key, None).await.unwrap();
            })
        };
        for task in (0..50).map(create).collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
    let size =
        |name: &str| fs::metadata(dir.path().join(name)).map_or(0, |metadata| metadata.len());
    assert!(size("store.db") > 8 << 20);
    poll("the pages are given back", || {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let path = dir.path().join(DATABASE_FILE);
        let reader = rusqlite::Connection::open_with_flags(path, flags).unwrap();
        let pages = reader.pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0));
        pages.unwrap() < 1_200
    });
    assert_eq!(store.compacted_revision(), store.revision());
    // They leave the file at the next checkpoint, which comes with later writes or the end.
    store.close().await.unwrap();
    let store = open(dir.path());
    let used = size("store.db");
    assert!(used < 5 << 20, "{used} bytes for one key");
    assert!(size("store.db-wal") < 9 << 20);
    assert_eq!(store.count(""), 1);
    store.close().await.unwrap();
}
