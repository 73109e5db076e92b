//! Which items of a list were seen before: a few by comparing, many by hashing.
//!
//! Lists come from clients, and a request of a few megabytes holds some hundred thousand short items: comparing each with each
//! would keep a core busy for minutes.

use std::collections::HashSet;
use std::hash::Hash;

const FEW: usize = 16;

/// A set that costs nothing while it is small.
pub(crate) struct Seen<T> {
    few: Vec<T>,
    many: HashSet<T>,
}

impl<T: Hash + Eq> Seen<T> {
    pub(crate) fn new() -> Self {
        Self {
            few: Vec::new(),
            many: HashSet::new(),
        }
    }

    pub(crate) fn contains(&self, item: &T) -> bool {
        if self.many.is_empty() {
            self.few.contains(item)
        } else {
            self.many.contains(item)
        }
    }

    /// Adds an item; false if it is a repeat.
    pub(crate) fn insert(&mut self, item: T) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(item);
        }
        if self.few.contains(&item) {
            return false;
        }
        if self.few.len() < FEW {
            self.few.push(item);
        } else {
            self.many = self.few.drain(..).collect();
            self.many.insert(item);
        }
        true
    }
}

impl<T: Hash + Eq> FromIterator<T> for Seen<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut seen = Self::new();
        for item in items {
            seen.insert(item);
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_are_told_apart() {
        let mut seen = Seen::new();
        for round in 0..2 {
            for i in 0..100 {
                assert_eq!(seen.insert(i), round == 0, "{i}");
                assert!(seen.contains(&i) && !seen.contains(&(i + 100)));
            }
        }
    }
}
