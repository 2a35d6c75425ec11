//! Pulling one entry that is no directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use floe_format::{Body, Entry, EntryKind, OwnedBody, parent_and_name};

use crate::destination::{DirId, InPlace, Occupant, Survey, Tree, Verdict, Wanted, look};
use crate::diff::ChangeKind;
use crate::reader::{find_entry, shown};
use crate::source::refuse_in_own;
use crate::{Error, ErrorKind, Result};

use super::Pull;
use super::cache::stat_of;
use super::hashing::Hashing;
use super::left_out::{LeftOut, Place};
use super::options::{Foreseen, PullOutcome, Pulled};
use super::own::OwnBelow;
use super::restore::{wanted_kind, with_entry};
use super::tree::WrittenTree;

impl Pull {
    /// Writes one entry: into `destination` under its own name where that is a directory, else as `destination`. What is
    /// there is replaced at once, unless it is equal.
    pub(super) fn pull_single(&mut self, destination: &Path) -> Result<Pulled> {
        let Some(mut entry) = self.top.entry.clone() else {
            return Err(Error::new(ErrorKind::Internal, "a single entry without one"));
        };
        let own_name = parent_and_name(&entry.path).1.to_vec();
        if !self.selection.pick(self.selection.top(), &own_name, false).is_selected() {
            let message =
                format!("{} is all that is to be pulled, and the globs leave it out", shown(&entry.path));
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let Target { directory, name, special } = Target::find(destination, &entry)?;
        refuse_in_own(&directory.join(OsStr::from_bytes(&name)), &self.options.own)?;
        let own = OwnBelow::find(&directory, &self.options.own);
        own.refuse(&name)?;
        if let Body::HardLink { target } = entry.body.as_body() {
            entry = self.linked_file(target)?;
        }
        let place = InPlace::open_shared(&directory, self.settings(false))?;
        let survey = self.judge(place.tree(), &entry, &name)?;
        let verdict = survey.verdicts.first().copied();
        let verdict = verdict
            .ok_or_else(|| Error::new(ErrorKind::Internal, "a survey of one entry without a verdict"))?;
        // What is equal stays there: a pipe, or a symlink to a device.
        if let Some(special) = special.filter(|_| verdict == Verdict::Replace) {
            return Err(is_special(&special));
        }
        self.refuse_what_is_left_out(place.tree(), &own, &survey, (&name, &own_name))?;
        let mut counted = count(&entry, verdict);
        if let Some(teller) = &self.teller {
            let outcome = match foreseen(verdict) {
                Some(kind) => {
                    teller.tell(Foreseen::new(kind, &name))?;
                    PullOutcome::DryRun
                }
                None => PullOutcome::Unchanged,
            };
            return Ok(self.pulled(&counted, outcome));
        }
        place.remove_stale_files(&survey.stale)?;
        let outcome = match verdict {
            Verdict::Keep | Verdict::Skip => PullOutcome::Unchanged,
            Verdict::Fix => {
                let kind = wanted_kind(&entry.body.as_body(), DirId::ROOT);
                let mut worker = place.tree().worker();
                with_entry(&entry.as_entry(), self.restore(), |meta| {
                    worker.fix(DirId::ROOT, &Wanted { name: &name, kind, meta: *meta })
                })?;
                PullOutcome::Updated
            }
            Verdict::Create | Verdict::Replace | Verdict::Link | Verdict::Relink => {
                self.progress.entries_total.store(1, Ordering::Relaxed);
                self.progress.file_bytes_total.store(counted.file_bytes, Ordering::Relaxed);
                let written = self.write_entry(place.tree(), &entry, (DirId::ROOT, name))?;
                counted.fetched_bytes = written.fetched_bytes;
                if verdict == Verdict::Create { PullOutcome::Created } else { PullOutcome::Updated }
            }
        };
        if self.options.sync {
            place.tree().sync()?;
        }
        let mut pulled = self.pulled(&counted, outcome);
        pulled.complaints = place.tree().complaints();
        Ok(pulled)
    }

    /// The file of the snapshot that a hard link is.
    fn linked_file(&mut self, target: &[u8]) -> Result<Entry> {
        let cache = self.options.cache_dir.as_deref();
        let found = self.work.wait(find_entry(&self.namespace, &self.snapshot, cache, target))?;
        if found.as_entry().kind() != EntryKind::File {
            let message =
                format!("the snapshot has a hard link to {}, which is no file of it", shown(target));
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(found)
    }

    /// Refuses to write over what the globs leave out: a directory in the way, or another spelling; `name` is what is
    /// written, `own_name` what globs are matched against.
    fn refuse_what_is_left_out(
        &self,
        tree: &Tree,
        own: &OwnBelow,
        survey: &Survey,
        (name, own_name): (&[u8], &[u8]),
    ) -> Result<()> {
        let ignores_case = survey.ignores_case;
        let left_out = LeftOut { selection: &self.selection, own, work: &self.work, tree, ignores_case };
        let mut worker = tree.worker();
        let listed = match self.selection.leaves_out() && !survey.respelled.is_empty() {
            true => worker.listed_as(DirId::ROOT, name, &mut None)?,
            false => Vec::new(),
        };
        let there = Place { directory: DirId::ROOT, name, path: own_name, listed: &listed };
        let above = self.selection.top();
        if !survey.in_the_way.is_empty() {
            left_out.refuse(&mut worker, there, above)?;
        }
        if !survey.respelled.is_empty() && survey.verdicts != [Verdict::Keep] {
            left_out.refuse_respelled(&mut worker, there, above)?;
        }
        Ok(())
    }

    /// Compares what has this name in the tree's own directory with an entry that is to have it.
    fn judge(&self, tree: &Tree, entry: &Entry, name: &[u8]) -> Result<Survey> {
        let body = entry.body.as_body();
        let kind = wanted_kind(&body, DirId::ROOT);
        let mut worker = tree.worker();
        let mut hashing = Hashing::default();
        with_entry(&entry.as_entry(), self.restore(), |meta| {
            worker.survey(DirId::ROOT, [Wanted { name, kind, meta: *meta }], &mut |_, file| {
                let Body::File { hash: Some(hash), .. } = body else { return Ok(false) };
                Ok(hashing.has_content(file, &stat_of(file.stat()), &hash, &self.work)?.is_some())
            })
        })
    }
}

/// What a pull of one entry would do.
fn foreseen(verdict: Verdict) -> Option<ChangeKind> {
    match verdict {
        Verdict::Keep | Verdict::Skip => None,
        Verdict::Fix => Some(ChangeKind::Metadata),
        Verdict::Create | Verdict::Link => Some(ChangeKind::Added),
        Verdict::Replace | Verdict::Relink => Some(ChangeKind::Content),
    }
}

/// What a pull of one entry writes.
fn count(entry: &Entry, verdict: Verdict) -> WrittenTree {
    let is_file = entry.as_entry().kind() == EntryKind::File;
    let is_written = matches!(verdict, Verdict::Create | Verdict::Replace);
    let size = entry.body.as_body().size();
    WrittenTree {
        entries: 1,
        files_in_all: u64::from(is_file),
        file_bytes: size,
        written_files: u64::from(is_file && is_written),
        written_bytes: if is_written { size } else { 0 },
        skipped_devices: u64::from(verdict == Verdict::Skip),
        ..WrittenTree::default()
    }
}

/// Whoever says /dev/null does not want it replaced.
fn is_special(destination: &Path) -> Error {
    let said = shown(destination.as_os_str().as_bytes());
    let message = format!("{said} is a device, pipe or socket, which a pull of one entry does not replace");
    Error::new(ErrorKind::Invalid, message)
}

/// Where one entry is written to.
struct Target {
    directory: PathBuf,
    name: Vec<u8>,
    /// Its path as it was said, where a device, pipe or socket is there.
    special: Option<PathBuf>,
}

impl Target {
    fn find(destination: &Path, entry: &Entry) -> Result<Self> {
        let bytes = destination.as_os_str().as_bytes();
        let said = shown(bytes);
        let mut occupant = look(destination)?;
        let mut place = destination.to_owned();
        let is_within = occupant == Occupant::Directory;
        if is_within {
            place.push(OsStr::from_bytes(parent_and_name(&entry.path).1));
            // What cannot be looked at the survey tells of, or it is replaced as a symlink that leads nowhere.
            occupant = look(&place).unwrap_or(Occupant::Other);
        }
        let special = (occupant == Occupant::Special).then(|| place.clone());
        // Told before anything else that may be wrong there, as where /dev is read-only.
        if let Some(special) = &special
            && matches!(entry.body, OwnedBody::File { .. } | OwnedBody::HardLink { .. })
        {
            return Err(is_special(special));
        }
        if is_within {
            let name = parent_and_name(&entry.path).1.to_vec();
            return Ok(Self { directory: destination.to_owned(), name, special });
        }
        // `Path` does not show these ends.
        if bytes.ends_with(b"/") || bytes.ends_with(b"/.") {
            let message = format!("there is no directory {said} to write {} into", shown(&entry.path));
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let name = destination.file_name().map(OsStr::as_bytes).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("the destination {said} does not end in a name"))
        })?;
        let above = destination.parent().filter(|above| !above.as_os_str().is_empty());
        let directory = above.unwrap_or(Path::new(".")).to_owned();
        Ok(Self { directory, name: name.to_vec(), special })
    }
}
