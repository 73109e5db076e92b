//! Which version of a ReplicaSet this controller wrote last. Until the cache shows it, a decision would count pods twice: it
//! waits. A cache that never shows a version (the set was deleted) is believed again after half a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::plumbing::informer::Key;

const PATIENCE: Duration = Duration::from_secs(30);

/// Versions by the set's key.
#[derive(Default)]
pub(crate) struct Written(Mutex<HashMap<Key, (u64, Instant)>>);

impl Written {
    /// A set was written and has this version now.
    pub(crate) fn note(&self, set: Key, version: Option<&str>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, at)| at.elapsed() < PATIENCE);
        all.insert(set, (number(version), Instant::now()));
    }

    /// How long to wait at most until the cache has caught up with what was written in this namespace for sets whose names
    /// begin with `prefix`; none when it has. `seen` gives the version that the cache has.
    pub(crate) fn behind(
        &self,
        namespace: &str,
        prefix: &str,
        seen: impl Fn(&str) -> Option<String>,
    ) -> Option<Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = None;
        all.retain(|set, (version, at)| {
            if set.namespace != namespace || !set.name.starts_with(prefix) {
                return true;
            }
            let left = PATIENCE.saturating_sub(at.elapsed());
            let open = !left.is_zero() && number(seen(&set.name).as_deref()) < *version;
            if open {
                wait = Some(left);
            }
            open
        });
        wait
    }
}

/// Versions grow (KEP-5504).
fn number(version: Option<&str>) -> u64 {
    version.and_then(|v| v.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_waits_for_the_cache() {
        let written = Written::default();
        written.note(Key::new("ns", "web-a"), Some("12"));
        let behind = |namespace: &str, prefix: &str, seen: Option<&str>| {
            written
                .behind(namespace, prefix, |_| seen.map(str::to_owned))
                .is_some()
        };
        assert!(behind("ns", "web-", None));
        assert!(behind("ns", "web-", Some("9")));
        assert!(!behind("ns", "other-", None));
        assert!(!behind("other", "web-", None));
        assert!(!behind("ns", "web-", Some("12")));
        // Once it has caught up, it has.
        assert!(!behind("ns", "web-", None));
    }
}
