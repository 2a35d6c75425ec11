//! Reading the files of a source, each as it was at one moment.
//!
//! Invariants: no symbolic link below the root is followed, whatever was put in the place of a directory or a file
//! since the walk; nothing is read from another directory than the one that was listed; what is not a regular file any
//! more is never read from, and opening it never waits. Of a regular file it waits for a lease to be given up, and until its
//! times would tell of a change. A file is only handed out as read if the kernel said the same of it before and after.
//!
//! Each thread has a [`SourceFiles`] of its own, which keeps the directory of the last file open and some above it: files
//! come in walk order, so nearly every one is opened by its name alone.

mod directories;

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use floe_format::{XattrList, parent_and_name};
use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use self::directories::{KEPT_DIRECTORIES, OpenDirectories};
use super::directory_id::ListedDirectory;
use super::leased::open_to_read;
use super::spelled::is_spelled_so;
use super::stat::{FileKind, Stat};
use super::trust::{HashClock, HashClocks};
use super::walk::join;
use super::xattrs::Unlisted;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::offload::pause;

#[cfg(test)]
mod tests;

/// How often a file that changed while it was read is read again.
const READ_AGAIN: usize = 3;

/// A buffer of so many bytes that are all zeros is perhaps of a hole, about which the kernel is asked.
const HOLE_BYTES: usize = 64 << 10;

/// Takes the content of a file, from the beginning and perhaps from the beginning again.
pub trait ContentSink {
    /// A file of this stat follows; what came before of this file is void.
    fn begin(&mut self, stat: &Stat) -> Result<()>;

    /// The next bytes of it; all calls together hand over as many as the stat says, unless the file changed.
    fn take(&mut self, bytes: &[u8]) -> Result<()>;
}

/// What came of reading a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// The sink has its content.
    Read {
        /// What the kernel said before and after; not necessarily what the walk was told.
        stat: Stat,
        /// The clock of its file system from before the first byte was read.
        hashing_began: HashClock,
    },
    /// It does not exist any more.
    Vanished,
}

/// A symbolic link's target and what the kernel says about the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLink {
    /// The target in raw bytes.
    pub target: Vec<u8>,
    /// What the kernel said before and after it was read.
    pub stat: Stat,
    /// The clock of its file system from before it was read.
    pub hashing_began: HashClock,
}

/// Opens files of one source by the paths a walk told.
#[derive(Debug)]
pub struct SourceFiles {
    directories: OpenDirectories,
    /// Access times are left alone as long as that is allowed, which it is to owners.
    access_time: OFlags,
    clocks: HashClocks,
    /// Ends waiting for a file that is leased, or of which the times stand still.
    cancel: CancellationToken,
}

/// A regular file that was opened to be read once.
#[derive(Debug)]
pub struct OpenFile {
    file: OwnedFd,
    stat: Stat,
    hashing_began: HashClock,
    /// Whether every change from then on shows in the stat.
    is_settled: bool,
    left: u64,
    /// Bytes that come next and are of a hole, behind which the descriptor stands.
    hole_bytes: u64,
}

