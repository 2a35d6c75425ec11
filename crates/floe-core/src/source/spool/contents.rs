//! The contents of a tar, end to end in one file without a name.
//!
//! Nothing of it is left behind, whatever happens: the file system drops it when the last descriptor is closed.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result};

/// Bytes written at once.
const WRITE_BYTES: usize = 1 << 20;

/// Where the file goes if there is no cache or it cannot be written: places that are not kept in memory first.
const OTHER_DIRECTORIES: [&str; 2] = ["/var/tmp", "/tmp"];

/// The file, being written.
pub(super) struct ContentsWriter {
    file: File,
    /// What is not written yet.
    buffer: Vec<u8>,
    /// Length of all, the buffer included.
    len: u64,
}

impl ContentsWriter {
    /// A new file in this directory, or another where that cannot be.
    pub(super) fn new(directory: Option<&Path>) -> Result<Self> {
        let others = OTHER_DIRECTORIES.map(Path::new);
        let mut failed = None;
        for directory in directory.into_iter().chain(others) {
            match unnamed_file(directory) {
                Ok(file) => return Ok(Self { file, buffer: Vec::with_capacity(WRITE_BYTES), len: 0 }),
                Err(e) => failed = failed.or(Some((directory, e))),
            }
        }
        let (directory, e) = failed.expect("there is always a directory to try");
        Err(Error::io(format!("cannot make a temporary file in {}", directory.display()), e))
    }

    /// Length of what was appended so far, which is where the next byte goes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > WRITE_BYTES {
            self.flush()?;
        }
        self.len += bytes.len() as u64;
        if bytes.len() >= WRITE_BYTES {
            let start = self.len - bytes.len() as u64;
            return self.file.write_all_at(bytes, start).map_err(cannot_write);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends so many zeros, which take no space.
    pub(super) fn append_hole(&mut self, length: u64) -> Result<()> {
        self.flush()?;
        self.len += length;
        Ok(())
    }

    /// The file, with everything in it.
    pub(super) fn finish(mut self) -> Result<File> {
        self.flush()?;
        // The last may have been a hole.
        self.file.set_len(self.len).map_err(cannot_write)?;
        Ok(self.file)
    }

    fn flush(&mut self) -> Result<()> {
        let start = self.len - self.buffer.len() as u64;
        self.file.write_all_at(&self.buffer, start).map_err(cannot_write)?;
        self.buffer.clear();
        Ok(())
    }
}

fn cannot_write(e: std::io::Error) -> Error {
    Error::io("cannot keep the contents of the tar in a temporary file", e)
}

fn unnamed_file(directory: &Path) -> std::io::Result<File> {
    std::fs::create_dir_all(directory)?;
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, mode) {
        Ok(file) => Ok(file.into()),
        // Not every file system has files without a name.
        Err(_) => removed_file(directory),
    }
}

/// A file whose name is removed as soon as it is there.
fn removed_file(directory: &Path) -> std::io::Result<File> {
    let mut attempt = 0;
    loop {
        let path = directory.join(format!(".floe-tar-{}-{attempt}", std::process::id()));
        let opened = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
        match opened {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && attempt < 1_000 => attempt += 1,
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_there() {
        let directory = tempfile::tempdir().unwrap();
        for file in [unnamed_file(directory.path()).unwrap(), removed_file(directory.path()).unwrap()] {
            let mut writer = ContentsWriter { file, buffer: Vec::new(), len: 0 };
            let mut expected = Vec::new();
            for length in [0, 1, WRITE_BYTES - 1, 1, WRITE_BYTES, WRITE_BYTES + 1, 7] {
                let bytes = vec![length as u8 | 1; length];
                writer.append(&bytes).unwrap();
                writer.append_hole(5).unwrap();
                expected.extend_from_slice(&bytes);
                expected.extend_from_slice(&[0; 5]);
                assert_eq!(writer.len(), expected.len() as u64);
            }
            let file = writer.finish().unwrap();
            let mut found = vec![1; expected.len()];
            file.read_exact_at(&mut found, 0).unwrap();
            assert!(found == expected);
            assert_eq!(file.metadata().unwrap().len(), expected.len() as u64);
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_obstacle() {
        assert!(ContentsWriter::new(Some(Path::new("/proc/no/such"))).is_ok());
    }
}
