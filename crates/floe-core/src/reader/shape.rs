//! Which directory an entry is in, told in one pass over a tree's entries.
//!
//! All children of a directory stand together, and the groups of children follow each other depth first. So the
//! directories that were listed and not entered yet are a stack: a group's directory is on it, and those above it are
//! empty. What is not on it is no directory of the tree. Memory is that of the paths waiting.

use std::cmp::Ordering;

use crate::source::compare_directories;
use crate::{Error, ErrorKind, Result};

use super::span::shown;

/// The directories of a tree as its entries pass by, each with a value.
#[derive(Clone, Debug)]
pub(crate) struct Shape<T> {
    current: Vec<u8>,
    value: T,
    /// Listed in the current group, ascending.
    incoming: Waiting<T>,
    /// Still to be entered; the next is last.
    waiting: Waiting<T>,
}

#[derive(Clone, Debug)]
struct Waiting<T> {
    paths: Vec<u8>,
    directories: Vec<(usize, T)>,
}

impl<T: Copy> Waiting<T> {
    fn new() -> Self {
        Self { paths: Vec::new(), directories: Vec::new() }
    }

    fn push(&mut self, path: &[u8], value: T) {
        self.directories.push((self.paths.len(), value));
        self.paths.extend_from_slice(path);
    }

    fn last(&self) -> Option<(&[u8], T)> {
        self.directories.last().map(|&(start, value)| (&self.paths[start..], value))
    }

    fn pop(&mut self) {
        if let Some((start, _)) = self.directories.pop() {
            self.paths.truncate(start);
        }
    }
}

impl<T: Copy> Shape<T> {
    /// The entries below the directory at `path`, none of which has passed.
    pub(crate) fn new(path: &[u8], value: T) -> Self {
        Self { current: path.to_vec(), value, incoming: Waiting::new(), waiting: Waiting::new() }
    }

    /// The value of the directory at `parent`, in which the next entry is; `passed` is told of each directory that
    /// turns out to have no entries.
    ///
    /// # Errors
    /// `Corrupt` where the tree has no such directory.
    #[inline]
    pub(crate) fn enter(
        &mut self,
        parent: &[u8],
        passed: &mut dyn FnMut(&[u8], T) -> Result<()>,
    ) -> Result<T> {
        if self.current == parent {
            return Ok(self.value);
        }
        self.settle();
        while let Some((path, value)) = self.waiting.last() {
            match compare_directories(path, parent) {
                Ordering::Less => passed(path, value)?,
                Ordering::Equal => {
                    self.current.clear();
                    self.current.extend_from_slice(parent);
                    self.value = value;
                    self.waiting.pop();
                    return Ok(value);
                }
                Ordering::Greater => break,
            }
            self.waiting.pop();
        }
        let message = format!("the snapshot has entries in {}, which is no directory of it", shown(parent));
        Err(Error::new(ErrorKind::Corrupt, message))
    }

    /// Adds a directory that passed as an entry of the current one.
    pub(crate) fn add(&mut self, path: &[u8], value: T) {
        self.incoming.push(path, value);
    }

    /// After the last entry: tells of the directories that were not entered.
    pub(crate) fn finish(&mut self, passed: &mut dyn FnMut(&[u8], T) -> Result<()>) -> Result<()> {
        self.settle();
        while let Some((path, value)) = self.waiting.last() {
            passed(path, value)?;
            self.waiting.pop();
        }
        Ok(())
    }

    /// Moves the directories of a group that has ended to those that wait.
    fn settle(&mut self) {
        while let Some((path, value)) = self.incoming.last() {
            self.waiting.push(path, value);
            self.incoming.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_directories_are_told_of_in_order_and_missing_ones_refused() {
        let mut shape = Shape::new(b"", 0);
        let mut empty = Vec::new();
        let mut passed = |_: &[u8], value| {
            empty.push(value);
            Ok(())
        };
        assert_eq!(shape.enter(b"", &mut passed).unwrap(), 0);
        for (name, value) in [(&b"a"[..], 1), (b"b", 2), (b"c", 3), (b"d", 4)] {
            shape.add(name, value);
        }
        assert_eq!(shape.enter(b"b", &mut passed).unwrap(), 2);
        shape.add(b"b/x", 5);
        shape.add(b"b/y", 6);
        assert_eq!(shape.enter(b"b/y", &mut passed).unwrap(), 6);
        let mut lost = shape.clone();
        for missing in [&b"b/z"[..], b"b/y/q", b"cc", b"z"] {
            let error = lost.clone().enter(missing, &mut |_, _| Ok(())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
        lost.enter(b"d", &mut |_, _| Ok(())).unwrap();
        assert_eq!(shape.enter(b"c", &mut passed).unwrap(), 3);
        shape.finish(&mut passed).unwrap();
        assert_eq!(empty, [1, 5, 4]);
    }
}
