//! Writing the next cache.
//!
//! Blocks of the old cache all of whose entries are pushed again, unchanged and in order, are taken over as they are,
//! sum and all. As long as nothing else was pushed nothing is written; the first difference copies what came before.

use std::cmp::Ordering;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::layout::{self, Block, CacheFile, HEADER_BYTES};
use super::records::{OldRecords, Records};
use super::{CacheHit, ContentHash};
use crate::error::{Error, Result};
use crate::source::replacement::{Replacement, copy};
use crate::source::trust::{HashClock, is_trusted};
use crate::source::walk::Child;
use crate::source::{compare_directories, compare_names};

/// A block ends when it holds this much, and where an old one ends.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;
/// A block ends when it holds this much, wherever.
const FULL_BLOCK_BYTES: usize = 2 * BLOCK_BYTES;
/// Less than this is put into one block with the old one that follows, so that small blocks do not accumulate.
const SMALL_BLOCK_BYTES: usize = BLOCK_BYTES / 4;

/// A cache being written, entry by entry in walk order.
///
/// It may be behind the cursor. Dropped without [`CacheWriter::finish`], it leaves the old cache as it was.
#[derive(Debug)]
pub struct CacheWriter {
    path: PathBuf,
    source: ContentHash,
    old: Option<Arc<CacheFile>>,
    /// The old block that follows next.
    next_old: OldBlock,
    /// Entries of the old cache that come next, by their ordinals.
    kept: Range<u64>,
    /// The blocks of the new cache so far; while there is no output, the first ones of the old.
    table: Vec<Block>,
    table_bytes: u64,
    block: Records,
    /// Where records are copied from.
    from: OldRecords,
    output: Output,
}

#[derive(Debug)]
enum Output {
    /// Nothing differs so far.
    None,
    Open(Replacement),
    /// It could not be written, or somebody else is writing.
    GivenUp(Option<Error>),
}

/// A block of the old cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct OldBlock {
    pub(super) number: usize,
    /// Where it begins.
    pub(super) offset: u64,
    /// The ordinals of its first entry, and after its last where it was [sought](CacheWriter::seek_old).
    pub(super) first: u64,
    end: u64,
}

impl CacheWriter {
    pub(super) fn new(path: PathBuf, source: ContentHash, old: Option<Arc<CacheFile>>) -> Self {
        Self {
            path,
            source,
            old,
            next_old: OldBlock { number: 0, offset: HEADER_BYTES as u64, first: 0, end: 0 },
            kept: 0..0,
            table: Vec::new(),
            table_bytes: 0,
            block: Records::default(),
            from: OldRecords::default(),
            output: Output::None,
        }
    }

    /// Keeps what the cursor found.
    pub fn push_known(&mut self, hit: &CacheHit) {
        self.keep(hit.ordinal..hit.ordinal + 1);
    }

    /// Keeps these entries of the old cache; nothing is done about them until their run ends.
    pub(super) fn keep(&mut self, ordinals: Range<u64>) {
        if self.kept.end == ordinals.start {
            self.kept.end = ordinals.end;
        } else {
            self.end_kept();
            self.kept = ordinals;
        }
    }

    /// Records a child of the directory at `path` that was hashed: its stat when hashing had ended, and the clock from
    /// before hashing began. What is not to be trusted, or is neither file nor link, is passed over.
    pub fn push_hashed(
        &mut self,
        path: &[u8],
        child: &Child<'_>,
        hash: &ContentHash,
        hashing_began: HashClock,
    ) {
        if !layout::is_recorded(child.stat.kind) || !is_trusted(child.stat, hashing_began) {
            return;
        }
        self.end_kept();
        if self.block.push(path, child, hash) && self.block.len() >= BLOCK_BYTES {
            self.end_block();
        }
    }

    /// The same as [`CacheWriter::finish`] where the walk was broken off after this entry: what the old cache has behind it
    /// is kept as it is.
    ///
    /// # Errors
    ///
    /// The cache could not be written. The old one is still there, and a push need not fail for that.
    pub fn finish_up_to(mut self, path: &[u8], name: &[u8]) -> Result<()> {
        self.end_kept();
        if let Some(first) = self.first_old_behind(path, name) {
            self.keep(first..u64::MAX);
        }
        self.finish()
    }

    /// The ordinal of the first entry of the old cache that comes after this one.
    fn first_old_behind(&self, path: &[u8], name: &[u8]) -> Option<u64> {
        let file = self.old.as_ref()?;
        let OldBlock { number, mut offset, mut first, .. } = self.next_old;
        let mut records = OldRecords::default();
        for (number, block) in file.blocks.iter().enumerate().skip(number) {
            let end = first + u64::from(block.entries);
            records.open(file, OldBlock { number, offset, first, end });
            while let Some(record) = records.next() {
                let order = compare_directories(record.directory, path);
                if order.then_with(|| compare_names(record.name, name)) == Ordering::Greater {
                    return Some(record.ordinal);
                }
            }
            offset += u64::from(block.length);
            first = end;
        }
        None
    }

    /// Writes what is still to be written beside the old cache, for [`CacheWriter::finish`] to have the less to do. Nothing
    /// is to be pushed after this. What goes wrong is told at the end.
    pub fn write_out(&mut self) {
        self.end_kept();
        self.end_block();
    }

