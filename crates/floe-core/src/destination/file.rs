//! Writing regular files.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fchmod, fchown, ftruncate, futimens, openat, renameat, renameat_with,
    unlinkat,
};
use rustix::io::{self, Errno, pwrite, write, writev};

use super::attributes::{ids, times};
use super::directories::{DirId, state};
use super::entry::{ALL_MODE_BITS, FileStat, GROUP_BITS, Meta, OWNER_BITS, Settings};
use super::problem::{STOPPED, UNSEEN, failed};
use super::removal::Fate;
use super::spelling::why_taken;
use super::staging::move_to_free_name;
use super::tree::Tree;
use super::worker::Worker;
use super::{names, removal, sys, xattrs};
use crate::{Error, ErrorKind, Result};

/// A file of at most this many bytes is written whole, zeros and all.
const HOLES_OVER_BYTES: u64 = 64 << 10;
/// The size and alignment of the blocks of zeros that become holes.
const BLOCK_BYTES: usize = 4 << 10;
static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

/// A file whose content comes in parts, from any thread and in any order.
///
/// In place it is a temporary file until [`Worker::finish_file`]; dropped before, it is removed.
#[derive(Debug)]
pub(crate) struct FileWriter<'t> {
    tree: &'t Tree,
    directory: DirId,
    name: Box<[u8]>,
    file: NewFile,
    length: u64,
    /// Where the furthest byte written ends; what is beyond it is a hole.
    end: AtomicU64,
}

/// A file just made, under its own name or, in place, under a temporary one.
#[derive(Debug)]
struct NewFile {
    fd: OwnedFd,
    temporary: Option<Temporary>,
}

/// A name that is removed unless it was moved.
#[derive(Debug)]
struct Temporary {
    directory: Arc<OwnedFd>,
    name: Vec<u8>,
    is_moved: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_moved {
            // It is recognised and cleared by the next pull when this fails.
            let _ = unlinkat(&*self.directory, &self.name, AtFlags::empty());
        }
    }
}

impl FileWriter<'_> {
    /// Writes bytes at an offset of the file. In a file over 64 KiB, each aligned 4 KiB of zeros stays a hole.
    ///
    /// # Errors
    ///
    /// Corrupt: the bytes end beyond the file's length. Otherwise what the [module](crate::destination#errors) says of
    /// system calls.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = u64::try_from(bytes.len())
            .ok()
            .and_then(|length| offset.checked_add(length))
            .filter(|&end| end <= self.length)
            .ok_or_else(|| {
                let path = self.tree.shown(self.directory, &self.name);
                Error::new(
                    ErrorKind::Corrupt,
                    format!("the snapshot has more content for `{path}` than its size says"),
                )
            })?;
        let sparse = self.length > HOLES_OVER_BYTES;
        let written = if sparse {
            self.write_sparse(offset, bytes)
        } else {
            write_all_at(self.file.fd.as_fd(), offset, bytes).map(|()| end)
        };
        let end = written.map_err(|e| failed("write", &self.tree.shown(self.directory, &self.name), e))?;
        self.end.fetch_max(end, Ordering::Relaxed);
        Ok(())
    }

    /// Writes all but blocks of zeros; also the part of a block may be left out, as the file had nothing there before.
    fn write_sparse(&self, offset: u64, bytes: &[u8]) -> io::Result<u64> {
        let mut end = 0;
        let mut run = 0;
        let mut at = 0;
        let mut flush = |from: usize, to: usize| {
            if from < to {
                let start = offset + from as u64;
                write_all_at(self.file.fd.as_fd(), start, &bytes[from..to])?;
                end = start + (to - from) as u64;
            }
            Ok::<(), Errno>(())
        };
        while at < bytes.len() {
            let position = offset + at as u64;
            // Less than a block: the remainder fits.
            let into_block = usize::try_from(position % BLOCK_BYTES as u64).unwrap_or_default();
            let length = (BLOCK_BYTES - into_block).min(bytes.len() - at);
            if bytes[at..at + length] == ZEROS[..length] {
                flush(run, at)?;
                run = at + length;
            }
            at += length;
        }
        flush(run, at)?;
        Ok(end)
    }
}

