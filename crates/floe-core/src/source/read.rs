//! Reading the files of a source, each as it was at one moment.
//!
//! Invariants: no symbolic link below the root is followed, whatever was put in the place of a directory or a file
//! since the walk; what is not a regular file any more is never read from, and opening it never waits. A file is only
//! handed out as read if the kernel said the same of it before and after.
//!
//! Each thread has a [`SourceFiles`] of its own, which keeps the directories of the last files open: files come in
//! walk order, so nearly every one is opened by its name alone.

use std::collections::VecDeque;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use floe_format::XattrList;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::stat::{FileKind, Stat};
use super::trust::{HashClock, HashClocks};
use super::walk::join;
use crate::error::{Error, ErrorKind, Result};

#[cfg(test)]
mod tests;

/// How many directories stay open for each thread.
const KEPT_DIRECTORIES: usize = 8;

/// How often a file that changed while it was read is read again.
const READ_AGAIN: usize = 3;

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
    root: OwnedFd,
    /// Open directories by their path, the one used last in front.
    directories: VecDeque<(Vec<u8>, OwnedFd)>,
    /// Access times are left alone as long as that is allowed, which it is to owners.
    access_time: OFlags,
    clocks: HashClocks,
}

/// A regular file that was opened to be read once.
#[derive(Debug)]
pub struct OpenFile {
    file: OwnedFd,
    stat: Stat,
    hashing_began: HashClock,
    left: u64,
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
            root,
            directories: VecDeque::new(),
            access_time: OFlags::NOATIME,
            clocks: HashClocks::default(),
        })
    }

    /// The same source for another thread.
    ///
    /// # Errors
    ///
    /// Too many files are open.
    pub fn try_clone(&self) -> Result<Self> {
        let root = self.root.try_clone().map_err(|error| Error::io("cannot open the source again", error))?;
        Ok(Self { root, directories: VecDeque::new(), access_time: self.access_time, clocks: self.clocks })
    }

    /// Opens the file `name` in the directory at `directory`; nothing if it vanished.
    ///
    /// # Errors
    ///
    /// It cannot be opened or is no regular file any more.
    pub fn open_file(&mut self, directory: &[u8], name: &[u8]) -> Result<Option<OpenFile>> {
        match self.try_open_file(directory, name) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::NOTSUP) => {
                let message = format!("{} is not a regular file any more", display(directory, name));
                Err(Error::new(ErrorKind::Invalid, message))
            }
            Err(errno) => Err(cannot("open", directory, name, errno)),
        }
    }

    /// Reads a file through `buffer` into `sink`, again if it changes meanwhile.
    ///
    /// # Errors
    ///
    /// It cannot be read, will not hold still, or the sink failed.
    pub fn read(
        &mut self,
        directory: &[u8],
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
        Err(unsteady(directory, name))
    }

    /// Reads the target of a symbolic link; nothing if it vanished.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no symbolic link any more, or will not hold still.
    pub fn read_link(&mut self, directory: &[u8], name: &[u8]) -> Result<Option<ReadLink>> {
        for _ in 0..=READ_AGAIN {
            match self.try_read_link(directory, name) {
                Ok(Some(link)) => return Ok(Some(link)),
                Ok(None) => {}
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::INVAL | Errno::LOOP | Errno::NOTDIR) => {
                    let message = format!("{} is not a symbolic link any more", display(directory, name));
                    return Err(Error::new(ErrorKind::Invalid, message));
                }
                Err(errno) => return Err(cannot("read", directory, name, errno)),
            }
        }
        Err(unsteady(directory, name))
    }

    /// The extended attributes of `name` in the directory at `directory`; of the directory itself without a name. What
    /// vanished has none.
    ///
    /// # Errors
    ///
    /// They cannot be read, or are more than a snapshot can hold.
    pub fn xattrs(&mut self, directory: &[u8], name: &[u8]) -> Result<XattrList> {
        let read = self.directory(directory).and_then(|parent| super::xattrs::read(parent, name));
        match read {
            Ok(xattrs) => xattrs.map_err(|e| Error::from(e).in_object(display(directory, name))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(XattrList::default()),
            Err(errno) => Err(cannot("read the extended attributes of", directory, name, errno)),
        }
    }

    /// Whether `name` in the directory at `directory` is what the walk found there; of a directory, whose times change
    /// with the names in it, whether it is that one with the same owner and mode.
    ///
    /// # Errors
    ///
    /// The kernel cannot say.
    pub fn is_still(&mut self, directory: &[u8], name: &[u8], found: &Stat) -> Result<bool> {
        let c_name = CString::new(name).map_err(|_| cannot("ask about", directory, name, Errno::INVAL))?;
        match self.directory(directory).and_then(|parent| Stat::of_name(parent, &c_name)) {
            Ok(now) => Ok(found.is_still(&now)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
            Err(errno) => Err(cannot("ask about", directory, name, errno)),
        }
    }

    fn try_open_file(&mut self, directory: &[u8], name: &[u8]) -> Result<OpenFile, Errno> {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        // O_NONBLOCK: a fifo or device put in the file's place must not make the push wait.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let access_time = self.access_time;
        let parent = self.directory(directory)?;
        let file = match rustix::fs::openat(parent, &name, flags | access_time, Mode::empty()) {
            Err(Errno::PERM) if !access_time.is_empty() => {
                let file = rustix::fs::openat(parent, &name, flags, Mode::empty())?;
                self.access_time = OFlags::empty();
                file
            }
            result => result?,
        };
        let stat = Stat::of_file(&file)?;
        let hashing_began = self.clocks.read(&file, stat.device)?;
        if stat.kind != FileKind::File {
            return Err(Errno::NOTSUP);
        }
        Ok(OpenFile { file, left: stat.size, stat, hashing_began })
    }

    fn try_read_link(&mut self, directory: &[u8], name: &[u8]) -> Result<Option<ReadLink>, Errno> {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        let parent = self.directory(directory)?;
        let stat = Stat::of_name(parent, &name)?;
        let hashing_began = HashClock::read(parent)?;
        let target = rustix::fs::readlinkat(parent, &name, Vec::new())?.into_bytes();
        let is_steady = stat.same_content(&Stat::of_name(parent, &name)?);
        Ok(is_steady.then_some(ReadLink { target, stat, hashing_began }))
    }

    /// The open directory at that path, which is reached from the nearest one still open.
    fn directory(&mut self, path: &[u8]) -> Result<BorrowedFd<'_>, Errno> {
        if path.is_empty() {
            return Ok(self.root.as_fd());
        }
        let is_above = |above: &[u8]| {
            path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        let nearest = (0..self.directories.len())
            .filter(|&index| is_above(&self.directories[index].0))
            .max_by_key(|&index| self.directories[index].0.len());
        let mut reached = 0;
        if let Some(directory) = nearest.and_then(|index| self.directories.remove(index)) {
            reached = directory.0.len();
            self.directories.push_front(directory);
        }
        while reached < path.len() {
            let start = reached + usize::from(reached > 0);
            let end = path[start..].iter().position(|byte| *byte == b'/').map_or(path.len(), |at| start + at);
            let component = CString::new(&path[start..end]).map_err(|_| Errno::INVAL)?;
            let above = match self.directories.front() {
                Some((_, above)) if reached > 0 => above,
                _ => &self.root,
            };
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let next = rustix::fs::openat(above, &component, flags, Mode::empty())?;
            self.directories.push_front((path[..end].to_vec(), next));
            self.directories.truncate(KEPT_DIRECTORIES);
            reached = end;
        }
        self.directories.front().map(|(_, directory)| directory.as_fd()).ok_or(Errno::INVAL)
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
        let mut filled = 0;
        while filled < wanted {
            match rustix::io::read(&self.file, &mut buffer[filled..wanted]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.left -= filled as u64;
        Ok(filled)
    }

    /// Whether all of it was read and the kernel still says the same of it.
    ///
    /// # Errors
    ///
    /// What the kernel said.
    pub fn held_still(&self) -> Result<bool, Errno> {
        Ok(self.left == 0 && Stat::of_file(&self.file)?.same_content(&self.stat))
    }
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn display(directory: &[u8], name: &[u8]) -> String {
    String::from_utf8_lossy(&join(directory, name)).into_owned()
}

fn cannot(do_what: &str, directory: &[u8], name: &[u8], errno: Errno) -> Error {
    Error::io(format!("cannot {do_what} {}", display(directory, name)), errno.into())
}

fn unsteady(directory: &[u8], name: &[u8]) -> Error {
    let message = format!("{} changed each time it was read", display(directory, name));
    Error::new(ErrorKind::Invalid, message)
}
