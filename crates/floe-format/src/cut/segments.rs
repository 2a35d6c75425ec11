//! Segments of runs.

use crate::{FrameId, MAX_SEGMENT_ENTRIES};

/// The most runs of a segment but for the end, which is added to the last segment in any case.
const MAX_RUNS: usize = 64;
const MAX_WEIGHT: u64 = 512 << 10;
const MIN_RUNS: usize = 4;
const MIN_ENTRIES: usize = 64;

const SEGMENT_WEIGHT: u64 = 32;
const RUN_WEIGHT: u64 = 48;
const ENTRY_WEIGHT: u64 = 96;

/// Cuts the runs of a tree into segments.
///
/// What went before a cut has no effect after it: a cutter may begin at any segment.
#[derive(Clone, Debug, Default)]
pub struct SegmentCutter {
    runs: usize,
    entries: usize,
    weight: u64,
    is_open: bool,
}

impl SegmentCutter {
    /// A cutter with no segment open.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next run, whose frame this is: a group with `entries` entries whose *m(e)* add up to `metadata_len`, or
    /// equal chunks of one file, without entries. Says whether it begins a segment, as the first one does.
    ///
    /// The end is no run here: it is added to the segment of the last run.
    #[inline]
    pub fn add_run(&mut self, id: &FrameId, entries: usize, metadata_len: u64) -> bool {
        let weight = RUN_WEIGHT + ENTRY_WEIGHT * entries as u64 + metadata_len;
        let begins = !self.is_open
            || self.runs + 1 > MAX_RUNS
            || self.entries + entries > MAX_SEGMENT_ENTRIES
            || self.weight + weight > MAX_WEIGHT;
        if begins {
            *self = Self { weight: SEGMENT_WEIGHT, ..Self::default() };
        }
        self.runs += 1;
        self.entries += entries;
        self.weight += weight;
        let is_enough = self.runs >= MIN_RUNS || self.entries >= MIN_ENTRIES;
        let below = u128::max(1 << 61, (entries as u128) << 57);
        self.is_open = !(is_enough && u128::from(id.leading_u64()) < below);
        begins
    }
}
