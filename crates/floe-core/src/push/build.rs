//! Making a snapshot: everything between the walk and the commit.

mod finish;
mod pass;

use std::collections::HashSet;
use std::sync::Arc;

use floe_format::{Parameters, Root};

use super::assemble::{Assembled, Counts, Ended};
use super::base::BasePacks;
use super::elsewhere::Elsewhere;
use super::input::{Input, Listings};
use super::journal::Journal;
use super::known::KnownFrames;
use super::packs::PackOutput;
use super::passes::Passes;
use super::plan::Planned;
use super::work::{Changed, Unread};
use super::{PushOptions, PushProgress, Pushed};
use crate::namespace::Namespace;
use crate::offload::spawn;
use crate::pack_tails::PackTails;
use crate::reference::SnapshotAt;
use crate::source::CacheWriter;
use crate::store::OpenUploads;
use crate::{Error, ErrorKind, Remedy, Result};

/// How often a source that changes meanwhile is planned.
const MAX_PASSES: usize = 4;

/// How often it is planned in all, without what could not be read. One that holds still is twice: all that cannot be read
/// is found at once.
const MAX_PASSES_IN_ALL: usize = 4 * MAX_PASSES;

/// How many restless directories are told of one by one.
const MOST_TOLD: usize = 10;

/// What a snapshot is made from.
pub(super) struct Build {
    pub(super) namespace: Namespace,
    pub(super) parameters: Parameters,
    pub(super) input: Input,
    pub(super) options: PushOptions,
    pub(super) progress: Arc<PushProgress>,
    pub(super) tails: PackTails,
    pub(super) base: Option<Root>,
    pub(super) packs: Arc<BasePacks>,
    pub(super) elsewhere: Option<Arc<Elsewhere>>,
    pub(super) journal: Journal,
    pub(super) uploads: OpenUploads,
    /// What the ref names.
    pub(super) former: Option<SnapshotAt>,
}

/// A snapshot whose packs are in the store, and the account of it.
pub(super) struct Built {
    pub(super) snapshot: NewSnapshot,
    /// Its outcome is not known yet.
    pub(super) pushed: Pushed,
    /// The source's next stat cache, to be put in place whatever becomes of the commit. Not before it: on some file
    /// systems a sync waits for what was just renamed.
    pub(super) cache: Option<CacheWriter>,
}

/// What is still to be done.
pub(super) enum NewSnapshot {
    /// Nothing: the ref names it.
    Unchanged(SnapshotAt),
    /// Nothing: that was asked.
    DryRun(SnapshotAt),
    /// The snapshot object is to be published.
    Made { at: SnapshotAt, object: Vec<u8> },
}

impl Build {
    /// Makes the snapshot; blocks.
    pub(super) fn run(self, listings: Listings) -> Result<Built> {
        let cache_dir = self.options.cache_dir.as_deref();
        let known = KnownFrames::new(Arc::clone(&self.packs), self.elsewhere.clone(), cache_dir);
        let known = Arc::new(known);
        let packs = PackOutput::new(
            &self.namespace,
            &self.tails,
            &self.journal,
            &self.progress,
            &self.uploads,
            &self.options,
        );
        let mut passes = Passes::new(packs, cache_dir);
        let mut skipped = Vec::new();
        let mut listings = Some(listings);
        let (mut planned, mut assembled, mut cache) = loop {
            passes.count += 1;
            let these_listings = match listings.take() {
                Some(listings) => listings,
                None => {
                    self.progress.restart();
                    known.release_all_but(passes.packs.stored_ids())?;
                    self.input.listings(&self.options.exclusions, &self.options.cancel)?
                }
            };
            let (mut planned, mut assembled, cache) = match self.pass(these_listings, &known, &mut passes) {
                Ok(done) => done,
                Err(Ended::Changed(Changed { error, is_of_rules })) => {
                    if is_of_rules {
                        passes.give_up(cache_dir);
                    }
                    if passes.count >= MAX_PASSES {
                        return Err(error);
                    }
                    tracing::debug!(%error, "the source changed meanwhile; it is planned again");
                    continue;
                }
                Err(Ended::Failed(error)) => return Err(error),
            };
            let mut unread = std::mem::take(&mut assembled.unread);
            if !planned.denied.is_empty() {
                let told: HashSet<&[u8]> = unread.iter().map(|unread| &unread.path[..]).collect();
                planned.denied.retain(|denied| !told.contains(&denied.path[..]));
                unread.append(&mut planned.denied);
            }
            let all_read = unread.is_empty() && planned.unread.is_empty();
            let is_enough = !unread.is_empty() && passes.count >= MAX_PASSES_IN_ALL;
            if !all_read && (!self.options.skip_unreadable || is_enough) {
                planned.unread.extend(unread);
                self.keep_for_next(cache);
                return Err(unreadable(&planned.unread));
            }
            if unread.is_empty() {
                skipped.append(&mut planned.unread);
                break (planned, assembled, cache);
            }
            // Without them groups are others, so all is planned again; what was read is known by then.
            keep_cache(cache);
            unread.iter().for_each(|unread| passes.left_out.add(unread));
            skipped.extend(unread);
        };
        tell_of_restless(&planned.restless);
        self.count_moved(&mut planned, &mut assembled);
        let finished = beside_writing(&mut cache, || self.finish(planned, assembled, skipped, passes.packs));
        match finished {
            Ok((snapshot, pushed)) => Ok(Built { snapshot, pushed, cache }),
            Err(error) => {
                self.keep_for_next(cache);
                Err(error)
            }
        }
    }

