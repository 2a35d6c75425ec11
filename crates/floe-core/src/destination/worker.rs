//! What one thread writes a tree with.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use floe_format::parent_and_name;
use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;

use super::attributes::Handle;
use super::directories::{DirId, state};
use super::entry::{ALL_MODE_BITS, FileStat, GROUP_BITS, Kind, Meta, OWNER_BITS, Xattr};
use super::problem::{OWN, changed_meanwhile, failed};
use super::removal::Fate;
use super::spelling::why_taken;
use super::tree::Tree;
use super::umask::PrivateUmask;
use super::xattrs::Difference;
use super::{open, removal, xattrs};
use crate::Result;

/// How many directories a worker keeps open.
const OPEN_DIRECTORIES: usize = 8;
/// The longest path handed to the kernel in one call; it takes 4,095 bytes.
const STEP_BYTES: usize = 3_800;
/// A directory this many levels above the wanted one is kept open too when the way is longer than twice that, so that
/// its neighbours are not walked to from the root again.
const NEAR_LEVELS: usize = 64;

/// A [`Tree`] as the calling thread writes it: it holds directories open, and the thread's umask at zero.
///
/// It stays on its thread. While it lives, the thread has a umask and a working directory of its own, of which the umask
/// is put back when it is dropped; so take it on a thread that exists for this, and start no process from there.
pub(crate) struct Worker<'t> {
    pub(super) tree: &'t Tree,
    pub(super) umask: PrivateUmask,
    /// Most recently used first.
    open: Vec<(DirId, Arc<OwnedFd>)>,
    /// What directories are read through.
    pub(super) dirents: Vec<u8>,
    on_this_thread: PhantomData<*const ()>,
}

impl<'t> Worker<'t> {
    pub(super) fn new(tree: &'t Tree) -> Self {
        Self {
            tree,
            umask: PrivateUmask::enter(),
            open: Vec::with_capacity(OPEN_DIRECTORIES),
            dirents: Vec::new(),
            on_this_thread: PhantomData,
        }
    }

