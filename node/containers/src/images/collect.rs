//! Which unused images go when the disk fills. Pure; the runtime measures, asks here and removes.
//!
//! Know before changing: an image that was imported from an archive cannot be had again from a registry, and a pod that needs it
//! would never start again. Such images (they have no digest by which they were pulled) are not removed here.

use std::collections::HashSet;
use std::time::{Duration, Instant};

/// What is known about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The engine's id.
    pub id: String,
    /// Bytes.
    pub size: u64,
    /// When it was last seen in use, or first seen at all.
    pub last_used: Instant,
    /// It came from a registry.
    pub pulled: bool,
}

/// How full the file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in all.
    pub capacity: u64,
    /// Bytes that are left.
    pub available: u64,
}

impl Usage {
    /// Bytes to free so that at most `percent` are used.
    pub fn excess(self, percent: u8) -> u64 {
        let allowed = u128::from(self.capacity) * u128::from(percent) / 100;
        let used = u128::from(self.capacity.saturating_sub(self.available));
        u64::try_from(used.saturating_sub(allowed)).unwrap_or(u64::MAX)
    }
}

/// The images to remove, the longest unused first, until `bytes` are freed. Used, young and imported ones are spared.
pub fn choose(
    mut images: Vec<Candidate>,
    in_use: &HashSet<String>,
    bytes: u64,
    now: Instant,
    min_age: Duration,
) -> Vec<String> {
    images.retain(|image| {
        image.pulled
            && !in_use.contains(&image.id)
            && now.saturating_duration_since(image.last_used) >= min_age
    });
    images.sort_by_key(|image| image.last_used);
    let mut freed = 0u64;
    let mut chosen = Vec::new();
    for image in images {
        if freed >= bytes {
            break;
        }
        freed = freed.saturating_add(image.size);
        chosen.push(image.id);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excess_is_what_lies_above_the_mark() {
        let usage = |available| Usage {
            capacity: 1000,
            available,
        };
        assert_eq!(usage(100).excess(85), 50);
        assert_eq!(usage(150).excess(85), 0);
        assert_eq!(usage(0).excess(0), 1000);
        assert_eq!(
            Usage {
                capacity: u64::MAX,
                available: 0
            }
            .excess(100),
            0
        );
    }

    #[test]
    fn the_longest_unused_go_first_and_some_never() {
        let start = Instant::now();
        let image = |id: &str, used_at: u64| Candidate {
            id: id.into(),
            size: 10,
            last_used: start + Duration::from_secs(used_at),
            pulled: true,
        };
        let images = vec![
            image("newer", 20),
            image("older", 10),
            image("used", 0),
            image("young", 990),
            Candidate {
                pulled: false,
                ..image("imported", 0)
            },
        ];
        let in_use = HashSet::from(["used".to_owned()]);
        let now = start + Duration::from_secs(1000);
        let check = |bytes| {
            choose(
                images.clone(),
                &in_use,
                bytes,
                now,
                Duration::from_secs(120),
            )
        };
        assert_eq!(check(0), Vec::<String>::new());
        assert_eq!(check(5), ["older"]);
        assert_eq!(check(11), ["older", "newer"]);
        assert_eq!(check(u64::MAX), ["older", "newer"]);
    }
}
