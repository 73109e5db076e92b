//! The pods that wait for a node, in the order in which they are tried.
//!
//! A pod that cannot be placed sleeps until something changes that its refusals name, and never less than its back-off; after
//! five minutes it is tried in any case. Nothing is polled. The clock is a parameter.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::filter::Rule;
use crate::pod::PodInfo;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LAST_BACKOFF: Duration = Duration::from_secs(10);
/// An unschedulable pod is tried after this time even if nothing seems to have changed.
const PATIENCE: Duration = Duration::from_secs(300);

type Order = (Reverse<i32>, Timestamp, String);

/// What has been told about a pod, so that repeats are counted and unchanged conditions not written again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The last message.
    pub(crate) message: String,
    /// The event that carries it, and how often it was counted.
    pub(crate) event: Option<(String, i32)>,
}

struct Entry {
    pod: Arc<PodInfo>,
    state: State,
    attempts: u32,
    tried: Option<Instant>,
    told: Told,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Active,
    BackingOff(Instant),
    Asleep {
        rules: BTreeSet<Rule>,
        wake: Instant,
    },
}

/// See the module.
#[derive(Default)]
pub(crate) struct Queue {
    entries: HashMap<String, Entry>,
    active: BTreeSet<Order>,
    due: BTreeSet<(Instant, String)>,
}

fn order(pod: &PodInfo) -> Order {
    (Reverse(pod.priority), pod.created, pod.uid.clone())
}

impl Queue {
    /// A pod waits, or a waiting one changed. A change is worth another try.
    pub(crate) fn put(&mut self, pod: PodInfo, now: Instant) {
        let uid = pod.uid.clone();
        let (attempts, tried, told) = match self.entries.get(&uid) {
            Some(entry) if *entry.pod == pod => return,
            Some(entry) => (entry.attempts, entry.tried, entry.told.clone()),
            None => (0, None, Told::default()),
        };
        self.remove(&uid);
        let entry = Entry {
            pod: Arc::new(pod),
            state: State::Active,
            attempts,
            tried,
            told,
        };
        self.entries.insert(uid.clone(), entry);
        self.activate(&uid, now);
    }

    /// The pod waits no more.
    pub(crate) fn remove(&mut self, uid: &str) -> bool {
        let Some(entry) = self.entries.remove(uid) else {
            return false;
        };
        self.unlist(uid, &entry.pod, &entry.state);
        true
    }

