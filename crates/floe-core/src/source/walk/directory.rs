//! Directories of a walk: their place in the tree and their descriptors.
//!
//! Invariant: a directory is only ever opened from its parent's descriptor by its own name with `O_NOFOLLOW`, so that
//! no symbolic link put in its place is followed. At most [`KEPT_DESCRIPTORS`] are kept open for children still to be
//! opened; one that was closed early is opened again from its nearest open ancestor. Another directory may be found there
//! by then, of which none of the children is [what was listed](Directory::is_listed).

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::source::ignore::Rules;
use crate::source::least_missed::least_missed;
use crate::source::{DirectoryId, Stat};

/// How many directories stay open in case children of them are opened.
const KEPT_DESCRIPTORS: usize = 64;

/// Locks even after a panic elsewhere: what is guarded here is valid after every statement.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory, known by its name in its parent; paths are made on demand, so that depth costs no memory squared.
#[derive(Debug)]
pub(super) struct Directory {
    parent: Option<Arc<Directory>>,
    name: CString,
    path_length: usize,
    /// How far below the root.
    depth: usize,
    /// What the parent's listing told; nothing for the root.
    listed: Option<DirectoryId>,
    /// The ignore files that hold for what is in it, without its own.
    pub(super) inherited: Option<Arc<Rules>>,
    descriptor: Mutex<Option<Arc<OwnedFd>>>,
    /// Whether all children were opened, so that it need not be open for them.
    is_done: AtomicBool,
}

impl Directory {
    /// The root of a walk, which stays open while any directory below it is known.
    pub(super) fn root(descriptor: OwnedFd) -> Self {
        let descriptor = Mutex::new(Some(Arc::new(descriptor)));
        Self {
            parent: None,
            name: CString::default(),
            path_length: 0,
            depth: 0,
            listed: None,
            inherited: None,
            descriptor,
            is_done: AtomicBool::new(false),
        }
    }

    /// The directory `name` in this one, of which the listing told this.
    pub(super) fn child(
        self: &Arc<Self>,
        name: &CStr,
        listed: DirectoryId,
        inherited: Option<Arc<Rules>>,
    ) -> Self {
        let slash = usize::from(self.path_length > 0);
        Self {
            parent: Some(Arc::clone(self)),
            name: name.to_owned(),
            path_length: self.path_length + slash + name.count_bytes(),
            depth: self.depth + 1,
            listed: Some(listed),
            inherited,
            descriptor: Mutex::new(None),
            is_done: AtomicBool::new(false),
        }
    }

    /// Its path below the root in raw bytes.
    pub(super) fn path(&self) -> Vec<u8> {
        let mut path = vec![b'/'; self.path_length];
        let mut end = self.path_length;
        let mut directory = self;
        while let Some(parent) = &directory.parent {
            let name = directory.name.as_bytes();
            path[end - name.len()..end].copy_from_slice(name);
            end = end.saturating_sub(name.len() + 1);
            directory = parent;
        }
        path
    }

    /// Whether what was opened is what was listed.
    pub(super) fn is_listed(&self, opened: &Stat, descriptor: &OwnedFd) -> bool {
        self.listed.is_none_or(|listed| listed.is_same(DirectoryId::of(opened), descriptor))
    }

    /// Whether what was opened is on the file system of what was listed.
    pub(super) fn is_listed_beside(&self, opened: &Stat) -> bool {
        self.listed.is_none_or(|listed| listed.is_beside(DirectoryId::of(opened)))
    }

    /// Whether this is where repairs of a file system put what they find, without a stamp.
    pub(super) fn is_lost_and_found(&self) -> bool {
        self.name.as_bytes() == b"lost+found"
    }

    fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    fn opened(&self) -> Option<Arc<OwnedFd>> {
        lock(&self.descriptor).clone()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // One by one: the chain of parents may be longer than the stack is deep.
        let mut parent = self.parent.take();
        while let Some(mut directory) = parent.and_then(Arc::into_inner) {
            parent = directory.parent.take();
        }
    }
}

/// The directories whose descriptors are kept, by their depth. A walk that is not far ahead has only such open as are on
/// one way down.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    kept: Mutex<Vec<Arc<Directory>>>,
}

impl Descriptors {
    /// Opens a directory, and where need be those above it.
    pub(super) fn open(&self, directory: &Arc<Directory>) -> Result<Arc<OwnedFd>, Errno> {
        match self.open_once(directory) {
            Err(Errno::MFILE | Errno::NFILE) => {
                self.close_all();
                self.open_once(directory)
            }
            result => result,
        }
    }

    pub(super) fn close_all(&self) {
        for kept in lock(&self.kept).drain(..) {
            lock(&kept.descriptor).take();
        }
    }

    fn open_once(&self, directory: &Arc<Directory>) -> Result<Arc<OwnedFd>, Errno> {
        let mut closed = Vec::new();
        let mut ancestor = directory;
        let mut descriptor = loop {
            if let Some(descriptor) = ancestor.opened() {
                break descriptor;
            }
            closed.push(ancestor);
            ancestor = ancestor.parent.as_ref().expect("the root stays open");
        };
        while let Some(next) = closed.pop() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            descriptor =
                Arc::new(rustix::fs::openat(&*descriptor, next.name.as_c_str(), flags, Mode::empty())?);
            if !closed.is_empty() {
                self.keep(next, &descriptor);
            }
        }
        Ok(descriptor)
    }

    /// Keeps a directory open, closing the one that is missed least when there are too many.
    pub(super) fn keep(&self, directory: &Arc<Directory>, descriptor: &Arc<OwnedFd>) {
        if directory.is_root() {
            return;
        }
        let mut kept = lock(&self.kept);
        if directory.is_done.load(Ordering::Relaxed) {
            return;
        }
        *lock(&directory.descriptor) = Some(Arc::clone(descriptor));
        let place = kept.partition_point(|kept| kept.depth <= directory.depth);
        kept.insert(place, Arc::clone(directory));
        if kept.len() > KEPT_DESCRIPTORS {
            let missed = least_missed(kept.len(), |place| kept[place].depth);
            lock(&kept.remove(missed).descriptor).take();
        }
    }

    /// Closes the parent of a directory, whose last child it is.
    pub(super) fn close_parent(&self, directory: &Directory) {
        let Some(parent) = directory.parent.as_ref().filter(|parent| !parent.is_root()) else { return };
        let mut kept = lock(&self.kept);
        // Under the lock, so that nobody keeps it open again who opens a child besides.
        parent.is_done.store(true, Ordering::Relaxed);
        let place = kept.partition_point(|kept| kept.depth < parent.depth);
        let is_parent = |kept: &Arc<Directory>| Arc::ptr_eq(kept, parent);
        while let Some(found) =
            kept[place..].iter().take_while(|kept| kept.depth == parent.depth).position(is_parent)
        {
            kept.remove(place + found);
        }
        lock(&parent.descriptor).take();
    }
}
