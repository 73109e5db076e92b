//! What the server acknowledged, and so what must be there after a crash.
//!
//! A write whose answer never came may or may not have happened: both are right, and nothing else is. An object has one
//! writer, and a writer one write at a time, so there are never more than two right answers for an object.

use std::collections::{BTreeMap, BTreeSet};

/// A value of an object, and the revision that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub value: u64,
    pub revision: u64,
}

/// What a write makes of an object: a value, or nothing.
type Outcome = Option<u64>;

#[derive(Debug, Default)]
struct Entry {
    acknowledged: Option<Version>,
    /// The outcome of a write that was sent and not answered.
    pending: Option<Outcome>,
}

/// All objects of one load.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<String, Entry>,
    /// Revisions of acknowledged writes, all different.
    revisions: BTreeSet<u64>,
    /// What the last crash left: later writes have higher revisions.
    floor: u64,
    creates: u64,
    updates: u64,
    deletes: u64,
    problems: Vec<String>,
}

impl Ledger {
    /// The object's acknowledged version; `Err` while nobody knows.
    pub fn version(&self, name: &str) -> Result<Option<Version>, ()> {
        match self.entries.get(name) {
            Some(entry) if entry.pending.is_some() => Err(()),
            Some(entry) => Ok(entry.acknowledged.clone()),
            None => Ok(None),
        }
    }

    /// A write is about to be sent.
    pub fn begin(&mut self, name: &str, outcome: Outcome) {
        self.entries.entry(name.to_owned()).or_default().pending = Some(outcome);
    }

    /// The write was answered with success; `revision` is the object's new one, none after a deletion.
    pub fn acknowledge(&mut self, name: &str, revision: Option<u64>) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let Some(outcome) = entry.pending.take() else {
            return;
        };
        match (&entry.acknowledged, outcome) {
            (_, None) => self.deletes += 1,
            (None, Some(_)) => self.creates += 1,
            (Some(_), Some(_)) => self.updates += 1,
        }
        entry.acknowledged = outcome
            .zip(revision)
            .map(|(value, revision)| Version { value, revision });
        if let Some(revision) = revision {
            if revision <= self.floor {
                self.problems.push(format!(
                    "{name}: revision {revision} went back behind {}",
                    self.floor
                ));
            }
            if !self.revisions.insert(revision) {
                self.problems
                    .push(format!("{name}: revision {revision} was given twice"));
            }
        }
    }

    /// The server refused what it should have done.
    pub fn refused(&mut self, name: &str, answer: &str) {
        self.problems.push(format!("{name}: {answer}"));
    }

    /// Acknowledged writes so far.
    pub fn acknowledged(&self) -> u64 {
        self.creates + self.updates + self.deletes
    }

    /// The same, by kind, for a line of results.
    pub fn summary(&self) -> String {
        let Self {
            creates,
            updates,
            deletes,
            ..
        } = self;
        format!(
            "{} acknowledged writes ({creates} creates, {updates} updates, {deletes} deletes)",
            self.acknowledged()
        )
    }

    /// Compares what a crash left, at the list's revision, with what was acknowledged; returns what is wrong. Then
    /// what was found becomes what is known.
    pub fn settle(&mut self, found: &BTreeMap<String, Version>, list_revision: u64) -> Vec<String> {
        let mut problems = std::mem::take(&mut self.problems);
        for name in found.keys().filter(|n| !self.entries.contains_key(*n)) {
            problems.push(format!("{name} is there and was never written"));
        }
        for (name, entry) in &mut self.entries {
            let there = found.get(name);
            let kept = there == entry.acknowledged.as_ref();
            let went_through = entry
                .pending
                .is_some_and(|outcome| there.map(|v| v.value) == outcome);
            if !kept && !went_through {
                problems.push(format!(
                    "{name} is {there:?}; acknowledged was {:?}, unanswered {:?}",
                    entry.acknowledged, entry.pending
                ));
            }
            entry.pending = None;
            entry.acknowledged = there.cloned();
        }
        let highest = self.revisions.last().copied().unwrap_or_default();
        if list_revision < highest {
            problems.push(format!(
                "revision {list_revision} after the crash, {highest} was acknowledged before"
            ));
        }
        self.floor = list_revision.max(highest);
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(objects: &[(&str, u64, u64)]) -> BTreeMap<String, Version> {
        let version = |&(name, value, revision): &(&str, u64, u64)| {
            (name.to_owned(), Version { value, revision })
        };
        objects.iter().map(version).collect()
    }

    /// `a` is acknowledged as 1 at revision 5; `b` was deleted; `c` is being updated from 1 to 2; `d` created; `e` deleted.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for (name, revision) in [("a", 5), ("b", 6), ("c", 7), ("e", 8)] {
            ledger.begin(name, Some(1));
            ledger.acknowledge(name, Some(revision));
        }
        ledger.begin("b", None);
        ledger.acknowledge("b", None);
        ledger.begin("c", Some(2));
        ledger.begin("d", Some(1));
        ledger.begin("e", None);
        ledger
    }

    #[test]
    fn what_a_crash_may_leave() {
        let check = |objects: &[(&str, u64, u64)], revision, expect: usize| {
            let problems = ledger().settle(&found(objects), revision);
            assert_eq!(problems.len(), expect, "{objects:?}: {problems:?}");
        };
        let right: &[&[(&str, u64, u64)]] = &[
            &[("a", 1, 5), ("c", 1, 7), ("e", 1, 8)],
            &[("a", 1, 5), ("c", 2, 10), ("d", 1, 11)],
        ];
        for objects in right {
            check(objects, 11, 0);
        }
        check(&[("c", 1, 7), ("e", 1, 8)], 11, 1); // a is lost
        check(&[("a", 1, 5), ("b", 1, 6), ("c", 1, 7)], 11, 1); // b is back
        check(&[("a", 1, 9), ("c", 1, 7)], 11, 1); // a was written again by nobody
        check(&[("a", 1, 5), ("c", 3, 9)], 11, 1); // c has a value of nobody's
        check(&[("a", 1, 5), ("c", 1, 7), ("x", 1, 9)], 11, 1);
        check(&[("a", 1, 5), ("c", 1, 7)], 7, 1); // revisions went back
    }

    #[test]
    fn revisions_neither_repeat_nor_go_back() {
        let mut ledger = ledger();
        assert!(
            ledger
                .settle(&found(&[("a", 1, 5), ("c", 1, 7)]), 20)
                .is_empty()
        );
        ledger.begin("a", Some(2));
        ledger.acknowledge("a", Some(20));
        ledger.begin("c", Some(2));
        ledger.acknowledge("c", Some(20));
        assert_eq!(ledger.problems.len(), 3, "{:?}", ledger.problems);
    }
}
