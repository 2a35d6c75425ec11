//! Making segments.

use super::{FLAG_END, MAGIC, MAX_SEGMENT_BYTES, MAX_SEGMENT_ENTRIES, MAX_SEGMENT_RUNS, Run};
use crate::head::put_head;
use crate::tree::{PathCursor, Shown};
use crate::wire::WireWrite;
use crate::{EntryRef, Error, FrameId, Kept, Result};

/// Collects the entries and frames of one segment.
///
/// Entries and frames are added each in their order; an entry may be added later than its frames, as that of a big
/// file has to wait for its hash. After an error the builder is of no more use.
#[derive(Clone, Debug)]
pub struct SegmentBuilder {
    kept: Kept,
    lead: u64,
    entry_count: usize,
    entries: Vec<u8>,
    runs: Vec<Run>,
    cursor: PathCursor,
}

impl SegmentBuilder {
    /// A segment of a snapshot that keeps `kept`, with nothing in it.
    pub fn new(kept: Kept) -> Self {
        Self {
            kept,
            lead: 0,
            entry_count: 0,
            entries: Vec::new(),
            runs: Vec::new(),
            cursor: PathCursor::default(),
        }
    }

    /// Says how many bytes of the content, first of all, belong to a file begun in an earlier segment.
    pub fn set_lead(&mut self, lead: u64) {
        self.lead = lead;
    }

    /// Number of entries so far.
    pub fn entry_count(&self) -> usize {
        self.entry_count
    }

    /// The runs so far.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Adds an entry; it must be valid and come after the one added before.
    ///
    /// # Errors
    /// `Invalid` for one that is not, or of which the segment holds the most already.
    pub fn add_entry(&mut self, entry: &EntryRef<'_>) -> Result<()> {
        let shared = self.cursor.shared_with(entry.path);
        self.cursor
            .advance(shared, &entry.path[shared..], false)
            .and_then(|()| entry.check(self.kept))
            .map_err(|what| Error::invalid(format!("entry {}: {what}", Shown(entry.path))))?;
        if self.entry_count == MAX_SEGMENT_ENTRIES {
            return Err(Error::invalid("a segment cannot have over 1,024 entries"));
        }
        self.entry_count += 1;
        super::entries::write(entry, shared, &mut self.entries);
        Ok(())
    }

    /// Adds a frame; it joins the last run if it is equal to that one's.
    ///
    /// # Errors
    /// `Invalid` for a length that no frame has, or where the segment holds the most frames already.
    pub fn add_frame(&mut self, id: FrameId, plain_len: u32) -> Result<()> {
        self.add_run(Run { count: 1, plain_len, id })
    }

    /// Adds frames that are equal; they join the last run if they are equal to that one's.
    ///
    /// # Errors
    /// `Invalid` for a length that no frame has, or where the segment holds the most frames already.
    pub fn add_run(&mut self, run: Run) -> Result<()> {
        if !run.is_valid() {
            return Err(Error::invalid(format!(
                "frame {} has {} bytes, {} times",
                run.id, run.plain_len, run.count
            )));
        }
        if let Some(last) = self.runs.last_mut()
            && last.id == run.id
        {
            last.count = match last.count.checked_add(run.count) {
                Some(count) if last.plain_len == run.plain_len => count,
                _ => return Err(Error::invalid(format!("frame {} has two lengths", run.id))),
            };
        } else if self.runs.len() == MAX_SEGMENT_RUNS {
            return Err(Error::invalid("a segment cannot have over 65 runs"));
        } else {
            self.runs.push(run);
        }
        Ok(())
    }

    /// The segment's plain bytes; `has_end` says that the tar's end is the last frame added.
    ///
    /// # Errors
    /// `Invalid` for a segment without frames, or longer than one may be.
    pub fn finish(self, has_end: bool) -> Result<Vec<u8>> {
        if self.runs.is_empty() || self.lead > super::MAX_LEAD {
            return Err(Error::invalid("a segment without frames, or with a lead over 2^60 bytes"));
        }
        let mut plain = Vec::with_capacity(32 + self.entries.len() + 48 * self.runs.len());
        put_head(&mut plain, MAGIC);
        let flags = if has_end { FLAG_END } else { 0 };
        plain.extend_from_slice(&[self.kept.bits(), flags]);
        plain.put_uv(self.lead);
        plain.put_uv(self.entry_count as u64);
        plain.put_uv(self.runs.len() as u64);
        plain.extend_from_slice(&self.entries);
        for run in &self.runs {
            run.write(&mut plain);
        }
        if plain.len() > MAX_SEGMENT_BYTES {
            return Err(Error::invalid("a segment cannot have over 1 MiB"));
        }
        Ok(plain)
    }
}
