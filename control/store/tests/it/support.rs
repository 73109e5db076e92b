//! What the tests share.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use minicloud_store::{Event, EventKind, Options, Page, Store, StoreError, Watch, WatchEnd};

/// A store that leaves out the log prepared on disk, which takes most of the time of a short test.
pub(crate) fn open(dir: &Path) -> Store {
    try_open(dir).unwrap()
}

pub(crate) fn try_open(dir: &Path) -> Result<Store, StoreError> {
    let mut options = Options::default();
    options.log_bytes = 0;
    Store::open(dir, options)
}

pub(crate) fn open_with(dir: &Path, options: Options) -> Store {
    Store::open(dir, options).unwrap()
}

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// `key=value@revision`, in order.
pub(crate) fn told(page: &Page) -> String {
    let one = |e: &minicloud_store::Entry| {
        format!("{}={}@{}", e.key, e.value.escape_ascii(), e.mod_revision)
    };
    page.entries.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// `+key=value@revision<previous` for a put, `-` for a delete.
pub(crate) fn event(event: &Event) -> String {
    let sign = if event.kind == EventKind::Put {
        '+'
    } else {
        '-'
    };
    let previous = event
        .previous
        .as_ref()
        .map(|p| format!("<{}@{}", p.value.escape_ascii(), p.mod_revision));
    let entry = &event.entry;
    format!(
        "{sign}{}={}@{}{}",
        entry.key,
        entry.value.escape_ascii(),
        entry.mod_revision,
        previous.unwrap_or_default()
    )
}

/// The next `count` events.
pub(crate) async fn events(watch: &mut Watch, count: usize) -> String {
    let mut told = Vec::new();
    for _ in 0..count {
        let next = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
        told.push(event(
            &next.expect("an event within 10 s").expect("a living watch"),
        ));
    }
    told.join(" ")
}

/// Events until the watch ends, and why it did.
pub(crate) async fn until_end(watch: &mut Watch) -> (usize, WatchEnd) {
    let mut count = 0;
    loop {
        match tokio::time::timeout(Duration::from_secs(10), watch.next())
            .await
            .expect("an end within 10 s")
        {
            Ok(_) => count += 1,
            Err(end) => return (count, end),
        }
    }
}

/// Polls until `condition` holds.
#[track_caller]
pub(crate) fn poll(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn is_compacted<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Compacted { .. }))
}

/// What a `kill -9` at this moment would leave: the files as they are now.
pub(crate) fn crash_image(from: &Path, to: &Path) {
    for name in ["store.db", "store.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}
