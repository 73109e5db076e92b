//! What a batch of writes does: pure decisions, taken one after the other against memory and what came before in the
//! batch.
//!
//! Know before changing: nothing here is visible to anybody until the disk has the rows. A refusal may rest on an
//! earlier write of the same batch, so refusals, too, are answered only after the commit.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::memory::Memory;
use crate::row::{Row, RowKind};
use crate::{Entry, Event, EventKind, StoreError};

/// What a caller wants to do to one key.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Create {
        value: Bytes,
    },
    Update {
        value: Bytes,
        expected: u64,
        volatile: bool,
    },
    Delete {
        expected: Option<u64>,
    },
}

impl Op {
    pub(crate) fn is_volatile(&self) -> bool {
        matches!(self, Op::Update { volatile: true, .. })
    }

    pub(crate) fn value_bytes(&self) -> usize {
        match self {
            Op::Create { value } | Op::Update { value, .. } => value.len(),
            Op::Delete { .. } => 0,
        }
    }
}

/// A key that takes volatile writes, as the disk has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The revision of the key's newest row on disk.
    pub(crate) persisted: u64,
}

/// The keys that take volatile writes. For every other key, memory and the newest row are at the same revision.
pub(crate) type Marks = HashMap<Arc<str>, Mark>;

/// What a batch will do once the disk has it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The answer to each write, in order: the event, or why not.
    pub(crate) answers: Vec<Result<Arc<Event>, StoreError>>,
    /// The changes in order; the flag says that the change may be visible without being on disk.
    pub(crate) changes: Vec<(Arc<Event>, bool)>,
    /// What goes to disk.
    pub(crate) rows: Vec<Row>,
    /// What becomes of the marks: set or removed.
    pub(crate) marks: Vec<(Arc<str>, Option<Mark>)>,
    /// The last revision used.
    pub(crate) last_revision: u64,
}

/// A key as the batch has left it so far.
struct Pending {
    entry: Option<Entry>,
    mark: Option<Mark>,
}

/// Decides `writes`, giving changes the revisions after `last_revision`.
pub(crate) fn decide<'a>(
    memory: &Memory,
    marks: &Marks,
    last_revision: u64,
    writes: impl Iterator<Item = (&'a Arc<str>, &'a Op)>,
) -> Plan {
    let mut plan = Plan {
        last_revision,
        ..Plan::default()
    };
    let mut pending: HashMap<Arc<str>, Pending> = HashMap::new();
    for (key, op) in writes {
        let (current, mark) = match pending.get(key) {
            Some(pending) => (pending.entry.as_ref(), pending.mark),
            None => (memory.get(key), marks.get(key).copied()),
        };
        let event = match change(current, key, op, plan.last_revision + 1) {
            Ok(event) => Arc::new(event),
            Err(refusal) => {
                plan.answers.push(Err(refusal));
                continue;
            }
        };
        plan.last_revision += 1;
        let persisted = mark
            .map(|mark| mark.persisted)
            .or(current.map(|entry| entry.mod_revision))
            .unwrap_or(0);
        // The first volatile write to a key goes to disk, so that the disk knows which keys take them.
        let memory_only = op.is_volatile() && mark.is_some();
        let kind = match op {
            Op::Delete { .. } => RowKind::Delete,
            Op::Update { volatile: true, .. } => RowKind::PutVolatile,
            _ => RowKind::Put,
        };
        let mark = match (memory_only, kind) {
            (true, _) => Some(Mark { persisted }),
            (false, RowKind::PutVolatile) => Some(Mark {
                persisted: event.revision(),
            }),
            (false, _) => None,
        };
        if !memory_only {
            plan.rows.push(Row {
                kind,
                entry: event.entry.clone(),
                prev_revision: persisted,
            });
        }
        plan.marks.push((event.entry.key.clone(), mark));
        let entry = (event.kind == EventKind::Put).then(|| event.entry.clone());
        pending.insert(event.entry.key.clone(), Pending { entry, mark });
        plan.changes.push((event.clone(), op.is_volatile()));
        plan.answers.push(Ok(event));
    }
    plan
}

