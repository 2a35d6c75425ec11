//! Entries that lie in several runs: files that are cut, which may go on in later segments.

use std::ops::Range;

use floe_format::{Body, EntryRef, Segment, tar_header, tar_len};

use crate::Result;
use crate::catalog::Catalog;
use crate::reader::{SegmentWalk, Sources, Span};
use crate::snapshot::Snapshot;
use crate::unpack::Planner;

use super::seen::Seen;

/// Where in the content of a segment its runs end, in order.
#[derive(Debug)]
pub(super) struct RunEnds(Vec<u64>);

impl RunEnds {
    pub(super) fn of(segment: &Segment<'_>) -> Self {
        // The segment was checked: that they add up, too.
        let end = |end: &mut u64, length: u64| {
            *end += length;
            Some(*end)
        };
        Self(segment.runs().iter().map(|run| run.content_len().unwrap_or(0)).scan(0, end).collect())
    }

    /// Whether what lies there is in several runs, or goes on behind the segment.
    pub(super) fn are_in(&self, range: &Range<u64>) -> bool {
        self.0.get(self.first(range)).is_none_or(|end| *end < range.end)
    }

    /// Where the first run begins in which something of that is.
    fn begin_of(&self, range: &Range<u64>) -> u64 {
        self.first(range).checked_sub(1).map_or(0, |before| self.0[before])
    }

    /// The number of that run.
    fn first(&self, range: &Range<u64>) -> usize {
        self.0.partition_point(|end| *end <= range.start)
    }
}

/// An entry whose end was not reached yet.
struct Begun {
    /// Of what it is, and of its frames and where they are.
    hasher: blake3::Hasher,
    /// Bytes that are still to come.
    owed: u64,
}

impl Begun {
    /// Begins an entry at a place in its first run.
    fn new(entry: &EntryRef<'_>, at: u64, header: &mut Vec<u8>) -> Self {
        header.clear();
        tar_header(entry, header);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(header.len() as u64).to_le_bytes()).update(header);
        if let Body::File { hash: Some(hash), .. } = &entry.body {
            hasher.update(hash.as_bytes());
        }
        hasher.update(&at.to_le_bytes());
        Self { hasher, owed: tar_len(entry) }
    }

    /// Adds what lies there in the content of a segment.
    fn add(
        &mut self,
        segment: &Segment<'_>,
        ends: &RunEnds,
        part: &Range<u64>,
        data: &Catalog,
    ) -> Result<()> {
        let mut begins = part.start;
        for (run, end) in segment.runs().iter().zip(&ends.0).skip(ends.first(part)) {
            if begins >= part.end {
                break;
            }
            let pack = data.packs()[data.find_run(run)?.pack].id;
            self.hasher.update(run.id.as_bytes()).update(pack.as_bytes());
            self.hasher.update(&run.count.to_le_bytes()).update(&run.plain_len.to_le_bytes());
            begins = *end;
        }
        self.owed = self.owed.saturating_sub(part.end - part.start);
        Ok(())
    }
}

/// Whether entries that lie in several runs were not read before: of each, in their order. No data is read.
///
/// What such an entry's frames must be none of its segments tells alone, and each may have others beside it that changed. It
/// was read if an entry that is the same was, from the same frames of the same packs.
///
/// # Errors
/// Those of reading segments and of [`Catalog::find_run`].
pub(super) fn unseen(
    planner: &Planner<'_, '_>,
    snapshot: &Snapshot,
    sources: &mut Sources,
    seen: &mut Seen,
) -> Result<Vec<bool>> {
    let mut unseen = Vec::new();
    let mut begun: Option<Begun> = None;
    let mut header = Vec::new();
    let mut walk = SegmentWalk::new(snapshot, Span::All);
    while let Some(listed) = planner.wait(walk.next(&mut sources.metadata))? {
        planner.check()?;
        let segment = Segment::parse(&listed.plain)?;
        let content = segment.check_listed(&listed.item)?;
        let ends = RunEnds::of(&segment);
        if let Some(begun) = &mut begun {
            begun.add(&segment, &ends, &(0..content.lead), &sources.data)?;
        }
        let mut entries = segment.entries();
        let mut at = content.lead;
        loop {
            if let Some(whole) = begun.take_if(|begun| begun.owed == 0) {
                unseen.push(seen.note_entry(&whole.hasher.finalize())?);
            }
            let Some(entry) = entries.next()? else { break };
            let range = at..at.saturating_add(tar_len(&entry));
            at = range.end;
            if ends.are_in(&range) {
                let in_run = range.start - ends.begin_of(&range);
                let mut entry = Begun::new(&entry, in_run, &mut header);
                entry.add(&segment, &ends, &(range.start..range.end.min(content.length)), &sources.data)?;
                begun = Some(entry);
            }
        }
    }
    Ok(unseen)
}