impl<'t> Worker<'t> {
    /// Writes a whole file from parts of its content, in the fewest system calls.
    ///
    /// Returns its stat when [`Settings::stat_written`](super::Settings::stat_written) asks for it.
    ///
    /// # Errors
    ///
    /// Corrupt: the name or the attributes are none. Otherwise what the [module](crate::destination#errors) says of
    /// system calls.
    pub(crate) fn write_small_file(
        &mut self,
        directory: DirId,
        name: &[u8],
        meta: &Meta<'_>,
        content: &[&[u8]],
    ) -> Result<Option<FileStat>> {
        let (at, file) = self.new_file(directory, name, meta)?;
        write_parts(file.fd.as_fd(), content)
            .map_err(|e| failed("write", &self.tree.shown(directory, name), e))?;
        self.complete(directory, name, meta, at.as_fd(), file)
    }

    /// Makes a file of which the content is written in parts; `length` is its size in bytes.
    ///
    /// # Errors
    ///
    /// Corrupt: the name or the attributes are none. Otherwise what the [module](crate::destination#errors) says of
    /// system calls.
    pub(crate) fn create_file(
        &mut self,
        directory: DirId,
        name: &[u8],
        meta: &Meta<'_>,
        length: u64,
    ) -> Result<FileWriter<'t>> {
        let (_, file) = self.new_file(directory, name, meta)?;
        Ok(FileWriter { tree: self.tree, directory, name: name.into(), file, length, end: AtomicU64::new(0) })
    }

    /// Gives a file its length, owner, mode, extended attributes and time, and in place its name. The last call for a
    /// file, with what was given at first; any worker of the tree may make it.
    ///
    /// # Errors
    ///
    /// What the [module](crate::destination#errors) says of system calls.
    pub(crate) fn finish_file(
        &mut self,
        writer: FileWriter<'t>,
        meta: &Meta<'_>,
    ) -> Result<Option<FileStat>> {
        let FileWriter { directory, name, file, length, end, .. } = writer;
        if end.into_inner() < length {
            ftruncate(&file.fd, length)
                .map_err(|e| failed("set the size of", &self.tree.shown(directory, &name), e))?;
        }
        let at = match &file.temporary {
            Some(temporary) => Arc::clone(&temporary.directory),
            None => self.directory(directory)?,
        };
        self.complete(directory, &name, meta, at.as_fd(), file)
    }

    fn new_file(
        &mut self,
        directory: DirId,
        name: &[u8],
        meta: &Meta<'_>,
    ) -> Result<(Arc<OwnedFd>, NewFile)> {
        names::check(name)?;
        meta.check()?;
        let at = self.directory_to_write(directory)?;
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC
            | OFlags::NOCTTY;
        let mode = Mode::from_raw_mode(self.made_mode(directory, meta));
        let wrong = |errno| failed("make the file", &self.tree.shown(directory, name), errno);
        if !self.tree.in_place {
            let fd = openat(&*at, name, flags, mode).map_err(wrong)?;
            return Ok((at, NewFile { fd, temporary: None }));
        }
        loop {
            let name = self.tree.temporary_name();
            match openat(&*at, &name, flags, mode) {
                Ok(fd) => {
                    let temporary = Temporary { directory: Arc::clone(&at), name, is_moved: false };
                    return Ok((at, NewFile { fd, temporary: Some(temporary) }));
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(wrong(errno)),
            }
        }
    }

    /// Owner first, because changing it takes special bits and capabilities away; the mode after extended attributes, which
    /// cannot be set on a read-only file; the time last.
    fn complete(
        &self,
        directory: DirId,
        name: &[u8],
        meta: &Meta<'_>,
        at: BorrowedFd<'_>,
        NewFile { fd: file, mut temporary }: NewFile,
    ) -> Result<Option<FileStat>> {
        let tree = self.tree;
        let wrong = |doing, errno| failed(doing, &tree.shown(directory, name), errno);
        let fd = file.as_fd();
        if let Some(owner) = meta.owner {
            let (user, group) = ids(owner);
            fchown(fd, user, group).map_err(|e| wrong("set the owner of", e))?;
        }
        let wanted = meta.xattrs.unwrap_or_default();
        let mut mode = tree.settings.restored_mode(meta.mode);
        if tree.settings.is_owner_asked(meta) {
            let stat = FileStat::of_descriptor(fd).map_err(|e| wrong("look at", e))?;
            mode &= self.bits_for(directory, name, meta, stat.owner);
        }
        for (key, value) in xattrs::acl_last(wanted) {
            if let Err(errno) = xattrs::set_open(fd, (key, value)) {
                tree.complain_of_xattr(directory, name, key, errno);
                if key == xattrs::ACL {
                    mode &= xattrs::bits_without(value);
                }
            }
        }
        if self.gives_acl(directory, meta)
            && !xattrs::has_acl(wanted)
            && let Err(errno) = xattrs::remove_open(fd, xattrs::ACL)
        {
            tree.complain_of_xattr(directory, name, xattrs::ACL, errno);
            mode &= !GROUP_BITS;
        }
        // A directory's default ACL, inherited in place, overrides the mode given to `open`.
        let differs = !self.umask.is_private()
            || self.made_mode(directory, meta) != mode
            || (tree.in_place && FileStat::of_descriptor(fd).map_err(|e| wrong("look at", e))?.mode != mode);
        if differs {
            fchmod(fd, Mode::from_raw_mode(mode)).map_err(|e| wrong("set the mode of", e))?;
        }
        if let Some(mtime) = meta.mtime {
            futimens(fd, &times(mtime)).map_err(|e| wrong("set the time of", e))?;
        }
        // Where a server has the file, it may say only when it is closed that there is no room for it.
        if let Some(temporary) = &mut temporary {
            let same = io::fcntl_dupfd_cloexec(fd, 0).map_err(|e| wrong("write", e))?;
            sys::close(same).map_err(|e| wrong("write", e))?;
            self.publish(directory, at, &temporary.name, name).map_err(|e| wrong("replace", e))?;
            temporary.is_moved = true;
        }
        let stat = self.written(fd).map_err(|e| wrong("look at", e))?;
        sys::close(file).map_err(|e| wrong("write", e))?;
        Ok(stat)
    }

    /// The mode that a file is made with: without special bits, and writable as long as extended attributes must be set.
    fn made_mode(&self, directory: DirId, meta: &Meta<'_>) -> u32 {
        let lifted = if meta.xattrs.is_some_and(|x| !x.is_empty()) { 0o200 } else { 0 };
        meta.mode & 0o777 & self.early_permissions(directory, meta) | lifted
    }

    /// The bits of a mode that something is made with. In place, where it is to have an owner or an ACL, or is to lose one that
    /// it gets from its directory, only its owner gets anything until then: the bits are meant for others.
    pub(super) fn early_permissions(&self, directory: DirId, meta: &Meta<'_>) -> u32 {
        let is_anothers = meta.owner.is_some() || meta.xattrs.is_some_and(xattrs::has_acl);
        let is_early = self.tree.in_place && is_anothers || self.gives_acl(directory, meta);
        if is_early { OWNER_BITS } else { ALL_MODE_BITS }
    }

    /// Whether something gets an ACL from its directory, and is to have exactly its own.
    fn gives_acl(&self, directory: DirId, meta: &Meta<'_>) -> bool {
        let is_exact = self.tree.in_place && meta.xattrs.is_some();
        is_exact && self.tree.directories().state(directory) & state::GIVES_ACL != 0
    }

    /// The stat of what was just written, if it is asked for.
    pub(super) fn written(&self, fd: BorrowedFd<'_>) -> io::Result<Option<FileStat>> {
        if self.tree.settings.stat_written { FileStat::of_descriptor(fd).map(Some) } else { Ok(None) }
    }

    /// Moves a temporary name over the one it is for. A directory in the way goes after that: when it is empty, or when
    /// deleting is asked for and a survey saw it as it is.
    pub(super) fn publish(
        &self,
        directory: DirId,
        at: BorrowedFd<'_>,
        temporary: &[u8],
        name: &[u8],
    ) -> io::Result<()> {
        self.as_only_one(directory, at, temporary, name, || self.replace(directory, at, temporary, name))
    }

    fn replace(&self, directory: DirId, at: BorrowedFd<'_>, temporary: &[u8], name: &[u8]) -> io::Result<()> {
        if self.tree.is_vacant(directory, name) {
            return move_to_free_name(at, temporary, at, name).map_err(|errno| match errno {
                Errno::EXIST => why_taken(at, name),
                errno => errno,
            });
        }
        match renameat(at, temporary, at, name) {
            Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => {}
            other => return other,
        }
        // What was not looked at may hold what is left out.
        if self.tree.settings.delete
            && let Some(judged) = FileStat::of_name_if_any(at, name)?
            && self.tree.is_as_looked_at(directory, name, &judged)
        {
            return self.replace_filled(at, temporary, name, &judged, removal::remove);
        }
        match self.replace_empty(at, temporary, name) {
            Err(Errno::EXIST | Errno::NOTEMPTY) if self.tree.settings.delete => Err(UNSEEN),
            other => other,
        }
    }

    /// Puts what has a temporary name in the place of an empty directory. On file systems that do not exchange names, and where
    /// that may not be looked into, there is a moment without either.
    fn replace_empty(&self, at: BorrowedFd<'_>, temporary: &[u8], name: &[u8]) -> io::Result<()> {
        // Who is killed between the two leaves nothing of somebody's under a name that the next pull clears.
        let is_known = removal::check_empty(at, name, &self.tree.settings)?;
        let exchanged = || renameat_with(at, temporary, at, name, RenameFlags::EXCHANGE);
        match if is_known { exchanged() } else { Err(Errno::NOSYS) } {
            Err(Errno::INVAL | Errno::NOSYS | Errno::XDEV) => {
                unlinkat(at, name, AtFlags::REMOVEDIR)?;
                return renameat(at, temporary, at, name);
            }
            other => other?,
        }
        unlinkat(at, temporary, AtFlags::REMOVEDIR).or_else(|errno| {
            exchanged()?;
            Err(errno)
        })
    }

    /// Puts what has a temporary name in the place of a directory, which goes then; where something in it stays, what is left
    /// of it has its place again. Who is to stop meanwhile leaves that to the next pull, as who is killed does: half a directory
    /// is nobody's. On file systems that do not exchange names there is a moment without either.
    fn replace_filled(
        &self,
        at: BorrowedFd<'_>,
        temporary: &[u8],
        name: &[u8],
        judged: &FileStat,
        remove: impl Fn(BorrowedFd<'_>, &[u8], &Settings) -> io::Result<Fate>,
    ) -> io::Result<()> {
        let settings = &self.tree.settings;
        if settings.stop.is_cancelled() {
            return Err(STOPPED);
        }
        let exchanged = || renameat_with(at, temporary, at, name, RenameFlags::EXCHANGE);
        match exchanged() {
            // Those of several layers do not move each directory.
            Err(Errno::INVAL | Errno::NOSYS | Errno::XDEV) => {
                // Where something in it stays, it is in the way below.
                remove(at, name, settings)?;
                return renameat(at, temporary, at, name);
            }
            other => other?,
        }
        // Somebody may have put another there at the last moment, and what is in that nobody has looked at.
        let is_it = FileStat::of_name(at, temporary)
            .is_ok_and(|moved| moved.is_same_file(judged) && moved.mtime == judged.mtime);
        if !is_it {
            exchanged()?;
            return Err(UNSEEN);
        }
        match remove(at, temporary, settings) {
            Ok(Fate::Gone) => Ok(()),
            Err(STOPPED) => Err(STOPPED),
            kept => {
                exchanged()?;
                kept.and(Err(Errno::NOTEMPTY))
            }
        }
    }
}

fn write_parts(fd: BorrowedFd<'_>, content: &[&[u8]]) -> io::Result<()> {
    match content {
        [] => Ok(()),
        [one] => write_all(fd, one),
        many => {
            let slices: Vec<_> = many.iter().map(|part| IoSlice::new(part)).collect();
            let length: usize = many.iter().map(|part| part.len()).sum();
            // The kernel takes at most 1,024 at once, and may take fewer bytes than it is given.
            let mut taken = retry(|| writev(fd, &slices[..slices.len().min(1024)]))?;
            if taken == length {
                return Ok(());
            }
            for part in many {
                let skipped = taken.min(part.len());
                taken -= skipped;
                write_all(fd, &part[skipped..])?;
            }
            Ok(())
        }
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match retry(|| write(fd, bytes))? {
            0 => return Err(Errno::IO),
            taken => bytes = &bytes[taken..],
        }
    }
    Ok(())
}

fn write_all_at(fd: BorrowedFd<'_>, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match retry(|| pwrite(fd, bytes, offset))? {
            0 => return Err(Errno::IO),
            taken => {
                bytes = &bytes[taken..];
                offset += taken as u64;
            }
        }
    }
    Ok(())
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::in_place::InPlace;
    use super::super::tests::settings;
    use super::*;

    /// A worker, a directory with entries where a file is to be, and that file under its temporary name.
    fn replaced(
        act: impl FnOnce(&Worker<'_>, BorrowedFd<'_>) -> io::Result<()>,
    ) -> (tempfile::TempDir, io::Result<()>) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("name")).unwrap();
        for path in ["name/first", "name/second", "temporary"] {
            fs::write(dir.path().join(path), b"x").unwrap();
        }
        // Not of this very tick.
        let name = fs::File::open(dir.path().join("name")).unwrap();
        name.set_modified(std::time::UNIX_EPOCH).unwrap();
        let over = InPlace::open(dir.path(), Settings { delete: true, ..settings() }).unwrap();
        let mut worker = over.tree().worker();
        let at = worker.directory(DirId::ROOT).unwrap();
        let done = act(&worker, at.as_fd());
        (dir, done)
    }

    #[test]
    fn who_stops_while_a_directory_is_emptied_does_not_put_half_of_it_back() {
        for (errno, is_there) in [(STOPPED, true), (Errno::IO, false)] {
            let (dir, done) = replaced(|worker, at| {
                let judged = FileStat::of_name(at, b"name")?;
                worker.replace_filled(at, b"temporary", b"name", &judged, |at, name, _| {
                    let path = [name, b"/first"].concat();
                    unlinkat(at, path, AtFlags::empty()).and(Err(errno))
                })
            });
            assert_eq!(done, Err(errno));
            assert_eq!(dir.path().join("name").is_file(), is_there);
            assert!(dir.path().join(if is_there { "temporary" } else { "name" }).join("second").exists());
        }
    }

    #[test]
    fn what_took_the_place_of_a_directory_that_was_judged_stays() {
        for is_another in [false, true] {
            let (dir, done) = replaced(|worker, at| {
                let judged = FileStat::of_name(at, b"name")?;
                if is_another {
                    renameat(at, "name", at, "away")?;
                    rustix::fs::mkdirat(at, "name", Mode::RWXU)?;
                }
                // Or one in which something was made.
                drop(openat(at, "name/new", OFlags::WRONLY | OFlags::CREATE, Mode::RWXU)?);
                worker.replace_filled(at, b"temporary", b"name", &judged, removal::remove)
            });
            assert_eq!(done, Err(UNSEEN));
            assert!(dir.path().join("name/new").exists() && dir.path().join("temporary").is_file());
        }
    }

    #[test]
    fn who_is_to_stop_begins_to_empty_no_directory() {
        let (dir, done) = replaced(|worker, at| {
            worker.tree.settings.stop.cancel();
            let judged = FileStat::of_name(at, b"name")?;
            worker.replace_filled(at, b"temporary", b"name", &judged, removal::remove)
        });
        assert_eq!(done, Err(STOPPED));
        assert!(dir.path().join("name/first").exists() && dir.path().join("temporary").is_file());
    }
}
