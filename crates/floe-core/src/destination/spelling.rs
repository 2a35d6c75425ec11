//! Directories that find a name by other spellings: those that ignore case, or how an accent is put together.
//!
//! That they do is seen where a name of the snapshot that they do not list is found, and is what they list under another; and,
//! for names that are left out, where case is ignored in one name that they list. What the snapshot has there under one
//! spelling and is there under another is compared with it and written over it, and the name stays as it was; so it is no
//! name that the snapshot does not have. What the snapshot has under two spellings cannot be there: that is an error, be it
//! found by the survey or, where that could not tell what a directory ignores, when the second is written.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::PoisonError;

use rustix::io::{self, Errno};

use super::directories::{DirId, state};
use super::entry::{FileId, FileStat, Kind};
use super::existing::Listing;
use super::letters::{in_one_spelling, other_case};
use super::names;
use super::open;
use super::problem::{TAKEN, failed};
use super::tree::Tree;
use super::worker::Worker;
use crate::{Error, ErrorKind, Remedy, Result};

/// The names that a directory lists, by the file that each is of.
pub(super) type NamesOfFiles = HashMap<FileId, Vec<Vec<u8>>>;

fn names_of_files(directory: BorrowedFd<'_>, listing: &Listing) -> NamesOfFiles {
    let mut names_of = NamesOfFiles::new();
    for name in listing.iter() {
        if let Ok(stat) = FileStat::of_name(directory, name) {
            names_of.entry(stat.id()).or_default().push(name.to_vec());
        }
    }
    names_of
}

impl Worker<'_> {
    /// What a directory lists a name as that it finds by another spelling. Its listing is read for the first of several.
    ///
    /// # Errors
    ///
    /// What the [module](crate::destination#errors) says of system calls.
    pub(crate) fn listed_as(
        &mut self,
        directory: DirId,
        name: &[u8],
        names_of: &mut Option<NamesOfFiles>,
    ) -> Result<Vec<Vec<u8>>> {
        let at = self.directory(directory)?;
        let wrong = |errno| failed("look at", &self.tree().shown(directory, name), errno);
        let names_of = match names_of {
            Some(names_of) => names_of,
            none => none.insert(names_of_files(at.as_fd(), &Listing::read(at.as_fd()).map_err(wrong)?)),
        };
        let Some(stat) = FileStat::of_name_if_any(at.as_fd(), name).map_err(wrong)? else {
            return Ok(Vec::new());
        };
        let names = names_of.get(&stat.id()).map(Vec::as_slice).unwrap_or_default();
        if names.len() < 2 {
            return Ok(names.to_vec());
        }
        // Of a file that has several, those that are names of others are not meant.
        let text = |name| str::from_utf8(name).ok().map(|name| in_one_spelling(name, true));
        let wanted = text(name);
        Ok(names.iter().filter(|listed| text(listed) == wanted).cloned().collect())
    }
}

/// What is found under spellings that a directory does not list.
#[derive(Debug, Default)]
pub(super) struct OtherSpellings {
    is_looked_for: bool,
    /// Whether they differ in case; none where no listed name shows it.
    ignores_case: Option<bool>,
    found: HashSet<FileId>,
    /// What was found under names of the snapshot: under which first, and whether it is known which listed name that is.
    wanted: HashMap<FileId, (Vec<u8>, bool)>,
    /// Listed names of files that have several, and under which name of the snapshot they were found.
    listed: HashMap<Vec<u8>, Vec<u8>>,
    /// Names that the directory lists, by file: asked once, for a file of several that is found under none of them.
    names_of: Option<NamesOfFiles>,
    /// Names of the snapshot that the directory does not list, in small letters.
    missing: HashMap<Vec<u8>, Vec<u8>>,
}

