//! Files without a name, for what need not stay in memory.
//!
//! Nothing of them is left behind, whatever happens: the file system drops them when the last descriptor is closed.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::aside::create_private;
use crate::{Error, Result};

/// Where a file goes if there is no cache or it cannot be written: places that are not kept in memory first.
const OTHER_DIRECTORIES: [&str; 2] = ["/var/tmp", "/tmp"];

/// A new file in this directory, or another where that cannot be.
///
/// # Errors
/// That of the first directory, where it can be in none.
pub(crate) fn scratch_file(directory: Option<&Path>) -> Result<File> {
    scratch_file_in(directory).map(|(file, _)| file)
}

/// The same, and the directory that it is in.
///
/// # Errors
/// Those of [`scratch_file`].
pub(crate) fn scratch_file_in(directory: Option<&Path>) -> Result<(File, PathBuf)> {
    let others = OTHER_DIRECTORIES.map(Path::new);
    let mut failed = None;
    for directory in directory.into_iter().chain(others) {
        match unnamed_file(directory) {
            Ok(file) => return Ok((file, directory.to_owned())),
            Err(e) => failed = failed.or(Some((directory, e))),
        }
    }
    let (directory, e) = failed.expect("there is always a directory to try");
    Err(Error::io(format!("cannot make a temporary file in {}", directory.display()), e))
}

fn unnamed_file(directory: &Path) -> io::Result<File> {
    create_private(directory)?;
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, mode) {
        Ok(file) => Ok(file.into()),
        // Not every file system has files without a name.
        Err(_) => removed_file(directory),
    }
}

/// A file whose name is removed as soon as it is there.
fn removed_file(directory: &Path) -> io::Result<File> {
    let mut attempt = 0;
    loop {
        let path = directory.join(format!(".floe-scratch-{}-{attempt}", std::process::id()));
        let opened = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
        match opened {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && attempt < 1_000 => attempt += 1,
            Err(e) => return Err(e),
        }
    }
}

/// Bytes one after the other: in memory as long as they are few, then in a scratch file.
#[derive(Debug)]
pub(crate) struct Spill {
    /// Where the file is made, if it can be there.
    directory: Option<PathBuf>,
    most_in_memory: usize,
    file: Option<File>,
    /// How many bytes the file has. What is behind them is in memory.
    written: u64,
    memory: Vec<u8>,
    /// Whether there can be no file.
    is_hopeless: bool,
}

impl Spill {
    pub(crate) fn new(directory: Option<&Path>, most_in_memory: usize) -> Self {
        Self {
            directory: directory.map(Path::to_owned),
            most_in_memory,
            file: None,
            written: 0,
            memory: Vec::new(),
            is_hopeless: false,
        }
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> u64 {
        self.written + self.memory.len() as u64
    }

    /// Adds bytes; returns where they are. Where no file can be written, all stay in memory.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> u64 {
        let start = self.len();
        let most = self.most_in_memory;
        if self.memory.len() + bytes.len() > most {
            self.write_out();
        }
        let (length, room) = (self.memory.len(), self.memory.capacity());
        if room < length + bytes.len() && length < most {
            // Twice as much, but no more than there may be.
            let doubled = (2 * length).min(most).max(length + bytes.len());
            self.memory.reserve_exact(doubled - length);
        }
        self.memory.extend_from_slice(bytes);
        if self.memory.len() > most {
            self.write_out();
        }
        start
    }

    /// Puts the bytes from `start` on behind those of `buffer`.
    ///
    /// # Errors
    /// As [`Spill::read_exact`].
    pub(crate) fn read(&self, start: u64, length: usize, buffer: &mut Vec<u8>) -> Result<()> {
        let at = buffer.len();
        buffer.resize(at + length, 0);
        self.read_exact(start, &mut buffer[at..])
    }

