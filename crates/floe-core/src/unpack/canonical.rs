//! Comparing a unit's content with what its segment's entries make of it (invariant 11).

use std::ops::Range;
use std::sync::Arc;

use floe_format::{Body, ContentHash, EntryRef, tar_header, tar_padding};

use crate::reader::shown;
use crate::{Error, ErrorKind, Result};

use super::big_file::{BigFile, WaitingBytes, wrong_hash};
use super::engine::{Output, Stop};
use super::frames::{ContentCursor, FrameReader};
use super::unit::{Start, Unit};
use super::whole::WholeFrames;

pub(super) static ZEROS: [u8; 1024] = [0; 1024];

/// One worker's way through units.
pub(crate) struct Comparer<'a> {
    pub(crate) reader: FrameReader,
    pub(crate) stop: &'a Stop,
    pub(crate) waiting: &'a WaitingBytes,
    header: Vec<u8>,
    whole: WholeFrames,
}

impl<'a> Comparer<'a> {
    pub(crate) fn new(reader: FrameReader, stop: &'a Stop, waiting: &'a WaitingBytes) -> Self {
        Self { reader, stop, waiting, header: Vec::new(), whole: WholeFrames::default() }
    }

    /// Goes through a unit: compares all but files' contents with what the entries say, and hands the contents out.
    ///
    /// # Errors
    /// `Corrupt` where they disagree, a frame is damaged, or a file has another hash than its entry says.
    pub(crate) fn unpack<'t, O: Output<'t>>(&mut self, unit: &Unit<'t>, output: &mut O) -> Result<()> {
        let part = &unit.segment;
        if unit.is_whole && self.whole.unpack(unit, &mut self.reader, output)? {
            return Ok(());
        }
        let content = unit.content.clone();
        let Self { reader, stop, waiting, header, .. } = self;
        let mut cursor = ContentCursor::new(reader, unit, stop)?;
        let way = Way { unit: content.clone(), stop, waiting };

        // What belongs to a file that began in an earlier segment.
        let lead = part.lead_len;
        way.big(&mut cursor, 0..part.lead_content, part.lead.as_ref(), output)?;
        let compared = way.zeros(&mut cursor, part.lead_content..lead, b"a file's padding")?;
        if let Some((file, _)) = &part.lead {
            way.checked(file, compared, output)?;
        }

        let Start { place, mut number, mut at } = unit.start.clone();
        let mut entries = place.entries(&part.plain);
        while at < content.end
            && let Some(entry) = entries.next()?
        {
            let size = entry.body.size();
            header.clear();
            tar_header(&entry, header);
            let begins = at + header.len() as u64;
            let padded = begins + size;
            let end = padded + tar_padding(size) as u64;
            if end > content.start {
                if let Some(file) = part.big_file(number) {
                    let compared = way.equal(&mut cursor, at, header, entry.path)?;
                    way.checked(file, compared, output)?;
                    way.big(&mut cursor, begins..padded, Some(&(Arc::clone(file), 0)), output)?;
                    let compared = way.zeros(&mut cursor, padded..end, entry.path)?;
                    way.checked(file, compared, output)?;
                } else if part.wants(number) {
                    // The planner saw to it that all of it is in one frame.
                    let bytes = cursor.take_checked(end - at, |bytes| check_whole(&entry, header, bytes))?;
                    let content = &bytes[header.len()..bytes.len() - tar_padding(size)];
                    output.whole(part.first + number as u64, &entry, content)?;
                } else {
                    way.equal(&mut cursor, at, header, entry.path)?;
                    way.skip(&mut cursor, begins..padded)?;
                    way.zeros(&mut cursor, padded..end, entry.path)?;
                }
            }
            at = end;
            number += 1;
        }
        if part.has_end {
            way.zeros(&mut cursor, at.max(content.start)..content.end.max(at), b"the end")?;
        }
        Ok(())
    }
}

