//! Directories that find a name by other spellings: those that ignore case.
//!
//! What the snapshot has there under one spelling and is there under another is compared with it and written over it, and
//! the name stays as it was; so it is no name that the snapshot does not have. What the snapshot has under two spellings cannot be there: that is
//! an error, be it found by the survey or, where that could not tell what a directory ignores, when the second is written.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::os::fd::BorrowedFd;
use std::sync::PoisonError;

use rustix::io::{self, Errno};

use super::directories::{DirId, state};
use super::entry::{FileId, FileStat, Kind};
use super::existing::Listing;
use super::names;
use super::tree::Tree;
use super::worker::Worker;
use crate::{Error, ErrorKind, Remedy, Result};

/// What is found under spellings that a directory does not list.
#[derive(Debug, Default)]
pub(super) struct OtherSpellings {
    is_looked_for: bool,
    found: HashSet<FileId>,
    /// What was found under names of the snapshot: under which first, and whether the directory lists that.
    wanted: HashMap<FileId, (Vec<u8>, bool)>,
    /// Names of the snapshot that the directory does not list, in small letters.
    missing: HashMap<Vec<u8>, Vec<u8>>,
}

impl OtherSpellings {
    /// Asks whether there can be any, by one name of the directory.
    pub(super) fn of(directory: BorrowedFd<'_>, listing: &Listing) -> Self {
        let probe = listing.iter().find_map(|name| Some((name, other_case(name)?)));
        let is_looked_for = probe.is_some_and(|(name, other)| {
            // One that is listed too is another name of the same file.
            is_one(directory, name, &other) && listing.iter().all(|listed| listed != other)
        });
        Self { is_looked_for, ..Self::default() }
    }

    /// Those of a directory that ignores case, or is not there and in one that does.
    pub(super) fn of_missing() -> Self {
        Self { is_looked_for: true, ..Self::default() }
    }

    /// Whether there can be any.
    pub(super) fn is_looked_for(&self) -> bool {
        self.is_looked_for
    }

    /// Notes a name of the snapshot, and what it is where the directory lists it. One that it does not list is looked for;
    /// what is there, be it under another spelling, is returned.
    ///
    /// # Errors
    ///
    /// Invalid: another name of the snapshot is the same here.
    pub(super) fn note(
        &mut self,
        directory: Option<BorrowedFd<'_>>,
        name: &[u8],
        listed: Option<FileStat>,
        shown: &dyn Fn(&[u8]) -> String,
    ) -> Result<Option<FileStat>> {
        if !self.is_looked_for {
            return Ok(listed);
        }
        if listed.is_none()
            && let Some(other) = self.missing.insert(name.to_ascii_lowercase(), name.to_vec())
        {
            return Err(one_name(&shown(&other), name));
        }
        let found = || FileStat::of_name(directory?, name).ok();
        let Some(stat) = listed.or_else(found) else { return Ok(None) };
        let id = stat.id();
        if listed.is_none() {
            self.found.insert(id);
        }
        match self.wanted.get(&id) {
            Some((other, is_listed)) if listed.is_none() || !is_listed => {
                return Err(one_name(&shown(other), name));
            }
            Some(_) => {}
            None => {
                self.wanted.insert(id, (name.to_vec(), listed.is_some()));
            }
        }
        Ok(Some(stat))
    }

    /// Whether a name is one that was found by another spelling.
    pub(super) fn has(&self, directory: BorrowedFd<'_>, name: &[u8]) -> bool {
        !self.found.is_empty()
            && FileStat::of_name(directory, name).is_ok_and(|stat| self.found.contains(&stat.id()))
    }
}

fn one_name(shown: &str, name: &[u8]) -> Error {
    let message = format!(
        "the snapshot has `{shown}` and beside it `{}`, which are one name on this file system",
        names::shown(name)
    );
    Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::LeaveOut)
}

