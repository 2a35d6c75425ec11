//! The names in each directory of a source, as they were when last read.
//!
//! A directory of which the kernel says what it said then has the names it had then: each name that comes, goes or
//! changes its kind stamps the directory. So a walk need not ask for the names of what has not changed, which costs a
//! tenth of it. One file per source in a directory of caches, beside its stat cache; it depends on the source alone.
//!
//! Invariants:
//! - Names are handed out only for a directory of which the kernel says exactly (device, inode, both times) what it
//!   said before they were read, and only if [`is_trusted`] held then, on a file system that is known to stamp
//!   directories.
//! - Every byte is covered by a checksum that is checked after the byte was copied out of the file. A cache that is
//!   torn, truncated or of another version is forgotten, one record or as a whole; never believed.
//! - A cache is never changed under its name (see [`Replacement`](super::replacement::Replacement)). A walk that ends
//!   early leaves the old one.
//!
//! What no walk asked about since the last was written is dropped when the next is; where nothing is new none is.

mod layout;
mod recorder;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::layout::{NameFile, key};
use self::recorder::Recorder;
use super::stat::Stat;
use super::stat_cache::StatCache;
use super::trust::{HashClock, is_trusted};
use super::walk::Names;
use crate::cache_room::note_used;

/// Directories beyond these are not recorded; their table is in memory.
const MAX_DIRECTORIES: usize = 1 << 18;

/// Directories with more bytes of names than these are not recorded.
const MAX_RECORD_BYTES: usize = 16 << 20;

/// The names of one source, as they were known when it was opened, and what is found out meanwhile.
#[derive(Debug)]
pub(crate) struct NameCache {
    path: PathBuf,
    old: NameFile,
    /// Which of the old records were found, by their places in the table.
    found: Vec<AtomicBool>,
    new: Mutex<Recorder>,
}

impl NameCache {
    /// Opens the cache of the source at `root`, an absolute path without symbolic links, in a directory of all caches.
    ///
    /// One that does not exist or cannot be used is empty.
    pub(crate) fn of_source(cache_dir: &Path, root: &Path) -> Self {
        Self::open(StatCache::path_of_source(cache_dir, root).with_extension("names"))
    }

    fn open(path: PathBuf) -> Self {
        let file = File::open(&path).ok();
        file.as_ref().inspect(|file| note_used(file));
        let old = file.and_then(NameFile::read).unwrap_or_default();
        let found = old.items.iter().map(|_| AtomicBool::new(false)).collect();
        Self { path, old, found, new: Mutex::default() }
    }

    /// The names of a directory of which the kernel just said this; nothing where they are not known.
    pub(super) fn find(&self, stat: &Stat) -> Option<Names> {
        let number = self.old.find(&key(stat))?;
        let names = self.old.names(number)?;
        self.found[number].store(true, Ordering::Relaxed);
        Some(names)
    }

    /// Notes the names of a directory, of which the kernel said this when its clock stood there, before they were read.
    pub(super) fn note(&self, stat: &Stat, names: &Names, began: HashClock) {
        if is_trusted(stat, began) {
            self.recorder().push(&self.path, key(stat), names);
        }
    }

    /// Puts the new cache in the place of the old one, if anything was noted. Without it the next walk is slower.
    pub(crate) fn keep(&self) {
        let recorder = std::mem::take(&mut *self.recorder());
        let found = |number: usize| self.found[number].load(Ordering::Relaxed);
        if let Err(error) = recorder.finish(&self.path, &self.old, found) {
            tracing::warn!(%error, "the next push will be slower");
        }
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
