//! Which frames verify has read, and from where.

use std::collections::HashMap;
use std::ops::Range;

use floe_format::{FrameId, MAX_SEGMENT_RUNS, PackId, Segment};

use crate::Result;
use crate::catalog::Catalog;
use crate::spilled_table::{KEY_LEN, SpilledTable};

use super::in_several::RunEnds;

/// Of segments, the runs whose frames were read, by the pack they were read from: a bit for each. And entries that lie in
/// several runs, of which each was read and compared as a whole.
///
/// Another layout may have a segment's frames in other packs, and what these have there is nowhere else to be seen. In a
/// pack an id leads to one place, so the pack tells the place.
#[derive(Debug)]
pub(crate) struct Seen {
    runs: HashMap<(FrameId, PackId), u128>,
    entries: SpilledTable<KEY_LEN>,
}

const _: () = assert!(MAX_SEGMENT_RUNS <= u128::BITS as usize);

impl Default for Seen {
    fn default() -> Self {
        Self { runs: HashMap::new(), entries: SpilledTable::new(None) }
    }
}

impl Seen {
    /// Notes that all frames of a segment are read from where they are found now; returns the parts of its content that
    /// were not before. Those of a segment that was not noted yet are all of it.
    ///
    /// # Errors
    /// Those of [`Catalog::find_run`].
    pub(super) fn note(
        &mut self,
        id: FrameId,
        segment: &Segment<'_>,
        ends: &RunEnds,
        data: &Catalog,
    ) -> Result<Vec<Range<u64>>> {
        let mut unseen = Vec::new();
        for (number, (run, range)) in segment.runs().iter().zip(ends.ranges()).enumerate() {
            let seen = self.runs.entry((id, data.pack_of_run(run)?)).or_default();
            let bit = 1u128 << number;
            if *seen & bit == 0 {
                *seen |= bit;
                unseen.push(range);
            }
        }
        Ok(unseen)
    }

    /// Notes that an entry that lies in several runs is read, by the hash of what it is and where; returns whether it was not
    /// before.
    ///
    /// # Errors
    /// Those of reading a temporary file.
    pub(super) fn note_entry(&mut self, entry: &blake3::Hash) -> Result<bool> {
        self.entries.insert(entry.as_bytes())
    }
}
