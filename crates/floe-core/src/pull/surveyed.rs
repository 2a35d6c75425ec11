//! What a survey of an existing directory found.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use floe_format::Body;

use crate::destination::{DirId, FileId, Verdict, Worker};
use crate::source::{CacheSections, StatCache};
use crate::{Error, ErrorKind, Result};

use super::options::{PullOptions, PullOutcome, Pulled};
use super::selection::Selection;
use super::stand_ins::OutsideLink;

/// What is done about an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Decision {
    /// Nothing.
    #[default]
    Keep,
    /// Its attributes are set.
    Fix,
    /// It is written; nothing is there.
    Create,
    /// It is written over something else; a hard link that is there is one of these until all of them are known.
    Replace,
    /// Nothing: it is a device.
    Skip,
}

impl Decision {
    /// Whether it is written.
    pub(super) fn is_written(self) -> bool {
        matches!(self, Self::Create | Self::Replace)
    }
}

/// What a survey found.
#[derive(Debug, Default)]
pub(super) struct Surveyed {
    /// The ids of the directories, by their numbers.
    pub(super) directories: Vec<DirId>,
    /// Which of them have to be there; all where there is none.
    pub(super) needed: Option<Vec<bool>>,
    /// By the entries' numbers in the walk.
    pub(super) decisions: Vec<Decision>,
    /// Hard links to be made.
    pub(super) links: u64,
    /// Hard links, as they are there, and files that are as they should be and have other names; those by a hash of their
    /// path here.
    pub(super) present_links: Vec<PresentLink>,
    pub(super) linked_files: HashMap<u64, LinkedFile>,
    /// Hard links to files that are not pulled.
    pub(super) outside: Vec<OutsideLink>,
    /// The files that these links are instead.
    pub(super) stand_ins: StandIns,
    /// Where hard links are that are others than they should be.
    pub(super) linked_anew: HashSet<DirId>,
    /// Names that the snapshot does not have, and that are not excluded; and paths below them, where some of it is.
    pub(super) extra: Vec<(DirId, Vec<u8>)>,
    /// What killed pulls left behind.
    pub(super) stale: Vec<(DirId, Vec<u8>)>,
    /// The stat cache that was asked.
    pub(super) cache: Option<StatCache>,
    /// The files that are equal, for the next one; in any order.
    pub(super) kept: CacheSections,
    /// Whether any of them had to be read.
    pub(super) any_hashed: bool,
    pub(super) changes: u64,
    /// Whether the top directory has another mode, time or owner.
    pub(super) top_differs: bool,
    pub(super) entries: u64,
    pub(super) files: u64,
    pub(super) file_bytes: u64,
    written_files: u64,
    written_bytes: u64,
    pub(super) skipped_devices: u64,
}

/// Files that are not pulled themselves, counted: hard links to them become them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StandIns {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl StandIns {
    pub(super) fn add(&mut self, size: u64) {
        self.files += 1;
        self.bytes += size;
    }
}

/// A hard link that is there.
#[derive(Debug)]
pub(super) struct PresentLink {
    pub(super) ordinal: u64,
    pub(super) directory: DirId,
    pub(super) mode: u16,
    /// A hash of its file's path here.
    pub(super) file: u64,
    pub(super) is: FileId,
}

/// A file with other names.
#[derive(Debug)]
pub(super) struct LinkedFile {
    pub(super) ordinal: u64,
    pub(super) mode: u16,
    pub(super) is: FileId,
}

impl Surveyed {
    /// Nothing yet; what is to be recorded waits in that directory.
    pub(super) fn keeping_in(caches: Option<&Path>) -> Self {
        Self { kept: CacheSections::new(caches), ..Self::default() }
    }

    pub(super) fn decision(&self, ordinal: u64) -> Decision {
        let index = usize::try_from(ordinal).unwrap_or(usize::MAX);
        self.decisions.get(index).copied().unwrap_or_default()
    }

    /// Files that need not be written, and their bytes.
    pub(super) fn equal_files(&self) -> (u64, u64) {
        (self.files - self.written_files, self.file_bytes - self.written_bytes)
    }

    /// Whether nothing differs, as far as a survey can tell.
    pub(super) fn is_equal(&self) -> bool {
        self.changes == 0
    }

    /// How many names would be removed because the snapshot does not have them.
    pub(super) fn to_remove(&self, options: &PullOptions) -> u64 {
        if options.delete { self.extra.len() as u64 } else { 0 }
    }

    /// Removes what the snapshot does not have, if that was asked for, and returns how many names that were. What cannot be
    /// removed keeps nothing else from it.
    ///
    /// # Errors
    ///
    /// Those of [`Worker::remove_path`]: that of the first, and how many there were. `Cancelled` ends it at once.
    pub(super) fn remove_extra(&self, options: &PullOptions, worker: &mut Worker<'_>) -> Result<u64> {
        let (mut removed, mut failures) = (0, 0_u64);
        let mut first = None;
        for (directory, name) in self.extra.iter().filter(|_| options.delete) {
            let outcome = match worker.is_written(*directory, name) {
                // What a directory ignores was known to the survey, unless somebody changed the directory meanwhile.
                Ok(true) => Ok(false),
                Ok(false) => worker.remove_path(*directory, name),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(is_removed) => removed += u64::from(is_removed),
                Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
                Err(error) => {
                    failures += 1;
                    first.get_or_insert(error);
                }
            }
        }
        match (first, failures) {
            (None, _) => Ok(removed),
            (Some(first), 1) => Err(first),
            (Some(first), count) => {
                let message =
                    format!("{count} names that the snapshot does not have could not be removed; the first");
                Err(Error::new(first.kind(), message).with_source(first))
            }
        }
    }

