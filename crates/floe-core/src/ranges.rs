//! Ranges of packs that are read for the frames in them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::{Bound, Range};

/// Bytes between two wanted frames that are rather read than skipped, and what a request is taken to cost: to a disk,
/// and to a distant store with many requests in flight, it is about as much.
const GAP_BYTES: u64 = 64 << 10;
/// The longest range asked for at once.
const MAX_RANGE_BYTES: u64 = 8 << 20;

/// Puts frames' places, in any order and perhaps repeated, into few ranges that hold them all. Of what is read, at most as
/// much as is wanted and 64 KiB for each range is not.
pub(crate) fn coalesce(mut places: Vec<(usize, Range<u64>)>) -> Vec<(usize, Range<u64>)> {
    places.sort_unstable_by_key(|(pack, range)| (*pack, range.start));
    let mut ranges: Vec<(usize, Range<u64>)> = Vec::new();
    let mut wanted = 0;
    for (pack, place) in places {
        if let Some((last, range)) = ranges.last_mut()
            && *last == pack
            && place.start <= range.end + GAP_BYTES
        {
            let end = place.end.max(range.end);
            let length = end - range.start;
            let more = wanted + (end - place.start.max(range.end));
            if length <= MAX_RANGE_BYTES && length - more <= more + GAP_BYTES {
                (range.end, wanted) = (end, more);
                continue;
            }
        }
        wanted = place.end - place.start;
        ranges.push((pack, place));
    }
    ranges
}

/// Frames' places as they are collected, and what it will cost to read them.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// By pack and first byte, the ends.
    ends: BTreeMap<(usize, u64), u64>,
    cost_bytes: u64,
}

impl Places {
    /// Adds a place.
    pub(crate) fn add(&mut self, pack: usize, place: Range<u64>) {
        let Range { start, end } = place;
        self.cost_bytes += end - start;
        let at = (pack, start);
        match self.ends.entry(at) {
            Entry::Occupied(mut known) => {
                let end = end.max(*known.get());
                known.insert(end);
                return;
            }
            Entry::Vacant(place) => place.insert(end),
        };
        let before = self.ends.range(..at).next_back().filter(|((other, _), _)| *other == pack);
        let before = before.map(|(_, end)| *end);
        let after = self.ends.range((Bound::Excluded(at), Bound::Unbounded)).next();
        let after = after.filter(|((other, _), _)| *other == pack).map(|((_, start), _)| *start);
        let gap = |end: Option<u64>, start: u64| {
            end.map_or(GAP_BYTES, |end| start.saturating_sub(end).min(GAP_BYTES))
        };
        self.cost_bytes += gap(before, start);
        if let Some(after) = after {
            self.cost_bytes = (self.cost_bytes + gap(Some(end), after)).saturating_sub(gap(before, after));
        }
    }

    /// At least the bytes of all ranges, and 64 KiB for each of them. What is repeated costs its length every time: it is
    /// unpacked as often.
    pub(crate) fn cost_bytes(&self) -> u64 {
        self.cost_bytes
    }

    /// The ranges that hold them all.
    pub(crate) fn into_ranges(self) -> Vec<(usize, Range<u64>)> {
        coalesce(self.ends.into_iter().map(|((pack, start), end)| (pack, start..end)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_read_together() {
        let gap = GAP_BYTES;
        assert_eq!(
            coalesce(vec![
                (0, 40..100),
                (0, 100..200),
                (0, 100..200),
                (1, 40..50),
                (0, 201 + gap..300 + gap)
            ]),
            [(0, 40..200), (0, 201 + gap..300 + gap), (1, 40..50)]
        );
        assert_eq!(coalesce(vec![(0, 200 + gap..300 + gap), (0, 100..200)]), [(0, 100..300 + gap)]);
        let mib = 1 << 20;
        let many: Vec<_> = (0..20).map(|n| (0, n * mib..(n + 1) * mib)).collect();
        assert_eq!(coalesce(many), [(0, 0..8 * mib), (0, 8 * mib..16 * mib), (0, 16 * mib..20 * mib)]);
    }

    /// Frames of so many bytes, so far apart.
    fn scattered(length: u64, gap: u64) -> Vec<(usize, Range<u64>)> {
        (0..1_000).map(|n| n * (length + gap)).map(|start| (0, start..start + length)).collect()
    }

    fn bytes(ranges: &[(usize, Range<u64>)]) -> u64 {
        ranges.iter().map(|(_, range)| range.end - range.start).sum()
    }

    #[test]
    fn gaps_are_read_as_long_as_they_are_not_much_more_than_what_is_wanted() {
        let kib = 1 << 10;
        for (length, gap) in
            [(60, 49 * kib), (kib, 10 * kib), (kib, 64 * kib), (20 * kib, 40 * kib), (64 * kib, 64 * kib)]
        {
            let ranges = coalesce(scattered(length, gap));
            let most = 1_000 * 2 * length + ranges.len() as u64 * GAP_BYTES;
            assert!(bytes(&ranges) <= most, "{length} bytes every {gap}: {}", bytes(&ranges));
            // One request of two is always spared, and all but few where most of what is read is wanted.
            assert!(ranges.len() <= 500, "{length} bytes every {gap}: {} ranges", ranges.len());
        }
        assert_eq!(coalesce(scattered(64 * kib, 64 * kib)).len(), 16);
    }

    #[test]
    fn what_places_cost_is_known_in_whatever_order_they_come() {
        let spread = [(0, 0..10), (0, 5_000..6_000), (0, 90_000..90_010), (1, 0..10), (0, 10..20)];
        for turn in 0..spread.len() {
            let (mut places, mut order) = (Places::default(), spread.clone());
            order.rotate_left(turn);
            order.into_iter().for_each(|(pack, place)| places.add(pack, place));
            assert_eq!(places.cost_bytes(), 1_040 + 4_980 + 3 * GAP_BYTES);
            places.add(1, 0..10);
            assert_eq!(places.cost_bytes(), 1_050 + 4_980 + 3 * GAP_BYTES);
            assert_eq!(places.into_ranges(), [(0, 0..6_000), (0, 90_000..90_010), (1, 0..10)]);
        }
        for (length, gap) in [(60, 49 << 10), (60, 1 << 10), (60, 1 << 20), (1 << 20, 0)] {
            let mut places = Places::default();
            scattered(length, gap).into_iter().for_each(|(pack, place)| places.add(pack, place));
            let cost = places.cost_bytes();
            let ranges = places.into_ranges();
            assert!(bytes(&ranges) <= cost, "{length} bytes every {gap}");
        }
    }
}
