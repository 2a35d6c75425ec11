//! Files of caches: whole or not there.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 64 << 10;

/// Makes a directory for caches, which are for their owner alone: they tell the names in private buckets.
pub(crate) fn create_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Opens a file; nothing where there is none, or something that is no file.
pub(crate) fn open_file(path: &Path) -> Option<File> {
    // Whatever else stands there must not make anybody wait.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
}

/// Reads a file, and hands it out too; nothing where there is none, or it has more bytes than it may.
pub(crate) fn read_within(path: &Path, max_bytes: u64) -> Option<(File, Vec<u8>)> {
    let mut file = open_file(path)?;
    let length = file.metadata().ok()?.len();
    if length > max_bytes {
        return None;
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(length).ok()?).ok()?;
    // It may have become longer meanwhile.
    (&mut file).take(max_bytes).read_to_end(&mut bytes).ok()?;
    Some((file, bytes))
}

/// Reads a file of text, of at most a line.
pub(crate) fn read_line(path: &Path) -> Option<String> {
    const MAX_LINE_BYTES: u64 = 4096;
    String::from_utf8(read_within(path, MAX_LINE_BYTES)?.1).ok()
}

/// Writes a file under another name and gives it its own when it is whole.
pub(crate) fn write_aside(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut aside = Aside::new(directory, name);
    aside.write(bytes);
    aside.finish().map(drop)
}

/// A file that is written under another name, bit by bit, and gets its own when it is whole. Dropped before, it is
/// removed.
#[derive(Debug)]
pub(crate) struct Aside {
    directory: PathBuf,
    name: String,
    /// What is not written yet.
    buffer: Vec<u8>,
    file: Option<File>,
    /// Nothing is written any more after that.
    failed: Option<io::Error>,
}

impl Aside {
    /// The file of this name in a directory, which is made where it is not there. Nothing is written yet.
    pub(crate) fn new(directory: &Path, name: &str) -> Self {
        let (directory, name) = (directory.to_owned(), name.to_owned());
        Self { directory, name, buffer: Vec::new(), file: None, failed: None }
    }

    /// Appends; that it failed is told in the end.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush();
        }
        if bytes.len() > BUFFER_BYTES {
            self.write_out(bytes);
        } else if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Gives the file its name; returns its path.
    ///
    /// # Errors
    /// The first that writing it met.
    pub(crate) fn finish(mut self) -> io::Result<PathBuf> {
        self.flush();
        if self.file.is_none() {
            self.write_out(&[]);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let path = self.directory.join(&self.name);
        fs::rename(self.path(), &path)?;
        self.file = None;
        Ok(path)
    }

    fn flush(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        if !buffer.is_empty() {
            self.write_out(&buffer);
        }
        self.buffer = buffer;
        self.buffer.clear();
    }

    fn write_out(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let path = self.path();
        let mut write = || {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(create(&self.directory, &path)?),
            };
            file.write_all(bytes)
        };
        self.failed = write().err();
    }

    fn path(&self) -> PathBuf {
        self.directory.join(format!(".{}.{}", self.name, std::process::id()))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = fs::remove_file(self.path());
        }
    }
}

fn create(directory: &Path, path: &Path) -> io::Result<File> {
    // What is cached of a bucket is nobody else's business.
    let create = || File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    match create() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            create_private(directory)?;
            create()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_it_may_be_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        assert!(read_within(&path, 10).is_none());
        for (length, is_read) in [(0, true), (1, true), (10, true), (11, false), (1 << 42, false)] {
            File::create(&path).unwrap().set_len(length).unwrap();
            let read = read_within(&path, 10).map(|(_, bytes)| bytes.len() as u64);
            assert_eq!(read, is_read.then_some(length));
        }
    }

    #[test]
    fn what_is_no_file_is_not_read_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        assert!(read_within(&fifo, 10).is_none());
        assert!(open_file(directory.path()).is_none());
    }

    #[test]
    fn caches_are_for_their_owner_alone() {
        use std::os::unix::fs::MetadataExt as _;
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("floe/tails");
        write_aside(&below, "x", b"secret").unwrap();
        for (path, mode) in
            [(directory.path().join("floe"), 0o700), (below.clone(), 0o700), (below.join("x"), 0o600)]
        {
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode, "{}", path.display());
        }
    }

    #[test]
    fn what_is_written_bit_by_bit_is_there_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("caches");
        let names = || fs::read_dir(&below).map_or(0, Iterator::count);
        let mut expected = Vec::new();
        let mut aside = Aside::new(&below, "x");
        for length in [0, 1, BUFFER_BYTES - 1, 1, BUFFER_BYTES, BUFFER_BYTES + 1, 3] {
            let bytes = vec![u8::try_from(length % 251).unwrap(); length];
            aside.write(&bytes);
            expected.extend_from_slice(&bytes);
            assert!(!below.join("x").exists());
        }
        assert_eq!(names(), 1);
        assert_eq!(aside.finish().unwrap(), below.join("x"));
        assert_eq!((fs::read(below.join("x")).unwrap(), names()), (expected.clone(), 1));

        let mut dropped = Aside::new(&below, "x");
        dropped.write(&vec![1; 2 * BUFFER_BYTES]);
        assert_eq!(names(), 2);
        drop(dropped);
        assert_eq!((fs::read(below.join("x")).unwrap(), names()), (expected, 1));

        assert!(fs::read(Aside::new(&below, "empty").finish().unwrap()).unwrap().is_empty());
        let mut impossible = Aside::new(Path::new("/proc/no/such"), "x");
        impossible.write(&vec![1; 2 * BUFFER_BYTES]);
        impossible.write(b"more");
        assert!(impossible.finish().is_err());
    }
}
