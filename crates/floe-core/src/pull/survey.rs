//! Comparing an existing directory with the snapshot, before anything is written.
//!
//! One thread goes through the segments and collects the entries of each directory; others compare. A directory waits until
//! the one it is in was compared; since they are taken in order, there is always one that need not wait.

mod extras;
mod listing;
mod surveyor;

use std::collections::{HashMap, HashSet};
use std::hash::RandomState;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::destination::{DirId, Tree};
use crate::offload::{Offloaded, spawn};
use crate::source::StatCache;
use crate::{Error, ErrorKind, Result};

use self::surveyor::Surveyor;
use super::Pull;
use super::cache::open_cache;
use super::group::Group;
use super::hashing::Hashing;
use super::own::OwnBelow;
use super::surveyed::Surveyed;

/// How many directories may wait to be compared.
const GROUPS_AHEAD: usize = 64;

/// Which directories were compared.
#[derive(Default)]
struct Compared {
    done: Mutex<HashSet<DirId>>,
    changed: Condvar,
    /// The paths of directories as the destination lists them, of those that it has under other spellings or in such: asked
    /// only where something is left out.
    listed: Mutex<HashMap<DirId, Vec<u8>>>,
}

impl Compared {
    fn wait(&self, parent: Option<DirId>, work: &Offloaded) -> Result<()> {
        let Some(parent) = parent else { return Ok(()) };
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        while !done.contains(&parent) {
            work.check()?;
            let patience = std::time::Duration::from_millis(50);
            done = self.changed.wait_timeout(done, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    fn listed(&self, directory: DirId) -> Option<Vec<u8>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).get(&directory).cloned()
    }

    fn note_listed(&self, directory: DirId, path: Vec<u8>) {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).insert(directory, path);
    }

    fn finish(&self, directory: DirId) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(directory);
        self.changed.notify_all();
    }
}

impl Pull {
    /// Compares all directories with the snapshot's.
    pub(super) fn survey(&mut self, tree: &Tree, destination: &Path) -> Result<Surveyed> {
        let needed = self.needed_directories()?;
        let cache = self.options.cache_dir.as_ref().and_then(|caches| open_cache(caches, destination));
        let work = Offloaded { runtime: self.work.runtime.clone(), cancel: self.work.cancel.child_token() };
        let (restore, by_hash, threads) = (self.restore(), self.options.by_hash, self.threads);
        let selection = self.selection.clone();
        let own = OwnBelow::find(destination, &self.options.own);
        let caches = self.options.cache_dir.clone();
        let (compared, paths) = (Compared::default(), RandomState::new());
        let progress = Arc::clone(&self.progress);
        let (sender, receiver) = crossbeam_channel::bounded::<Group>(GROUPS_AHEAD);
        let (listed, found) = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.max(1))
                .map(|_| {
                    let (receiver, cache, compared) = (receiver.clone(), cache.as_ref(), &compared);
                    let (selection, paths, own, work) = (&selection, &paths, &own, &work);
                    let (caches, progress) = (caches.as_deref(), &*progress);
                    spawn(scope, move || {
                        let surveyor = Surveyor {
                            worker: tree.worker(),
                            restore,
                            selection,
                            paths,
                            own,
                            cursor: cache.filter(|_| !by_hash).map(StatCache::cursor),
                            hashing: Hashing::default(),
                            keeps: cache.is_some(),
                            found: Surveyed::keeping_in(caches),
                            progress,
                            work,
                            compared,
                        };
                        surveyor.run(receiver)
                    })
                })
                .collect();
            drop(receiver);
            if workers.iter().any(Result::is_err) {
                work.cancel.cancel();
            }
            let listed = self.list_groups(tree, needed.as_deref(), &paths, &work, &sender);
            if listed.is_err() {
                work.cancel.cancel();
            }
            drop(sender);
            let panicked = |_| Err(Error::new(ErrorKind::Internal, "a thread that compares panicked"));
            let join = |worker: Result<std::thread::ScopedJoinHandle<'_, Result<Surveyed>>>| {
                worker.and_then(|worker| worker.join().unwrap_or_else(panicked))
            };
            (listed, workers.into_iter().map(join).collect::<Vec<_>>())
        });
        let (mut surveyed, stopped) = in_all(found)?;
        let directories = listed?;
        stopped?;
        surveyed.keep_links();
        self.survey_stand_ins(tree, &mut surveyed)?;
        let worker = tree.worker();
        surveyed.top_differs = self.top.with_meta(self.restore(), |meta| worker.root_differs(meta))?;
        surveyed.changes += u64::from(surveyed.top_differs);
        surveyed.directories = directories;
        surveyed.needed = needed;
        surveyed.cache = cache;
        Ok(surveyed)
    }
}

/// What all threads found, and whether one of them was stopped.
fn in_all(found: Vec<Result<Surveyed>>) -> Result<(Surveyed, Result<()>)> {
    let (mut surveyed, mut stopped) = (Surveyed::default(), Ok(()));
    for found in found {
        match found {
            Ok(found) => surveyed.add(found),
            // What the others report is that they stopped.
            Err(error) if error.kind() == ErrorKind::Cancelled => stopped = Err(error),
            Err(error) => return Err(error),
        }
    }
    Ok((surveyed, stopped))
}
