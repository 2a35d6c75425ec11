//! Files of caches that are replaced as a whole.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek as _, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::aside::create_private;

/// Bytes that are copied at once.
const COPY_BYTES: usize = 128 * 1024;

/// The file beside a cache that is to replace it. It has a fixed name and is locked by who writes it, so that what a
/// killed writer leaves is used again, and of two writers the second gives up.
///
/// The two change places, and the former cache is written over the next time: its blocks on the disk need not be given
/// back and asked for again. Whoever still reads it finds sums that are not right.
#[derive(Debug)]
pub(super) struct Replacement {
    file: File,
    path: PathBuf,
}

impl Replacement {
    /// Begins it; nothing where another writer is at it, or has replaced the cache that is being `read` since it was
    /// opened: it would be written over.
    pub(super) fn create(cache: &Path, read: Option<&File>) -> io::Result<Option<Self>> {
        let path = cache.with_added_extension("new");
        if let Some(directory) = cache.parent() {
            create_private(directory)?;
        }
        loop {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                result => result?,
            }
            // Between opening and locking another writer may have put this very file in the cache's place.
            let own = file.metadata()?;
            let is_own = |other: &Metadata| (other.dev(), other.ino()) == (own.dev(), own.ino());
            if read.is_some_and(|read| read.metadata().is_ok_and(|read| is_own(&read))) {
                return Ok(None);
            }
            match std::fs::symlink_metadata(&path) {
                Ok(named) if is_own(&named) => {
                    return Ok(Some(Self { file, path }));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts what was written in the place of the cache.
    pub(super) fn replace(mut self, cache: &Path) -> io::Result<()> {
        let length = self.file.stream_position()?;
        self.file.set_len(length)?;
        match renameat_with(CWD, &self.path, CWD, cache, RenameFlags::EXCHANGE) {
            // There is no former cache, or the file system cannot do that.
            Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                std::fs::rename(&self.path, cache)
            }
            exchanged => Ok(exchanged?),
        }
    }
}

/// Copies bytes of a cache as they are, sound or not: their sums go with them.
pub(super) fn copy(from: &File, range: Range<u64>, to: &mut impl Write) -> io::Result<()> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(COPY_BYTES);
    let mut buffer = vec![0; length.min(COPY_BYTES)];
    let mut at = range.start;
    while at < range.end {
        let count = usize::try_from(range.end - at).map_or(buffer.len(), |left| left.min(buffer.len()));
        from.read_exact_at(&mut buffer[..count], at)?;
        to.write_all(&buffer[..count])?;
        at += count as u64;
    }
    Ok(())
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // Still locked: the name is this file's, or after `replace` nobody's or that of another writer's next file,
        // which is told by the inode.
        let is_same =
            |metadata: std::fs::Metadata| self.file.metadata().is_ok_and(|own| own.ino() == metadata.ino());
        if std::fs::symlink_metadata(&self.path).is_ok_and(is_same) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
