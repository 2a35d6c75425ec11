//! Records in the order of the walk, made apart from those before and after them.

use super::layout::{self, MAX_NAME_BYTES, MAX_PATH_BYTES};
use super::writer::BLOCK_BYTES;
use super::{CacheWriter, ContentHash};
use crate::source::trust::{HashClock, Recency};
use crate::source::walk::Child;

/// A run of records for a [`CacheWriter`], so that several threads can make records of one source.
#[derive(Debug)]
pub struct CacheSection {
    first: u64,
    pub(super) block: Vec<u8>,
    pub(super) entries: u32,
    pub(super) directory: Vec<u8>,
    pub(super) device: u64,
    recency: Recency,
}

impl CacheSection {
    /// A section that will begin with the file of that number in the walk.
    pub fn new(first: u64) -> Self {
        Self {
            first,
            block: Vec::new(),
            entries: 0,
            directory: Vec::new(),
            device: 0,
            recency: Recency::default(),
        }
    }

    /// The number it begins with.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Whether the next file should begin another.
    pub fn is_full(&self) -> bool {
        self.block.len() >= BLOCK_BYTES
    }

    /// Adds a child of the directory at `path` whose hash is known, by [`is_trusted`](crate::source::is_trusted), to be
    /// that of its content as long as the kernel says the same of it.
    pub fn push_trusted(&mut self, path: &[u8], child: &Child<'_>, hash: &ContentHash) {
        let too_long = path.len() > MAX_PATH_BYTES || child.name.len() > MAX_NAME_BYTES;
        if too_long || !layout::is_recorded(child.stat.kind) {
            return;
        }
        if self.is_empty() || self.directory != path || self.device != child.stat.device {
            layout::write_directory(&mut self.block, path, child.stat.device);
            self.directory.clear();
            self.directory.extend_from_slice(path);
            self.device = child.stat.device;
        }
        layout::write_entry(&mut self.block, child.name, child.stat, hash);
        self.entries += 1;
    }

    /// Adds a child of the directory at `path`. What was modified later than it was changed is passed over: nobody could
    /// tell whether it is modified again.
    pub fn push(&mut self, path: &[u8], child: &Child<'_>, hash: &ContentHash) {
        if child.stat.modified <= child.stat.changed {
            self.push_trusted(path, child, hash);
            self.recency.add(child.stat);
        }
    }
}

impl CacheWriter {
    /// Records a section, all of whose files [pushed](CacheSection::push) have had the content they are recorded with
    /// since that moment; nothing of it if they are not all to be trusted.
    pub fn push_section(&mut self, section: &CacheSection, hashing_began: HashClock) {
        if !section.is_empty() && section.recency.is_trusted(hashing_began) {
            self.append(section);
        }
    }
}
