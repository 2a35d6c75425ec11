//! One tree that is being written.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::syncfs;
use rustix::io::{self, Errno};

use super::directories::{DirId, Directories, state};
use super::entry::{FileId, FileStat, Meta, Settings};
use super::problem::failed;
use super::spelling::Folded;
use super::worker::Worker;
use super::{names, xattrs};
use crate::Result;

/// How many complaints are kept word for word.
const COMPLAINTS_KEPT: usize = 20;

/// A tree that is being written below one directory, shared by the threads that write it.
///
/// Directories are added in the snapshot's order ([`add_directory`](Self::add_directory)) and made by a [`Worker`];
/// entries may be written in any directory that was made, by any worker, in any order, hard links after the files that
/// they name. [`Worker::finish`] comes last and sets what the directories become.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(super) root: OwnedFd,
    pub(super) settings: Settings,
    /// Whether it is written over an existing directory.
    pub(super) in_place: bool,
    /// Whether what is made in the root has the mode it was made with: not below a setgid directory.
    pub(super) exact_modes: bool,
    /// The destination as a message shows it.
    shown: String,
    directories: RwLock<Directories>,
    temporaries: AtomicU64,
    /// The mode that the root had, where its owner could not look into it.
    pub(super) closed_root: Option<u32>,
    /// Whether any directory was made [aside](super::aside).
    pub(super) has_aside: AtomicBool,
    claimed: Mutex<HashSet<FileId>>,
    /// By directory and name: hashes of what was [looked at](FileStat::identity) and is to be fixed, or is a directory that
    /// something else is to replace.
    looked_at: Mutex<HashMap<u64, u64>>,
    /// Hashes of directories and names where nothing was: in directories that were there, of those that lack several.
    vacant: Mutex<HashSet<u64>>,
    /// In place: the file systems that were written to, by their numbers, and what each is synced by; of the root's nothing.
    file_systems: Mutex<Vec<(u64, Option<io::Result<OwnedFd>>)>>,
    pub(super) hashes: RandomState,
    pub(super) folded: Mutex<Folded>,
    complaints: Mutex<Complaints>,
}

/// What could not be restored without the tree being wrong: extended attributes that the file system or the kernel
/// refused, mode and time of directories that were there and are somebody else's, and setuid and setgid of what is not its
/// owner's.
#[derive(Clone, Debug, Default)]
pub struct Complaints {
    /// How many there were.
    pub count: u64,
    /// The first of them, as sentences.
    pub first: Vec<String>,
}

impl Complaints {
    /// Adds those of another tree.
    pub(crate) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.first.extend(other.first);
        self.first.truncate(COMPLAINTS_KEPT);
    }
}

impl Tree {
    pub(super) fn new(
        root: OwnedFd,
        settings: Settings,
        in_place: bool,
        exact_modes: bool,
        shown: String,
    ) -> Self {
        Self {
            root,
            settings,
            in_place,
            exact_modes,
            shown,
            directories: RwLock::new(Directories::new(in_place)),
            temporaries: AtomicU64::new(0),
            closed_root: None,
            has_aside: AtomicBool::new(false),
            claimed: Mutex::default(),
            looked_at: Mutex::default(),
            vacant: Mutex::default(),
            file_systems: Mutex::default(),
            hashes: RandomState::new(),
            folded: Mutex::default(),
            complaints: Mutex::default(),
        }
    }

    /// How this tree is written.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Adds a directory to the table, without making it: in the snapshot's order, so that those of one parent come
    /// one after the other, ascending by name. Its mode, time and owner are set by [`Worker::finish`].
    ///
    /// # Errors
    ///
    /// Corrupt: the name is not one component, or the order is another.
    pub(crate) fn add_directory(&self, parent: DirId, name: &[u8], meta: &Meta<'_>) -> Result<DirId> {
        self.directories_mut().add(parent, name, meta)
    }

    /// The directory with this path (raw bytes, `/` between components), if it was added; the empty path is the root.
    pub(crate) fn find(&self, path: &[u8]) -> Option<DirId> {
        self.directories().find(path)
    }

    /// The path of a name in a directory, relative to the root: what [`find`](Self::find) takes.
    pub(crate) fn path_of(&self, directory: DirId, name: &[u8]) -> Vec<u8> {
        self.directories().path_of(directory, name)
    }