    /// Finds what would keep names from being removed, as far as that can be told.
    ///
    /// # Errors
    ///
    /// Those of [`remove_extra`](Self::remove_extra).
    pub(super) fn foresee_removals(&self, options: &PullOptions, worker: &mut Worker<'_>) -> Result<()> {
        let mut extra = self.extra.iter().filter(|_| options.delete);
        extra.try_for_each(|(directory, name)| worker.foresee_removal(*directory, name))
    }

    /// Finds what would keep hard links from being made where others are; of all else each directory's survey tells.
    ///
    /// # Errors
    ///
    /// Those of [`Worker::foresee_writing_in`].
    pub(super) fn foresee_links(&self, worker: &mut Worker<'_>) -> Result<()> {
        let mut directories: Vec<_> = self.linked_anew.iter().copied().collect();
        directories.sort_unstable();
        directories.into_iter().try_for_each(|directory| worker.foresee_writing_in(directory))
    }

    /// What a pull would have done.
    pub(super) fn would_be(&self, options: &PullOptions, selection: &Selection) -> Pulled {
        let removed = self.to_remove(options);
        Pulled {
            outcome: if self.is_equal() && removed == 0 {
                PullOutcome::Unchanged
            } else {
                PullOutcome::DryRun
            },
            entries: self.entries,
            files: self.files,
            file_bytes: self.file_bytes,
            written_files: self.written_files,
            written_bytes: self.written_bytes,
            removed,
            unmatched: selection.unmatched(),
            skipped_devices: self.skipped_devices,
            fetched_bytes: 0,
            complaints: crate::destination::Complaints::default(),
        }
    }

    pub(super) fn decide(&mut self, ordinal: u64, verdict: Verdict, body: &Body<'_>) {
        let decision = match verdict {
            Verdict::Keep => Decision::Keep,
            Verdict::Fix => Decision::Fix,
            Verdict::Skip => Decision::Skip,
            Verdict::Create | Verdict::Link => Decision::Create,
            Verdict::Replace | Verdict::Relink => Decision::Replace,
        };
        self.changes += u64::from(!matches!(decision, Decision::Keep | Decision::Skip));
        self.entries += 1;
        self.links += u64::from(matches!(verdict, Verdict::Link | Verdict::Relink));
        if let Body::File { size, .. } = body {
            self.files += 1;
            self.file_bytes += size;
            if decision.is_written() {
                self.written_files += 1;
                self.written_bytes += size;
            }
        }
        self.skipped_devices += u64::from(decision == Decision::Skip);
        if decision != Decision::Keep {
            self.set_decision(ordinal, decision);
        }
    }

    pub(super) fn set_decision(&mut self, ordinal: u64, decision: Decision) {
        let index = usize::try_from(ordinal).unwrap_or(usize::MAX);
        if self.decisions.len() <= index {
            self.decisions.resize(index + 1, Decision::Keep);
        }
        self.decisions[index] = decision;
    }

    /// Keeps a hard link that was to be made.
    pub(super) fn keep_link(&mut self, ordinal: u64) {
        self.set_decision(ordinal, Decision::Keep);
        self.links -= 1;
        self.changes -= 1;
    }

    /// Counts a hard link that is the file itself.
    pub(super) fn count_stand_in(&mut self, size: u64) {
        self.stand_ins.add(size);
        self.files += 1;
        self.file_bytes += size;
    }

    /// And is written.
    pub(super) fn count_written(&mut self, size: u64) {
        self.written_files += 1;
        self.written_bytes += size;
    }

    /// Finds the hard links that are what they should be.
    pub(super) fn keep_links(&mut self) {
        for link in std::mem::take(&mut self.present_links) {
            if self.linked_files.get(&link.file).is_some_and(|file| {
                file.is == link.is && file.mode == link.mode && file.ordinal < link.ordinal
            }) {
                self.keep_link(link.ordinal);
            } else {
                self.linked_anew.insert(link.directory);
            }
        }
        self.linked_files = HashMap::new();
    }

    pub(super) fn add(&mut self, other: Self) {
        if self.decisions.len() < other.decisions.len() {
            self.decisions.resize(other.decisions.len(), Decision::Keep);
        }
        for (own, other) in self.decisions.iter_mut().zip(&other.decisions) {
            if *other != Decision::Keep {
                *own = *other;
            }
        }
        self.extra.extend(other.extra);
        self.stale.extend(other.stale);
        self.kept.append(other.kept);
        self.any_hashed |= other.any_hashed;
        self.links += other.links;
        self.present_links.extend(other.present_links);
        self.linked_files.extend(other.linked_files);
        self.outside.extend(other.outside);
        self.changes += other.changes;
        self.entries += other.entries;
        self.files += other.files;
        self.file_bytes += other.file_bytes;
        self.written_files += other.written_files;
        self.written_bytes += other.written_bytes;
        self.skipped_devices += other.skipped_devices;
    }
}
