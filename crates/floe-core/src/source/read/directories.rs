//! The directory of the last file, and some of those above it, open.
//!
//! Files come in walk order, so whoever goes on opens a few directories from the nearest one that is still open.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, ResolveFlags};
use rustix::io::Errno;

use crate::beneath::{ANCHOR, at_once};
use crate::source::directory_id::{DirectoryId, ListedDirectory};
use crate::source::least_missed::least_missed;
use crate::source::stat::Stat;

/// How many directories stay open for each thread, the root left aside, where the limit of open files allows it.
pub(super) const KEPT_DIRECTORIES: usize = 8;

/// The root of a source, and the way to the directory that was asked for last.
#[derive(Debug)]
pub(super) struct OpenDirectories {
    root: Open,
    /// How many stay open, the root left aside.
    most: usize,
    /// The path of the last of those open.
    path: Vec<u8>,
    /// From the top to the directory that was asked for last; not all of them.
    open: Vec<Step>,
}

#[derive(Debug)]
struct Open {
    descriptor: OwnedFd,
    /// Asked for where it is compared.
    id: Option<DirectoryId>,
}

#[derive(Debug)]
struct Step {
    /// The length of its path, which begins all others' after it.
    path_len: usize,
    depth: usize,
    directory: Open,
}

impl OpenDirectories {
    pub(super) fn new(root: OwnedFd, most: usize) -> Self {
        let root = Open { descriptor: root, id: None };
        Self { root, most, path: Vec::new(), open: Vec::new() }
    }

    /// How many stay open.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Keeps no more open than so many from now on.
    pub(super) fn keep_at_most(&mut self, most: usize) {
        self.most = most.clamp(1, KEPT_DIRECTORIES);
    }

    /// The root.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.descriptor.as_fd()
    }

    /// Asks the kernel for each directory anew from now on: what is open keeps to be what it was under whatever name.
    pub(super) fn forget(&mut self) {
        self.open.clear();
        self.path.clear();
    }

    /// What is at this path now.
    pub(super) fn at(&mut self, path: &[u8]) -> Result<BorrowedFd<'_>, Errno> {
        self.go_to(path)?;
        let there = self.open.last().map_or(&self.root, |step| &step.directory);
        Ok(there.descriptor.as_fd())
    }

    /// The directory that a walk listed. [`Errno::STALE`] where another one is there by now, or it has another mode or
    /// owner.
    pub(super) fn get(&mut self, listed: ListedDirectory<'_>) -> Result<BorrowedFd<'_>, Errno> {
        self.go_to(listed.path)?;
        let there = match self.open.last_mut() {
            Some(step) => &mut step.directory,
            None => &mut self.root,
        };
        let id = match there.id {
            Some(id) => id,
            None => *there.id.insert(DirectoryId::of(&Stat::of_file(&there.descriptor)?)),
        };
        if listed.id.is_same(id, &there.descriptor) {
            Ok(there.descriptor.as_fd())
        } else {
            Err(Errno::STALE)
        }
    }

    /// Opens the directory at this path in one step, unless it is the one that was opened last. Where the kernel cannot do
    /// that, it is left to be opened step by step.
    pub(super) fn jump_to(&mut self, path: &[u8]) -> Result<(), Errno> {
        if self.path == path {
            return Ok(());
        }
        self.forget();
        let opened = match at_once(self.root.descriptor.as_fd(), path, ResolveFlags::empty()) {
            Err(Errno::NAMETOOLONG) => None,
            opened => opened?,
        };
        if let Some(descriptor) = opened {
            self.path.extend_from_slice(path);
            let depth = path.iter().filter(|byte| **byte == b'/').count() + 1;
            let directory = Open { descriptor, id: None };
            self.open.push(Step { path_len: path.len(), depth, directory });
        }
        Ok(())
    }

    /// Opens what is to be opened so that the last one open is the one at this path.
    fn go_to(&mut self, path: &[u8]) -> Result<(), Errno> {
        if self.path == path {
            return Ok(());
        }
        let shared = shared_len(&self.path, path);
        while self.open.last().is_some_and(|step| step.path_len > shared) {
            self.open.pop();
        }
        let (mut reached, mut depth) = self.open.last().map_or((0, 0), |step| (step.path_len, step.depth));
        self.path.truncate(reached);
        while reached < path.len() {
            let start = reached + usize::from(reached > 0);
            let end = path[start..].iter().position(|byte| *byte == b'/').map_or(path.len(), |at| start + at);
            let name = CString::new(&path[start..end]).map_err(|_| Errno::INVAL)?;
            let above = self.open.last().map_or(&self.root, |step| &step.directory);
            let descriptor = rustix::fs::openat(&above.descriptor, &name, ANCHOR, Mode::empty())?;
            self.path.extend_from_slice(&path[reached..end]);
            (reached, depth) = (end, depth + 1);
            let directory = Open { descriptor, id: None };
            self.open.push(Step { path_len: reached, depth, directory });
            if self.open.len() > self.most {
                let missed = least_missed(self.open.len(), |place| self.open[place].depth);
                self.open.remove(missed);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }
}

/// How much of two paths is the path of a directory that is above both, or one of them.
fn shared_len(a: &[u8], b: &[u8]) -> usize {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let ends = |path: &[u8]| path.get(same).is_none_or(|byte| *byte == b'/');
    if ends(a) && ends(b) {
        return same;
    }
    a[..same].iter().rposition(|byte| *byte == b'/').unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::shared_len;

    #[test]
    fn what_two_paths_share_ends_with_a_name() {
        for (a, b, shared) in [
            ("", "a", ""),
            ("a", "a", "a"),
            ("a", "a/b", "a"),
            ("a/b", "a", "a"),
            ("ab", "a", ""),
            ("ab", "a/b", ""),
            ("a/bc", "a/bd", "a"),
            ("a/b/c", "a/b/d", "a/b"),
            ("a/b/c", "a/b", "a/b"),
            ("a-/b", "a/b", ""),
        ] {
            assert_eq!(&a[..shared_len(a.as_bytes(), b.as_bytes())], shared, "{a} {b}");
            assert_eq!(&b[..shared_len(b.as_bytes(), a.as_bytes())], shared, "{b} {a}");
        }
    }
}
