//! The contents of a tar, end to end in one file without a name.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::scratch::scratch_file_in;

/// Bytes written at once.
const WRITE_BYTES: usize = 1 << 20;

/// The file, being written.
pub(super) struct ContentsWriter {
    file: File,
    /// Where it is, though without a name.
    directory: PathBuf,
    /// What is not written yet.
    buffer: Vec<u8>,
    /// Length of all, the buffer included.
    len: u64,
}

impl ContentsWriter {
    /// A new file in this directory, or another where that cannot be.
    pub(super) fn new(directory: Option<&Path>) -> Result<Self> {
        let (file, directory) = scratch_file_in(directory)?;
        Ok(Self { file, directory, buffer: Vec::with_capacity(WRITE_BYTES), len: 0 })
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
            return self.file.write_all_at(bytes, start).map_err(|e| self.cannot_write(e));
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
        self.file.set_len(self.len).map_err(|e| self.cannot_write(e))?;
        Ok(self.file)
    }

    fn flush(&mut self) -> Result<()> {
        let start = self.len - self.buffer.len() as u64;
        self.file.write_all_at(&self.buffer, start).map_err(|e| self.cannot_write(e))?;
        self.buffer.clear();
        Ok(())
    }

    fn cannot_write(&self, e: std::io::Error) -> Error {
        let directory = self.directory.display();
        Error::io(format!("cannot keep the contents of the tar in a temporary file in {directory}"), e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_room_is_told() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        for length in [1, WRITE_BYTES] {
            let mut writer = ContentsWriter::new(Some(directory.path())).unwrap();
            // It cannot be written to.
            writer.file = File::open(directory.path().join("file")).unwrap();
            let written = writer.append(&vec![1; length]).and_then(|()| writer.finish().map(drop));
            let told = written.unwrap_err().to_string();
            assert!(told.ends_with(&format!(" in {}", directory.path().display())), "{told}");
        }
    }

    #[test]
    fn what_was_appended_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = ContentsWriter::new(Some(directory.path())).unwrap();
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
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
