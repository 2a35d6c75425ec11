//! The ignore files that were obeyed, looked at again in the end.
//!
//! Directories are listed one after another. A rule may be moved from one to another meanwhile, or be made before what it
//! keeps out, in a directory that was not listed yet: what is kept out at any moment would be stored. And an ignore file may not
//! have been written to its end when it was obeyed, or not be there because it is about to be made again.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::offload::pause;
use crate::push::assemble::Ended;
use crate::push::input::InputFiles;
use crate::push::work::changed;
use crate::source::{Child, DirectoryId, ListedDirectory, Listing, Stat, join, rewrite_time};

/// What ignore files were when they were obeyed, or that they were not there.
#[derive(Debug, Default)]
pub(in crate::push) struct RulesRead {
    files: Vec<RulesFile>,
    /// The paths of their directories, each without its beginning that it shares with the one before.
    paths: Vec<u8>,
    last_path: Vec<u8>,
}

#[derive(Debug)]
struct RulesFile {
    /// How much of the path before begins this one, and how much is of its own.
    shared_len: usize,
    own_len: usize,
    directory: DirectoryId,
    name: &'static str,
    stat: Option<Box<Stat>>,
    /// When whoever had only begun to rewrite it is done.
    settled: Instant,
}

impl RulesRead {
    /// Adds those of a listing.
    pub(super) fn add(&mut self, listing: &Listing) {
        let ListedDirectory { path, id } = listing.directory();
        for (name, stat) in listing.rules() {
            let shared_len = self.last_path.iter().zip(path).take_while(|(last, now)| last == now).count();
            let own = &path[shared_len..];
            self.paths.extend_from_slice(own);
            self.last_path.truncate(shared_len);
            self.last_path.extend_from_slice(own);
            // What had just changed is the file, or the directory.
            let changed = stat.as_ref().unwrap_or(listing.stat());
            self.files.push(RulesFile {
                shared_len,
                own_len: own.len(),
                directory: id,
                name,
                stat: stat.map(Box::new),
                settled: Instant::now() + changed.until_as_old_as(rewrite_time(stat.as_ref())),
            });
        }
    }

    /// Checks, when all was read, that all are what they were.
    pub(in crate::push) fn check(
        &self,
        files: &mut InputFiles,
        cancel: &CancellationToken,
    ) -> Result<(), Ended> {
        let mut path = Vec::new();
        let mut paths = &self.paths[..];
        for file in &self.files {
            let own = paths.split_off(..file.own_len).unwrap_or_default();
            path.truncate(file.shared_len);
            path.extend_from_slice(own);
            pause(cancel, file.settled.saturating_duration_since(Instant::now()))?;
            let directory = ListedDirectory { path: &path, id: file.directory };
            let name = file.name.as_bytes();
            let is_still = match &file.stat {
                Some(stat) => files.is_still(directory, &Child { name, stat }),
                None => files.is_absent(directory, name),
            };
            if !is_still.map_err(Ended::Failed)? {
                return Err(Ended::Changed(changed(&join(&path, name))));
            }
        }
        Ok(())
    }
}
