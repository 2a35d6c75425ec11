//! Ranges of packs that are read for the frames in them.

use std::ops::Range;

/// Bytes between two wanted frames that are rather read than skipped.
const GAP_BYTES: u64 = 64 << 10;
/// The longest range asked for at once.
const MAX_RANGE_BYTES: u64 = 8 << 20;

/// Puts frames' places, in any order and perhaps repeated, into few ranges that hold them all.
pub(crate) fn coalesce(mut places: Vec<(usize, Range<u64>)>) -> Vec<(usize, Range<u64>)> {
    places.sort_unstable_by_key(|(pack, range)| (*pack, range.start));
    let mut ranges: Vec<(usize, Range<u64>)> = Vec::new();
    for (pack, place) in places {
        match ranges.last_mut() {
            Some((last, range))
                if *last == pack
                    && place.start <= range.end + GAP_BYTES
                    && place.end.max(range.end) - range.start <= MAX_RANGE_BYTES =>
            {
                range.end = range.end.max(place.end);
            }
            _ => ranges.push((pack, place)),
        }
    }
    ranges
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
}