impl OtherSpellings {
    /// Asks whether there can be any, by one name of the directory; and of the snapshot's names, which ascend, by those that
    /// the directory does not list.
    pub(super) fn of<'n>(
        directory: BorrowedFd<'_>,
        listing: &Listing,
        names: impl Iterator<Item = &'n [u8]>,
    ) -> Self {
        let probe = listing.iter().find_map(|name| Some((name, other_case(name)?)));
        let ignores_case = probe.map(|(name, other)| {
            // One that is listed too is another name of the same file.
            is_one(directory, name, &other) && listing.iter().all(|listed| listed != other)
        });
        let is_looked_for = ignores_case == Some(true) || finds_unlisted(directory, listing, names);
        Self { is_looked_for, ignores_case, ..Self::default() }
    }

    /// Those of a directory that ignores case, or is not there and in one that does.
    pub(super) fn of_missing() -> Self {
        Self { is_looked_for: true, ignores_case: Some(true), ..Self::default() }
    }

    /// Whether they differ in case; none where no name shows it.
    pub(super) fn ignore_case(&self) -> Option<bool> {
        self.ignores_case
    }

    /// Notes a name of the snapshot, and what it is where the directory lists it. One that it does not list is looked for;
    /// what is there, be it under another spelling, is returned.
    ///
    /// # Errors
    ///
    /// Invalid: another name of the snapshot is the same here.
    pub(super) fn note(
        &mut self,
        directory: Option<(BorrowedFd<'_>, &Listing)>,
        name: &[u8],
        listed: Option<FileStat>,
        shown: &dyn Fn(&[u8]) -> String,
    ) -> Result<Option<FileStat>> {
        if !self.is_looked_for {
            return Ok(listed);
        }
        if listed.is_none()
            && self.ignores_case == Some(true)
            && let Some(other) = self.missing.insert(name.to_ascii_lowercase(), name.to_vec())
        {
            return Err(one_name(&shown(&other), name));
        }
        let found = || FileStat::of_name(directory?.0, name).ok();
        let Some(stat) = listed.or_else(found) else { return Ok(None) };
        let id = stat.id();
        let has_names = stat.kind != Kind::Directory && stat.links > 1;
        let is = match (listed, directory) {
            (Some(_), _) => Some(name.to_vec()),
            (None, Some((directory, listing))) if has_names => self.listed_as(directory, listing, name, id),
            _ => None,
        };
        match self.wanted.get(&id) {
            // It may be the same, however many names the file has.
            Some((other, is_known)) if is.is_none() || !is_known => {
                return Err(one_name(&shown(other), name));
            }
            Some(_) => {}
            None => {
                self.wanted.insert(id, (name.to_vec(), is.is_some()));
            }
        }
        match is {
            Some(is) if has_names => {
                if let Some(other) = self.listed.insert(is, name.to_vec()) {
                    return Err(one_name(&shown(&other), name));
                }
            }
            Some(_) => {}
            None => {
                self.found.insert(id);
            }
        }
        Ok(Some(stat))
    }

    /// Which listed name another spelling is of those that a file has, where that can be told.
    fn listed_as(
        &mut self,
        directory: BorrowedFd<'_>,
        listing: &Listing,
        name: &[u8],
        id: FileId,
    ) -> Option<Vec<u8>> {
        let names_of = self.names_of.get_or_insert_with(|| names_of_files(directory, listing));
        let names = names_of.get(&id)?;
        if let [one] = &names[..] {
            return Some(one.clone());
        }
        let ignores_case = self.ignores_case == Some(true);
        let text = |name| str::from_utf8(name).ok().map(|name| in_one_spelling(name, ignores_case));
        let wanted = text(name)?;
        let mut those = names.iter().filter(|listed| text(listed).is_some_and(|listed| listed == wanted));
        those.next().filter(|_| those.next().is_none()).cloned()
    }

    /// Whether a name is one that was found by another spelling.
    pub(super) fn has(&self, directory: BorrowedFd<'_>, name: &[u8]) -> bool {
        self.listed.contains_key(name)
            || !self.found.is_empty()
                && FileStat::of_name(directory, name).is_ok_and(|stat| self.found.contains(&stat.id()))
    }
}

