//! Segments: a contiguous run of a tree's entries, and the frames that hold their tar (`docs/format.md` §6).

mod builder;
mod content;
mod entries;
mod runs;

pub use builder::SegmentBuilder;
pub use content::Content;
pub use entries::{EntriesPlace, SegmentEntries};
pub use runs::Run;

use std::ops::Range;

use crate::head::read_head;
use crate::wire::WireReader;
use crate::{EntryRef, Error, Item, Kept, Result, compare_paths};

/// The most plain bytes of a segment.
pub const MAX_SEGMENT_BYTES: usize = 1 << 20;

/// The most entries of a segment.
pub const MAX_SEGMENT_ENTRIES: usize = 1_024;

/// The most runs of a segment, the end included.
pub const MAX_SEGMENT_RUNS: usize = 65;

const MAGIC: &[u8; 4] = b"FSEG";
const FLAG_END: u8 = 1;

/// The longest lead: the largest file with its padding.
const MAX_LEAD: u64 = 1 << 60;

/// What a segment says before its entries.
struct Head {
    kept: Kept,
    has_end: bool,
    lead: u64,
    entry_count: usize,
    run_count: usize,
}

impl Head {
    fn read(plain: &[u8]) -> Result<(Self, WireReader<'_>)> {
        let mut reader = WireReader::new("segment", plain);
        if plain.len() > MAX_SEGMENT_BYTES {
            return Err(reader.corrupt("it is over 1 MiB"));
        }
        read_head(&mut reader, MAGIC)?;
        let kept = Kept::from_bits(reader.u8()?)?;
        let flags = reader.u8()?;
        if flags & !FLAG_END != 0 {
            return Err(reader.unsupported(format_args!("flags {flags:#x}")));
        }
        let lead = reader.uv_max(MAX_LEAD, "lead")?;
        let entry_count = reader.length(MAX_SEGMENT_ENTRIES, "number of entries")?;
        let run_count = reader.length(MAX_SEGMENT_RUNS, "number of runs")?;
        Ok((Self { kept, has_end: flags & FLAG_END != 0, lead, entry_count, run_count }, reader))
    }
}

/// A segment that was taken apart, but whose entries were not looked at closely yet.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    kept: Kept,
    has_end: bool,
    lead: u64,
    entry_count: usize,
    plain: &'a [u8],
    /// Where the entries are.
    entries: Range<usize>,
    runs: Vec<Run>,
}

impl<'a> Segment<'a> {
    /// Takes a segment's plain bytes apart and checks all but what [`SegmentEntries`] and [`check`](Self::check) do.
    ///
    /// # Errors
    /// `Corrupt` for bytes that break the format; `Unsupported` for a version, kind or flags that are not known.
    pub fn parse(plain: &'a [u8]) -> Result<Self> {
        let (head, mut reader) = Head::read(plain)?;
        let start = reader.offset();
        for _ in 0..head.entry_count {
            entries::CodedEntry::read(&mut reader, head.kept)?;
        }
        Self::with_runs(head, plain, start, reader)
    }

    /// The same, and hands on each entry, checked, for those who want all of them: none is read twice. What was handed on
    /// is worth nothing where the end is an error.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse) and [`SegmentEntries::next`].
    pub fn parse_with(plain: &'a [u8], mut each: impl FnMut(&EntryRef<'_>)) -> Result<Self> {
        let (head, reader) = Head::read(plain)?;
        let start = reader.offset();
        let mut entries = SegmentEntries::new(reader, head.entry_count, head.kept);
        while let Some(entry) = entries.next()? {
            each(&entry);
        }
        Self::with_runs(head, plain, start, entries.into_rest())
    }

    fn with_runs(head: Head, plain: &'a [u8], start: usize, mut reader: WireReader<'a>) -> Result<Self> {
        let Head { kept, has_end, lead, entry_count, run_count } = head;
        let entries = start..reader.offset();
        let runs = runs::read(&mut reader, run_count)?;
        reader.end()?;
        Ok(Self { kept, has_end, lead, entry_count, plain, entries, runs })
    }

    /// What is kept of each entry.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// Whether the tar's end is the last frame of this segment.
    pub fn has_end(&self) -> bool {
        self.has_end
    }

    /// How many bytes of the content, first of all, belong to a file begun in an earlier segment.
    pub fn lead(&self) -> u64 {
        self.lead
    }

    /// Number of entries.
    pub fn entry_count(&self) -> usize {
        self.entry_count
    }

    /// The entries.
    pub fn entries(&self) -> SegmentEntries<'a> {
        SegmentEntries::start(self.entries.clone(), self.entry_count, self.kept).entries(self.plain)
    }

    /// The frames, at least one run.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Checks all entries, and that lead, entries and end give as many bytes of tar as the frames have.
    ///
    /// # Errors
    /// `Corrupt` where they do not; `Unsupported` for an entry of a kind that is not known.
    pub fn check(&self) -> Result<Content> {
        Content::of(self)
    }

    /// Does what [`check`](Self::check) does, and checks that the item that lists this segment says the same of it.
    ///
    /// # Errors
    /// Those of [`check`](Self::check); `Corrupt` where the item does not.
    pub fn check_listed(&self, item: &Item) -> Result<Content> {
        let content = Content::of(self)?;
        let mut entries = self.entries();
        let first = entries.next()?.map_or(&[][..], |entry| entry.path);
        // With a lead, the item names a file that comes before the first entry.
        let agrees = match self.lead {
            0 => item.path == first,
            _ => !item.path.is_empty() && (first.is_empty() || compare_paths(&item.path, first).is_lt()),
        };
        if agrees && (item.length, item.entries) == (content.length, self.entry_count as u64) {
            Ok(content)
        } else {
            Err(Error::corrupt(format!("segment {}: it is not what the list of it says", item.id)))
        }
    }
}
