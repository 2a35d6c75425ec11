//! Symlinks, hard links, fifos and devices.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Dev, FileType, Mode, OFlags, linkat, makedev, mknodat, openat, symlinkat, unlinkat,
};
use rustix::io::{self, Errno};

use super::attributes::{Handle, by_path, set_mtime_of_name};
use super::directories::DirId;
use super::entry::{ALL_MODE_BITS, Device, FileStat, Kind, Meta, SPECIAL_BITS};
use super::problem::{changed_meanwhile, failed};
use super::spelling::why_taken;
use super::worker::Worker;
use super::{names, open};
use crate::{Error, ErrorKind, Remedy, Result};

/// The longest target of a symlink, in bytes.
const LONGEST_TARGET_BYTES: usize = 4_095;

impl Worker<'_> {
    /// Makes a symlink. Its target is never looked at; its mode is what the system gives it.
    ///
    /// # Errors
    ///
    /// Corrupt: the target, the name or the attributes are none. Otherwise what the
    /// [module](crate::destination#errors) says of system calls.
    pub(crate) fn symlink(
        &mut self,
        directory: DirId,
        name: &[u8],
        target: &[u8],
        meta: &Meta<'_>,
    ) -> Result<Option<FileStat>> {
        if target.is_empty() || target.len() > LONGEST_TARGET_BYTES || target.contains(&0) {
            let path = self.tree.shown(directory, name);
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "the snapshot has a symlink `{path}` whose target is empty, too long or has a NUL byte"
                ),
            ));
        }
        self.place(directory, name, meta, None, |at, name| symlinkat(target, at, name))
    }

    /// Makes a named pipe.
    ///
    /// # Errors
    ///
    /// Corrupt: the name or the attributes are none. Otherwise what the [module](crate::destination#errors) says of
    /// system calls.
    pub(crate) fn fifo(
        &mut self,
        directory: DirId,
        name: &[u8],
        meta: &Meta<'_>,
    ) -> Result<Option<FileStat>> {
        self.node(directory, name, meta, FileType::Fifo, 0)
    }

    /// Makes a device node.
    ///
    /// # Errors
    ///
    /// Invalid unless [`Settings::devices`](super::Settings::devices) asks for them; Denied without the capability.
    pub(crate) fn device(
        &mut self,
        directory: DirId,
        name: &[u8],
        device: Device,
        meta: &Meta<'_>,
    ) -> Result<Option<FileStat>> {
        if !self.tree.settings.devices {
            let path = self.tree.shown(directory, name);
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("`{path}` is a device node, and those are made only on request"),
            ));
        }
        let kind = if device.block { FileType::BlockDevice } else { FileType::CharacterDevice };
        self.node(directory, name, meta, kind, makedev(device.major, device.minor))
    }

    fn node(
        &mut self,
        directory: DirId,
        name: &[u8],
        meta: &Meta<'_>,
        kind: FileType,
        device: Dev,
    ) -> Result<Option<FileStat>> {
        let mode = self.tree.settings.restored_mode(meta.mode);
        let early = if self.tree.settings.is_owner_asked(meta) { !SPECIAL_BITS } else { ALL_MODE_BITS };
        let raw = Mode::from_raw_mode(mode & early & self.early_permissions(directory, meta));
        self.place(directory, name, meta, Some(mode), |at, name| mknodat(at, name, kind, raw, device))
    }

    /// Makes what has no content, under its own name or a temporary one, and gives it its attributes.
    fn place(
        &mut self,
        directory: DirId,
        name: &[u8],
        meta: &Meta<'_>,
        mode: Option<u32>,
        make: impl Fn(BorrowedFd<'_>, &[u8]) -> io::Result<()>,
    ) -> Result<Option<FileStat>> {
        names::check(name)?;
        meta.check()?;
        let tree = self.tree;
        let wrong = |doing, errno| failed(doing, &tree.shown(directory, name), errno);
        let at = self.directory_to_write(directory)?;
        let at = at.as_fd();
        let temporary = self.make_under_free_name(at, name, make).map_err(|e| wrong("make", e))?;
        let made = temporary.as_deref().unwrap_or(name);
        let done = self.attributes_of_name(directory, at, (made, name), meta, mode, false);
        let done = done.and_then(|()| match &temporary {
            Some(temporary) => self.publish(directory, at, temporary, name).map_err(|e| wrong("replace", e)),
            None => Ok(()),
        });
        if let (Err(_), Some(temporary)) = (&done, &temporary) {
            // It is recognised and cleared by the next pull when this fails.
            let _ = unlinkat(at, temporary, AtFlags::empty());
        }
        done?;
        self.stat_of_name(directory, at, name)
    }

    /// Makes something under its name, or in place under the temporary name that is returned.
    fn make_under_free_name(
        &self,
        at: BorrowedFd<'_>,
        name: &[u8],
        make: impl Fn(BorrowedFd<'_>, &[u8]) -> io::Result<()>,
    ) -> io::Result<Option<Vec<u8>>> {
        if !self.tree.in_place {
            return make(at, name).map(|()| None);
        }
        loop {
            let temporary = self.tree.temporary_name();
            match make(at, &temporary) {
                Err(Errno::EXIST) => {}
                other => return other.map(|()| Some(temporary)),
            }
        }
    }

    /// Sets owner, mode (unless it has none), extended attributes and time of what is found under `made`: of what was just
    /// made, or what a survey looked at and found to be fixed. Both have one name and are no directories. Where others may
    /// write they could have put something of more names there since, and it would be changed under all of them; or
    /// something of their own, which would get rights that were meant for what was looked at.
    pub(super) fn attributes_of_name(
        &self,
        directory: DirId,
        at: BorrowedFd<'_>,
        (made, name): (&[u8], &[u8]),
        meta: &Meta<'_>,
        mode: Option<u32>,
        was_looked_at: bool,
    ) -> Result<()> {
        let wrong = |doing, errno| failed(doing, &self.tree.shown(directory, name), errno);
        let by_handle = meta.owner.is_some()
            || meta.xattrs.is_some_and(|x| !x.is_empty() || self.tree.in_place)
            || (mode.is_some() && (self.tree.in_place || !self.umask.is_private()))
            || (mode.is_some() && self.tree.settings.is_owner_asked(meta))
            || was_looked_at;
        if by_handle {
            let handle = Handle::place(at, made).map_err(|e| wrong("open", e))?;
            let stat = FileStat::of_descriptor(handle.as_fd()).map_err(|e| wrong("look at", e))?;
            if stat.links > 1
                || stat.kind == Kind::Directory
                || was_looked_at && !self.tree.is_as_looked_at(directory, name, &stat)
            {
                return Err(changed_meanwhile(&self.tree.shown(directory, name)));
            }
            let mode = mode.map(|mode| mode & self.bits_for(directory, name, meta, stat.owner));
            if was_looked_at {
                self.tree.note_written(&stat, || on_file_system_of(&stat, handle.as_fd(), at));
            }
            if let Some(owner) = meta.owner.filter(|&owner| owner != stat.owner) {
                // The new owner or group never has what only the old one is to have now.
                let both = mode.map_or(stat.mode, |mode| mode & stat.mode);
                if both != stat.mode {
                    handle.set_mode(both).map_err(|e| wrong("set the mode of", e))?;
                }
                handle.set_owner(owner).map_err(|e| wrong("set the owner of", e))?;
            }
            let brought = match meta.xattrs {
                Some(xattrs) => self.bring_xattrs(&handle, directory, name, xattrs)?,
                None => None,
            };
            if let Some(mode) = mode {
                handle
                    .set_mode(mode & brought.unwrap_or(ALL_MODE_BITS))
                    .map_err(|e| wrong("set the mode of", e))?;
            }
            if let Some(mtime) = meta.mtime {
                handle.set_mtime(mtime).map_err(|e| wrong("set the time of", e))?;
            }
        } else if let Some(mtime) = meta.mtime {
            set_mtime_of_name(at, made, mtime).map_err(|e| wrong("set the time of", e))?;
        }
        Ok(())
    }

    /// Makes a hard link to a file of the tree that was written before. In place, one that is there is left alone.
    ///
    /// The stat is the file's, whose time of change each new name moves.
    ///
    /// # Errors
    ///
    /// Corrupt: a name is none, or the tree has no file of the target's. Conflict: in place, the target is no file by now.
    /// Otherwise what the [module](crate::destination#errors) says of system calls.
    pub(crate) fn hard_link(
        &mut self,
        directory: DirId,
        name: &[u8],
        target_directory: DirId,
        target_name: &[u8],
    ) -> Result<Option<FileStat>> {
        names::check(name)?;
        names::check(target_name)?;
        let tree = self.tree;
        let wrong = |doing, errno| failed(doing, &tree.shown(directory, name), errno);
        let from = self.directory(target_directory)?;
        let target = FileStat::of_name(from.as_fd(), target_name)
            .map_err(|e| failed("look at", &tree.shown(target_directory, target_name), e))?;
        if target.kind != Kind::File {
            let path = || tree.path_of(target_directory, target_name);
            if tree.in_place && tree.find(&path()).is_none() {
                return Err(changed_meanwhile(&tree.shown(target_directory, target_name)));
            }
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "the snapshot's hard link `{}` names `{}`, which is not a file",
                    tree.shown(directory, name),
                    tree.shown(target_directory, target_name)
                ),
            ));
        }
        if tree.in_place {
            let at = self.directory(directory)?;
            let there = FileStat::of_name_if_any(at.as_fd(), name).map_err(|e| wrong("look at", e))?;
            // The rename of one name of a file over another would leave both.
            if there.is_some_and(|there| there.is_same_file(&target)) {
                let is_another = tree.is_vacant(directory, name);
                let keep = || if is_another { Err(why_taken(at.as_fd(), name)) } else { Ok(()) };
                self.as_only_one(directory, at.as_fd(), name, name, keep)
                    .map_err(|e| wrong("make the hard link", e))?;
                return Ok(tree.settings.stat_written.then_some(target));
            }
        }
        let at = self.directory_to_write(directory)?;
        let at = at.as_fd();
        let temporary = self
            .make_under_free_name(at, name, |at, name| {
                linkat(&*from, target_name, at, name, AtFlags::empty())
            })
            .map_err(|e| match e {
                Errno::XDEV => {
                    let (link, file) =
                        (tree.shown(directory, name), tree.shown(target_directory, target_name));
                    let message = format!(
                        "cannot make the hard link `{link}`: a mount is between it and its file `{file}`"
                    );
                    Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::LeaveOut)
                }
                errno => wrong("make the hard link", errno),
            })?;
        if let Some(temporary) = temporary
            && let Err(errno) = self.publish(directory, at, &temporary, name)
        {
            // As above.
            let _ = unlinkat(at, &temporary, AtFlags::empty());
            return Err(wrong("replace", errno));
        }
        self.stat_of_name(directory, at, name)
    }

    pub(super) fn stat_of_name(
        &self,
        directory: DirId,
        at: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<Option<FileStat>> {
        if !self.tree.settings.stat_written {
            return Ok(None);
        }
        FileStat::of_name(at, name)
            .map(Some)
            .map_err(|e| failed("look at", &self.tree.shown(directory, name), e))
    }
}

/// Opens what a descriptor stands for, or the directory that it is in, where both are on one file system.
fn on_file_system_of(stat: &FileStat, place: BorrowedFd<'_>, at: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let above = open::readable(at, b".")?;
    if FileStat::of_descriptor(above.as_fd())?.device == stat.device {
        return Ok(above);
    }
    // A mount on a single name.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    by_path(place, |path| openat(CWD, path, flags, Mode::empty()))
}
