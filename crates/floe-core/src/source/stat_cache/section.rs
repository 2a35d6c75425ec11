//! Records in the order of the walk, made apart from those before and after them.

use std::ops::Range;

use super::records::Records;
use super::writer::BLOCK_BYTES;
use super::{CacheHit, CacheSections, ContentHash, layout};
use crate::source::trust::Recency;
use crate::source::walk::Child;

/// A run of records for a [`CacheWriter`](super::CacheWriter), so that several threads can make records of one source.
#[derive(Debug, Default)]
pub struct CacheSection {
    pub(super) first: u64,
    /// Entries of the old cache; where there are any there are no records.
    pub(super) kept: Range<u64>,
    pub(super) records: Records,
    pub(super) recency: Recency,
}

impl CacheSection {
    pub(super) fn clear(&mut self) {
        self.kept = 0..0;
        self.records.clear();
        self.recency = Recency::default();
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
    pub fn push_known(&mut self, ordinal: u64, hit: &CacheHit, others: &mut CacheSections) {
        if !self.kept.is_empty() && self.kept.end == hit.ordinal {
            self.kept.end += 1;
            return;
        }
        others.push(self);
        (self.first, self.kept) = (ordinal, hit.ordinal..hit.ordinal + 1);
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
