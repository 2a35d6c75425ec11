//! Records being put together, and taken apart.

use std::ops::Range;

use super::ContentHash;
use super::layout::{self, CacheFile, MAX_NAME_BYTES, MAX_PATH_BYTES, Record};
use super::writer::{BLOCK_BYTES, OldBlock};
use crate::Result;
use crate::source::walk::Child;

/// Records one after the other, the first of which follows its directory.
#[derive(Debug, Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    entries: u32,
    directory: Vec<u8>,
    device: u64,
}

impl Records {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn entries(&self) -> u32 {
        self.entries
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a child of the directory at `path`; says whether it can be recorded.
    pub(super) fn push(&mut self, path: &[u8], child: &Child<'_>, hash: &ContentHash) -> bool {
        if path.len() > MAX_PATH_BYTES || child.name.len() > MAX_NAME_BYTES {
            return false;
        }
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(BLOCK_BYTES + MAX_NAME_BYTES + 128);
        }
        self.enter(path, child.stat.device);
        layout::write_entry(&mut self.bytes, child.name, child.stat, hash);
        self.entries += 1;
        true
    }

    /// Adds the record of an entry, as it stands in another cache.
    pub(super) fn push_record(&mut self, path: &[u8], device: u64, record: &[u8]) {
        self.enter(path, device);
        self.bytes.extend_from_slice(record);
        self.entries += 1;
    }

    /// Goes on with entries of that directory.
    fn enter(&mut self, path: &[u8], device: u64) {
        if self.is_empty() || self.directory != path || self.device != device {
            layout::write_directory(&mut self.bytes, path, device);
            self.directory.clear();
            self.directory.extend_from_slice(path);
            self.device = device;
        }
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
        self.entries += other.entries;
        self.directory.clone_from(&other.directory);
        self.device = other.device;
    }

    /// The directory and device of its last record.
    pub(super) fn directory(&self) -> &[u8] {
        &self.directory
    }

    pub(super) fn device(&self) -> u64 {
        self.device
    }

    /// Puts others in the place of these.
    pub(super) fn refill(
        &mut self,
        entries: u32,
        directory: &[u8],
        device: u64,
        read: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        self.clear();
        read(&mut self.bytes)?;
        self.entries = entries;
        self.directory.clear();
        self.directory.extend_from_slice(directory);
        self.device = device;
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.entries = 0;
    }
}

/// The records of one block of another cache, one after the other.
#[derive(Debug, Default)]
pub(super) struct OldRecords {
    /// Which block it is; none before the first.
    pub(super) number: Option<usize>,
    /// The ordinal of the entry that comes next.
    pub(super) ordinal: u64,
    bytes: Vec<u8>,
    at: usize,
    /// The path of the directory at hand, among the bytes.
    directory: Range<usize>,
    device: u64,
}

/// The record of an entry in another cache.
pub(super) struct OldRecord<'a> {
    pub(super) ordinal: u64,
    pub(super) directory: &'a [u8],
    pub(super) device: u64,
    pub(super) name: &'a [u8],
    pub(super) bytes: &'a [u8],
}

impl OldRecords {
    /// Goes to the beginning of a block; one that is damaged has no records.
    pub(super) fn open(&mut self, file: &CacheFile, block: OldBlock) {
        file.read_block(&file.blocks[block.number], block.offset, &mut self.bytes);
        (self.number, self.ordinal) = (Some(block.number), block.first);
        (self.at, self.directory) = (0, 0..0);
    }

    pub(super) fn next(&mut self) -> Option<OldRecord<'_>> {
        loop {
            let (record, length) = layout::read_record(&self.bytes[self.at..])?;
            let start = self.at;
            self.at += length;
            match record {
                Record::Directory { path, device } => {
                    self.directory = self.at - path.len()..self.at;
                    self.device = device;
                }
                Record::Entry { name, .. } => {
                    self.ordinal += 1;
                    return Some(OldRecord {
                        ordinal: self.ordinal - 1,
                        directory: &self.bytes[self.directory.clone()],
                        device: self.device,
                        name,
                        bytes: &self.bytes[start..self.at],
                    });
                }
            }
        }
    }
}
