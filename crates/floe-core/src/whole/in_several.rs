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
    /// Those of a segment that was checked: that they add up, too.
    pub(super) fn of(segment: &Segment<'_>) -> Self {
        let end = |end: &mut u64, length: u64| {
            *end += length;
            Some(*end)
        };
        Self(segment.runs().iter().map(|run| run.content_len().unwrap_or(0)).scan(0, end).collect())
    }

    /// Where each run lies.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        let begins = std::iter::once(0).chain(self.0.iter().copied());
        begins.zip(&self.0).map(|(begin, end)| begin..*end)
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
        let runs = segment.runs().iter().zip(ends.ranges()).skip(ends.first(part));
        for (run, _) in runs.take_while(|(_, range)| range.start < part.end) {
            self.hasher.update(run.id.as_bytes()).update(data.pack_of_run(run)?.as_bytes());
            self.hasher.update(&run.count.to_le_bytes()).update(&run.plain_len.to_le_bytes());
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

#[cfg(test)]
mod tests {
    use floe_format::{
        Codec, ContentHash, FrameId, FrameRecord, Kept, OwnedBody, PackFrame, PackId, Run, SegmentBuilder,
        StoredOffset, XattrList,
    };

    use super::*;
    use crate::catalog::PackShape;

    fn run(number: u8, plain_len: u32, count: u64) -> Run {
        Run { count, plain_len, id: FrameId::of(&[number]) }
    }

    /// What tells an entry of these bytes, which begins at a place in the second of these runs.
    fn identity(path: &str, hash: &[u8], at: u64, runs: &[Run], pack: u8) -> blake3::Hash {
        let mut data = Catalog::default();
        let frames: Vec<PackFrame> = (0..)
            .zip(runs)
            .map(|(number, run)| {
                let record = FrameRecord::new(run.id, run.plain_len, Codec::Zstd, b"stored").unwrap();
                PackFrame { record, offset: StoredOffset::new(number * 100) }
            })
            .collect();
        let id = PackId::from_bytes([pack; 16]);
        data.add_pack(PackShape { id, pack_len: 1 << 20, directory_len: 200, tail_len: 300 }, &frames)
            .unwrap();
        let mut builder = SegmentBuilder::new(Kept::NONE);
        runs.iter().for_each(|run| builder.add_run(*run).unwrap());
        let plain = builder.finish(false).unwrap();
        let segment = Segment::parse(&plain).unwrap();
        let ends = RunEnds::of(&segment);
        let body = OwnedBody::File { size: 5_000, hash: Some(ContentHash::of(hash)) };
        let (path, xattrs) = (path.as_bytes().to_vec(), XattrList::default());
        let entry = floe_format::Entry { path, mode: 0o644, mtime: None, owner: None, body, xattrs };
        let start = ends.0[0] + at;
        let mut begun = Begun::new(&entry.as_entry(), at, &mut Vec::new());
        begun.add(&segment, &ends, &(start..start + 5_632), &data).unwrap();
        assert_eq!(begun.owed, 0);
        begun.hasher.finalize()
    }

    #[test]
    fn an_entry_is_the_same_where_it_and_all_its_frames_are() {
        let runs = [run(0, 100, 1), run(1, 3_000, 1), run(2, 3_000, 1), run(3, 100, 1)];
        let with = |number: usize, other: Run| {
            let mut runs = runs;
            runs[number] = other;
            runs
        };
        let known = identity("a", b"a", 0, &runs, 1);
        // What is beside it may be another.
        for beside in [with(0, run(9, 100, 1)), with(0, run(0, 70, 2)), with(3, run(9, 70, 1))] {
            assert_eq!(identity("a", b"a", 0, &beside, 1), known);
        }
        for (what, other) in [
            ("path", identity("b", b"a", 0, &runs, 1)),
            ("hash", identity("a", b"b", 0, &runs, 1)),
            ("place", identity("a", b"a", 1, &runs, 1)),
            ("pack", identity("a", b"a", 0, &runs, 2)),
            ("first frame", identity("a", b"a", 0, &with(1, run(9, 3_000, 1)), 1)),
            ("last frame", identity("a", b"a", 0, &with(2, run(9, 3_000, 1)), 1)),
            ("length", identity("a", b"a", 0, &with(2, run(2, 3_001, 1)), 1)),
            ("count", identity("a", b"a", 0, &with(2, run(2, 3_000, 2)), 1)),
        ] {
            assert_ne!(other, known, "{what}");
        }
    }
}
