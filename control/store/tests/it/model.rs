//! The store against a model that keeps everything: any sequence of writes, listings and watches of the past,
//! compactions, restarts and crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minicloud_store::{Entry, Event, EventKind, Options, Store, StoreError};
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use super::support::{bytes, crash_image, event, open_with};

#[derive(Debug, Clone)]
enum Step {
    Create(usize),
    Update(usize, bool),
    Beat(usize),
    Delete(usize),
    Stale(usize),
    List {
        prefix: usize,
        back: u64,
        limit: usize,
    },
    Watch {
        prefix: usize,
        back: u64,
    },
    Compact {
        back: u64,
    },
    Restart,
    Crash,
}

const KEYS: [&str; 6] = ["/a/1", "/a/2", "/a/22", "/b/1", "/b/2", "/c"];
const PREFIXES: [&str; 5] = ["", "/a/", "/a/2", "/b/", "/d"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..KEYS.len();
    let prefix = 0..PREFIXES.len();
    let step = prop_oneof![
        6 => key.clone().prop_map(Step::Create),
        6 => (key.clone(), any::<bool>()).prop_map(|(key, large)| Step::Update(key, large)),
        // Only some keys are heartbeats, so that the others keep their whole history.
        3 => (3..5_usize).prop_map(Step::Beat),
        4 => key.clone().prop_map(Step::Delete),
        1 => key.prop_map(Step::Stale),
        4 => (prefix.clone(), 0..20_u64, 0..3_usize).prop_map(|(prefix, back, limit)| Step::List { prefix, back, limit }),
        4 => (prefix, 0..20_u64).prop_map(|(prefix, back)| Step::Watch { prefix, back }),
        1 => (0..15_u64).prop_map(|back| Step::Compact { back }),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}

/// What should be.
#[derive(Default)]
struct Model {
    now: BTreeMap<String, Entry>,
    events: Vec<Event>,
    /// The state after each revision at which something happened.
    states: BTreeMap<u64, BTreeMap<String, Entry>>,
    compacted: u64,
    /// Keys with volatile writes: the revision up to which the disk does not have their history.
    volatile: BTreeMap<String, u64>,
    /// Keys whose newest value may be lost by a crash: what it would go back to.
    persisted: BTreeMap<String, Entry>,
}

impl Model {
    fn record(&mut self, event: Event) {
        let (key, entry) = (event.entry.key.to_string(), event.entry.clone());
        match event.kind {
            EventKind::Put => self.now.insert(key, entry),
            EventKind::Delete => self.now.remove(&key),
        };
        self.states.insert(event.revision(), self.now.clone());
        self.events.push(event);
    }

    fn at(&self, revision: u64) -> BTreeMap<String, Entry> {
        self.states
            .range(..=revision)
            .next_back()
            .map(|(_, state)| state.clone())
            .unwrap_or_default()
    }

    /// Whether the store may say that `revision` is too old for `prefix`.
    fn may_be_compacted(&self, prefix: &str, revision: u64) -> bool {
        revision < self.compacted
            || self
                .volatile
                .iter()
                .any(|(key, last)| key.starts_with(prefix) && *last > revision)
    }
}

struct Run {
    dir: TempDir,
    store: Store,
    model: Model,
    last: u64,
    counter: u64,
}

fn options() -> Options {
    let mut options = Options::default();
    options.recent_events = 5;
    options.log_bytes = 0;
    options
}

impl Run {
    async fn step(&mut self, step: &Step) {
        self.counter += 1;
        let value = bytes(&format!("value {}", self.counter));
        match step {
            Step::Create(key) => {
                let result = self.store.create(KEYS[*key], value).await;
                match self.model.now.get(KEYS[*key]) {
                    Some(_) => assert!(matches!(result, Err(StoreError::AlreadyExists { .. }))),
                    None => self.wrote(KEYS[*key], result.unwrap(), false),
                }
            }
            Step::Update(key, large) => {
                let value = if *large {
                    bytes(&"large ".repeat(2_000))
                } else {
                    value
                };
                let Some(before) = self.model.now.get(KEYS[*key]).cloned() else {
                    let result = self.store.update(KEYS[*key], value, 1).await;
                    return assert!(matches!(result, Err(StoreError::NotFound { .. })));
                };
                let entry = self
                    .store
                    .update(KEYS[*key], value, before.mod_revision)
                    .await
                    .unwrap();
                self.wrote(KEYS[*key], entry, false);
            }
            Step::Beat(key) => {
                let Some(before) = self.model.now.get(KEYS[*key]).cloned() else {
                    return;
                };
                let entry = self
                    .store
                    .update_volatile(KEYS[*key], value, before.mod_revision)
                    .await
                    .unwrap();
                self.wrote(KEYS[*key], entry, true);
            }
            Step::Delete(key) => {
                let result = self.store.delete(KEYS[*key], None).await;
                let Some(before) = self.model.now.get(KEYS[*key]).cloned() else {
                    return assert!(matches!(result, Err(StoreError::NotFound { .. })));
                };
                let deleted = result.unwrap();
                assert_eq!(deleted.previous, before);
                self.model.persisted.remove(KEYS[*key]);
                let entry = Entry {
                    mod_revision: deleted.revision,
                    ..before.clone()
                };
                self.happened(Event {
                    kind: EventKind::Delete,
                    entry,
                    previous: Some(before),
                });
            }
            Step::Stale(key) => {
                let Some(before) = self.model.now.get(KEYS[*key]).cloned() else {
                    return;
                };
                let stale = before.mod_revision - 1;
                let update = self.store.update(KEYS[*key], value, stale).await;
                let delete = self.store.delete(KEYS[*key], Some(stale)).await;
                assert!(matches!(update, Err(StoreError::Conflict { .. })));
                assert!(matches!(delete, Err(StoreError::Conflict { .. })));
            }
            Step::List {
                prefix,
                back,
                limit,
            } => self.list(PREFIXES[*prefix], self.past(*back), *limit).await,
            Step::Watch { prefix, back } => self.watch(PREFIXES[*prefix], self.past(*back)).await,
            Step::Compact { back } => {
                let revision = self.past(*back);
                self.store.compact(revision).await.unwrap();
                self.model.compacted = self.model.compacted.max(revision);
            }
            Step::Restart => {
                self.store.close().await.unwrap();
                self.store = open_with(self.dir.path(), options());
                assert_eq!(self.store.revision(), self.last);
                self.restarted();
            }
            Step::Crash => {
                let dir = tempdir().unwrap();
                crash_image(self.dir.path(), dir.path());
                self.store.close().await.unwrap();
                self.dir = dir;
                self.store = open_with(self.dir.path(), options());
                assert!(self.store.revision() >= self.last);
                self.last = self.store.revision();
                // Heartbeats that were in memory only are gone.
                for (key, entry) in &self.model.persisted {
                    self.model.now.insert(key.clone(), entry.clone());
                }
                self.model.states.insert(self.last, self.model.now.clone());
                self.restarted();
            }
        }
        let now: Vec<_> = self.store.list("", None, 0, None).await.unwrap().entries;
        assert_eq!(now, self.model.now.values().cloned().collect::<Vec<_>>());
    }

    fn restarted(&mut self) {
        // A compaction that found nothing to delete may be forgotten; history is whole then.
        assert!(self.store.compacted_revision() <= self.model.compacted.max(1));
        self.model.compacted = self.store.compacted_revision();
        for (key, entry) in &mut self.model.persisted {
            *entry = self.model.now[key].clone();
        }
        for last in self.model.volatile.values_mut() {
            *last = self.last;
        }
    }

    fn wrote(&mut self, key: &str, entry: Entry, volatile: bool) {
        let previous = self.model.now.get(key).cloned();
        if !volatile {
            self.model.persisted.remove(key);
        } else {
            self.model.volatile.insert(key.into(), entry.mod_revision);
        }
        self.happened(Event {
            kind: EventKind::Put,
            entry,
            previous,
        });
        if volatile {
            // The first one is written as it is; after that, the disk has the older one.
            let entry = self.model.now[key].clone();
            self.model.persisted.entry(key.into()).or_insert(entry);
        }
    }

    fn happened(&mut self, event: Event) {
        assert!(
            event.revision() > self.last,
            "revision {} after {}",
            event.revision(),
            self.last
        );
        self.last = event.revision();
        assert_eq!(self.store.revision(), self.last);
        self.model.record(event);
    }

    /// The revision of the `back`-th event from the end.
    fn past(&self, back: u64) -> u64 {
        let events = self.model.events.iter().rev().map(Event::revision);
        events.chain([1]).nth(back as usize).unwrap_or(1)
    }

    async fn list(&self, prefix: &str, revision: u64, limit: usize) {
        let state = self.model.at(revision);
        let expect: Vec<_> = state
            .range(prefix.to_owned()..)
            .filter(|(key, _)| key.starts_with(prefix))
            .collect();
        let mut found: Vec<Entry> = Vec::new();
        loop {
            let start = found.last().map(|entry| entry.key.clone());
            let page = match self
                .store
                .list(prefix, start.as_deref(), limit, Some(revision))
                .await
            {
                Ok(page) => page,
                Err(StoreError::Compacted { .. }) => {
                    return assert!(
                        self.model.may_be_compacted(prefix, revision),
                        "{prefix} at {revision}"
                    );
                }
                Err(other) => panic!("{other}"),
            };
            assert!(revision >= self.model.compacted);
            found.extend(page.entries);
            assert_eq!(
                (page.revision, page.remaining),
                (revision, expect.len() - found.len())
            );
            assert_eq!(page.more, page.remaining > 0);
            if !page.more {
                break;
            }
        }
        assert_eq!(
            found,
            expect
                .into_iter()
                .map(|(_, entry)| entry.clone())
                .collect::<Vec<_>>(),
            "at {revision}"
        );
    }

    async fn watch(&self, prefix: &str, after: u64) {
        let mut watch = match self.store.watch(prefix, after).await {
            Ok(watch) => watch,
            Err(StoreError::Compacted { .. }) => {
                return assert!(
                    self.model.may_be_compacted(prefix, after),
                    "{prefix} after {after}"
                );
            }
            Err(other) => panic!("{other}"),
        };
        assert!(after >= self.model.compacted);
        for expect in &self.model.events {
            if expect.revision() > after && expect.entry.key.starts_with(prefix) {
                let found = tokio::time::timeout(Duration::from_secs(10), watch.next())
                    .await
                    .unwrap()
                    .unwrap();
                assert_eq!(event(&found), event(expect));
                assert_eq!(*found, *expect);
                assert!(watch.progress() >= found.revision());
            }
        }
        while !watch.is_live() {
            let quiet = tokio::time::timeout(Duration::from_millis(5), watch.next()).await;
            assert!(quiet.is_err(), "an event too many: {quiet:?}");
        }
        assert_eq!(watch.try_next(), Ok(None));
        assert_eq!(watch.progress(), self.store.revision());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempdir().unwrap();
            let store = open_with(dir.path(), options());
            let mut run = Run { dir, store, model: Model::default(), last: 1, counter: 0 };
            for step in &steps {
                run.step(step).await;
            }
            let keys: BTreeSet<_> = run.model.now.keys().cloned().collect();
            for key in KEYS {
                assert_eq!(run.store.get(key).is_some(), keys.contains(key));
            }
            run.store.close().await.unwrap();
        });
    }
}