    /// The tree that is written.
    pub(crate) fn tree(&self) -> &'t Tree {
        self.tree
    }

    /// Whether a directory that a survey found there has another mode, time or owner.
    pub(crate) fn differs(&self, directory: DirId) -> bool {
        self.tree.directories().state(directory) & state::DIFFERS != 0
    }

    /// Makes a directory that was added to the tree, and sets the extended attributes given; those of the root
    /// [`finish`](Self::finish) sets. In place, one that is there is used, and anything else of that name is replaced.
    ///
    /// A default ACL changes whatever is made in the directory. In place it is set as the others are, so that none is ever
    /// missing, and what is made there is corrected; in a staging directory, where nothing is, it waits for the end.
    ///
    /// # Errors
    ///
    /// What the [module](crate::destination#errors) says of system calls.
    pub(crate) fn make_directory(&mut self, directory: DirId, xattrs: Option<&[Xattr<'_>]>) -> Result<()> {
        let (parent, name, known) = {
            let table = self.tree.directories();
            let name = table.name(directory).to_vec();
            (table.parent(directory), name, table.state(directory))
        };
        if known & state::EXISTED == 0 {
            self.make_missing(directory, parent, &name, xattrs)?;
        }
        if let Some(wanted) = xattrs
            && directory != DirId::ROOT
        {
            self.set_directory_xattrs(directory, parent, &name, wanted)?;
        }
        Ok(())
    }

    fn make_missing(
        &mut self,
        directory: DirId,
        parent: DirId,
        name: &[u8],
        xattrs: Option<&[Xattr<'_>]>,
    ) -> Result<()> {
        let tree = self.tree;
        let wrong = |doing, errno| failed(doing, &tree.shown(parent, name), errno);
        let at = self.directory_to_write(parent)?;
        // Nobody else gets into a staging directory. In place, whoever may write there in the end could until then, without
        // the sticky bit, replace what is written, or make what the pull would take for a directory that was there.
        let meta = Meta { xattrs, ..tree.directories().meta(directory).as_meta() };
        let early = if tree.in_place { 0o755 & self.early_permissions(parent, &meta) } else { 0o777 };
        let mode = Mode::from_raw_mode(meta.mode & early | 0o700);
        let made = match mkdirat(&*at, name, mode) {
            Err(Errno::EXIST) if tree.in_place => false,
            other => other.map(|()| true).map_err(|e| wrong("make the directory", e))?,
        };
        if !tree.in_place {
            tree.directories().mark(directory, state::TOUCHED | state::WRITABLE);
            return Ok(());
        }
        let look = || FileStat::of_name(at.as_fd(), name).map_err(|e| wrong("look at", e));
        let mut stat = look()?;
        let mut known = state::TOUCHED;
        if tree.settings.is_own(&stat) {
            // Under another spelling, where that is the same.
            return Err(wrong("make the directory", OWN));
        } else if !made && stat.kind == Kind::Directory {
            if tree.directories().has_child(parent, stat.id()) {
                return Err(wrong("make the directory", Errno::EXIST));
            }
            known = state::EXISTED | state::DIFFERS;
        } else if !made && tree.is_vacant(parent, name) {
            return Err(wrong("make the directory", why_taken(at.as_fd(), name)));
        } else if !made {
            let aside = tree.make_aside(at.as_fd(), directory, mode);
            let aside = aside.map_err(|e| wrong("make the directory", e))?;
            stat = FileStat::of_name(at.as_fd(), &aside).map_err(|e| wrong("look at", e))?;
        }
        // By a default ACL above its owner may have less than it was made with, until something is to be written there.
        if known & state::EXISTED == 0 && stat.mode & OWNER_BITS == OWNER_BITS {
            known |= state::WRITABLE;
        }
        let table = tree.directories();
        table.note_identity(directory, stat.id());
        table.mark(directory, known);
        Ok(())
    }

    fn set_directory_xattrs(
        &mut self,
        directory: DirId,
        parent: DirId,
        name: &[u8],
        wanted: &[Xattr<'_>],
    ) -> Result<()> {
        let tree = self.tree;
        let wrong = |errno| failed("restore extended attributes of", &tree.shown(parent, name), errno);
        let at = self.directory(parent)?;
        let for_now = tree.name_for_now(&tree.directories(), directory).into_owned();
        let handle = Handle::directory(at.as_fd(), &for_now).map_err(wrong)?;
        if tree.in_place {
            let stat = FileStat::of_descriptor(handle.as_fd()).map_err(wrong)?;
            if !tree.directories().is_it(directory, stat.id()) {
                return Err(changed_meanwhile(&tree.shown(parent, name)));
            }
            if let Some(bits) = self.bring_xattrs(&handle, parent, name, wanted)? {
                let mut table = tree.directories_mut();
                table.restrict(directory, bits);
                // Also where it did not when it was surveyed.
                table.mark(directory, state::DIFFERS);
            }
            if xattrs::has_default_acl(handle.as_fd()) {
                tree.directories().mark(directory, state::GIVES_ACL);
            }
            return Ok(());
        }
        if let Some((_, acl)) = wanted.iter().find(|(n, _)| *n == xattrs::DEFAULT_ACL) {
            tree.directories_mut().keep_late(directory, acl)?;
        }
        let now: Vec<_> = wanted.iter().copied().filter(|(n, _)| *n != xattrs::DEFAULT_ACL).collect();
        let bits = self.bring_xattrs(&handle, parent, name, &now)?.unwrap_or(ALL_MODE_BITS);
        if bits != ALL_MODE_BITS {
            tree.directories_mut().restrict(directory, bits);
        }
        if bits != ALL_MODE_BITS || xattrs::has_acl(&now) {
            // By the mode that an ACL comes with its owner may not write. And the end may find nothing to be done.
            let stat = FileStat::of_descriptor(handle.as_fd()).map_err(wrong)?;
            handle.set_mode(stat.mode & bits | OWNER_BITS).map_err(wrong)?;
        }
        Ok(())
    }

    /// Gives what is open exactly these extended attributes; what cannot be set is noted, not an error. Where anything
    /// differed, or its owner may not read them, the bits are returned that its mode may have, which in place is to be set
    /// then: until it is, an ACL that was changed gives nobody anything.
    pub(super) fn bring_xattrs(
        &self,
        handle: &Handle,
        directory: DirId,
        name: &[u8],
        wanted: &[Xattr<'_>],
    ) -> Result<Option<u32>> {
        let tree = self.tree;
        let wrong = |errno| failed("restore extended attributes of", &tree.shown(directory, name), errno);
        let mut was_opened = false;
        let difference = if tree.in_place {
            let compared = xattrs::compare(handle.as_fd(), wanted).or_else(|errno| {
                let stat = FileStat::of_descriptor(handle.as_fd())?;
                if errno != Errno::ACCESS || !stat.is_ours() {
                    return Err(errno);
                }
                // Even its owner may not read them of what may not be read.
                handle.set_mode(stat.mode | 0o400)?;
                was_opened = true;
                xattrs::compare(handle.as_fd(), wanted)
            });
            compared.map_err(wrong)?
        } else {
            Difference { set: wanted.to_vec(), removed: Vec::new() }
        };
        let mut bits = ALL_MODE_BITS;
        if difference.is_empty() {
            return Ok(was_opened.then_some(bits));
        }
        let stat = FileStat::of_descriptor(handle.as_fd()).map_err(wrong)?;
        let changes_acl = tree.in_place
            && stat.kind != Kind::Symlink
            && stat.is_ours()
            && (xattrs::has_acl(&difference.set) || difference.removed.iter().any(|key| key == xattrs::ACL));
        // Without the ACL the most that it gave would be what the group may.
        let closed = if changes_acl { stat.mode & !GROUP_BITS } else { stat.mode };
        // Even its owner may not set them on what is read-only.
        let lifted = if stat.kind == Kind::Symlink { closed } else { closed | 0o200 };
        if lifted != stat.mode {
            handle.set_mode(lifted).map_err(wrong)?;
        }
        let set = xattrs::acl_last(&difference.set).map(|(key, value)| {
            let done = xattrs::set_place(handle.as_fd(), (key, value));
            (key, xattrs::bits_without(value), done)
        });
        let removed = difference.removed.iter().map(|key| {
            let done = xattrs::remove_place(handle.as_fd(), key);
            (&key[..], !GROUP_BITS, done)
        });
        for (key, without, done) in removed.chain(set) {
            if let Err(errno) = done {
                tree.complain_of_xattr(directory, name, key, errno);
                if key == xattrs::ACL {
                    bits &= without;
                }
            }
        }
        // An ACL comes with a mode of its own.
        if lifted != closed || changes_acl {
            handle.set_mode(closed).map_err(wrong)?;
        }
        Ok(Some(bits))
    }

    /// Removes a name of a directory and all below it, if it is there. Nothing is followed, no mount is entered. False: a
    /// living pull to a place beside or below writes in it, and it stays.
    ///
    /// # Errors
    ///
    /// Corrupt: the name is none. Cancelled: the pull is to stop. Otherwise what the [module](crate::destination#errors) says of system calls.
    pub(crate) fn remove(&mut self, directory: DirId, name: &[u8]) -> Result<bool> {
        super::names::check(name)?;
        self.remove_path(directory, name)
    }

    /// The same for a path below a directory.
    ///
    /// # Errors
    ///
    /// Those of [`remove`](Self::remove).
    pub(crate) fn remove_path(&mut self, directory: DirId, path: &[u8]) -> Result<bool> {
        path.split(|&b| b == b'/').try_for_each(super::names::check)?;
        let at = self.directory_to_write(directory)?;
        let settings = &self.tree.settings;
        let removed = match parent_and_name(path) {
            ([], name) => removal::remove(at.as_fd(), name, settings),
            (parent, name) => open::beneath_same_mount(at.as_fd(), parent)
                .and_then(|within| removal::remove_from_staying(within, name, settings)),
        };
        let removed = removed.map(|fate| fate == Fate::Gone);
        removed.map_err(|e| failed("remove", &self.tree.shown(directory, path), e))
    }

    /// A directory's descriptor, to name entries relative to; kept open for the next call.
    pub(super) fn directory(&mut self, id: DirId) -> Result<Arc<OwnedFd>> {
        match used_again(&mut self.open, id) {
            Some(fd) => Ok(fd),
            None => self.open_directory(id),
        }
    }

    /// The same, for a change in the directory: in place it is made writable first, and its time is set again in the end.
    pub(super) fn directory_to_write(&mut self, id: DirId) -> Result<Arc<OwnedFd>> {
        let fd = self.directory(id)?;
        if self.tree.in_place && self.tree.directories().state(id) & state::WRITABLE == 0 {
            self.make_writable(id, fd.as_fd())?;
        }
        Ok(fd)
    }

    pub(super) fn make_writable(&self, id: DirId, fd: BorrowedFd<'_>) -> Result<()> {
        let wrong = |errno| failed("make writable", &self.tree.shown(id, b""), errno);
        let stat = FileStat::of_descriptor(fd).map_err(wrong)?;
        if !self.tree.directories().is_it(id, stat.id()) {
            return Err(changed_meanwhile(&self.tree.shown(id, b"")));
        }
        if stat.mode & 0o700 != 0o700 && !rustix::process::geteuid().is_root() {
            // The mode it should have is set in the end. Whoever may not change it may still write, by group or ACL.
            let mode = Mode::from_raw_mode(stat.mode | 0o700);
            let _ = super::attributes::by_path(fd, |path| rustix::fs::chmod(path, mode));
        }
        self.tree.note_written(&stat, || open::readable(fd, b"."));
        self.tree.directories().mark(id, state::WRITABLE | state::TOUCHED);
        Ok(())
    }

    fn open_directory(&mut self, id: DirId) -> Result<Arc<OwnedFd>> {
        let table = self.tree.directories();
        // Up to an ancestor that is open, then down again in as few calls as paths allow.
        let mut way = Vec::new();
        let mut at = id;
        let mut base = None;
        while at != DirId::ROOT {
            if let Some(fd) = used_again(&mut self.open, at) {
                base = Some(fd);
                break;
            }
            way.push(at);
            at = table.parent(at);
        }
        let mut near = None;
        let mut path = Vec::new();
        for (levels_left, &step) in way.iter().enumerate().rev() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&self.tree.name_for_now(&table, step));
            let is_near = way.len() > 2 * NEAR_LEVELS && levels_left == NEAR_LEVELS;
            if levels_left > 0 && !is_near && path.len() < STEP_BYTES {
                continue;
            }
            let from = base.as_ref().map_or(self.tree.root.as_fd(), |fd| fd.as_fd());
            let fd = open::beneath(from, &path)
                .map_err(|e| failed("open the directory", &self.tree.shown_by(&table, step, b""), e))?;
            let fd = Arc::new(fd);
            if is_near {
                near = Some((step, Arc::clone(&fd)));
            }
            base = Some(fd);
            path.clear();
        }
        drop(table);
        let fd = match base {
            Some(fd) => fd,
            None => {
                let root = self.tree.root.try_clone();
                Arc::new(root.map_err(|e| crate::Error::io("cannot keep the destination open", e))?)
            }
        };
        for (key, fd) in near.into_iter().chain([(id, Arc::clone(&fd))]) {
            self.open.truncate(OPEN_DIRECTORIES - 1);
            self.open.insert(0, (key, fd));
        }
        Ok(fd)
    }
}

/// Finds a directory among those that are open, and moves it to the front.
fn used_again(open: &mut [(DirId, Arc<OwnedFd>)], id: DirId) -> Option<Arc<OwnedFd>> {
    let at = open.iter().position(|(open, _)| *open == id)?;
    open[..=at].rotate_right(1);
    Some(Arc::clone(&open[0].1))
}

impl std::fmt::Debug for Worker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a worker of {:?}", self.tree)
    }
}