    /// Fills `bytes` with those from `start` on, which were appended at once.
    ///
    /// # Errors
    /// Those of reading the file; what was appended is always there.
    pub(crate) fn read_exact(&self, start: u64, bytes: &mut [u8]) -> Result<()> {
        let missing = |e| Error::io("cannot read a temporary file", e);
        let end = start.checked_add(bytes.len() as u64).filter(|end| *end <= self.len());
        let end = end.ok_or_else(|| missing(io::ErrorKind::UnexpectedEof.into()))?;
        // What was appended at once is in one place.
        if let Some(from) = start.checked_sub(self.written) {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            bytes.copy_from_slice(&self.memory[place(from)..place(end - self.written)]);
            return Ok(());
        }
        let Some(file) = self.file.as_ref().filter(|_| end <= self.written) else {
            return Err(missing(io::ErrorKind::InvalidInput.into()));
        };
        file.read_exact_at(bytes, start).map_err(missing)
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.written = 0;
        self.memory.clear();
    }

    /// Moves what is in memory to the file, if there can be one.
    fn write_out(&mut self) {
        if self.is_hopeless || self.memory.is_empty() {
            return;
        }
        match self.try_write_out() {
            Ok(()) => {
                self.written += self.memory.len() as u64;
                self.memory.clear();
                self.memory.shrink_to(self.most_in_memory);
            }
            Err(error) => {
                tracing::debug!(%error, "what should go to a temporary file stays in memory");
                self.is_hopeless = true;
            }
        }
    }

    fn try_write_out(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(scratch_file(self.directory.as_deref())?),
        };
        let cannot_write = |e| Error::io("cannot write a temporary file", e);
        file.write_all_at(&self.memory, self.written).map_err(cannot_write)
    }
}

/// A temporary file has other bytes than were written to it.
pub(crate) fn damaged() -> Error {
    let other = io::Error::new(io::ErrorKind::InvalidData, "it has other bytes than were written");
    Error::io("cannot use a temporary file", other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_no_name() {
        let directory = tempfile::tempdir().unwrap();
        for file in [unnamed_file(directory.path()).unwrap(), removed_file(directory.path()).unwrap()] {
            file.write_all_at(b"content", 3).unwrap();
            let mut found = [1; 10];
            file.read_exact_at(&mut found, 0).unwrap();
            assert_eq!(&found, b"\0\0\0content");
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_no_obstacle() {
        assert!(scratch_file(Some(Path::new("/proc/no/such"))).is_ok());
    }

    #[test]
    fn what_is_spilled_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        for most_in_memory in [0, 1, 100, 5000, 1 << 20] {
            let mut spill = Spill::new(Some(directory.path()), most_in_memory);
            for round in 0..2u8 {
                let pieces: Vec<Vec<u8>> =
                    (0..100u8).map(|number| vec![number ^ round; usize::from(number)]).collect();
                let places: Vec<u64> = pieces.iter().map(|piece| spill.append(piece)).collect();
                assert!(spill.memory.capacity() <= most_in_memory);
                for (piece, place) in pieces.iter().zip(places).rev() {
                    let mut read = vec![7];
                    spill.read(place, piece.len(), &mut read).unwrap();
                    assert_eq!((read[0], &read[1..]), (7, &piece[..]));
                }
                assert_eq!(spill.len(), 99 * 100 / 2);
                assert!(spill.read(spill.len() - 5, 6, &mut Vec::new()).is_err());
                spill.clear();
                assert!(spill.read(0, 1, &mut Vec::new()).is_err());
            }
        }
    }

    #[test]
    fn where_no_file_can_be_all_stays_in_memory() {
        let mut spill = Spill::new(None, 10);
        spill.append(&[1; 20]);
        assert_eq!((spill.written, spill.memory.len()), (20, 0));
        // Nothing can be written to it any more.
        spill.file = Some(File::open("/dev/null").unwrap());
        let place = spill.append(&[2; 30]);
        spill.append(&[3; 30]);
        assert_eq!((spill.written, spill.memory.len(), spill.is_hopeless), (20, 60, true));
        let mut read = Vec::new();
        spill.read(place, 30, &mut read).unwrap();
        assert_eq!(read, [2; 30]);
    }
}