/// What `op` makes of a key that is `current`, at `revision`.
fn change(
    current: Option<&Entry>,
    key: &Arc<str>,
    op: &Op,
    revision: u64,
) -> Result<Event, StoreError> {
    let not_found = || StoreError::NotFound {
        key: key.to_string(),
    };
    let conflict = |expected, actual: &Entry| StoreError::Conflict {
        key: key.to_string(),
        expected,
        actual: actual.mod_revision,
    };
    match op {
        Op::Create { value } => match current {
            Some(entry) => Err(StoreError::AlreadyExists {
                key: key.to_string(),
                mod_revision: entry.mod_revision,
            }),
            None => Ok(Event {
                kind: EventKind::Put,
                entry: Entry {
                    key: key.clone(),
                    value: value.clone(),
                    create_revision: revision,
                    mod_revision: revision,
                },
                previous: None,
            }),
        },
        Op::Update {
            value, expected, ..
        } => {
            let current = current.ok_or_else(not_found)?;
            if current.mod_revision != *expected {
                return Err(conflict(*expected, current));
            }
            let entry = Entry {
                value: value.clone(),
                mod_revision: revision,
                ..current.clone()
            };
            Ok(Event {
                kind: EventKind::Put,
                entry,
                previous: Some(current.clone()),
            })
        }
        Op::Delete { expected } => {
            let current = current.ok_or_else(not_found)?;
            if let Some(expected) = expected.filter(|expected| *expected != current.mod_revision) {
                return Err(conflict(expected, current));
            }
            let entry = Entry {
                mod_revision: revision,
                ..current.clone()
            };
            Ok(Event {
                kind: EventKind::Delete,
                entry,
                previous: Some(current.clone()),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::recent::Recent;

    fn create(value: &str) -> Op {
        Op::Create {
            value: Bytes::copy_from_slice(value.as_bytes()),
        }
    }

    fn update(value: &str, expected: u64, volatile: bool) -> Op {
        Op::Update {
            value: Bytes::copy_from_slice(value.as_bytes()),
            expected,
            volatile,
        }
    }

    /// Runs batches one after the other, and tells answers and rows in short.
    fn check(batches: &[&[(&str, Op)]], expect: &str) {
        let mut memory = Memory::new(
            BTreeMap::new(),
            1,
            1,
            BTreeMap::new(),
            Recent::new(1, 100, 1 << 20),
        );
        let mut marks = Marks::new();
        let mut told = Vec::new();
        for batch in batches {
            let writes: Vec<(Arc<str>, Op)> = batch
                .iter()
                .map(|(key, op)| ((*key).into(), op.clone()))
                .collect();
            let plan = decide(
                &memory,
                &marks,
                memory.revision(),
                writes.iter().map(|(key, op)| (key, op)),
            );
            for answer in &plan.answers {
                told.push(match answer {
                    Ok(event) => event.revision().to_string(),
                    Err(StoreError::AlreadyExists { .. }) => "exists".into(),
                    Err(StoreError::NotFound { .. }) => "none".into(),
                    Err(StoreError::Conflict { actual, .. }) => format!("conflict@{actual}"),
                    Err(other) => other.to_string(),
                });
            }
            for row in &plan.rows {
                told.push(format!(
                    "[{:?} {}<-{}]",
                    row.kind, row.entry.mod_revision, row.prev_revision
                ));
            }
            for (event, volatile) in plan.changes {
                memory.apply(event, volatile);
            }
            for (key, mark) in plan.marks {
                match mark {
                    Some(mark) => marks.insert(key, mark),
                    None => marks.remove(&key),
                };
            }
        }
        assert_eq!(told.join(" "), expect);
    }

    #[test]
    fn writes_see_those_before_them_in_the_batch() {
        check(
            &[&[("a", create("1")), ("a", create("2"))]],
            "2 exists [Put 2<-0]",
        );
        check(
            &[&[("a", create("1")), ("a", update("2", 2, false))]],
            "2 3 [Put 2<-0] [Put 3<-2]",
        );
        check(
            &[&[
                ("a", update("1", 1, false)),
                ("a", Op::Delete { expected: None }),
            ]],
            "none none",
        );
        check(
            &[&[
                ("a", create("1")),
                ("a", Op::Delete { expected: Some(2) }),
                ("a", create("2")),
            ]],
            "2 3 4 [Put 2<-0] [Delete 3<-2] [Put 4<-0]",
        );
        check(
            &[
                &[("a", create("1"))],
                &[
                    ("a", update("2", 1, false)),
                    ("a", Op::Delete { expected: Some(9) }),
                ],
            ],
            "2 [Put 2<-0] conflict@2 conflict@2",
        );
    }

    #[test]
    fn volatile_writes_reach_the_disk_first_and_then_rarely() {
        let beats: &[(&str, Op)] = &[("l", update("1", 2, true)), ("l", update("2", 3, true))];
        // The first marks the key on disk; the next stays in memory; a durable write replaces the row on disk.
        check(
            &[
                &[("l", create("0"))],
                beats,
                &[("l", update("3", 4, false)), ("l", update("4", 5, true))],
            ],
            "2 [Put 2<-0] 3 4 [PutVolatile 3<-2] 5 6 [Put 5<-3] [PutVolatile 6<-5]",
        );
        check(
            &[
                &[("l", create("0"))],
                beats,
                &[("l", Op::Delete { expected: None })],
            ],
            "2 [Put 2<-0] 3 4 [PutVolatile 3<-2] 5 [Delete 5<-3]",
        );
    }
}