impl Worker<'_> {
    /// Whether a directory, in which something has this name, finds it by another spelling; asked once of each.
    fn ignores_case(&self, id: DirId, directory: BorrowedFd<'_>, name: &[u8]) -> bool {
        let known = self.tree.directories().state(id);
        if known & (state::FOLDS | state::EXACT) != 0 {
            return known & state::FOLDS != 0;
        }
        let Some(other) = other_case(name) else { return false };
        let folds = is_one(directory, name, &other);
        self.tree.directories().mark(id, if folds { state::FOLDS } else { state::EXACT });
        folds
    }

    /// Does what gives something, which is there under a temporary name, its own. Where case is ignored that is refused if
    /// it is the name of something that this pull has written (`EEXIST`).
    pub(super) fn as_only_one(
        &self,
        id: DirId,
        directory: BorrowedFd<'_>,
        temporary: &[u8],
        name: &[u8],
        act: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.ignores_case(id, directory, temporary) {
            return act();
        }
        let made = FileStat::of_name(directory, temporary)?.id();
        let spelling = self.tree.hashes.hash_one((id, name.to_ascii_lowercase()));
        // Held, so that no other thread comes in between.
        let mut written = self.tree.folded.lock().unwrap_or_else(PoisonError::into_inner);
        if written.spellings.contains(&spelling)
            || FileStat::of_name_if_any(directory, name)?.is_some_and(|there| {
                let is_child = || self.tree.directories().has_child(id, there.id());
                written.files.contains(&there.id()) || there.kind == Kind::Directory && is_child()
            })
        {
            return Err(Errno::EXIST);
        }
        act()?;
        written.files.insert(made);
        written.spellings.insert(spelling);
        Ok(())
    }
}

impl Tree {
    /// Whether a name is that of something that was written in a directory that ignores case.
    pub(super) fn is_folded(&self, directory: BorrowedFd<'_>, name: &[u8]) -> bool {
        let written = self.folded.lock().unwrap_or_else(PoisonError::into_inner);
        !written.files.is_empty()
            && FileStat::of_name(directory, name).is_ok_and(|there| written.files.contains(&there.id()))
    }
}

/// What was written in directories that ignore case.
#[derive(Debug, Default)]
pub(super) struct Folded {
    files: HashSet<FileId>,
    /// Hashes of directories and names in small letters.
    spellings: HashSet<u64>,
}

/// Whether two spellings are one name.
fn is_one(directory: BorrowedFd<'_>, name: &[u8], other: &[u8]) -> bool {
    let id = |name: &[u8]| FileStat::of_name(directory, name).ok().map(|stat| stat.id());
    id(other).is_some_and(|found| id(name) == Some(found))
}

/// A name in other letters, if it has some.
fn other_case(name: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(name).ok()?;
    let others = [text.to_uppercase(), text.to_lowercase()].map(String::into_bytes);
    others.into_iter().find(|other| other != name)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{CWD, Mode, OFlags, openat};

    use super::*;

    #[test]
    fn letters_have_another_case() {
        assert_eq!(other_case(b"Makefile.1"), Some(b"MAKEFILE.1".to_vec()));
        assert_eq!(other_case(b"README"), Some(b"readme".to_vec()));
        assert_eq!(other_case("ä".as_bytes()), Some("Ä".into()));
        assert_eq!((other_case(b"1.2"), other_case(b"a\xff")), (None, None));
    }

    #[test]
    fn two_names_of_one_file_are_two_names() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("A"), b"x").unwrap();
        std::fs::hard_link(dir.path().join("A"), dir.path().join("a")).unwrap();
        let directory = openat(CWD, dir.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        let listing = Listing::read(directory.as_fd()).unwrap();
        let mut spellings = OtherSpellings::of(directory.as_fd(), &listing);
        let shown = |name: &[u8]| names::shown(name);
        spellings.note(Some(directory.as_fd()), b"a", None, &shown).unwrap();
        assert!(!spellings.has(directory.as_fd(), b"A"));
        spellings = OtherSpellings::of_missing();
        let stat = |name: &[u8]| FileStat::of_name(directory.as_fd(), name).unwrap();
        for name in [b"A", b"a"] {
            spellings.note(Some(directory.as_fd()), name, Some(stat(name)), &shown).unwrap();
        }
        // A third name of it that is not listed is another spelling of one of them.
        std::fs::hard_link(dir.path().join("A"), dir.path().join("b")).unwrap();
        let clash = spellings.note(Some(directory.as_fd()), b"b", None, &shown).unwrap_err();
        assert_eq!(clash.kind(), ErrorKind::Invalid);
        // What is found under a name that is not listed is not too much under the one that is.
        spellings = OtherSpellings::of_missing();
        spellings.note(Some(directory.as_fd()), b"a", None, &shown).unwrap();
        assert!(spellings.has(directory.as_fd(), b"A"));
    }
}
