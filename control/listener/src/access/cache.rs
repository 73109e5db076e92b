//! A bounded memory of answers that age.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// The hash of what was asked: no token is kept in memory to remember its answer.
pub(crate) type Key = [u8; 32];

/// Hashes the parts of a question, each with its length so that they cannot run into one another.
pub(crate) fn key(parts: &[&[u8]]) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Answers by key, each good for a while, and never more than `max` of them.
pub(crate) struct Cache<V> {
    fresh: Duration,
    max: usize,
    answers: Mutex<HashMap<Key, (Instant, V)>>,
}

impl<V: Clone> Cache<V> {
    pub(crate) fn new(fresh: Duration, max: usize) -> Self {
        Self {
            fresh,
            max,
            answers: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<V> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, value) = answers.get(key)?;
        (now.saturating_duration_since(*at) < self.fresh).then(|| value.clone())
    }

    pub(crate) fn put(&self, key: Key, value: V, now: Instant) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= self.max {
            answers.retain(|_, (at, _)| now.saturating_duration_since(*at) < self.fresh);
        }
        if answers.len() >= self.max {
            // Someone asks new questions faster than answers age. Forgetting all costs one more review each.
            answers.clear();
        }
        answers.insert(key, (now, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_age_and_are_bounded() {
        let cache = Cache::new(Duration::from_secs(10), 3);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let k = |n: u8| key(&[&[n]]);
        cache.put(k(1), 'a', at(0));
        cache.put(k(2), 'b', at(5));
        assert_eq!(cache.get(&k(1), at(9)), Some('a'));
        assert_eq!(cache.get(&k(1), at(10)), None);
        assert_eq!(cache.get(&k(2), at(10)), Some('b'));
        cache.put(k(3), 'c', at(10));
        // The old answer makes room, the fresh ones stay.
        cache.put(k(4), 'd', at(11));
        assert_eq!(
            [k(1), k(2), k(3), k(4)].map(|k| cache.get(&k, at(11))),
            [None, Some('b'), Some('c'), Some('d')]
        );
        // All fresh: forget all but the new one.
        cache.put(k(5), 'e', at(11));
        assert_eq!(
            [k(2), k(5)].map(|k| cache.get(&k, at(11))),
            [None, Some('e')]
        );
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
    }
}
