//! The one seam between the local store and the file system's writing half.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// A change that is about to be made on disk; paths are absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskOp<'a> {
    /// Makes an empty file that was not there.
    Create(&'a Path),
    /// Writes into a file.
    Write {
        /// The file.
        path: &'a Path,
        /// Where in it.
        offset_bytes: u64,
        /// What.
        body: &'a [u8],
    },
    /// Makes a file's content and size survive power loss.
    SyncFile(&'a Path),
    /// Moves a file, replacing what is there.
    Rename {
        /// Its old path.
        from: &'a Path,
        /// Its new path.
        to: &'a Path,
    },
    /// Moves a file to where there is none.
    RenameNew {
        /// Its old path.
        from: &'a Path,
        /// Its new path.
        to: &'a Path,
    },
    /// Removes a file.
    Unlink(&'a Path),
    /// Makes a directory.
    MakeDir(&'a Path),
    /// Makes the entries of a directory survive power loss.
    SyncDir(&'a Path),
}

/// Is told of every change before it is made, for tests of crashes and full disks.
pub trait DiskWatch: fmt::Debug + Send + Sync + 'static {
    /// Lets the change happen, or fails it with this error.
    ///
    /// # Errors
    /// Those that the change shall fail with.
    fn before(&self, op: DiskOp<'_>) -> io::Result<()>;
}

/// The file system, as far as the local store changes it.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    watch: Option<Arc<dyn DiskWatch>>,
}

impl Disk {
    pub(super) fn watched(watch: Arc<dyn DiskWatch>) -> Self {
        Self { watch: Some(watch) }
    }

    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        self.before(DiskOp::Create(path))?;
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    pub(super) fn write_at(
        &self,
        file: &File,
        path: &Path,
        body: &[u8],
        offset_bytes: u64,
    ) -> io::Result<()> {
        self.before(DiskOp::Write { path, offset_bytes, body })?;
        file.write_all_at(body, offset_bytes)
    }

    pub(super) fn sync_file(&self, file: &File, path: &Path) -> io::Result<()> {
        self.before(DiskOp::SyncFile(path))?;
        file.sync_data()
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(DiskOp::Rename { from, to })?;
        fs::rename(from, to)
    }

    pub(super) fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(DiskOp::RenameNew { from, to })?;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // The kernel or the file system does not know the flag; a hard link never replaces either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                fs::hard_link(from, to)?;
                fs::remove_file(from)
            }
            other => Ok(other?),
        }
    }

    pub(super) fn unlink(&self, path: &Path) -> io::Result<()> {
        self.before(DiskOp::Unlink(path))?;
        fs::remove_file(path)
    }

    pub(super) fn make_dir(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.before(DiskOp::MakeDir(path))?;
        fs::create_dir(path)
    }

    pub(super) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.before(DiskOp::SyncDir(path))?;
        File::open(path)?.sync_all()
    }

    /// Leaves an empty file; it is a note that may be lost, so nobody syncs it.
    pub(super) fn mark(&self, path: &Path) -> io::Result<()> {
        match self.create(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(()),
        }
    }

    fn before(&self, op: DiskOp<'_>) -> io::Result<()> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch.before(op))
    }
}
