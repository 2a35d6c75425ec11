//! What flows from the plan to the assembly: runs of frames with the entries whose headers begin in them.

use std::ops::Range;

use floe_format::{ContentHash, Entry, EntryRef, FrameId, FrameRecord, Run};

use super::base::BaseRun;
use super::made::GroupKey;
use crate::source::{CacheHit, HashClock, Stat};

/// A run of the tree's tar and the entries that begin in it.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) entries: Entries,
    pub(super) run: Run,
    /// Where the base has the same run.
    pub(super) base: Option<BaseRun>,
}

/// The entries of a unit.
#[derive(Debug)]
pub(super) enum Entries {
    /// Those of the base, unchanged in all that is kept; of the unit's base segment.
    OfBase(Range<usize>),
    /// These. None where the run is content of a big file.
    Given(Vec<Entry>),
}

impl Unit {
    /// How many entries there are.
    pub(super) fn entry_count(&self) -> usize {
        match &self.entries {
            Entries::Given(entries) => entries.len(),
            Entries::OfBase(range) => range.len(),
        }
    }

    /// The entries.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = EntryRef<'_>> {
        (0..self.entry_count()).map(|position| match (&self.entries, &self.base) {
            (Entries::Given(entries), _) => entries[position].as_entry(),
            (Entries::OfBase(range), Some(base)) => base.segment.entries().get(range.start + position),
            (Entries::OfBase(_), None) => unreachable!("entries of the base come with a run of it"),
        })
    }

    /// How many bytes its entries take in a segment, as segments are cut by it.
    pub(super) fn metadata_len(&self) -> u64 {
        match (&self.entries, &self.base) {
            (Entries::OfBase(_), Some(base)) => base.segment.metadata_len(base.run),
            _ => self.entries().map(|entry| entry.metadata_len() as u64).sum(),
        }
    }

    /// A run of content of a big file.
    pub(super) fn of_content(run: Run, base: Option<BaseRun>) -> Self {
        Self { entries: Entries::Given(Vec::new()), run, base }
    }
}

/// What is known of an entry beside what is kept of it, and what the stat cache is to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    pub(super) stat: Stat,
    pub(super) content: NotedContent,
    /// Whether other entries may be hard links to it.
    pub(super) may_be_linked: bool,
}

/// The content of an entry, as the stat cache knows or is to know it.
#[derive(Clone, Copy, Debug)]
pub(super) enum NotedContent {
    /// Nothing to be known of.
    None,
    /// It is in the cache.
    Known(CacheHit),
    /// It was read.
    Hashed([u8; 32], HashClock),
}

/// A frame that was made, or found to be known.
#[derive(Debug)]
pub(super) struct MadeFrame {
    pub(super) id: FrameId,
    pub(super) plain_len: u32,
    /// Its record and stored bytes, unless it is known already.
    pub(super) stored: Option<(FrameRecord, Vec<u8>)>,
}

/// A group that was read and framed.
#[derive(Debug)]
pub(super) struct MadeGroup {
    pub(super) entries: Vec<Entry>,
    pub(super) notes: Vec<Note>,
    pub(super) frame: MadeFrame,
    pub(super) key: GroupKey,
}

/// A big file that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadFile {
    pub(super) hash: ContentHash,
    pub(super) stat: Stat,
    pub(super) hashing_began: HashClock,
}