    /// Whoever repeats a push that failed need not read everything again.
    fn keep_for_next(&self, cache: Option<CacheWriter>) {
        keep_cache(cache);
        self.input.keep_names();
    }

    /// Counts as reused the files that were read and whose content the base has under another path.
    fn count_moved(&self, planned: &mut Planned, assembled: &mut Assembled) {
        let mut read = std::mem::take(&mut assembled.read_files);
        let Some(contents) = planned.base_contents.take().filter(|_| !read.is_empty()) else { return };
        // Most often few files were read, and the base has many.
        read.sort_unstable();
        let mut is_moved = vec![false; read.len()];
        for content in contents {
            let first = read.partition_point(|(read, _)| *read < content);
            // Many files may have the same content, there and here.
            if is_moved.get(first).is_none_or(|is_moved| *is_moved) {
                continue;
            }
            for (at, _) in read[first..].iter().enumerate().take_while(|(_, (read, _))| *read == content) {
                is_moved[first + at] = true;
            }
        }
        let before = Counts::of(assembled);
        for ((_, size), _) in read.into_iter().zip(is_moved).filter(|(_, is_moved)| *is_moved) {
            assembled.count_reused(size);
        }
        Counts::of(assembled).tell_since(&before, &self.progress);
    }
}

/// Does something while the stat cache is written, most of which is to be copied from the old one: what is done waits for
/// the store, or has one thread.
fn beside_writing<T>(cache: &mut Option<CacheWriter>, work: impl FnOnce() -> T) -> T {
    let (done, is_whole) = std::thread::scope(|scope| {
        let writing = cache.as_mut().and_then(|cache| spawn(scope, || cache.write_out()).ok());
        let done = work();
        (done, writing.is_none_or(|writing| writing.join().is_ok()))
    });
    if !is_whole {
        *cache = None;
    }
    done
}

/// Puts the new stat cache in the place of the old one. Without it the next push is slower.
pub(super) fn keep_cache(cache: Option<CacheWriter>) {
    if let Some(cache) = cache {
        tell_of_cache(cache.finish());
    }
}

fn tell_of_cache(kept: Result<()>) {
    if let Err(error) = kept {
        tracing::warn!("the next push will be slower: {}", error.with_causes());
    }
}

/// Says in which directories something may have been missed; of many the first ones.
fn tell_of_restless(directories: &[Vec<u8>]) {
    for path in directories.iter().take(MOST_TOLD) {
        let path = if path.is_empty() { "the source".into() } else { String::from_utf8_lossy(path) };
        tracing::warn!("{path} changed each time it was listed; what was renamed in it may be missing");
    }
    if let Some(more @ 1..) = directories.len().checked_sub(MOST_TOLD) {
        tracing::warn!("so did {more} other directories");
    }
}

/// The error that names all that could not be read.
fn unreadable(unread: &[Unread]) -> Error {
    let mut message = match unread.len() {
        1 => "an entry cannot be read".to_owned(),
        count => format!("{count} entries cannot be read"),
    };
    for unread in unread {
        message.push_str("\n  ");
        message.push_str(&String::from_utf8_lossy(&unread.path));
        message.push_str(": ");
        message.push_str(&unread.reason());
    }
    Error::new(ErrorKind::Denied, message).with_remedy(Remedy::SkipUnreadable)
}