/// Checks an entry that is at hand as a whole, every byte of it: headers, content and padding.
fn check_whole(entry: &EntryRef<'_>, header: &[u8], bytes: &[u8]) -> Result<()> {
    let size = entry.body.size();
    let rest = bytes.strip_prefix(header).ok_or_else(|| disagrees(entry.path))?;
    let padding = tar_padding(size);
    let content = rest.len().checked_sub(padding).filter(|length| *length as u64 == size);
    let (content, padding) = rest.split_at(content.ok_or_else(|| disagrees(entry.path))?);
    if *padding != ZEROS[..padding.len()] {
        return Err(disagrees(entry.path));
    }
    match entry.body {
        Body::File { hash: Some(hash), .. } if ContentHash::of(content) != hash => {
            Err(wrong_hash(entry.path))
        }
        // The format sees to it that only an empty file has none.
        _ => Ok(()),
    }
}

/// Takes from a cursor what of a part of the segment's content is in the unit.
struct Way<'a> {
    unit: Range<u64>,
    stop: &'a Stop,
    waiting: &'a WaitingBytes,
}

impl Way<'_> {
    fn clip(&self, part: &Range<u64>) -> Range<u64> {
        let start = part.start.max(self.unit.start);
        start..part.end.min(self.unit.end).max(start)
    }

    /// Compares with bytes that begin at `at`; returns how many were in the unit.
    fn equal(&self, cursor: &mut ContentCursor<'_, '_>, at: u64, bytes: &[u8], path: &[u8]) -> Result<u64> {
        let mut left = self.clip(&(at..at + bytes.len() as u64));
        let compared = left.end - left.start;
        while left.start < left.end {
            let found = cursor.take(left.end - left.start)?;
            // Less than a header.
            let from = usize::try_from(left.start - at).unwrap_or(usize::MAX);
            if bytes.get(from..from + found.len()) != Some(found) {
                return Err(disagrees(path));
            }
            left.start += found.len() as u64;
        }
        Ok(compared)
    }

    fn zeros(&self, cursor: &mut ContentCursor<'_, '_>, part: Range<u64>, path: &[u8]) -> Result<u64> {
        let mut left = self.clip(&part);
        let compared = left.end - left.start;
        while left.start < left.end {
            let found = cursor.take((left.end - left.start).min(ZEROS.len() as u64))?;
            if *found != ZEROS[..found.len()] {
                return Err(disagrees(path));
            }
            left.start += found.len() as u64;
        }
        Ok(compared)
    }

    /// Notes that so much of a file's headers or padding was compared.
    fn checked<'t, O: Output<'t>>(&self, file: &Arc<BigFile<'t>>, bytes: u64, output: &mut O) -> Result<()> {
        if bytes > 0 && file.checked(bytes) { output.complete(file) } else { Ok(()) }
    }

    fn skip(&self, cursor: &mut ContentCursor<'_, '_>, part: Range<u64>) -> Result<()> {
        let mut left = self.clip(&part);
        while left.start < left.end {
            left.start += cursor.take(left.end - left.start)?.len() as u64;
        }
        Ok(())
    }

    /// Hands out parts of a file that is in several frames; `part` is its content, the first byte of which is at an
    /// offset in the file. Without a file they are not wanted.
    fn big<'t, O: Output<'t>>(
        &self,
        cursor: &mut ContentCursor<'_, 't>,
        part: Range<u64>,
        file: Option<&(Arc<BigFile<'t>>, u64)>,
        output: &mut O,
    ) -> Result<()> {
        let Some((file, first)) = file else { return self.skip(cursor, part) };
        let mut left = self.clip(&part);
        while left.start < left.end {
            let offset = first + (left.start - part.start);
            let bytes = cursor.take(left.end - left.start)?;
            left.start += bytes.len() as u64;
            output.part(file, offset, bytes)?;
            if file.hash(offset, bytes, self.waiting, self.stop)? {
                output.complete(file)?;
            }
        }
        Ok(())
    }
}

fn disagrees(path: &[u8]) -> Error {
    let message = format!("the snapshot's tar and its entries disagree at {}", shown(path));
    Error::new(ErrorKind::Corrupt, message)
}
