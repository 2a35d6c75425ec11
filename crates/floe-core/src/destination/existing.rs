//! What is in a directory before a pull writes there.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, RawDir, openat};
use rustix::io::{self, Errno};

use super::entry::{FileStat, Kind};
use super::{names, open};
use crate::{Error, ErrorKind, Result};

/// Room for the directory entries of one system call.
const BUFFER_BYTES: usize = 32 << 10;

/// A regular file that is where the snapshot has one of the same size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExistingFile<'a> {
    pub(super) directory: BorrowedFd<'a>,
    pub(super) name: &'a [u8],
    pub(super) stat: FileStat,
}

impl ExistingFile<'_> {
    /// What the file system says of it, read in this survey.
    pub(crate) fn stat(&self) -> &FileStat {
        &self.stat
    }

    /// Opens it for reading.
    ///
    /// # Errors
    ///
    /// Conflict: it is another file by now.
    pub(crate) fn open(&self) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = openat(self.directory, self.name, flags, Mode::empty())
            .map_err(|e| super::problem::failed("read", &names::shown(self.name), e))?;
        let now = FileStat::of_descriptor(fd.as_fd())
            .map_err(|e| super::problem::failed("look at", &names::shown(self.name), e))?;
        if now.kind != Kind::File || !now.is_same_file(&self.stat) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("`{}` was replaced by somebody else while it was read", names::shown(self.name)),
            ));
        }
        Ok(File::from(fd))
    }
}

/// The names in a directory, sorted bytewise.
pub(super) struct Listing {
    names: Vec<u8>,
    /// Where each begins and ends; sorted.
    spans: Vec<(usize, usize)>,
}

impl Listing {
    /// Reads the directory that a descriptor, perhaps an `O_PATH` one, stands for.
    pub(super) fn read(directory: BorrowedFd<'_>) -> io::Result<Self> {
        Self::read_through(directory, &mut Vec::new())
    }

    /// Reads a directory through a buffer, of which nothing else is used than its room.
    pub(super) fn read_through(directory: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> io::Result<Self> {
        let readable = open::readable(directory, b".")?;
        buffer.clear();
        buffer.reserve(BUFFER_BYTES);
        let mut entries = RawDir::new(readable, buffer.spare_capacity_mut());
        let mut names = Vec::new();
        let mut spans = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let start = names.len();
                names.extend_from_slice(name);
                spans.push((start, names.len()));
            }
        }
        spans.sort_unstable_by(|&(a, b), &(c, d)| names[a..b].cmp(&names[c..d]));
        Ok(Self { names, spans })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.spans.iter().map(|&(start, end)| &self.names[start..end])
    }
}

/// Whether a directory of another has entries; a name that is no directory has none.
pub(super) fn has_entries(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    let place = match open::beneath(parent, name) {
        Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => return Ok(false),
        other => other?,
    };
    Ok(Listing::read(place.as_fd())?.iter().next().is_some())
}