impl SourceFiles {
    /// Opens the source whose root is this directory; the path may end in a symbolic link to it.
    ///
    /// # Errors
    ///
    /// The directory cannot be opened.
    pub fn open(root: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())
            .map_err(|errno| Error::io(format!("cannot open {}", root.display()), errno.into()))?;
        Ok(Self {
            directories: OpenDirectories::new(root, KEPT_DIRECTORIES),
            access_time: OFlags::NOATIME,
            clocks: HashClocks::default(),
            cancel: CancellationToken::new(),
        })
    }

    /// Waits for nothing any more once this is cancelled.
    #[must_use]
    pub fn heeding(mut self, cancel: &CancellationToken) -> Self {
        self.cancel = cancel.clone();
        self
    }

    /// Keeps as many directories open as so many threads may together: half of the open files that the limit allows.
    #[must_use]
    pub fn shared_by(mut self, threads: usize) -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        if let Some(limit) = limit {
            let each = limit / 2 / (threads as u64).max(1);
            self.directories.keep_at_most(usize::try_from(each).unwrap_or(usize::MAX));
        }
        self
    }

    /// The same source for another thread.
    ///
    /// # Errors
    ///
    /// Too many files are open.
    pub fn try_clone(&self) -> Result<Self> {
        let root = self.directories.root().try_clone_to_owned();
        let root = root.map_err(|error| Error::io("cannot open the source again", error))?;
        let directories = OpenDirectories::new(root, self.directories.most());
        let cancel = self.cancel.clone();
        Ok(Self { directories, access_time: self.access_time, clocks: self.clocks, cancel })
    }

    /// Opens the file `name` in a directory; nothing if it vanished.
    ///
    /// # Errors
    ///
    /// It cannot be opened. `Invalid`: it is no regular file any more, or the directory is not the one that was listed.
    pub fn open_file(&mut self, directory: ListedDirectory<'_>, name: &[u8]) -> Result<Option<OpenFile>> {
        match self.try_open_file(directory, name) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::NOTSUP) => {
                let message = format!("{} is not a regular file any more", display(directory, name));
                Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::QuietSource))
            }
            Err(errno) => Err(cannot("open", directory, name, errno)),
        }
    }

    /// Reads a file through `buffer` into `sink`, again if it changes meanwhile.
    ///
    /// # Errors
    ///
    /// It cannot be read, or the sink failed. `Invalid`: it will not hold still, is no regular file any more, or the
    /// directory is not the one that was listed.
    pub fn read(
        &mut self,
        directory: ListedDirectory<'_>,
        name: &[u8],
        buffer: &mut [u8],
        sink: &mut dyn ContentSink,
    ) -> Result<ReadOutcome> {
        for _ in 0..=READ_AGAIN {
            let Some(mut file) = self.open_file(directory, name)? else {
                return Ok(ReadOutcome::Vanished);
            };
            sink.begin(&file.stat)?;
            loop {
                let count = file.fill(buffer).map_err(|errno| cannot("read", directory, name, errno))?;
                if count == 0 {
                    break;
                }
                sink.take(&buffer[..count])?;
            }
            if file.held_still().map_err(|errno| cannot("read", directory, name, errno))? {
                return Ok(ReadOutcome::Read { stat: file.stat, hashing_began: file.hashing_began });
            }
        }
        Err(unsteady(directory.path, name))
    }

    /// Reads the target of a symbolic link; nothing if it vanished.
    ///
    /// # Errors
    ///
    /// It cannot be read. `Invalid`: it is no symbolic link any more, will not hold still, or the directory is not the one
    /// that was listed.
    pub fn read_link(&mut self, directory: ListedDirectory<'_>, name: &[u8]) -> Result<Option<ReadLink>> {
        for _ in 0..=READ_AGAIN {
            match self.try_read_link(directory, name) {
                Ok(Some(link)) => return Ok(Some(link)),
                Ok(None) => {}
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::INVAL | Errno::LOOP | Errno::NOTDIR) => {
                    let message = format!("{} is not a symbolic link any more", display(directory, name));
                    return Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::QuietSource));
                }
                Err(errno) => return Err(cannot("read", directory, name, errno)),
            }
        }
        Err(unsteady(directory.path, name))
    }

    /// The extended attributes of `name` in a directory; of the directory itself without a name. Nothing if it vanished, or
    /// the directory is not the one that was listed.
    ///
    /// # Errors
    ///
    /// They cannot be read, or are more than a snapshot can hold.
    pub fn xattrs(&mut self, directory: ListedDirectory<'_>, name: &[u8]) -> Result<Option<XattrList>> {
        let read = match self.directories.get(directory) {
            Ok(parent) => super::xattrs::read(parent, name),
            Err(errno) => Err(errno.into()),
        };
        match read {
            Ok(xattrs) => Ok(Some(xattrs)),
            Err(Unlisted::Errno(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE)) => Ok(None),
            Err(Unlisted::Errno(errno)) => {
                Err(cannot("read the extended attributes of", directory, name, errno))
            }
            Err(Unlisted::TooMany(error)) => Err(Error::from(error).in_object(display(directory, name))),
            Err(Unlisted::NoProc) => {
                let path = display(directory, name);
                let message =
                    format!("the extended attributes of {path} can be read only where /proc is mounted");
                Err(Error::new(ErrorKind::Invalid, message))
            }
        }
    }

    /// Whether a directory is where the walk listed it, and not under another name by now, to which other rules apply.
    pub fn is_in_place(&mut self, directory: ListedDirectory<'_>) -> bool {
        self.directories.forget();
        self.directories.get(directory).is_ok()
    }

    /// Whether something of this very name is in the directory that has this path now, and may be looked at; where that
    /// cannot be told, it is.
    pub fn is_there(&mut self, directory: &[u8], name: &str) -> bool {
        let Ok(name) = CString::new(name) else { return false };
        let found = self.directories.at(directory).and_then(|at| {
            Stat::of_name(at, &name)?;
            Ok(is_spelled_so(at, &name))
        });
        let is_nowhere = |errno| {
            matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE | Errno::ACCESS)
        };
        found.unwrap_or_else(|errno| !is_nowhere(errno))
    }

    /// What has a name in a directory, where that has the path that it was listed with; nothing where nobody can tell. The
    /// directory may have been opened before, unless they were [forgotten](Self::forget_directories); each is looked for by
    /// its whole path at once, so that none of those that it is in was moved meanwhile.
    pub fn stat_there(&mut self, directory: ListedDirectory<'_>, name: &[u8]) -> Option<Stat> {
        self.directories.jump_to(directory.path).ok()?;
        self.is_now(directory, name).ok()?.ok()
    }

    /// Whether this path is that of this very file now.
    pub fn is_file_at(&mut self, path: &[u8], file: &Stat) -> bool {
        let (directory, name) = parent_and_name(path);
        let Ok(name) = CString::new(name) else { return false };
        self.directories.forget();
        let there = self.directories.jump_to(directory).and_then(|()| {
            let at = self.directories.at(directory)?;
            Stat::of_name(at, &name)
        });
        there.is_ok_and(|there| (there.device, there.inode) == (file.device, file.inode))
    }

    /// Looks for each directory anew from now on.
    pub fn forget_directories(&mut self) {
        self.directories.forget();
    }

    /// Whether `name` in a directory is what the walk found there; of a directory, whose times change
    /// with the names in it, whether it is that one with the same owner and mode.
    ///
    /// # Errors
    ///
    /// The kernel cannot say.
    pub fn is_still(&mut self, directory: ListedDirectory<'_>, name: &[u8], found: &Stat) -> Result<bool> {
        Ok(self.is_now(directory, name)?.is_ok_and(|now| found.is_still(&now)))
    }

    /// Whether nothing in a directory has this very name; of one that is not the one that was listed that is not known, and in one
    /// in which nothing may be looked at, nothing has.
    ///
    /// # Errors
    ///
    /// The kernel cannot say.
    pub fn is_absent(&mut self, directory: ListedDirectory<'_>, name: &[u8]) -> Result<bool> {
        match self.is_now(directory, name) {
            Err(error) if error.kind() == ErrorKind::Denied => Ok(true),
            Ok(Ok(_)) => {
                let parent = self.directories.get(directory).ok();
                Ok(parent.zip(CString::new(name).ok()).is_some_and(|(at, name)| !is_spelled_so(at, &name)))
            }
            now => Ok(now? == Err(Errno::NOENT)),
        }
    }

    /// What a name in a directory is by now, or why that is not there any more.
    fn is_now(&mut self, directory: ListedDirectory<'_>, name: &[u8]) -> Result<Result<Stat, Errno>> {
        let wrong = |errno| cannot("ask about", directory, name, errno);
        let c_name = CString::new(name).map_err(|_| wrong(Errno::INVAL))?;
        match self.directories.get(directory).and_then(|parent| Stat::of_name(parent, &c_name)) {
            Err(errno) if !matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE) => {
                Err(wrong(errno))
            }
            told => Ok(told),
        }
    }

    fn try_open_file(&mut self, directory: ListedDirectory<'_>, name: &[u8]) -> Result<OpenFile, Errno> {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        let access_time = self.access_time;
        let parent = self.directories.get(directory)?;
        let open = |more| open_to_read(parent, &name, more, || self.cancel.is_cancelled());
        let file = match open(access_time) {
            Err(Errno::PERM) if !access_time.is_empty() => {
                let file = open(OFlags::empty())?;
                self.access_time = OFlags::empty();
                file
            }
            result => result?,
        };
        let mut stat = Stat::of_file(&file)?;
        if stat.kind != FileKind::File {
            return Err(Errno::NOTSUP);
        }
        let unsettled = stat.until_settled();
        if !unsettled.is_zero() {
            // Who is to stop hears of it elsewhere.
            let _ = pause(&self.cancel, unsettled);
            stat = Stat::of_file(&file)?;
        }
        let is_settled = stat.until_settled().is_zero();
        let hashing_began = self.clocks.read(&file, &stat)?;
        Ok(OpenFile { file, left: stat.size, stat, hashing_began, is_settled, hole_bytes: 0 })
    }

    fn try_read_link(
        &mut self,
        directory: ListedDirectory<'_>,
        name: &[u8],
    ) -> Result<Option<ReadLink>, Errno> {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        let parent = self.directories.get(directory)?;
        let stat = Stat::of_name(parent, &name)?;
        let hashing_began = HashClock::read(parent)?;
        let target = rustix::fs::readlinkat(parent, &name, Vec::new())?.into_bytes();
        let is_steady = stat.same_content(&Stat::of_name(parent, &name)?);
        Ok(is_steady.then_some(ReadLink { target, stat, hashing_began }))
    }
}

