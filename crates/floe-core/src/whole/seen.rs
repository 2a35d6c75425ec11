//! Which frames verify has read, and from where.

use std::collections::HashMap;
use std::ops::Range;

use floe_format::{FrameId, MAX_SEGMENT_RUNS, PackId, Segment};

use crate::Result;
use crate::catalog::Catalog;

/// Of segments that stand for themselves, the runs whose frames were read, by the pack they were read from: a bit for each.
///
/// Another layout may have a segment's frames in other packs, and what these have there is nowhere else to be seen. In a
/// pack an id leads to one place, so the pack tells the place.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<(FrameId, PackId), u128>);

const _: () = assert!(MAX_SEGMENT_RUNS <= u128::BITS as usize);

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
        data: &Catalog,
    ) -> Result<Vec<Range<u64>>> {
        let mut unseen = Vec::new();
        let mut start = 0;
        for (number, run) in segment.runs().iter().enumerate() {
            // The segment was checked: that they add up, too.
            let end = start + run.content_len().unwrap_or(0);
            let pack = data.packs()[data.find_run(run)?.pack].id;
            let seen = self.0.entry((id, pack)).or_default();
            let bit = 1u128 << number;
            if *seen & bit == 0 {
                *seen |= bit;
                unseen.push(start..end);
            }
            start = end;
        }
        Ok(unseen)
    }
}
