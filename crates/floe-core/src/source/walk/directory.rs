//! Directories of a walk: their place in the tree and their descriptors.
//!
//! Invariant: a directory is only ever opened from its parent's descriptor by its own name with `O_NOFOLLOW`, so that
//! no symbolic link put in its place is followed. At most [`KEPT_DESCRIPTORS`] are kept open for children still to be
//! opened; one that was closed early is opened again from its nearest open ancestor.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::source::ignore::Rules;

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
    /// The ignore files that hold for what is in it, without its own.
    pub(super) inherited: Option<Arc<Rules>>,
    descriptor: Mutex<Option<Arc<OwnedFd>>>,
}

impl Directory {
    /// The root of a walk, which stays open while any directory below it is known.
    pub(super) fn root(descriptor: OwnedFd) -> Self {
        let descriptor = Mutex::new(Some(Arc::new(descriptor)));
        Self { parent: None, name: CString::default(), path_length: 0, inherited: None, descriptor }
    }

    /// The directory `name` in this one.
    pub(super) fn child(self: &Arc<Self>, name: &CStr, inherited: Option<Arc<Rules>>) -> Self {
        let slash = usize::from(self.path_length > 0);
        Self {
            parent: Some(Arc::clone(self)),
            name: name.to_owned(),
            path_length: self.path_length + slash + name.count_bytes(),
            inherited,
            descriptor: Mutex::new(None),
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

    /// Closes the parent, whose last child this is.
    pub(super) fn close_parent(&self) {
        if let Some(parent) = self.parent.as_ref().filter(|parent| !parent.is_root()) {
            lock(&parent.descriptor).take();
        }
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

/// The directories whose descriptors are kept, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    kept: Mutex<VecDeque<Arc<Directory>>>,
}

impl Descriptors {
    /// Opens a directory, and where need be those above it.
    pub(super) fn open(&self, directory: &Arc<Directory>) -> Result<Arc<OwnedFd>, Errno> {
        match self.open_once(directory) {
            Err(Errno::MFILE | Errno::NFILE) => {
                for kept in lock(&self.kept).drain(..) {
                    lock(&kept.descriptor).take();
                }
                self.open_once(directory)
            }
            result => result,
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

    /// Keeps a directory open, closing the one that was kept longest when there are too many.
    pub(super) fn keep(&self, directory: &Arc<Directory>, descriptor: &Arc<OwnedFd>) {
        if directory.is_root() {
            return;
        }
        *lock(&directory.descriptor) = Some(Arc::clone(descriptor));
        let mut kept = lock(&self.kept);
        kept.push_back(Arc::clone(directory));
        let oldest = if kept.len() > KEPT_DESCRIPTORS { kept.pop_front() } else { None };
        drop(kept);
        if let Some(oldest) = oldest {
            lock(&oldest.descriptor).take();
        }
    }
}
