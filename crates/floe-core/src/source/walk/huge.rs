//! A directory with so many names that it is listed in parts, by several threads.
//!
//! Its names are read and sorted at once (some 30 bytes each), so that its parts follow each other in order; what
//! the kernel says about them, which is three times as much, exists for a few parts at a time.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use super::agenda::Subdirectories;
use super::directory::{Directory, lock};
use super::listing::Listing;
use super::names::{FoundDirectories, Name, Names, bytes_of, c_str};
use crate::source::Stat;
use crate::source::ignore::{Obeyed, Rules};

/// How many names are one part, and the most that are listed at once.
pub(super) const CHUNK_NAMES: usize = 4096;

/// A directory that is being listed in parts.
#[derive(Debug)]
pub(super) struct HugeDirectory {
    pub(super) directory: Arc<Directory>,
    pub(super) descriptor: Arc<OwnedFd>,
    pub(super) path: Vec<u8>,
    pub(super) stat: Stat,
    pub(super) names: Names,
    pub(super) rules: Option<Arc<Rules>>,
    pub(super) obeyed: Obeyed,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    unfinished: usize,
    subdirectories: Vec<FoundDirectories>,
}

impl HugeDirectory {
    pub(super) fn new(
        directory: Arc<Directory>,
        descriptor: Arc<OwnedFd>,
        stat: Stat,
        names: Names,
        rules: Option<Arc<Rules>>,
        obeyed: Obeyed,
    ) -> Self {
        let unfinished = names.spans.len().div_ceil(CHUNK_NAMES);
        let subdirectories = (0..unfinished).map(|_| FoundDirectories::default()).collect();
        let progress = Mutex::new(Progress { unfinished, subdirectories });
        Self { path: directory.path(), directory, descriptor, stat, names, rules, obeyed, progress }
    }

    pub(super) fn chunk_count(&self) -> usize {
        self.names.spans.len().div_ceil(CHUNK_NAMES)
    }

    /// The names of a part, and an empty listing for them with their bytes.
    pub(super) fn part(&self, chunk: usize) -> (Listing, Vec<Name>) {
        let start = chunk * CHUNK_NAMES;
        let spans = &self.names.spans[start..self.names.spans.len().min(start + CHUNK_NAMES)];
        let mut names = Names::default();
        for span in spans {
            let pushed = names.push(c_str(&self.names.bytes, *span), span.kind);
            pushed.expect("a part of the names is smaller than all of them");
        }
        let mut listing = Listing::new(self.path.clone(), self.stat, names.bytes, spans.len());
        listing.is_first = chunk == 0;
        if listing.is_first {
            listing.rules = self.obeyed.in_the_end(true);
        }
        listing.is_last = chunk + 1 == self.chunk_count();
        (listing, names.spans)
    }

    /// Notes the subdirectories of a part; when it was the last to be finished, all of them and true.
    pub(super) fn finish(
        &self,
        chunk: usize,
        subdirectories: FoundDirectories,
    ) -> (Option<Subdirectories>, bool) {
        let mut progress = lock(&self.progress);
        progress.subdirectories[chunk] = subdirectories;
        progress.unfinished -= 1;
        if progress.unfinished > 0 {
            return (None, false);
        }
        let mut parts = std::mem::take(&mut progress.subdirectories).into_iter();
        drop(progress);
        let mut all = parts.next().unwrap_or_default();
        parts.for_each(|part| all.append(part));
        let Names { bytes, spans } = &all.names;
        debug_assert!(spans.is_sorted_by(|a, b| bytes_of(bytes, *a) < bytes_of(bytes, *b)));
        let parent = Arc::clone(&self.directory);
        let group = Subdirectories { parent, found: all, rules: self.rules.clone() };
        (Some(group).filter(|group| group.count() > 0), true)
    }
}