/// Whether any of these names, which ascend and which a directory does not list, is found there and is what it lists: also
/// of somebody who makes one meanwhile, only another name of the same file would be that.
fn finds_unlisted<'n>(
    directory: BorrowedFd<'_>,
    listing: &Listing,
    names: impl Iterator<Item = &'n [u8]>,
) -> bool {
    let mut listed = listing.iter().peekable();
    // Nothing is found where nothing is.
    if listed.peek().is_none() {
        return false;
    }
    let mut ids: Option<HashSet<FileId>> = None;
    for name in names {
        while listed.next_if(|listed| *listed < name).is_some() {}
        if listed.peek().is_some_and(|listed| *listed == name) {
            continue;
        }
        let Ok(found) = FileStat::of_name(directory, name) else { continue };
        let ids = ids.get_or_insert_with(|| {
            listing.iter().filter_map(|name| Some(FileStat::of_name(directory, name).ok()?.id())).collect()
        });
        if ids.contains(&found.id()) {
            return true;
        }
    }
    false
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
    fn ignores_case(&self, id: DirId, directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
        let known = self.tree.directories().state(id);
        if known & (state::FOLDS | state::EXACT) != 0 {
            return Ok(known & state::FOLDS != 0);
        }
        let Some(other) = other_case(name) else { return Ok(false) };
        let folds = is_one(directory, name, &other) && !lists_both(directory, name, &other)?;
        self.tree.directories().mark(id, if folds { state::FOLDS } else { state::EXACT });
        Ok(folds)
    }

    /// Does what gives something, which is there under a temporary name, its own; or nothing for what has that already. Where
    /// case is ignored that is refused if it is the name of something that this pull has written (`EEXIST`).
    pub(super) fn as_only_one(
        &self,
        id: DirId,
        directory: BorrowedFd<'_>,
        temporary: &[u8],
        name: &[u8],
        act: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.ignores_case(id, directory, temporary)? {
            return act();
        }
        let made = FileStat::of_name(directory, temporary)?.id();
        let spelling = self.tree.spelling(id, name);
        // Held, so that no other thread comes in between.
        let mut written = self.tree.folded.lock().unwrap_or_else(PoisonError::into_inner);
        if written.spellings.contains(&spelling)
            || FileStat::of_name_if_any(directory, name)?.is_some_and(|there| {
                let is_child = || self.tree.directories().has_child(id, there.id());
                written.has_no_other_name(&there) || there.kind == Kind::Directory && is_child()
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

impl Worker<'_> {
    /// Whether a directory finds what it lists as `name` by another spelling, which it does not list.
    ///
    /// # Errors
    ///
    /// What the [module](crate::destination#errors) says of system calls.
    pub(crate) fn is_one_name(&mut self, directory: DirId, name: &[u8], other: &[u8]) -> Result<bool> {
        let at = self.directory(directory)?;
        let wrong = |errno| failed("look at", &self.tree().shown(directory, name), errno);
        Ok(is_one(at.as_fd(), name, other) && !lists_both(at.as_fd(), name, other).map_err(wrong)?)
    }

    /// Whether a name, which the snapshot does not have, is another spelling of something that was written in its directory;
    /// of a file of several names, of which others may go, only where it differs in case alone.
    ///
    /// # Errors
    ///
    /// What the [module](crate::destination#errors) says of system calls.
    pub(crate) fn is_written(&mut self, directory: DirId, name: &[u8]) -> Result<bool> {
        let at = self.directory(directory)?;
        let written = self.tree.folded.lock().unwrap_or_else(PoisonError::into_inner);
        if written.files.is_empty() {
            return Ok(false);
        }
        let there = FileStat::of_name_if_any(at.as_fd(), name)
            .map_err(|e| failed("look at", &self.tree.shown(directory, name), e))?;
        let is_spelling = || written.spellings.contains(&self.tree.spelling(directory, name));
        Ok(there.is_some_and(|there| {
            written.has_no_other_name(&there) || written.files.contains(&there.id()) && is_spelling()
        }))
    }
}

impl Tree {
    /// Whether any directory on the way to a path, as they list it, finds what it has there in another case. Asked where that
    /// makes a difference only.
    pub(crate) fn ignores_case_towards(&self, path: &[u8]) -> bool {
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        let mut start = 0;
        for end in ends.chain([path.len()]) {
            let (above, name) = (&path[..start.max(1) - 1], &path[start..end]);
            start = end + 1;
            let Some(other) = other_case(name) else { continue };
            let opened = (!above.is_empty()).then(|| open::beneath(self.root.as_fd(), above));
            let at = match &opened {
                None => self.root.as_fd(),
                Some(Ok(opened)) => opened.as_fd(),
                // It is gone, or cannot be looked into.
                Some(Err(_)) => return false,
            };
            if is_one(at, name, &other) && !lists_both(at, name, &other).unwrap_or(false) {
                return true;
            }
        }
        false
    }

    /// What is the same of names that differ in case.
    fn spelling(&self, directory: DirId, name: &[u8]) -> u64 {
        self.hashes.hash_one((directory, name.to_ascii_lowercase()))
    }

    /// Whether a name is that of something that was written in a directory that ignores case.
    pub(super) fn is_folded(&self, id: DirId, directory: BorrowedFd<'_>, name: &[u8]) -> bool {
        let written = self.folded.lock().unwrap_or_else(PoisonError::into_inner);
        !written.files.is_empty()
            && (written.spellings.contains(&self.spelling(id, name))
                || FileStat::of_name(directory, name).is_ok_and(|there| written.has_no_other_name(&there)))
    }
}

/// What was written in directories that ignore case.
#[derive(Debug, Default)]
pub(super) struct Folded {
    files: HashSet<FileId>,
    /// Hashes of directories and names in small letters.
    spellings: HashSet<u64>,
}

impl Folded {
    /// Whether this was written, and so under this name: a file of several names may have this one besides.
    fn has_no_other_name(&self, there: &FileStat) -> bool {
        (there.links == 1 || there.kind == Kind::Directory) && self.files.contains(&there.id())
    }
}

/// Why a name that a survey did not find is taken: something of another spelling has it, or what somebody else has made
/// since.
pub(super) fn why_taken(directory: BorrowedFd<'_>, name: &[u8]) -> Errno {
    let is_listed =
        || Listing::read(directory).is_ok_and(|listing| listing.iter().any(|listed| listed == name));
    // Of other names there may be a spelling that is listed as this.
    let has_one_spelling =
        name.is_ascii() && other_case(name).is_none_or(|other| !is_one(directory, name, &other));
    if has_one_spelling && is_listed() { TAKEN } else { Errno::EXIST }
}

/// Whether two spellings are one name.
fn is_one(directory: BorrowedFd<'_>, name: &[u8], other: &[u8]) -> bool {
    let id = |name: &[u8]| FileStat::of_name(directory, name).ok().map(|stat| stat.id());
    id(other).is_some_and(|found| id(name) == Some(found))
}

/// Whether a directory lists both, which then are two names, of one file as they may be.
fn lists_both(directory: BorrowedFd<'_>, name: &[u8], other: &[u8]) -> io::Result<bool> {
    let listing = Listing::read(directory)?;
    Ok([name, other].iter().all(|name| listing.iter().any(|listed| listed == *name)))
}

#[cfg(test)]
mod tests;
