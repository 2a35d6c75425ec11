//! Caches of any blocks.

use std::path::{Path, PathBuf};

use super::StatCache;
use super::layout::{Block, header, sum, tail};

/// A stat cache with these blocks, each with the number of entries it is said to have, and its place in a directory of
/// caches.
pub fn stat_cache_file(caches: &Path, root: &Path, blocks: &[(&[u8], u32)]) -> (PathBuf, Vec<u8>) {
    let (source, path) = StatCache::place(caches, root);
    let table = blocks.iter().map(|(bytes, entries)| Block {
        length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        entries: *entries,
        sum: sum(bytes),
    });
    let table: Vec<_> = table.collect();
    let mut file = header(&source).to_vec();
    blocks.iter().for_each(|(bytes, _)| file.extend_from_slice(bytes));
    file.extend_from_slice(&tail(&source, &table));
    (path, file)
}
