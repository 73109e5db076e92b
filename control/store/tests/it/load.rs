//! Many at once: watches that join at any time miss nothing, the queue holds writers back, history stays bounded.

use std::time::Duration;

use bytes::Bytes;
use minicloud_store::{Options, Store, StoreError};
use tempfile::tempdir;

use super::support::{bytes, open_with, poll};

const WRITERS: usize = 6;
const WRITES: usize = 300;

/// Writes to keys of its own; one writer in three sends heartbeats.
async fn write(store: Store, writer: usize) {
    let key = format!(
        "/{}/{writer}",
        if writer.is_multiple_of(3) {
            "leases"
        } else {
            "pods"
        }
    );
    let mut revision = store.create(&key, bytes("0")).await.unwrap().mod_revision;
    for number in 1..WRITES {
        let value = bytes(&number.to_string());
        let entry = if writer.is_multiple_of(3) {
            store.update_volatile(&key, value, revision).await
        } else if number % 50 == 0 {
            store.delete(&key, Some(revision)).await.unwrap();
            store.create(&key, value).await
        } else {
            store.update(&key, value, revision).await
        };
        revision = entry.unwrap().mod_revision;
    }
}

/// With hardly any recent events, so that most watches start on disk and race the writer until they are live.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_joined_at_any_time_misses_nothing() {
    let dir = tempdir().unwrap();
    let mut options = Options::default();
    options.recent_events = 8;
    let store = open_with(dir.path(), options);
    let end = store.revision();
    let mut all = store.watch("", end).await.unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(store.clone(), writer)))
        .collect();
    let mut watchers = Vec::new();
    while writers.iter().any(|writer| !writer.is_finished()) {
        let back = [0, 3, 10, 100, 1_000][watchers.len() % 5];
        let after = store.revision().saturating_sub(back).max(1);
        for prefix in ["/pods/", "/leases/", ""] {
            match store.watch(prefix, after).await {
                Ok(mut watch) => watchers.push(tokio::spawn(async move {
                    let mut seen = Vec::new();
                    while let Ok(event) = watch.next().await {
                        assert!(watch.progress() >= event.revision());
                        seen.push(event);
                    }
                    (prefix, after, seen, watch.progress())
                })),
                Err(StoreError::Compacted { .. }) => {
                    assert_ne!(prefix, "/pods/", "history is on disk")
                }
                Err(other) => panic!("{other}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let last = store.revision();
    poll("everything is delivered", || {
        while all.try_next().unwrap().is_some() {}
        all.progress() == last
    });
    let mut full = store.watch("/pods/", 1).await.unwrap();
    let mut pods = Vec::new();
    while full.progress() < last {
        match tokio::time::timeout(Duration::from_millis(100), full.next()).await {
            Ok(event) => pods.push(event.unwrap()),
            Err(_) => assert!(full.is_live()),
        }
    }
    let deletes = (WRITERS - 2) * ((WRITES - 1) / 50);
    assert_eq!(pods.len(), (WRITERS - 2) * WRITES + deletes);
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.close().await.unwrap();

    let mut complete = 0;
    for watcher in watchers {
        let (prefix, after, seen, progress) = watcher.await.unwrap();
        assert!(seen.iter().is_sorted_by(|a, b| a.revision() < b.revision()));
        if prefix == "/pods/" {
            // A watch that lagged has everything up to where it says it is.
            let expect: Vec<_> = pods
                .iter()
                .filter(|pod| pod.revision() > after && pod.revision() <= progress)
                .collect();
            assert_eq!(
                seen.iter().collect::<Vec<_>>(),
                expect,
                "after {after} until {progress}"
            );
            complete += usize::from(progress == last);
        } else {
            // Without the full list at hand: each event continues from the one before of its key.
            let mut newest = std::collections::HashMap::new();
            for event in &seen {
                let before = newest.insert(event.entry.key.clone(), event.revision());
                if let (Some(before), Some(previous)) = (before, &event.previous) {
                    assert_eq!(
                        previous.mod_revision, before,
                        "{prefix:?} after {after} misses an event"
                    );
                }
            }
        }
    }
    assert!(complete > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_holds_writers_back() {
    let dir = tempdir().unwrap();
    let mut options = Options::default();
    options.queue_bytes = 0; // The least: room for two of the largest values.
    let store = open_with(dir.path(), options);
    let value = Bytes::from(vec![b'x'; 1_000_000]);
    let writes: Vec<_> = (0..20)
        .map(|number| {
            let (store, value) = (store.clone(), value.clone());
            tokio::spawn(async move { store.create(&format!("/a/{number}"), value).await })
        })
        .collect();
    // One that is no longer wanted gives its place back.
    writes[19].abort();
    for write in writes.into_iter().take(19) {
        write.await.unwrap().unwrap();
    }
    store.create("/small", bytes("v")).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn history_is_bounded_by_its_size() {
    let dir = tempdir().unwrap();
    let mut options = Options::default();
    options.history_bytes = 200_000;
    options.recent_events = 10;
    let store = open_with(dir.path(), options);
    let mut entry = store.create("/a", bytes("v")).await.unwrap();
    for _ in 0..200 {
        let value = Bytes::from(vec![b'x'; 10_000]);
        entry = store.update("/a", value, entry.mod_revision).await.unwrap();
    }
    let kept = store.revision() - store.compacted_revision();
    assert!(
        (15..=21).contains(&kept),
        "{kept} revisions of 10,000 bytes are kept"
    );
    let rows = || {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(dir.path().join("store.db"), flags);
        connection
            .unwrap()
            .query_row("SELECT count(*) FROM log", [], |row| row.get::<_, u32>(0))
            .unwrap()
    };
    poll("what is older is deleted", || u64::from(rows()) <= kept + 1);
    let at = store.compacted_revision();
    assert_eq!(
        store.list("", None, 0, Some(at)).await.unwrap().entries[0].mod_revision,
        at
    );
    store.close().await.unwrap();
}
