//! Pulling one entry that is no directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use floe_format::{Body, EntryKind, parent_and_name};

use crate::destination::{DirId, InPlace, Occupant, look};
use crate::reader::{find_entry, shown};
use crate::{Error, ErrorKind, Result};

use super::Pull;
use super::options::{PullOutcome, Pulled};
use super::tree::WrittenTree;

impl Pull {
    /// Writes one entry: into `destination` under its own name where that is a directory, else as `destination`. What is
    /// there is replaced at once.
    pub(super) fn pull_single(&mut self, destination: &Path) -> Result<Pulled> {
        let Some(mut entry) = self.top.entry.clone() else {
            return Err(Error::new(ErrorKind::Internal, "a single entry without one"));
        };
        let (directory, name) = place(destination, parent_and_name(&entry.path).1)?;
        if let Body::HardLink { target } = entry.body.as_body() {
            let cache = self.options.cache_dir.as_deref();
            let found = self.work.wait(find_entry(&self.namespace, &self.snapshot, cache, target))?;
            if found.as_entry().kind() != EntryKind::File {
                let message =
                    format!("the snapshot has a hard link to {}, which is no file of it", shown(target));
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            entry = found;
        }
        let size = entry.body.as_body().size();
        let is_file = entry.as_entry().kind() == EntryKind::File;
        let mut counted = WrittenTree {
            entries: 1,
            files_in_all: u64::from(is_file),
            file_bytes: size,
            written_files: u64::from(is_file),
            written_bytes: size,
            ..WrittenTree::default()
        };
        if self.options.dry_run {
            return Ok(self.pulled(&counted, PullOutcome::DryRun));
        }
        let place = InPlace::open(&directory, self.settings(false))?;
        let written = self.write_entry(place.tree(), &entry, (DirId::ROOT, name))?;
        if self.options.sync {
            place.tree().sync()?;
        }
        counted.skipped_devices = written.skipped_devices;
        counted.fetched_bytes = self.progress.fetched_bytes.load(std::sync::atomic::Ordering::Relaxed);
        let mut pulled = self.pulled(&counted, PullOutcome::Created);
        pulled.complaints = place.tree().complaints();
        Ok(pulled)
    }
}

/// The directory and the name that one entry is written to.
fn place(destination: &Path, own_name: &[u8]) -> Result<(PathBuf, Vec<u8>)> {
    if matches!(look(destination)?, Occupant::Directory | Occupant::Empty) {
        return Ok((destination.to_owned(), own_name.to_vec()));
    }
    let name = destination.file_name().map(OsStr::as_bytes).ok_or_else(|| {
        let path = shown(destination.as_os_str().as_bytes()).to_string();
        Error::new(ErrorKind::Invalid, format!("the destination {path} does not end in a name"))
    })?;
    let above = destination.parent().filter(|above| !above.as_os_str().is_empty());
    Ok((above.unwrap_or(Path::new(".")).to_owned(), name.to_vec()))
}
