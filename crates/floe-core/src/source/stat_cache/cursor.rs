//! Looking up in walk order.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::ContentHash;
use super::layout::{CacheFile, HEADER_BYTES, Record, identity, is_recorded, read_record};
use crate::source::{Child, compare_directories, compare_names};

/// The recorded hash of an entry that has not changed, and where it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheHit {
    /// The hash of the content, or of a symbolic link's target.
    pub hash: ContentHash,
    pub(super) ordinal: u64,
}

impl CacheHit {
    /// A hash that is known otherwise. It is in no cache, and none may be told that it is.
    pub(crate) fn of_hash(hash: ContentHash) -> Self {
        Self { hash, ordinal: u64::MAX }
    }
}

/// A place in a cache that moves forward with a walk.
///
/// Asked in another order, it finds nothing rather than something wrong. One block is in memory.
#[derive(Debug)]
pub struct CacheCursor {
    file: Option<Arc<CacheFile>>,
    /// The block to be read next, where it begins, and how many entries are before it.
    next_block: usize,
    next_offset: u64,
    next_ordinal: u64,
    block: Vec<u8>,
    at: usize,
    ordinal: u64,
    /// The directory of the records at hand, in the block.
    recorded: Range<usize>,
    device: u64,
    /// The directory asked about, and how the recorded one compares with it.
    asked: Vec<u8>,
    order: Ordering,
}

impl CacheCursor {
    pub(super) fn new(file: Option<Arc<CacheFile>>) -> Self {
        Self {
            file,
            next_block: 0,
            next_offset: HEADER_BYTES as u64,
            next_ordinal: 0,
            block: Vec::new(),
            at: 0,
            ordinal: 0,
            recorded: 0..0,
            device: 0,
            asked: Vec::new(),
            order: Ordering::Equal,
        }
    }

    /// The hash recorded for a child of the directory at `path`, if it is believed still to hold.
    pub fn lookup(&mut self, path: &[u8], child: &Child<'_>) -> Option<CacheHit> {
        if self.file.is_none() || !is_recorded(child.stat.kind) {
            return None;
        }
        if self.asked != path {
            self.asked.clear();
            self.asked.extend_from_slice(path);
            self.compare();
        }
        loop {
            if self.at == self.block.len() && !self.read_block() {
                return None;
            }
            let Some((record, length)) = read_record(&self.block[self.at..]) else {
                self.at = self.block.len();
                continue;
            };
            match record {
                Record::Directory { path, device } => {
                    let end = self.at + length;
                    self.recorded = end - path.len()..end;
                    self.device = device;
                    self.compare();
                }
                Record::Entry { name, kind, identity: recorded, hash } => {
                    match self.order.then_with(|| compare_names(name, child.name)) {
                        Ordering::Greater => return None,
                        Ordering::Less => {}
                        Ordering::Equal => {
                            let is_same = kind == child.stat.kind as u8
                                && self.device == child.stat.device
                                && *recorded == identity(child.stat);
                            let hit = CacheHit { hash: *hash, ordinal: self.ordinal };
                            self.step(length);
                            return is_same.then_some(hit);
                        }
                    }
                    self.ordinal += 1;
                }
            }
            self.at += length;
        }
    }

    fn step(&mut self, length: usize) {
        self.ordinal += 1;
        self.at += length;
    }

    fn compare(&mut self) {
        self.order = compare_directories(&self.block[self.recorded.clone()], &self.asked);
    }

    /// Reads the next block that is sound; false at the end.
    fn read_block(&mut self) -> bool {
        self.block.clear();
        self.at = 0;
        self.recorded = 0..0;
        let Some(file) = &self.file else { return false };
        while let Some(block) = file.blocks.get(self.next_block) {
            let is_sound = file.read_block(block, self.next_offset, &mut self.block);
            self.ordinal = self.next_ordinal;
            self.next_block += 1;
            self.next_offset += u64::from(block.length);
            self.next_ordinal += u64::from(block.entries);
            if is_sound && !self.block.is_empty() {
                return true;
            }
        }
        false
    }
}
