//! Watches: order, resuming from memory and from disk, progress, falling behind.

use minicloud_store::{Options, WatchEnd};
use tempfile::tempdir;

use super::support::{bytes, events, is_compacted, open, open_with, until_end};

#[tokio::test]
async fn events_come_in_order_with_what_was_before() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let mut watch = store.watch("/a/", 1).await.unwrap();
    let mut future = store.watch("/a/", 4).await.unwrap();
    store.create("/a/1", bytes("v")).await.unwrap();
    store.create("/b/1", bytes("v")).await.unwrap();
    store.update("/a/1", bytes("w"), 2).await.unwrap();
    store.delete("/a/1", None).await.unwrap();
    store.create("/a/1", bytes("z")).await.unwrap();
    assert_eq!(
        events(&mut watch, 4).await,
        "+/a/1=v@2 +/a/1=w@4<v@2 -/a/1=w@5<w@4 +/a/1=z@6"
    );
    assert_eq!(events(&mut future, 2).await, "-/a/1=w@5<w@4 +/a/1=z@6");
    let mut resumed = store.watch("/a/", 4).await.unwrap();
    assert_eq!(events(&mut resumed, 2).await, "-/a/1=w@5<w@4 +/a/1=z@6");
    assert_eq!(watch.try_next(), Ok(None));
    // Progress goes with the store, also where nothing happened under the prefix.
    store.create("/b/2", bytes("v")).await.unwrap();
    assert_eq!((watch.progress(), store.revision()), (7, 7));
    store.close().await.unwrap();
    assert_eq!(watch.next().await, Err(WatchEnd::Closed));
}

#[tokio::test]
async fn progress_waits_for_what_was_not_taken_yet() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let mut watch = store.watch("/a/", 1).await.unwrap();
    for key in ["/a/1", "/a/2", "/b"] {
        store.create(key, bytes("v")).await.unwrap();
    }
    assert_eq!(watch.progress(), 1);
    watch.next().await.unwrap();
    assert_eq!(watch.progress(), 2);
    watch.next().await.unwrap();
    assert_eq!(watch.progress(), 4);
    store.close().await.unwrap();
}

/// With room for few recent events, resuming has to go through the disk.
#[tokio::test]
async fn history_comes_from_disk() {
    let dir = tempdir().unwrap();
    let mut options = Options::default();
    options.recent_events = 3;
    let store = open_with(dir.path(), options.clone());
    let mut expect = Vec::new();
    for number in 0..1_200_u64 {
        store
            .create(&format!("/a/{number}"), bytes("v"))
            .await
            .unwrap();
        expect.push(format!("+/a/{number}=v@{}", number + 2));
    }
    store.update("/a/0", bytes("w"), 2).await.unwrap();
    store.delete("/a/0", None).await.unwrap();
    expect.extend(["+/a/0=w@1202<v@2".into(), "-/a/0=w@1203<w@1202".into()]);

    let mut watch = store.watch("/a/", 1).await.unwrap();
    assert!(!watch.is_live());
    store.create("/a/z", bytes("v")).await.unwrap();
    expect.push("+/a/z=v@1204".into());
    assert_eq!(events(&mut watch, 1_203).await, expect.join(" "));
    store.create("/a/zz", bytes("v")).await.unwrap();
    assert_eq!(events(&mut watch, 1).await, "+/a/zz=v@1205");
    assert!(watch.is_live());
    store.close().await.unwrap();

    // And across a restart, where there are no recent events at all.
    let store = open_with(dir.path(), options);
    let mut watch = store.watch("/a/", 1_202).await.unwrap();
    assert_eq!(
        events(&mut watch, 3).await,
        "-/a/0=w@1203<w@1202 +/a/z=v@1204 +/a/zz=v@1205"
    );
    // Compaction ends a watch that has not read so far, and refuses new ones.
    let mut slow = store.watch("/a/", 2).await.unwrap();
    store.compact(1_205).await.unwrap();
    assert!(is_compacted(&store.watch("/a/", 1_204).await));
    assert_eq!(until_end(&mut slow).await, (500, WatchEnd::Lagged));
    store.close().await.unwrap();
}

#[tokio::test]
async fn who_falls_behind_is_ended_and_can_resume() {
    let dir = tempdir().unwrap();
    let mut options = Options::default();
    options.watch_buffer_events = 10;
    let store = open_with(dir.path(), options);
    let mut watch = store.watch("/a/", 1).await.unwrap();
    for number in 0..11 {
        store
            .create(&format!("/a/{number}"), bytes("v"))
            .await
            .unwrap();
    }
    assert_eq!(until_end(&mut watch).await, (0, WatchEnd::Lagged));
    let mut watch = store.watch("/a/", watch.progress()).await.unwrap();
    assert_eq!(events(&mut watch, 11).await.matches('+').count(), 11);
    store.close().await.unwrap();
}