impl OpenFile {
    /// What the kernel said before the first byte was read.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// The clock of its file system from before then.
    pub fn hashing_began(&self) -> HashClock {
        self.hashing_began
    }

    /// Reads the next bytes: a full buffer, except at the end, which is where the stat says.
    ///
    /// # Errors
    ///
    /// What the kernel said.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let mut filled = usize::try_from(self.hole_bytes).map_or(wanted, |hole| hole.min(wanted));
        buffer[..filled].fill(0);
        self.hole_bytes -= filled as u64;
        while filled < wanted {
            match rustix::io::read(&self.file, &mut buffer[filled..wanted]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.left -= filled as u64;
        if self.hole_bytes == 0 && self.left > 0 && filled >= HOLE_BYTES && is_zeros(&buffer[..filled]) {
            self.skip_hole();
        }
        Ok(filled)
    }

    /// Moves to the data that comes next, or the end. Where the file system does not tell of holes, there is none.
    fn skip_hole(&mut self) {
        let at = self.stat.size - self.left;
        let data = match rustix::fs::seek(&self.file, SeekFrom::Data(at)) {
            Ok(data) => data,
            // There is no more, or the file was cut short, which is seen in the end.
            Err(Errno::NXIO) => self.stat.size,
            Err(_) => return,
        };
        self.hole_bytes = data.saturating_sub(at).min(self.left);
    }

    /// What the kernel says by now.
    ///
    /// # Errors
    ///
    /// What it said instead.
    pub fn stat_now(&self) -> Result<Stat, Errno> {
        Stat::of_file(&self.file)
    }

    /// Whether all of it was read and the kernel still says the same of it.
    ///
    /// # Errors
    ///
    /// What the kernel said.
    pub fn held_still(&self) -> Result<bool, Errno> {
        Ok(self.left == 0 && self.is_settled && Stat::of_file(&self.file)?.same_content(&self.stat))
    }
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The error of a file that cannot be read: `Invalid` where it, or its directory, is not there any more.
pub(crate) fn unreadable(message: String, errno: Errno) -> Error {
    match errno {
        Errno::STALE => Error::new(ErrorKind::Invalid, message)
            .with_source("it, or its directory, is not what was listed"),
        Errno::AGAIN => {
            Error::new(ErrorKind::Denied, message).with_source("somebody has a lease on it and keeps that")
        }
        _ => Error::io(message, errno.into()),
    }
}

/// Whether there is nothing but zeros; told at the first byte where there is not.
pub(crate) fn is_zeros(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0) && bytes[1..] == bytes[..bytes.len() - 1]
}

fn display(directory: ListedDirectory<'_>, name: &[u8]) -> String {
    String::from_utf8_lossy(&join(directory.path, name)).into_owned()
}

fn cannot(do_what: &str, directory: ListedDirectory<'_>, name: &[u8], errno: Errno) -> Error {
    unreadable(format!("cannot {do_what} {}", display(directory, name)), errno)
}

/// The error of a file that will not hold still.
pub(super) fn unsteady(directory: &[u8], name: &[u8]) -> Error {
    let path = join(directory, name);
    let message = format!("{} changed each time it was read", String::from_utf8_lossy(&path));
    Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::QuietSource)
}