    /// Puts the new cache in the place of the old, unless they are the same.
    ///
    /// # Errors
    ///
    /// The cache could not be written. The old one is still there, and a push need not fail for that.
    pub fn finish(mut self) -> Result<()> {
        self.write_out();
        let old_count = self.old.as_ref().map_or(0, |old| old.blocks.len());
        if matches!(self.output, Output::None) && self.table.len() == old_count {
            return Ok(());
        }
        let tail = layout::tail(&self.source, &self.table);
        self.write(|output| output.write_all(&tail));
        match self.output {
            Output::None | Output::GivenUp(None) => Ok(()),
            Output::GivenUp(Some(error)) => Err(error),
            Output::Open(replacement) => {
                let message = || format!("cannot replace the stat cache {}", self.path.display());
                replacement.replace(&self.path).map_err(|error| Error::io(message(), error))
            }
        }
    }

    /// Adds records that were made apart.
    pub(super) fn append(&mut self, records: &Records) {
        self.end_kept();
        if self.block.len() + records.len() > FULL_BLOCK_BYTES {
            self.end_block();
        }
        self.block.append(records);
        if self.block.len() >= BLOCK_BYTES {
            self.end_block();
        }
    }

    /// Takes over the run of old entries that has come to its end: whole blocks as they are, and the records of others.
    fn end_kept(&mut self) {
        let mut kept = std::mem::take(&mut self.kept);
        let Some(file) = self.old.clone() else { return };
        while kept.start < kept.end
            && let Some(old) = self.seek_old(&file, kept.start)
        {
            let end = kept.end.min(old.end);
            let is_whole = kept.start == old.first && end == old.end;
            if is_whole && (self.block.is_empty() || self.block.len() >= SMALL_BLOCK_BYTES) {
                self.end_block();
                self.take_over(&file, old);
            } else {
                self.copy_records(&file, old, kept.start..end);
                if end == old.end && self.block.len() >= BLOCK_BYTES {
                    self.end_block();
                }
            }
            kept.start = end;
        }
    }

    /// Moves on to the old block with that entry; nothing where that is behind or there is none.
    fn seek_old(&mut self, file: &CacheFile, ordinal: u64) -> Option<OldBlock> {
        loop {
            let OldBlock { number, offset, first, .. } = self.next_old;
            let block = file.blocks.get(number)?;
            let end = first + u64::from(block.entries);
            if ordinal < end {
                return (first <= ordinal).then_some(OldBlock { end, ..self.next_old });
            }
            self.next_old =
                OldBlock { number: number + 1, offset: offset + u64::from(block.length), first: end, end };
        }
    }

    fn take_over(&mut self, file: &CacheFile, old: OldBlock) {
        let block = file.blocks[old.number];
        let is_prefix = matches!(self.output, Output::None) && self.table.len() == old.number;
        if !is_prefix {
            self.write(|output| copy(file.file(), old.offset..old.offset + u64::from(block.length), output));
        }
        self.table.push(block);
        self.table_bytes += u64::from(block.length);
    }

    /// Puts records of an old block into the one at hand.
    fn copy_records(&mut self, file: &CacheFile, old: OldBlock, ordinals: Range<u64>) {
        // Most often the block that was read last, which is read once however many runs it is broken into.
        let mut from = std::mem::take(&mut self.from);
        if from.number != Some(old.number) {
            from.open(file, old);
        }
        while from.ordinal < ordinals.end
            && let Some(record) = from.next()
        {
            if record.ordinal >= ordinals.start {
                self.block.push_record(record.directory, record.device, record.bytes);
                if self.block.len() >= FULL_BLOCK_BYTES {
                    self.end_block();
                }
            }
        }
        self.from = from;
    }

    fn end_block(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let mut block = std::mem::take(&mut self.block);
        let bytes = block.bytes();
        self.write(|output| output.write_all(bytes));
        let length = u32::try_from(bytes.len()).expect("a block is far below 4 GiB");
        self.table.push(Block { length, entries: block.entries(), sum: layout::sum(bytes) });
        self.table_bytes += u64::from(length);
        block.clear();
        self.block = block;
    }

    /// Writes to the temporary file, which with the first difference is made and gets what did not differ.
    fn write(&mut self, write: impl FnOnce(&mut Replacement) -> io::Result<()>) {
        if matches!(self.output, Output::None) {
            let begun = Replacement::create(&self.path, self.old.as_ref().map(|old| old.file())).and_then(
                |replacement| {
                    let Some(mut replacement) = replacement else {
                        return Ok(Output::GivenUp(None));
                    };
                    replacement.write_all(&layout::header(&self.source))?;
                    if let Some(old) = &self.old {
                        let start = HEADER_BYTES as u64;
                        copy(old.file(), start..start + self.table_bytes, &mut replacement)?;
                    }
                    Ok(Output::Open(replacement))
                },
            );
            self.output = begun.unwrap_or_else(|error| self.give_up(error));
        }
        if let Output::Open(replacement) = &mut self.output
            && let Err(error) = write(replacement)
        {
            self.output = self.give_up(error);
        }
    }

    fn give_up(&self, error: io::Error) -> Output {
        let message = format!("cannot write the stat cache {}", self.path.display());
        Output::GivenUp(Some(Error::io(message, error)))
    }
}
