//! Which events are written, counted or dropped; the rules of client-go's correlator. Pure, and bounded.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::{Note, Severity};
use crate::backoff::elapsed;

/// Most series remembered.
const SERIES: usize = 2048;
/// Events about one object at once, before the rate holds.
const BURST: f64 = 25.0;
/// Seconds until an object may have one more.
const REFILL_SECONDS: f64 = 300.0;
/// Different messages of one reason in [`WINDOW`] before they are combined.
const MESSAGES: usize = 10;
const WINDOW: Duration = Duration::from_secs(600);

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Written anew.
    Create {
        /// The object's name.
        name: String,
        /// Text.
        message: String,
    },
    /// Counted in one that was written before.
    Count {
        /// The object's name.
        name: String,
        /// Text.
        message: String,
        /// So many now.
        count: i32,
    },
    /// Dropped: there are too many.
    Drop,
}

type Series = (String, String, &'static str, Severity);

/// Memory of what was written.
#[derive(Debug, Default)]
pub struct Correlator {
    written: HashMap<(Series, String), (String, i32, Timestamp)>,
    messages: HashMap<Series, (HashSet<String>, Timestamp)>,
    tokens: HashMap<String, (f64, Timestamp)>,
}

fn series(note: &Note) -> Series {
    let object = &note.object;
    (
        object.uid.clone().unwrap_or_default(),
        object.field_path.clone().unwrap_or_default(),
        note.reason,
        note.severity,
    )
}

impl Correlator {
    /// Decides about one event.
    pub fn take(&mut self, note: &Note) -> Write {
        self.bound();
        let object = note.object.uid.clone().unwrap_or_default();
        let (tokens, last) = self.tokens.entry(object).or_insert((BURST, note.at));
        *tokens = (*tokens + elapsed(*last, note.at).as_secs_f64() / REFILL_SECONDS).min(BURST);
        *last = note.at;
        if *tokens < 1.0 {
            return Write::Drop;
        }
        *tokens -= 1.0;
        let series = series(note);
        let (messages, since) = self
            .messages
            .entry(series.clone())
            .or_insert_with(|| (HashSet::new(), note.at));
        if elapsed(*since, note.at) > WINDOW {
            messages.clear();
            *since = note.at;
        }
        if messages.len() < MESSAGES {
            messages.insert(note.message.clone());
        }
        // All of a reason that comes in too many forms is one.
        let (key, message) = if messages.len() >= MESSAGES {
            (
                String::new(),
                format!("(combined from similar events): {}", note.message),
            )
        } else {
            (note.message.clone(), note.message.clone())
        };
        match self.written.get_mut(&(series.clone(), key.clone())) {
            Some((name, count, at)) => {
                *count = count.saturating_add(1);
                *at = note.at;
                Write::Count {
                    name: name.clone(),
                    message,
                    count: *count,
                }
            }
            None => {
                let name = name(note);
                self.written
                    .insert((series, key), (name.clone(), 1, note.at));
                Write::Create { name, message }
            }
        }
    }

    /// The event that was to be counted is gone: it is written anew.
    pub fn renew(&mut self, note: &Note) -> Write {
        let series = series(note);
        self.written.retain(|(s, _), _| *s != series);
        let name = name(note);
        self.written
            .insert((series, note.message.clone()), (name.clone(), 1, note.at));
        Write::Create {
            name,
            message: note.message.clone(),
        }
    }

    fn bound(&mut self) {
        if self.written.len() >= SERIES {
            let mut ages: Vec<Timestamp> = self.written.values().map(|(_, _, at)| *at).collect();
            ages.sort_unstable();
            let middle = ages[ages.len() / 2];
            self.written.retain(|_, (_, _, at)| *at > middle);
        }
        if self.messages.len() >= SERIES {
            self.messages.clear();
        }
        if self.tokens.len() >= SERIES {
            self.tokens.retain(|_, (tokens, _)| *tokens < 1.0);
            if self.tokens.len() >= SERIES {
                self.tokens.clear();
            }
        }
    }
}

/// As client-go names them: the object's name and the time in hexadecimal.
fn name(note: &Note) -> String {
    let base = note.object.name.as_deref().unwrap_or("event");
    format!(
        "{}.{:x}",
        base.get(..230).unwrap_or(base),
        note.at.as_nanosecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(uid: &str, reason: &'static str, message: &str, second: i64) -> Note {
        Note {
            object: k8s_openapi::api::core::v1::ObjectReference {
                uid: Some(uid.into()),
                name: Some("p".into()),
                ..Default::default()
            },
            severity: Severity::Warning,
            reason,
            message: message.into(),
            at: Timestamp::from_second(1_000_000 + second).expect("in range"),
        }
    }

    #[test]
    fn repeats_are_counted() {
        let mut c = Correlator::default();
        assert!(matches!(
            c.take(&note("a", "BackOff", "m", 0)),
            Write::Create { .. }
        ));
        for n in 2..5 {
            assert!(
                matches!(c.take(&note("a", "BackOff", "m", i64::from(n))), Write::Count { count, .. } if count == n)
            );
        }
        assert!(matches!(
            c.take(&note("b", "BackOff", "m", 9)),
            Write::Create { .. }
        ));
        assert!(matches!(
            c.renew(&note("a", "BackOff", "m", 10)),
            Write::Create { .. }
        ));
        assert!(matches!(
            c.take(&note("a", "BackOff", "m", 11)),
            Write::Count { count: 2, .. }
        ));
    }

    #[test]
    fn similar_ones_are_combined_and_floods_dropped() {
        let mut c = Correlator::default();
        let texts: Vec<Write> = (0..30)
            .map(|n| c.take(&note("a", "Unhealthy", &format!("m{n}"), n)))
            .collect();
        assert!(matches!(&texts[8], Write::Create { message, .. } if message == "m8"));
        assert!(
            matches!(&texts[9], Write::Create { message, .. } if message.starts_with("(combined from similar events): m9"))
        );
        assert!(matches!(&texts[10], Write::Count { count: 2, .. }));
        assert_eq!(texts[29], Write::Drop);
        assert!(
            !matches!(c.take(&note("a", "Unhealthy", "later", 1000)), Write::Drop),
            "the bucket fills again"
        );
        for n in 0..10_000 {
            c.take(&note(&n.to_string(), "Pulled", "m", n));
        }
        assert!(
            c.written.len() <= SERIES && c.tokens.len() <= SERIES && c.messages.len() <= SERIES
        );
    }
}
