//! Records in the order of the walk, made apart from those before and after them.

use std::ops::Range;

use super::records::Records;
use super::writer::BLOCK_BYTES;
use super::{CacheHit, CacheWriter, ContentHash, layout};
use crate::source::trust::{HashClock, Recency};
use crate::source::walk::Child;

/// A run of records for a [`CacheWriter`], so that several threads can make records of one source.
#[derive(Debug, Default)]
pub struct CacheSection {
    first: u64,
    /// Entries of the old cache; where there are any there are no records.
    kept: Range<u64>,
    records: Records,
    recency: Recency,
}

impl CacheSection {
    /// The number in the walk of the file it begins with.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.records.is_empty()
    }

    /// Whether the next file that was not found should begin another.
    pub fn is_full(&self) -> bool {
        !self.kept.is_empty() || self.records.len() >= BLOCK_BYTES
    }

    /// Adds file number `ordinal` of the walk, which a cursor found. Where it does not go on with what is in the section,
    /// that is put behind the others first.
    pub fn push_known(&mut self, ordinal: u64, hit: &CacheHit, others: &mut Vec<Self>) {
        if !self.kept.is_empty() && self.kept.end == hit.ordinal {
            self.kept.end += 1;
            return;
        }
        let begun = Self { first: ordinal, kept: hit.ordinal..hit.ordinal + 1, ..Self::default() };
        let ended = std::mem::replace(self, begun);
        if !ended.is_empty() {
            others.push(ended);
        }
    }

    /// Adds file number `ordinal` of the walk, a child of the directory at `path`, whose hash is known, by
    /// [`is_trusted`](crate::source::is_trusted), to be that of its content as long as the kernel says the same of it.
    pub fn push_trusted(&mut self, ordinal: u64, path: &[u8], child: &Child<'_>, hash: &ContentHash) {
        if self.is_empty() {
            self.first = ordinal;
        }
        if layout::is_recorded(child.stat.kind) {
            self.records.push(path, child, hash);
        }
    }

    /// Adds a file whose hash is to be trusted by what is known in the end. What was modified later than it was changed is
    /// passed over: nobody could tell whether it is modified again.
    pub fn push(&mut self, ordinal: u64, path: &[u8], child: &Child<'_>, hash: &ContentHash) {
        if child.stat.modified <= child.stat.changed {
            self.push_trusted(ordinal, path, child, hash);
            self.recency.add(child.stat);
        }
    }
}

impl CacheWriter {
    /// Records a section, all of whose files [pushed](CacheSection::push) have had the content they are recorded with
    /// since that moment; nothing of it if they are not all to be trusted.
    pub fn push_section(&mut self, section: &CacheSection, hashing_began: HashClock) {
        if !section.kept.is_empty() {
            self.keep(section.kept.clone());
        } else if !section.records.is_empty() && section.recency.is_trusted(hashing_began) {
            self.append(&section.records);
        }
    }
}
