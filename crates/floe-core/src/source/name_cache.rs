//! The names in each directory of a source, as they were when last read.
//!
//! A name that comes or goes stamps its directory, so a directory of which the kernel says what it said then has the
//! names it had then, and a walk need not ask for them: a tenth of its cost. One file per source in a directory of
//! caches, beside its stat cache; it depends on the source alone.
//!
//! Invariants:
//! - Names are handed out only for a directory of which the kernel says exactly (device, inode, size, links, both
//!   times) what it said before and after they were read, and only where [`HashClock::of_names`] believed and
//!   [`is_trusted`] held then. Whole seconds are not believed: images that were made elsewhere have such times.
//! - A walk that does not find a name that it was handed reads the directory after all. Names may be others without a
//!   stamp where they are encrypted and the key came or went; then none of them is found.
//! - Every byte is covered by a checksum that is checked after the byte was copied out of the file. A cache that is
//!   torn, truncated or of another version is forgotten, one record or as a whole; never believed.
//! - A cache is never changed under its name (see [`Replacement`](super::replacement::Replacement)). A push that fails
//!   before it has walked to the end leaves the old one.
//!
//! Where something is new, what was not found since the cache was opened is dropped; where nothing is, nothing is
//! written. Memory holds the table: at most 24 MiB, and 90 MiB where as many are new and the next is written.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod layout;
mod recorder;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    found_count: AtomicUsize,
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
        Self { path, old, found, found_count: AtomicUsize::new(0), new: Mutex::default() }
    }

    /// The names of a directory of which the kernel just said this; nothing where they are not known.
    pub(super) fn find(&self, stat: &Stat) -> Option<Names> {
        let number = self.old.find(&key(stat))?;
        let names = self.old.names(number)?;
        if !self.found[number].swap(true, Ordering::Relaxed) {
            self.found_count.fetch_add(1, Ordering::Relaxed);
        }
        Some(names)
    }

    /// Notes the names of a directory, of which the kernel said this before and after they were read; its clock stood
    /// there before.
    pub(super) fn note(&self, stat: &Stat, names: &Names, began: HashClock) {
        if !is_trusted(stat, began) {
            return;
        }
        let mut new = self.recorder();
        if self.found_count.load(Ordering::Relaxed) + new.count() < MAX_DIRECTORIES {
            new.push(&self.path, &self.old, key(stat), names);
        }
    }

    /// Puts the new cache in the place of the old one, if anything was noted. Without it the next walk is slower.
    pub(crate) fn keep(&self) {
        let recorder = std::mem::take(&mut *self.recorder());
        let found = |number: usize| self.found[number].load(Ordering::Relaxed);
        if let Err(error) = recorder.finish(&self.path, &self.old, found) {
            tracing::warn!("the next push will be slower: {}", error.with_causes());
        }
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
