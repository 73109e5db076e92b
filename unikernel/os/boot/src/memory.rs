//! Which memory the application may have. Pure.

use crate::start::Region;

const PAGE: u64 = 4096;

/// The largest part of `free` that touches none of `taken`, on whole pages.
pub(crate) fn largest(free: impl Iterator<Item = Region>, taken: &[Region]) -> Option<Region> {
    let mut best: Option<Region> = None;
    for whole in free {
        let mut start = whole.start;
        // Each round ends before the next part that is taken, or at the end.
        while start < whole.end {
            let next = taken
                .iter()
                .filter(|t| t.end > start && t.start < whole.end && t.end > t.start)
                .min_by_key(|t| t.start);
            let end = next.map_or(whole.end, |t| t.start.clamp(start, whole.end));
            let part = Region {
                start: start.next_multiple_of(PAGE),
                end: end & !(PAGE - 1),
            };
            if part.end > part.start && best.is_none_or(|b| part.end - part.start > b.end - b.start)
            {
                best = Some(part);
            }
            start = next.map_or(whole.end, |t| t.end);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_part_that_nobody_has() {
        let check = |free: &[(u64, u64)], taken: &[(u64, u64)], expected: Option<(u64, u64)>| {
            let regions = |all: &[(u64, u64)]| -> Vec<Region> {
                all.iter()
                    .map(|(start, end)| Region {
                        start: *start,
                        end: *end,
                    })
                    .collect()
            };
            let found = largest(regions(free).into_iter(), &regions(taken));
            assert_eq!(
                found.map(|r| (r.start, r.end)),
                expected,
                "{free:?} without {taken:?}"
            );
        };
        check(&[], &[], None);
        check(&[(0, 4095)], &[], None);
        check(&[(0, 0x9f000)], &[], Some((0, 0x9f000)));
        // On whole pages.
        check(&[(1, 0x5001)], &[], Some((0x1000, 0x5000)));
        // The larger of two, and of what is left around the image.
        check(
            &[(0, 0x9f000), (0x10_0000, 0x80_0000)],
            &[(0x10_0000, 0x12_0000)],
            Some((0x12_0000, 0x80_0000)),
        );
        check(
            &[(0, 0x80_0000)],
            &[(0x10_0000, 0x12_0000), (0x70_0000, 0x78_0000)],
            Some((0x12_0000, 0x70_0000)),
        );
        // An initrd that is not there takes nothing; one that has all leaves nothing.
        check(&[(0, 0x8000)], &[(0, 0)], Some((0, 0x8000)));
        check(&[(0x1000, 0x8000)], &[(0, 0x10000)], None);
        // Those that overlap, or come in another order.
        check(
            &[(0, 0x10000)],
            &[(0x8000, 0xa000), (0x4000, 0x9000)],
            Some((0xa000, 0x10000)),
        );
        check(
            &[(0, 0x10000)],
            &[(0x4000, 0x6000), (0x4000, 0xb000)],
            Some((0xb000, 0x10000)),
        );
    }
}
