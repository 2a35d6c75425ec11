//! What a worker takes at once.

use std::ops::Range;
use std::sync::Arc;

use floe_format::{EntriesPlace, PackFrame, PackId, Run};

use super::batch::Batch;
use super::big_file::{BigFile, WaitingBytes};

/// A segment, as far as workers need it.
#[derive(Debug)]
pub(crate) struct SegmentPart<'t> {
    /// The segment's plain bytes.
    pub(crate) plain: Vec<u8>,
    /// Whether the tar's end is its last frame.
    pub(crate) has_end: bool,
    /// Number of its first entry in the walk.
    pub(crate) first: u64,
    /// The entries to be handed out, by their number in the segment; all where there is none.
    pub(crate) wanted: Option<Vec<bool>>,
    /// The file whose content the segment begins with, if it is wanted, and where in it.
    pub(crate) lead: Option<(Arc<BigFile<'t>>, u64)>,
    /// Length of the lead, whether or not it is wanted.
    pub(crate) lead_len: u64,
    /// Length of the lead's content, without padding.
    pub(crate) lead_content: u64,
    /// The wanted files whose content is in several frames, by their number in the segment, ascending.
    pub(crate) big_files: Vec<(usize, Arc<BigFile<'t>>)>,
}

impl<'t> SegmentPart<'t> {
    /// Whether an entry is to be handed out.
    pub(crate) fn wants(&self, number: usize) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.get(number).copied().unwrap_or(false))
    }

    /// The file of an entry whose content is in several frames.
    pub(crate) fn big_file(&self, number: usize) -> Option<&Arc<BigFile<'t>>> {
        let at = self.big_files.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&self.big_files[at].1)
    }
}

/// A run of frames, and where its frame is.
#[derive(Clone, Debug)]
pub(crate) struct FrameOfUnit {
    pub(crate) run: Run,
    /// Whether all of its bytes are headers, contents and padding of wanted entries that begin and end in it: then they
    /// follow from the segment, contents by their hashes.
    pub(crate) is_whole: bool,
    pub(crate) frame: PackFrame,
    /// The pack's position in the catalog, and its id.
    pub(crate) pack: usize,
    pub(crate) pack_id: PackId,
}

impl FrameOfUnit {
    /// Where in the pack it is.
    pub(crate) fn place(&self) -> Range<u64> {
        let start = self.frame.offset.get();
        start..start + u64::from(self.frame.record.stored_len)
    }
}

/// An entry of a segment to begin with.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) place: EntriesPlace,
    /// Its number in the segment.
    pub(crate) number: usize,
    /// Where in the segment's content its headers begin.
    pub(crate) at: u64,
}

/// Consecutive runs of one segment.
#[derive(Debug)]
pub(crate) struct Unit<'t> {
    /// Counts units, from 0.
    pub(crate) number: u64,
    pub(crate) segment: Arc<SegmentPart<'t>>,
    /// Where in the segment's content its frames are.
    pub(crate) content: Range<u64>,
    /// The first entry that may be in them.
    pub(crate) start: Start,
    /// Whether all its frames are [whole](FrameOfUnit::is_whole) and none is repeated.
    pub(crate) is_whole: bool,
    pub(crate) frames: Vec<FrameOfUnit>,
    pub(crate) batch: Arc<Batch>,
}

impl Unit<'_> {
    /// Gives up the files in several frames that this unit may have parts of.
    pub(crate) fn abandon(&self, waiting: &WaitingBytes) {
        let lead = self.segment.lead.iter().map(|(file, _)| file);
        for file in lead.chain(self.segment.big_files.iter().map(|(_, file)| file)) {
            file.abandon(waiting);
        }
    }
}
