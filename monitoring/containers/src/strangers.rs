//! Cgroups that nobody owns to: they are being made, or were left behind. Pure.
//!
//! One that is being made has an owner by the next scrape. One that was left behind stays, and must not have the container engine
//! asked at each scrape for it: the pauses grow.

use std::collections::HashMap;

use crate::members::{Known, Place};

/// Scrapes after which it is asked again whose a cgroup is, at the latest.
const LONGEST_PAUSE: u64 = 20;

/// Who was asked for in vain.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    scrape: u64,
    known: HashMap<String, Asked>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    /// The scrape from which on it is asked again.
    again: u64,
    pause: u64,
}

impl Strangers {
    /// Begins a scrape: whether it is to be asked whose some of these places are.
    pub(crate) fn begin(&mut self, known: &Known, places: &[Place]) -> bool {
        self.scrape += 1;
        let mut unknown = places.iter().filter(|p| !known.contains_key(&p.path));
        unknown.any(|place| match self.known.get(&place.path) {
            Some(asked) => asked.again <= self.scrape,
            None => true,
        })
    }

    /// After asking: whoever is unknown still waits longer. Without an answer that holds only for those who had one before.
    pub(crate) fn asked(&mut self, known: &Known, places: &[Place], answered: bool) {
        let before = std::mem::take(&mut self.known);
        for place in places.iter().filter(|p| !known.contains_key(&p.path)) {
            let pause = match before.get(&place.path) {
                Some(asked) if asked.again > self.scrape => {
                    self.known.insert(place.path.clone(), *asked);
                    continue;
                }
                Some(asked) => (asked.pause * 2).min(LONGEST_PAUSE),
                None if answered => 1,
                None => continue,
            };
            let again = self.scrape + pause;
            self.known
                .insert(place.path.clone(), Asked { again, pause });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::PlaceKind;

    #[test]
    fn pauses_grow() {
        let place = |path: &str| Place::new(path, PlaceKind::Member);
        let (known, mut places) = (Known::default(), vec![place("/mc/podu/left")]);
        let mut strangers = Strangers::default();
        let mut scrape = |places: &[Place], answered: bool| {
            let ask = strangers.begin(&known, places);
            if ask {
                strangers.asked(&known, places, answered);
            }
            ask
        };
        // Without an answer nobody is a stranger.
        assert!((0..3).all(|_| scrape(&places, false)));
        let asked: Vec<u32> = (0..90).filter(|n| scrape(&places, *n < 10)).collect();
        assert_eq!(asked, [0, 1, 3, 7, 15, 31, 51, 71]);
        // Somebody new does not wait for the others.
        places.push(place("/mc/podu/new"));
        assert!(scrape(&places, true));
        // Who is gone is forgotten.
        places.remove(0);
        assert!(scrape(&places, true));
        assert_eq!(strangers.known.len(), 1);
    }
}
