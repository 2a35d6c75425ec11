//! Files with several names: the first is the file, the others are hard links to it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use floe_format::{Body, EntryRef, Meta};

use super::kept_paths::{KeptPath, KeptPaths};
use crate::keeping::Keeping;
use crate::source::{FileKind, Stat};
use crate::{Error, ErrorKind, Result};

/// The files that may have names still to come; where those are outside of the tree, that is all of them until the end.
#[derive(Debug, Default)]
pub(super) struct FirstNames {
    /// By device and inode.
    files: HashMap<(u64, u64), First>,
    paths: KeptPaths,
    hasher: RandomState,
}

#[derive(Debug)]
struct First {
    path: KeptPath,
    told: Told,
    /// How many names are still to come, at most.
    left: u32,
}

/// What the kernel said when a name was listed, as far as it is compared, by hashes whose key nobody knows.
#[derive(Clone, Copy, Debug)]
struct Told {
    kept: u64,
    changed: u64,
    links: u32,
}

/// What a name is to its file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// It is no file, or one without another name.
    Only,
    /// Others may come.
    First,
    /// The first one is this.
    Another(Vec<u8>),
    /// The file is not what it was when its first name was listed.
    Changed,
}

impl FirstNames {
    /// What the name at this path is; to be asked once for each, in order. Where names of its file came or went since the
    /// first was listed, it is asked whether that file is still at a path.
    pub(super) fn add(
        &mut self,
        stat: &Stat,
        path: &[u8],
        keeping: Keeping,
        is_still_at: impl FnOnce(&[u8]) -> bool,
    ) -> Name {
        if stat.links < 2 || stat.kind != FileKind::File || keeping.reproducible {
            return Name::Only;
        }
        let file = (stat.device, stat.inode);
        let told = Told::new(stat, keeping, &self.hasher);
        let Some(first) = self.files.get_mut(&file) else {
            self.files.insert(file, First { path: self.paths.keep(path), told, left: stat.links - 1 });
            return Name::First;
        };
        let is_same = first.told.is_same(told);
        if is_same == Some(false) {
            return Name::Changed;
        }
        first.left = first.left.saturating_sub(1);
        let path = self.paths.path(first.path);
        if first.left == 0 {
            // Its last name: nobody will ask again.
            self.files.remove(&file);
            self.paths.forget(self.files.values_mut().map(|first| &mut first.path));
        }
        if is_same.is_some() || is_still_at(&path) { Name::Another(path) } else { Name::Changed }
    }
}

impl Told {
    fn new(stat: &Stat, keeping: Keeping, hasher: &RandomState) -> Self {
        let Meta { mode, owner, .. } = keeping.meta(stat);
        let owner = owner.map(|owner| (owner.user, owner.group));
        Self {
            kept: hasher.hash_one((stat.size, stat.modified, mode, owner)),
            changed: hasher.hash_one(stat.changed),
            links: stat.links,
        }
    }

    /// Whether two names stand for a file that was the same when each was listed. The change time tells of another file
    /// that got the inode, too; where names came or went, which changes it, that is not known.
    fn is_same(self, other: Self) -> Option<bool> {
        match self.kept == other.kept {
            true if self.changed == other.changed => Some(true),
            true if self.links != other.links => None,
            _ => Some(false),
        }
    }
}

/// Checks of a tree's entries, in order, that each hard link names a file before it and has its mode: nobody could read
/// a snapshot in which one does not.
#[derive(Debug, Default)]
pub(super) struct LinkCheck {
    /// Modes of files that links may name, by a hash of the path whose key nobody knows.
    modes: HashMap<u64, u16>,
    hasher: RandomState,
}

impl LinkCheck {
    /// Adds an entry.
    ///
    /// # Errors
    /// `Internal` for a hard link that is wrong.
    pub(super) fn add(&mut self, entry: &EntryRef<'_>, may_be_linked: bool) -> Result<()> {
        match entry.body {
            Body::HardLink { target } => {
                if self.modes.get(&self.hasher.hash_one(target)) == Some(&entry.mode) {
                    return Ok(());
                }
                let path = String::from_utf8_lossy(entry.path);
                let message = format!("{path} would be a hard link to no file, or to one with another mode");
                Err(Error::new(ErrorKind::Internal, message))
            }
            Body::File { .. } if may_be_linked => {
                self.modes.insert(self.hasher.hash_one(entry.path), entry.mode);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
