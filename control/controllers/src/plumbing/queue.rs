//! A queue of keys: what is in it twice is done once, what fails comes back later and later, what is being done waits.
//!
//! It holds at most one entry per key, so it is bounded by the objects that exist. A worker with nothing to do sleeps
//! until a key arrives or the nearest delay ends; it never polls.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Display;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use minicloud_api::part::Shutdown;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, error, warn};

const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    wake: Notify,
}

struct State<T> {
    ready: VecDeque<T>,
    queued: HashSet<T>,
    running: HashSet<T>,
    /// Added while running: to be done once more.
    again: HashSet<T>,
    later: BTreeMap<(Instant, u64), T>,
    due: HashMap<T, (Instant, u64)>,
    sequence: u64,
    failures: HashMap<T, u32>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                ready: VecDeque::new(),
                queued: HashSet::new(),
                running: HashSet::new(),
                again: HashSet::new(),
                later: BTreeMap::new(),
                due: HashMap::new(),
                sequence: 0,
                failures: HashMap::new(),
            }),
            wake: Notify::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> State<T> {
    fn add(&mut self, key: T) {
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    /// Of two delays the nearer one counts.
    fn add_at(&mut self, key: T, at: Instant) {
        if let Some(slot) = self.due.get(&key).copied() {
            if slot.0 <= at {
                return;
            }
            self.later.remove(&slot);
        }
        self.sequence += 1;
        let slot = (at, self.sequence);
        self.due.insert(key.clone(), slot);
        self.later.insert(slot, key);
    }

    /// Moves what is due to the ready keys, and says when the next delay ends.
    fn promote(&mut self, now: Instant) -> Option<Instant> {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                return Some(entry.key().0);
            }
            let key = entry.remove();
            self.due.remove(&key);
            self.add(key);
        }
        None
    }

    fn take(&mut self) -> Option<T> {
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        self.running.insert(key.clone());
        Some(key)
    }

    fn finish(&mut self, key: T, failed: bool, now: Instant) {
        self.running.remove(&key);
        if self.again.remove(&key) {
            self.add(key.clone());
        }
        if failed {
            let failures = self.failures.entry(key.clone()).or_default();
            let delay = FIRST_RETRY
                .saturating_mul(1 << (*failures).min(16))
                .min(LAST_RETRY);
            *failures = failures.saturating_add(1);
            self.add_at(key, now + delay);
        } else {
            self.failures.remove(&key);
        }
    }
}

impl<T: Clone + Eq + Hash + Display + Send> Queue<T> {
    /// To be done as soon as a worker is free.
    pub(crate) fn add(&self, key: T) {
        self.lock().add(key);
        self.wake.notify_one();
    }

    /// To be done when `delay` has passed, unless it is due earlier already.
    pub(crate) fn add_after(&self, key: T, delay: Duration) {
        self.lock().add_at(key, Instant::now() + delay);
        self.wake.notify_one();
    }

    /// Works until shutdown, on at most `workers` keys at a time. What fails or panics is logged and comes back.
    pub(crate) async fn run<F, Fut>(
        &self,
        name: &str,
        workers: usize,
        mut shutdown: Shutdown,
        sync: F,
    ) where
        F: Fn(T) -> Fut,
        Fut: Future<Output = anyhow::Result<()>>,
    {
        let mut running = FuturesUnordered::new();
        loop {
            let next = {
                let mut state = self.lock();
                let mut next = state.promote(Instant::now());
                while running.len() < workers {
                    let Some(key) = state.take() else { break };
                    let work = AssertUnwindSafe(sync(key.clone())).catch_unwind();
                    running.push(async move { (key, work.await) });
                }
                if running.len() >= workers {
                    next = None;
                }
                next
            };
            tokio::select! {
                biased;
                () = shutdown.wait() => return,
                Some((key, outcome)) = running.next() => {
                    let failed = !matches!(outcome, Ok(Ok(())));
                    match outcome {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) if is_routine(&error) => debug!(controller = name, %key, "{error:#}"),
                        Ok(Err(error)) => warn!(controller = name, %key, "will try again: {error:#}"),
                        Err(_) => error!(controller = name, %key, "panicked, will try again"),
                    }
                    self.lock().finish(key, failed, Instant::now());
                }
                () = self.wake.notified() => {}
                () = sleep_until(next), if next.is_some() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Conflicts and vanished objects are how optimistic concurrency works, not news.
fn is_routine(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<kube::Error>(),
        Some(kube::Error::Api(status)) if status.code == 409 || status.code == 404
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_done_once_and_again_after_a_change() {
        let now = Instant::now();
        let mut state = Queue::<&str>::default().state.into_inner().unwrap();
        state.add("a");
        state.add("a");
        state.add("b");
        assert_eq!(state.take(), Some("a"));
        state.add("a");
        assert_eq!((state.take(), state.take()), (Some("b"), None));
        state.finish("a", false, now);
        assert_eq!((state.take(), state.take()), (Some("a"), None));
        state.finish("a", false, now);
        state.finish("b", false, now);
        assert_eq!(state.take(), None);
    }

    #[test]
    fn failures_come_back_later_and_later() {
        let start = Instant::now();
        let mut state = Queue::<&str>::default().state.into_inner().unwrap();
        let mut now = start;
        let mut delays = Vec::new();
        state.add("a");
        for _ in 0..14 {
            assert_eq!(state.take(), Some("a"));
            state.finish("a", true, now);
            let next = state.promote(now).unwrap();
            delays.push((next - now).as_millis());
            now = next;
            assert_eq!(state.promote(now), None);
        }
        assert_eq!(delays[..4], [20, 40, 80, 160]);
        assert_eq!(*delays.last().unwrap(), 60_000);
        // Success forgets the failures, and the nearer of two delays wins.
        assert_eq!(state.take(), Some("a"));
        state.finish("a", false, now);
        state.add_at("a", now + Duration::from_secs(5));
        state.add_at("a", now + Duration::from_secs(9));
        state.add_at("a", now + Duration::from_secs(1));
        assert_eq!(state.promote(now), Some(now + Duration::from_secs(1)));
        state.promote(now + Duration::from_secs(1));
        assert_eq!(
            (state.take(), state.later.len(), state.due.len()),
            (Some("a"), 0, 0)
        );
    }

    #[tokio::test]
    async fn a_panic_or_an_error_is_tried_again() {
        let queue = Queue::default();
        let (trigger, shutdown) = Shutdown::new();
        let tries = Mutex::new(0);
        queue.add("a");
        queue
            .run("test", 2, shutdown, |_| {
                let count = {
                    let mut tries = tries.lock().unwrap_or_else(PoisonError::into_inner);
                    *tries += 1;
                    *tries
                };
                let trigger = &trigger;
                async move {
                    match count {
                        1 => panic!("the first try panics"),
                        2 => anyhow::bail!("the second fails"),
                        _ => trigger.shut_down(),
                    }
                    Ok(())
                }
            })
            .await;
        assert_eq!(*tries.lock().unwrap(), 3);
    }
}
