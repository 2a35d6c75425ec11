//! What a walk hands out: one directory with its children, or a part of a huge one.

use std::io;

use rustix::io::Errno;

use crate::source::ignore::ObeyedFile;
use crate::source::own::{OwnFound, Purpose};
use crate::source::{DirectoryId, ListedDirectory, Stat};

/// A name that could not be read, and why.
#[derive(Debug)]
pub struct Problem {
    /// Path below the root in raw bytes; empty for the root itself.
    pub path: Vec<u8>,
    /// What the kernel said.
    pub error: io::Error,
}

impl Problem {
    /// What to say of it, where the kernel's word for it would mislead.
    pub(crate) fn into_cause(self) -> Box<dyn std::error::Error + Send + Sync> {
        match Errno::from_io_error(&self.error) {
            Some(Errno::STALE) => "another directory took its place, or it got another mode or owner".into(),
            _ => self.error.into(),
        }
    }

    /// Whether it is no fault of what is there: it is not what the walk found before ([`Errno::STALE`], which a network
    /// file system says, too), or is gone.
    pub fn is_change(&self) -> bool {
        let errno = Errno::from_io_error(&self.error);
        matches!(errno, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE))
    }
}

/// One child of a directory.
#[derive(Clone, Copy, Debug)]
pub struct Child<'a> {
    /// Its name in raw bytes.
    pub name: &'a [u8],
    /// What the kernel says about it.
    pub stat: &'a Stat,
}

#[derive(Debug)]
struct Entry {
    stat: Stat,
    name_start: u32,
    name_length: u16,
}

/// A directory with its children sorted by name, or a run of them where there are many.
#[derive(Debug)]
pub struct Listing {
    pub(super) path: Vec<u8>,
    pub(super) stat: Stat,
    pub(super) names: Vec<u8>,
    entries: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
    own: Vec<OwnFound>,
    pub(in crate::source) is_first: bool,
    pub(in crate::source) is_last: bool,
    pub(super) is_short: bool,
    pub(super) is_restless: bool,
    pub(super) rules: Vec<ObeyedFile>,
}

impl Listing {
    /// A listing without children; `names` is where those of the children to come will be found.
    pub(in crate::source) fn new(path: Vec<u8>, stat: Stat, names: Vec<u8>, capacity: usize) -> Self {
        let entries = Vec::with_capacity(capacity);
        Self {
            path,
            stat,
            names,
            entries,
            problems: Vec::new(),
            own: Vec::new(),
            is_first: true,
            is_last: true,
            is_short: false,
            is_restless: false,
            rules: Vec::new(),
        }
    }

    pub(in crate::source) fn push(&mut self, name_start: u32, name_length: u16, stat: Stat) {
        self.entries.push(Entry { stat, name_start, name_length });
    }

    pub(super) fn push_problem(&mut self, name: &[u8], error: impl Into<io::Error>) {
        let path = join(&self.path, name);
        self.problems.push(Problem { path, error: error.into() });
    }

    pub(super) fn push_own(&mut self, name: &[u8], purpose: Purpose) {
        self.own.push(OwnFound { path: join(&self.path, name), purpose });
    }

    /// The directory's path below the root in raw bytes, with no `/` at either end; empty for the root itself.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// What the kernel said about the directory once it was open.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Its path, and which directory it is.
    pub fn directory(&self) -> ListedDirectory<'_> {
        ListedDirectory { path: &self.path, id: DirectoryId::of(&self.stat) }
    }

    /// The children that could be read, by name bytewise.
    pub fn children(&self) -> impl ExactSizeIterator<Item = Child<'_>> {
        self.entries.iter().map(|entry| {
            let start = entry.name_start as usize;
            let name = &self.names[start..start + usize::from(entry.name_length)];
            Child { name, stat: &entry.stat }
        })
    }

    /// What could not be read: the directory itself, or children of it. Children that vanished before the kernel could
    /// say anything about them are not among them.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The same, to keep.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    /// Directories of Floe's own that would be among the children and are left out; to keep.
    pub fn take_own(&mut self) -> Vec<OwnFound> {
        std::mem::take(&mut self.own)
    }

    /// Whether this is the first listing of this directory.
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// Whether no more children of this directory follow.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Whether names of a part of a huge directory were not there any more, or others came, so that what they stand for may be
    /// there under names that are in no part. Other directories are read again for that.
    pub fn is_short(&self) -> bool {
        self.is_short
    }

    /// Whether the directory changed each time it was read, so that what was renamed in it may be missing.
    pub fn is_restless(&self) -> bool {
        self.is_restless
    }

    /// Ignore files of this directory that are to be looked at when all is read: where something below it was listed later,
    /// or they are young.
    pub(crate) fn rules(&self) -> &[ObeyedFile] {
        &self.rules
    }

    /// About how much memory it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.path.capacity()
            + self.names.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.problems.iter().map(|problem| size_of::<Problem>() + problem.path.len()).sum::<usize>()
    }
}

/// `directory/name`, or either alone where the other is empty.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !directory.is_empty() && !name.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}