    /// The next pod to try. It stays known until it is removed or put to sleep.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Arc<PodInfo>> {
        self.promote(now);
        let (_, _, uid) = self.active.pop_first()?;
        let entry = self.entries.get_mut(&uid)?;
        entry.attempts = entry.attempts.saturating_add(1);
        entry.tried = Some(now);
        Some(entry.pod.clone())
    }

    /// The pod that was popped fits nowhere until one of these rules may give another answer.
    pub(crate) fn sleep(&mut self, uid: &str, rules: BTreeSet<Rule>, now: Instant) {
        if let Some(entry) = self.entries.get_mut(uid) {
            let wake = now + PATIENCE;
            entry.state = State::Asleep { rules, wake };
            self.due.insert((wake, uid.to_owned()));
        }
    }

    /// The pod, popped and removed since, could not be bound: another try after its back-off.
    pub(crate) fn retry(&mut self, pod: Arc<PodInfo>, attempts: u32, now: Instant) {
        let uid = pod.uid.clone();
        self.remove(&uid);
        let entry = Entry {
            pod,
            state: State::Active,
            attempts,
            tried: Some(now),
            told: Told::default(),
        };
        self.entries.insert(uid.clone(), entry);
        self.activate(&uid, now);
    }

    /// How often the pod has been tried.
    pub(crate) fn attempts(&self, uid: &str) -> u32 {
        self.entries.get(uid).map_or(0, |e| e.attempts)
    }

    /// Something changed that these rules look at.
    pub(crate) fn wake(&mut self, changed: &[Rule], now: Instant) {
        let woken: Vec<String> = self
            .entries
            .iter()
            .filter(|(_, e)| matches!(&e.state, State::Asleep { rules, .. } if changed.iter().any(|r| rules.contains(r))))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in woken {
            self.activate(&uid, now);
        }
    }

    /// What has been told about the pod.
    pub(crate) fn told(&self, uid: &str) -> Told {
        self.entries
            .get(uid)
            .map(|e| e.told.clone())
            .unwrap_or_default()
    }

    /// Notes what has been told.
    pub(crate) fn set_told(&mut self, uid: &str, told: Told) {
        if let Some(entry) = self.entries.get_mut(uid) {
            entry.told = told;
        }
    }

    /// When a back-off or a sleep ends next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// True when a pod could be popped now.
    pub(crate) fn has_ready(&self, now: Instant) -> bool {
        !self.active.is_empty() || self.next_due().is_some_and(|at| at <= now)
    }

    /// The UIDs of all that wait.
    pub(crate) fn uids(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    fn activate(&mut self, uid: &str, now: Instant) {
        let Some(entry) = self.entries.get_mut(uid) else {
            return;
        };
        let (pod, old) = (entry.pod.clone(), entry.state.clone());
        let backoff = FIRST_BACKOFF
            .saturating_mul(1 << entry.attempts.saturating_sub(1).min(10))
            .min(LAST_BACKOFF);
        let until = entry
            .tried
            .map(|tried| tried + backoff)
            .filter(|until| *until > now);
        entry.state = until.map_or(State::Active, State::BackingOff);
        self.unlist(uid, &pod, &old);
        match until {
            Some(until) => {
                self.due.insert((until, uid.to_owned()));
            }
            None => {
                self.active.insert(order(&pod));
            }
        }
    }

    fn promote(&mut self, now: Instant) {
        while let Some((at, uid)) = self.due.first().cloned()
            && at <= now
        {
            self.due.pop_first();
            if let Some(entry) = self.entries.get_mut(&uid) {
                entry.state = State::Active;
                self.active.insert(order(&entry.pod));
            }
        }
    }

    fn unlist(&mut self, uid: &str, pod: &PodInfo, state: &State) {
        match state {
            State::Active => {
                self.active.remove(&order(pod));
            }
            State::BackingOff(at) | State::Asleep { wake: at, .. } => {
                self.due.remove(&(*at, uid.to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::pod;

    fn next(queue: &mut Queue, now: Instant) -> String {
        queue.pop(now).map(|p| p.name.clone()).unwrap_or_default()
    }

    #[test]
    fn the_more_important_pod_goes_first() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.put(pod("low", json!({"priority": -1})), now);
        queue.put(pod("b", json!({})), now);
        queue.put(pod("a", json!({})), now);
        queue.put(pod("high", json!({"priority": 100})), now);
        queue.put(pod("gone", json!({"priority": 100})), now);
        assert!(queue.remove("gone") && !queue.remove("gone"));
        let order: Vec<_> = (0..5).map(|_| next(&mut queue, now)).collect();
        assert_eq!(order, ["high", "a", "b", "low", ""]);
    }

    #[test]
    fn sleepers_wake_for_what_concerns_them_after_their_backoff() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        queue.put(pod("p", json!({})), start);
        assert_eq!(next(&mut queue, start), "p");
        queue.sleep("p", BTreeSet::from([Rule::Room]), start);
        queue.wake(&[Rule::Volumes], after(5));
        assert_eq!(next(&mut queue, after(5)), "");
        assert_eq!(queue.next_due(), Some(start + PATIENCE));
        queue.wake(&[Rule::Room, Rule::Pods], after(5));
        assert_eq!(next(&mut queue, after(5)), "p");
        queue.sleep("p", BTreeSet::from([Rule::Room]), after(5));
        // The second try costs two seconds of back-off.
        queue.wake(&[Rule::Room], after(6));
        assert_eq!(
            (next(&mut queue, after(6)).as_str(), queue.next_due()),
            ("", Some(after(7)))
        );
        assert_eq!(next(&mut queue, after(7)), "p");
        queue.sleep("p", BTreeSet::from([Rule::Room]), after(7));
        assert_eq!(next(&mut queue, after(7) + PATIENCE), "p");
        queue.sleep("p", BTreeSet::new(), after(400));
        // A changed pod is tried again; an unchanged one is not news.
        queue.put(pod("p", json!({})), after(500));
        assert!(!queue.has_ready(after(500)));
        queue.put(pod("p", json!({"nodeSelector": {"a": "b"}})), after(500));
        assert!(queue.has_ready(after(500)));
    }
}
