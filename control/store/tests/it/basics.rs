//! Writes, reads, limits.

use bytes::Bytes;
use minicloud_store::{MAX_VALUE_BYTES, Store, StoreError};
use tempfile::tempdir;

use super::support::{bytes, is_compacted, open, told};

#[tokio::test]
async fn a_key_lives_and_dies() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.revision(), 1);
    let one = store.create("/a", bytes("1")).await.unwrap();
    assert_eq!((one.create_revision, one.mod_revision), (2, 2));
    let again = store.create("/a", bytes("x")).await;
    assert!(matches!(
        again,
        Err(StoreError::AlreadyExists {
            mod_revision: 2,
            ..
        })
    ));
    let two = store.update("/a", bytes("2"), 2).await.unwrap();
    assert_eq!((two.create_revision, two.mod_revision), (2, 3));
    let stale = store.update("/a", bytes("x"), 2).await;
    assert!(matches!(
        stale,
        Err(StoreError::Conflict {
            expected: 2,
            actual: 3,
            ..
        })
    ));
    assert_eq!(store.get("/a"), Some(two.clone()));
    assert!(matches!(
        store.delete("/a", Some(2)).await,
        Err(StoreError::Conflict { .. })
    ));
    let deleted = store.delete("/a", None).await.unwrap();
    assert_eq!((deleted.revision, deleted.previous), (4, two));
    assert_eq!(store.get("/a"), None);
    assert!(matches!(
        store.delete("/a", None).await,
        Err(StoreError::NotFound { .. })
    ));
    assert!(matches!(
        store.update("/a", bytes("x"), 3).await,
        Err(StoreError::NotFound { .. })
    ));
    assert_eq!(store.revision(), 4);
    store.close().await.unwrap();
    assert!(matches!(
        store.create("/b", bytes("x")).await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(store.watch("/", 4).await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn input_is_limited() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let largest = Bytes::from(vec![7; MAX_VALUE_BYTES]);
    assert_eq!(
        store.create("/a", largest.clone()).await.unwrap().value,
        largest
    );
    let larger = Bytes::from(vec![7; MAX_VALUE_BYTES + 1]);
    assert!(matches!(
        store.update("/a", larger, 2).await,
        Err(StoreError::TooLarge { .. })
    ));
    for key in ["", "a\0b", &"k".repeat(2049)] {
        assert!(
            matches!(
                store.create(key, bytes("v")).await,
                Err(StoreError::InvalidKey { .. })
            ),
            "{key:?}"
        );
    }
    store.create("/é", Bytes::new()).await.unwrap();
    store.close().await.unwrap();
    let store = open(dir.path());
    assert_eq!(
        (
            store.get("/a").unwrap().value,
            store.get("/é").unwrap().value
        ),
        (largest, Bytes::new())
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn pages_are_of_one_revision() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    for key in ["/p/1", "/p/2", "/p/3", "/p/4", "/q"] {
        store.create(key, bytes("v")).await.unwrap();
    }
    let first = store.list("/p/", None, 2, None).await.unwrap();
    assert_eq!(
        (
            told(&first).as_str(),
            first.revision,
            first.more,
            first.remaining
        ),
        ("/p/1=v@2 /p/2=v@3", 6, true, 2)
    );
    store.delete("/p/3", None).await.unwrap();
    store.update("/p/4", bytes("w"), 5).await.unwrap();
    store.create("/p/5", bytes("v")).await.unwrap();
    let second = store
        .list("/p/", Some("/p/2"), 2, Some(first.revision))
        .await
        .unwrap();
    assert_eq!(
        (told(&second).as_str(), second.revision, second.more),
        ("/p/3=v@4 /p/4=v@5", 6, false)
    );
    assert_eq!(store.count("/p/"), 4);
    assert!(matches!(
        store.list("/p/", None, 0, Some(99)).await,
        Err(StoreError::FutureRevision {
            requested: 99,
            current: 9
        })
    ));
    store.compact(8).await.unwrap();
    assert!(is_compacted(&store.list("/p/", None, 0, Some(7)).await));
    assert_eq!(
        told(&store.list("/p/", None, 0, Some(8)).await.unwrap()),
        "/p/1=v@2 /p/2=v@3 /p/4=w@8"
    );
    assert!(matches!(
        store.compact(99).await,
        Err(StoreError::FutureRevision { .. })
    ));
    assert_eq!(store.compacted_revision(), 8);
    store.close().await.unwrap();
}

#[tokio::test]
async fn one_process_at_a_time() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    assert!(matches!(
        Store::open(dir.path(), Default::default()),
        Err(StoreError::InUse { .. })
    ));
    store.close().await.unwrap();
    open(dir.path()).close().await.unwrap();
}

/// Many tasks at once on one key: exactly one write wins each revision.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compare_and_swap_counts_right() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    store.create("/n", bytes("0")).await.unwrap();
    let tasks = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while done < 25 {
                let entry = store.get("/n").unwrap();
                let count: u32 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
                match store
                    .update("/n", bytes(&(count + 1).to_string()), entry.mod_revision)
                    .await
                {
                    Ok(_) => done += 1,
                    Err(StoreError::Conflict { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(store.get("/n").unwrap().value, "200");
    assert_eq!(store.revision(), 2 + 200);
    store.close().await.unwrap();
}
