//! The ignore files that were obeyed, looked at again in the end.
//!
//! Directories are listed one after another. A rule may be moved from one to another meanwhile, or be made before what it
//! keeps out, in a directory that was not listed yet or a file that was not read: what is kept out at any moment would be
//! stored. So where anything that was listed or read changed since the walk began, all are looked at, and where it was read,
//! also whether there are others by now: a directory with no other below it is not kept for that. And an ignore file may
//! not have been written to its end when it was obeyed, or not be there because it is about to be made again: that is
//! looked at in any case.

use std::collections::HashSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::offload::pause;
use crate::push::assemble::{Assembled, Ended};
use crate::push::input::InputFiles;
use crate::push::work::{Changed, changed};
use crate::source::{
    Child, DirectoryId, Exclusions, ListedDirectory, Listing, Recency, Stat, WalkBegan, is_cache_tag, join,
    rewrite_time,
};
use crate::store::{SystemTimer, Timer as _};

/// What ignore files were when they were obeyed, or that they were not there.
#[derive(Debug)]
pub(in crate::push) struct RulesRead {
    began: Option<WalkBegan>,
    files: Vec<RulesFile>,
    /// The paths of their directories, each without its beginning that it shares with the one before.
    paths: Vec<u8>,
    last_path: Vec<u8>,
    /// How recently anything that was listed changed.
    recency: Recency,
    timer: SystemTimer,
}

#[derive(Debug)]
struct RulesFile {
    /// How much of the path before begins this one, and how much is of its own.
    shared_len: usize,
    own_len: usize,
    directory: DirectoryId,
    name: &'static str,
    stat: Option<Box<Stat>>,
    is_young: bool,
    /// When whoever had only begun to rewrite it is done, by the timer.
    settled: Duration,
}

/// The end of a pass whose rules are others by now.
fn of_rules(directory: &[u8], name: &str) -> Ended {
    Ended::Changed(Changed { is_of_rules: true, ..changed(&join(directory, name.as_bytes())) })
}

impl RulesRead {
    /// None yet, of a walk that began then.
    pub(super) fn since(began: Option<WalkBegan>) -> Self {
        Self {
            began,
            files: Vec::new(),
            paths: Vec::new(),
            last_path: Vec::new(),
            recency: Recency::default(),
            timer: SystemTimer::default(),
        }
    }

    /// Adds those of a listing.
    pub(super) fn add(&mut self, listing: &Listing) {
        let ListedDirectory { path, id } = listing.directory();
        let stat = listing.stat();
        self.recency.add(stat);
        listing.children().for_each(|child| self.recency.add(child.stat));
        for file in listing.rules() {
            let shared_len = self.last_path.iter().zip(path).take_while(|(last, now)| last == now).count();
            let own = &path[shared_len..];
            self.paths.extend_from_slice(own);
            self.last_path.truncate(shared_len);
            self.last_path.extend_from_slice(own);
            // It may be left out itself.
            file.stat.iter().for_each(|stat| self.recency.add(stat));
            // What had just changed is the file, or the directory.
            let changed = file.stat.as_ref().unwrap_or(stat);
            self.files.push(RulesFile {
                shared_len,
                own_len: own.len(),
                directory: id,
                name: file.name,
                stat: file.stat.map(Box::new),
                is_young: file.is_young,
                settled: self.timer.elapsed() + changed.until_as_old_as(rewrite_time(file.stat.as_ref())),
            });
        }
    }

    /// Whether nothing that was listed or read has changed since the walk began: then rules that came meanwhile came after
    /// all that they are for.
    fn is_quiet(&self, read: &Recency) -> bool {
        let is_old = |recency| self.began.is_some_and(|began| began.is_after_all(recency));
        is_old(&self.recency) && is_old(read)
    }

    /// Checks, when all was read, that all are what they were, and that where something fresh was read there are no others.
    pub(in crate::push) fn check(
        &self,
        files: &mut InputFiles,
        assembled: &Assembled,
        exclusions: &Exclusions,
        cancel: &CancellationToken,
    ) -> Result<(), Ended> {
        let is_quiet = self.is_quiet(&assembled.recency);
        let fresh = &assembled.fresh;
        // The rules that held for what is fresh.
        let mut held = HashSet::new();
        files.forget_directories();
        let mut path = Vec::new();
        let mut paths = &self.paths[..];
        for file in &self.files {
            let own = paths.split_off(..file.own_len).unwrap_or_default();
            path.truncate(file.shared_len);
            path.extend_from_slice(own);
            if file.stat.is_some() && fresh.contains(&path) {
                held.insert((path.clone(), file.name));
            }
            if is_quiet && !file.is_young {
                continue;
            }
            pause(cancel, file.settled.saturating_sub(self.timer.elapsed()))?;
            let directory = ListedDirectory { path: &path, id: file.directory };
            let name = file.name.as_bytes();
            let is_still = match &file.stat {
                // Where there is no tag any more, nothing is left out.
                Some(_) if is_cache_tag(file.name) && !files.is_there(&path, file.name) => Ok(true),
                Some(stat) => files.is_still(directory, &Child { name, stat }),
                None => files.is_absent(directory, name),
            };
            if !is_still.map_err(Ended::Failed)? {
                // Another directory that has none either is there by now, and in the one that was, nothing fresh was read.
                let is_replaced = file.stat.is_none()
                    && !assembled.is_fresh_below(&path)
                    && !files.is_in_place(directory)
                    && !files.is_there(&path, file.name);
                let ended = of_rules(&path, file.name);
                return Err(if is_replaced { Ended::Changed(changed(&path)) } else { ended });
            }
        }
        for directory in fresh {
            for name in exclusions.rule_files() {
                if !held.contains(&(directory.clone(), name)) && files.is_there(directory, name) {
                    return Err(of_rules(directory, name));
                }
            }
        }
        Ok(())
    }
}
