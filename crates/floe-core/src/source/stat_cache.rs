//! What the content of each file of a source was when it was last read.
//!
//! One file per source in a directory of caches, in walk order, so that a walk and the cache are merged in one pass
//! with no table in memory: a [`CacheCursor`] looks up, a [`CacheWriter`] writes the next cache from what the walk
//! found. It depends on the source alone: not on base, flags or store.
//!
//! Invariants:
//! - A hash is handed out only for a file of which the kernel says exactly (device, inode, size, both times, kind) what
//!   it said when that hash was made, and only if [`is_trusted`](super::is_trusted) held then. The rule needs nothing
//!   that becomes known later, so it is applied when a record is written; what is not trusted is not recorded, nor is
//!   the time of hashing.
//! - Every byte is covered by a checksum that is checked after the byte was copied out of the file: a cache that is
//!   torn, truncated, of another version or of another source is forgotten, by blocks or as a whole; never believed.
//! - A cache is never changed under its name. A new one is written over the one before, which stands beside it, under a
//!   lock that also makes a second writer give up, and the two change names, without fsync. Whoever still reads the
//!   one before finds blocks with wrong sums. A crash leaves the old one, the new one or one that is forgotten.
//!
//! What a walk did not visit is dropped: it cannot be told from what was deleted. Symbolic links are recorded by the
//! BLAKE3 of their targets. Records of unchanged neighbours stay together in blocks that are copied as they are; a
//! cache in which nothing changed is not written at all.

mod cursor;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod layout;
mod records;
mod section;
mod sections;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ambient::Ambient;
use crate::cache_room::{Room, evict_now_and_then, note_used};

pub use self::cursor::{CacheCursor, CacheHit};
use self::layout::CacheFile;
pub use self::section::CacheSection;
pub use self::sections::CacheSections;
pub use self::writer::CacheWriter;

/// Where stat caches are in a directory of caches.
const DIRECTORY: &str = "sources";

/// For all sources together: ten million files or so.
const ROOM: Room = Room { bytes: 2 << 30, files: 4096 };

/// The BLAKE3-256 of a file's content, or of a symbolic link's target.
pub type ContentHash = [u8; 32];

/// The cache of one source, as it was when opened.
#[derive(Debug)]
pub struct StatCache {
    path: PathBuf,
    source: ContentHash,
    file: Option<Arc<CacheFile>>,
}

impl StatCache {
    /// Opens the cache of the source at `root`, an absolute path without symbolic links, in a directory of caches.
    ///
    /// One that does not exist or cannot be used is empty.
    pub fn open(caches: &Path, root: &Path) -> Self {
        let (source, path) = Self::place(caches, root);
        let file = File::open(&path).ok();
        file.as_ref().inspect(|file| note_used(file));
        let file = file.and_then(|file| CacheFile::read(file, &source)).map(Arc::new);
        Self { path, source, file }
    }

    fn place(caches: &Path, root: &Path) -> (ContentHash, PathBuf) {
        let source = blake3::hash(root.as_os_str().as_bytes());
        (*source.as_bytes(), caches.join(format!("{}.stat", &source.to_hex()[..32])))
    }

    /// Where the cache of a source is in a directory of all caches.
    pub(super) fn path_of_source(cache_dir: &Path, root: &Path) -> PathBuf {
        Self::place(&cache_dir.join(DIRECTORY), root).1
    }

    /// Opens the cache of a source among those in a directory of all caches.
    pub(crate) fn of_source(cache_dir: &Path, root: &Path) -> Self {
        Self::open(&cache_dir.join(DIRECTORY), root)
    }

    /// Removes now and then the caches in there that were used least recently, and have no room.
    pub(crate) fn evict(cache_dir: &Path, ambient: &Ambient) {
        evict_now_and_then(ambient, &cache_dir.join(DIRECTORY), ROOM);
    }

    /// A cache that knows nothing, to look up in.
    pub fn none() -> Self {
        Self { path: PathBuf::new(), source: [0; 32], file: None }
    }

    /// Looks up in walk order, from the beginning.
    pub fn cursor(&self) -> CacheCursor {
        CacheCursor::new(self.file.clone())
    }

    /// Writes the cache that is to replace this one.
    pub fn writer(&self) -> CacheWriter {
        CacheWriter::new(self.path.clone(), self.source, self.file.clone())
    }
}