    /// A handle for the calling thread to write with.
    pub(crate) fn worker(&self) -> Worker<'_> {
        Worker::new(self)
    }

    /// What could not be restored so far.
    pub(crate) fn complaints(&self) -> Complaints {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes all that was written durable: on every file system that was written to, for others may be mounted below.
    ///
    /// # Errors
    ///
    /// What the [module](crate::destination#errors) says of system calls.
    pub(crate) fn sync(&self) -> Result<()> {
        let mut synced = syncfs(&self.root);
        for (_, below) in self.file_systems.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(below) = below {
                synced = synced.and(below.as_ref().map_err(|errno| *errno).and_then(syncfs));
            }
        }
        synced.map_err(|e| failed("sync", &self.shown, e))
    }

    /// Notes which file system the root is on.
    pub(super) fn note_root(&self, stat: &FileStat) {
        self.file_systems.lock().unwrap_or_else(PoisonError::into_inner).push((stat.device, None));
    }

    /// Notes that something is written to, and so its file system; `open` opens something on that for reading.
    pub(super) fn note_written(&self, stat: &FileStat, open: impl FnOnce() -> io::Result<OwnedFd>) {
        let mut known = self.file_systems.lock().unwrap_or_else(PoisonError::into_inner);
        if self.in_place && known.iter().all(|(device, _)| *device != stat.device) {
            // Open from here on, it hears of all that cannot be written.
            known.push((stat.device, Some(open())));
        }
    }

    pub(super) fn directories(&self) -> RwLockReadGuard<'_, Directories> {
        self.directories.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn directories_mut(&self) -> RwLockWriteGuard<'_, Directories> {
        self.directories.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name that nothing in the destination has; should it be taken after all, the next is not.
    pub(super) fn temporary_name(&self) -> Vec<u8> {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        names::temporary(self.settings.token, number)
    }

    /// Makes this entry the one that keeps an existing file of several names; false when another entry has it.
    pub(super) fn claim(&self, file: FileId) -> bool {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(file)
    }

    /// Notes what a name is that is to be fixed later, or a directory that is to be replaced.
    pub(super) fn note_looked_at(&self, directory: DirId, name: &[u8], stat: &FileStat) {
        let (place, is) = (self.place(directory, name), self.hashes.hash_one(stat.identity()));
        self.looked_at.lock().unwrap_or_else(PoisonError::into_inner).insert(place, is);
    }

    /// Whether a name is what was noted, and as it was.
    pub(super) fn is_as_looked_at(&self, directory: DirId, name: &[u8], stat: &FileStat) -> bool {
        let (place, is) = (self.place(directory, name), self.hashes.hash_one(stat.identity()));
        self.looked_at.lock().unwrap_or_else(PoisonError::into_inner).get(&place) == Some(&is)
    }

    /// Notes the names of a directory that are to be made and are not there. A single one cannot be one with another of them,
    /// and may be written over what somebody makes meanwhile.
    pub(super) fn note_vacant(&self, places: Vec<u64>) {
        if places.len() > 1 && !self.settings.looks_only {
            self.vacant.lock().unwrap_or_else(PoisonError::into_inner).extend(places);
        }
    }

    /// Whether something is the first of its name in this tree: then what has that name is, by another spelling, something
    /// that was just written.
    pub(super) fn is_vacant(&self, directory: DirId, name: &[u8]) -> bool {
        let is_new = self.directories().state(directory) & (state::ABSENT | state::EXISTED) == state::ABSENT;
        let noted = || {
            let vacant = self.vacant.lock().unwrap_or_else(PoisonError::into_inner);
            vacant.contains(&self.place(directory, name))
        };
        is_new || noted()
    }

    /// What stands for a name of a directory.
    pub(super) fn place(&self, directory: DirId, name: &[u8]) -> u64 {
        self.hashes.hash_one((directory, name))
    }

    /// A path as messages show it.
    pub(super) fn shown(&self, directory: DirId, name: &[u8]) -> String {
        self.shown_by(&self.directories(), directory, name)
    }

    /// The same, for who holds the table already.
    pub(super) fn shown_by(&self, table: &Directories, directory: DirId, name: &[u8]) -> String {
        let path = table.path_of(directory, name);
        if path.is_empty() {
            return self.shown.clone();
        }
        format!("{}/{}", self.shown, names::shown(&path))
    }

    /// Notes an extended attribute that could not be set or taken away.
    pub(super) fn complain_of_xattr(&self, directory: DirId, name: &[u8], xattr: &[u8], errno: Errno) {
        self.complain(directory, name, format_args!("the extended attribute {}", names::shown(xattr)), errno);
    }

    /// Notes what could not be restored.
    pub(super) fn complain(&self, directory: DirId, name: &[u8], what: impl Display, errno: Errno) {
        self.complain_because(directory, name, what, &super::problem::why(errno));
    }

    /// The same, for another reason than the kernel's.
    pub(super) fn complain_because(&self, directory: DirId, name: &[u8], what: impl Display, why: &str) {
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        complaints.count += 1;
        if complaints.first.len() < COMPLAINTS_KEPT {
            let path = self.shown(directory, name);
            complaints.first.push(format!("cannot restore {what} of `{path}`: {why}"));
        }
    }

    /// Takes the attributes away that a directory inherits and that change the modes of what is made in it.
    pub(super) fn drop_inherited_acls(root: &OwnedFd) {
        for name in [xattrs::DEFAULT_ACL, xattrs::ACL] {
            // Where there is none, or none is possible, nothing is inherited either.
            let _ = rustix::fs::fremovexattr(root, name);
        }
    }
}

impl std::fmt::Debug for Directories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} directories", self.len())
    }
}
