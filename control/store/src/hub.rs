//! Who watches what, and the hand-over of events to them.
//!
//! Know before changing: watchers are found by the prefixes of a key, so a write wakes nobody who does not watch it. The
//! writer pushes; a watcher that does not keep up loses its buffer and ends, so that it costs nothing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::{Event, WatchEnd};

/// All watchers that are up to date (those that still read history are not here).
#[derive(Debug, Default)]
pub(crate) struct Hub {
    groups: Mutex<Groups>,
}

#[derive(Debug, Default)]
struct Groups {
    closed: bool,
    by_prefix: HashMap<Arc<str>, Vec<Arc<Mailbox>>>,
    /// How many prefixes there are of each length: a key is looked up once per length.
    lengths: BTreeMap<usize, usize>,
}

impl Hub {
    /// Adds a watcher that has everything up to `start`.
    pub(crate) fn register(
        &self,
        prefix: &Arc<str>,
        start: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Arc<Mailbox>, WatchEnd> {
        let mut groups = lock(&self.groups);
        if groups.closed {
            return Err(WatchEnd::Closed);
        }
        let mailbox = Arc::new(Mailbox {
            start,
            max_events,
            max_bytes,
            inner: Mutex::default(),
        });
        match groups.by_prefix.get_mut(prefix) {
            Some(group) => group.push(mailbox.clone()),
            None => {
                groups
                    .by_prefix
                    .insert(prefix.clone(), vec![mailbox.clone()]);
                *groups.lengths.entry(prefix.len()).or_default() += 1;
            }
        }
        Ok(mailbox)
    }

    pub(crate) fn unregister(&self, prefix: &str, mailbox: &Arc<Mailbox>) {
        lock(&self.groups).keep(prefix, |other| !Arc::ptr_eq(other, mailbox));
    }

    /// Hands `events`, which are in order, to everybody whom they concern.
    pub(crate) fn distribute(&self, events: impl Iterator<Item = Arc<Event>>) {
        let mut wake: Vec<Waker> = Vec::new();
        {
            let mut groups = lock(&self.groups);
            let mut concerned: HashMap<&Arc<str>, Vec<Arc<Event>>> = HashMap::new();
            for event in events {
                let key = &event.entry.key;
                for length in groups
                    .lengths
                    .range(..=key.len())
                    .map(|(length, _)| *length)
                {
                    let group = key
                        .get(..length)
                        .and_then(|prefix| groups.by_prefix.get_key_value(prefix));
                    if let Some((prefix, _)) = group {
                        concerned.entry(prefix).or_default().push(event.clone());
                    }
                }
            }
            let mut lagged = Vec::new();
            for (prefix, events) in concerned {
                for mailbox in &groups.by_prefix[prefix] {
                    let (waker, alive) = mailbox.push(&events);
                    wake.extend(waker);
                    if !alive {
                        lagged.push(prefix.clone());
                    }
                }
            }
            for prefix in lagged {
                groups.keep(&prefix, |mailbox| lock(&mailbox.inner).end.is_none());
            }
        }
        // Outside the lock, which a woken watcher may need.
        wake.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_open(&self) -> bool {
        !lock(&self.groups).closed
    }

    /// Ends every watch, now and in future.
    pub(crate) fn close(&self) {
        let groups = std::mem::replace(
            &mut *lock(&self.groups),
            Groups {
                closed: true,
                ..Groups::default()
            },
        );
        for mailbox in groups.by_prefix.into_values().flatten() {
            let waker = {
                let mut inner = lock(&mailbox.inner);
                // What is waiting is still delivered.
                inner.end.get_or_insert(WatchEnd::Closed);
                inner.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

impl Groups {
    fn keep(&mut self, prefix: &str, keep: impl FnMut(&Arc<Mailbox>) -> bool) {
        let Some(group) = self.by_prefix.get_mut(prefix) else {
            return;
        };
        group.retain(keep);
        if !group.is_empty() {
            return;
        }
        self.by_prefix.remove(prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }
}

/// The bounded buffer of one watcher.
#[derive(Debug)]
pub(crate) struct Mailbox {
    start: u64,
    max_events: usize,
    max_bytes: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    end: Option<WatchEnd>,
    waker: Option<Waker>,
}

impl Mailbox {
    /// Adds events; returns whom to wake, and whether the watch goes on.
    fn push(&self, events: &[Arc<Event>]) -> (Option<Waker>, bool) {
        let mut inner = lock(&self.inner);
        for event in events.iter().filter(|event| event.revision() > self.start) {
            inner.bytes += event.entry.value.len();
            // One event always fits, whatever its size.
            let full = inner.events.len() >= self.max_events || inner.bytes > self.max_bytes;
            if full && !inner.events.is_empty() {
                *inner = Inner {
                    end: Some(WatchEnd::Lagged),
                    waker: inner.waker.take(),
                    ..Inner::default()
                };
                return (inner.waker.take(), false);
            }
            inner.events.push_back(event.clone());
        }
        let waker = if inner.events.is_empty() {
            None
        } else {
            inner.waker.take()
        };
        (waker, inner.end.is_none())
    }

    /// Moves everything that is waiting to `into`, which is empty. Pending: there is nothing yet.
    pub(crate) fn poll_take(
        &self,
        into: &mut VecDeque<Arc<Event>>,
        context: Option<&mut Context<'_>>,
    ) -> Poll<Result<(), WatchEnd>> {
        let mut inner = lock(&self.inner);
        if !inner.events.is_empty() {
            inner.bytes = 0;
            std::mem::swap(&mut inner.events, into);
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = inner.end {
            return Poll::Ready(Err(end));
        }
        if let Some(context) = context {
            inner.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Whether nothing is waiting and the watch goes on.
    pub(crate) fn is_idle(&self) -> bool {
        let inner = lock(&self.inner);
        inner.events.is_empty() && inner.end.is_none()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::tests::put;

    fn taken(mailbox: &Mailbox) -> String {
        let mut events = VecDeque::new();
        match mailbox.poll_take(&mut events, None) {
            Poll::Pending => "pending".into(),
            Poll::Ready(Err(end)) => format!("{end:?}"),
            Poll::Ready(Ok(())) => events
                .iter()
                .map(|e| e.revision().to_string())
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn events_reach_those_who_watch_a_prefix_of_the_key() {
        let hub = Hub::default();
        let watch = |prefix: &str, start| hub.register(&prefix.into(), start, 10, 1000).unwrap();
        let (all, a, a_late, exact, other) = (
            watch("", 1),
            watch("/a/", 1),
            watch("/a/", 3),
            watch("/a/1", 1),
            watch("/ä", 1),
        );
        hub.distribute(
            [
                put("/a/1", 2, b"v"),
                put("/a/2", 3, b"v"),
                put("/b", 4, b"v"),
                put("/a/1", 5, b"v"),
            ]
            .into_iter(),
        );
        assert_eq!(taken(&all), "2 3 4 5");
        assert_eq!(taken(&a), "2 3 5");
        assert_eq!(taken(&a_late), "5");
        assert_eq!(taken(&exact), "2 5");
        assert_eq!(taken(&other), "pending");
        assert_eq!(taken(&all), "pending");

        hub.unregister("/a/", &a);
        hub.unregister("/a/", &a_late);
        hub.unregister("/a/1", &exact);
        assert_eq!(
            lock(&hub.groups)
                .lengths
                .keys()
                .copied()
                .collect::<Vec<_>>(),
            [0, 3]
        );
        hub.close();
        assert_eq!(taken(&all), "Closed");
        assert!(hub.register(&"".into(), 1, 1, 1).is_err());
    }

    #[test]
    fn who_lags_is_ended_and_forgotten() {
        #[track_caller]
        fn check(max_events: usize, max_bytes: usize, events: usize, expect: &str) {
            let hub = Hub::default();
            let mailbox = hub.register(&"".into(), 1, max_events, max_bytes).unwrap();
            hub.distribute(
                (2..)
                    .take(events)
                    .map(|revision| put("/a", revision, b"12345")),
            );
            assert_eq!(taken(&mailbox), expect);
            assert_eq!(lock(&hub.groups).by_prefix.is_empty(), expect == "Lagged");
        }
        check(3, 1000, 3, "2 3 4");
        check(3, 1000, 4, "Lagged");
        check(100, 10, 2, "2 3");
        check(100, 10, 3, "Lagged");
        check(100, 1, 1, "2");
    }
}
