//! Directories that find a name by other spellings: those that ignore case.
//!
//! What the snapshot has there under one spelling and is there under another is written over it, and the name stays as it
//! was; so it is no name that the snapshot does not have.

use std::os::fd::BorrowedFd;

use super::entry::{FileId, FileStat};
use super::existing::Listing;

/// What is found under spellings that a directory does not list.
#[derive(Debug, Default)]
pub(super) struct OtherSpellings {
    is_looked_for: bool,
    found: Vec<FileId>,
}

impl OtherSpellings {
    /// Asks whether there can be any, by one name of the directory.
    pub(super) fn of(directory: BorrowedFd<'_>, listing: &Listing) -> Self {
        let id = |name: &[u8]| FileStat::of_name(directory, name).ok().map(|stat| stat.id());
        let probe = listing.iter().find_map(|name| Some((name, other_case(name)?)));
        let is_looked_for = probe.is_some_and(|(name, other)| {
            // One that is listed too is another name of the same file.
            id(&other).is_some_and(|found| id(name) == Some(found))
                && listing.iter().all(|listed| listed != other)
        });
        Self { is_looked_for, found: Vec::new() }
    }

    /// Looks for a name that the directory does not list.
    pub(super) fn look(&mut self, directory: BorrowedFd<'_>, name: &[u8]) {
        if self.is_looked_for {
            self.found.extend(FileStat::of_name(directory, name).ok().map(|stat| stat.id()));
        }
    }

    /// Whether a name is one that was found by another spelling.
    pub(super) fn has(&self, directory: BorrowedFd<'_>, name: &[u8]) -> bool {
        !self.found.is_empty()
            && FileStat::of_name(directory, name).is_ok_and(|stat| self.found.contains(&stat.id()))
    }
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
        spellings.look(directory.as_fd(), b"a");
        assert!(!spellings.has(directory.as_fd(), b"A"));
        // What is found under a name that is not listed is not too much under the one that is.
        spellings.is_looked_for = true;
        spellings.look(directory.as_fd(), b"a");
        assert!(spellings.has(directory.as_fd(), b"A"));
    }
}
