//! Which directory an entry is in, told in one pass over a tree's entries.
//!
//! All children of a directory stand together, and the groups of children follow each other depth first. So the
//! directories that were listed and not entered yet are a stack: a group's directory is on it, and those above it are
//! empty. What is not on it is no directory of the tree. Whoever waits is a sibling of the current directory, of one that
//! that is in, or in it: names are kept alone, and the paths that they are below are beginnings of the current one.

use std::cmp::Ordering;

use floe_format::parent_and_name;

use crate::source::compare_directories;
use crate::{Error, ErrorKind, Result};

use super::span::shown;

/// The directories of a tree as its entries pass by, each with a value.
#[derive(Clone, Debug)]
pub(crate) struct Shape<T> {
    /// Path of the current directory.
    current: Vec<u8>,
    value: T,
    /// Names of those that wait, one behind the other. Those of groups that have ended stand last first; those of the
    /// current group follow, as they came.
    names: Vec<u8>,
    waiting: Vec<Waiting<T>>,
    /// The groups that have ended and have directories that wait, the current directory's own last.
    levels: Vec<Level>,
    /// How many that wait are of groups that have ended, and how many bytes their names have.
    settled: usize,
    settled_bytes: usize,
}

/// A directory that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting<T> {
    value: T,
    name_len: u16,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    /// Length of the path that they are below, with which the current one begins.
    parent_len: usize,
    /// How many wait.
    left: usize,
}

impl<T: Copy> Shape<T> {
    /// The entries below the directory at `path`, none of which has passed.
    pub(crate) fn new(path: &[u8], value: T) -> Self {
        Self {
            current: path.to_vec(),
            value,
            names: Vec::new(),
            waiting: Vec::new(),
            levels: Vec::new(),
            settled: 0,
            settled_bytes: 0,
        }
    }

    /// The value of the directory at `parent`, in which the next entry is; `passed` is told of each directory that
    /// turns out to have no entries.
    ///
    /// # Errors
    /// `Corrupt` where the tree has no such directory; it is of no more use then.
    #[inline]
    pub(crate) fn enter(
        &mut self,
        parent: &[u8],
        passed: &mut dyn FnMut(&[u8], T) -> Result<()>,
    ) -> Result<T> {
        if self.current == parent {
            return Ok(self.value);
        }
        self.advance(parent, passed)
    }

    fn advance(&mut self, parent: &[u8], passed: &mut dyn FnMut(&[u8], T) -> Result<()>) -> Result<T> {
        self.settle();
        while let Some(value) = self.next() {
            match compare_directories(&self.current, parent) {
                Ordering::Less => passed(&self.current, value)?,
                Ordering::Equal => {
                    self.value = value;
                    return Ok(value);
                }
                Ordering::Greater => break,
            }
        }
        let message = format!("the snapshot has entries in {}, which is no directory of it", shown(parent));
        Err(Error::new(ErrorKind::Corrupt, message))
    }

    /// Adds a directory that passed as an entry of the current one.
    pub(crate) fn add(&mut self, path: &[u8], value: T) {
        let name = parent_and_name(path).1;
        // No path is longer.
        let name_len = u16::try_from(name.len()).unwrap_or(u16::MAX);
        self.names.extend_from_slice(&name[..usize::from(name_len)]);
        self.waiting.push(Waiting { value, name_len });
    }

    /// After the last entry: tells of the directories that were not entered.
    pub(crate) fn finish(&mut self, passed: &mut dyn FnMut(&[u8], T) -> Result<()>) -> Result<()> {
        self.settle();
        while let Some(value) = self.next() {
            passed(&self.current, value)?;
        }
        Ok(())
    }

    /// Takes the directory that comes next, and makes its path the current one.
    fn next(&mut self) -> Option<T> {
        let level = self.levels.last_mut()?;
        let Waiting { value, name_len } = self.waiting.pop()?;
        self.current.truncate(level.parent_len);
        level.left -= 1;
        if level.left == 0 {
            self.levels.pop();
        }
        if !self.current.is_empty() {
            self.current.push(b'/');
        }
        let name = self.names.len() - usize::from(name_len);
        self.current.extend_from_slice(&self.names[name..]);
        self.names.truncate(name);
        (self.settled, self.settled_bytes) = (self.waiting.len(), name);
        Some(value)
    }

    /// Turns the directories of the current group, which has ended, round, so that the first is last.
    fn settle(&mut self) {
        let group = &mut self.waiting[self.settled..];
        if group.is_empty() {
            return;
        }
        self.levels.push(Level { parent_len: self.current.len(), left: group.len() });
        group.reverse();
        let mut names = &mut self.names[self.settled_bytes..];
        names.reverse();
        for waiting in group {
            let (name, rest) = names.split_at_mut(usize::from(waiting.name_len));
            name.reverse();
            names = rest;
        }
        (self.settled, self.settled_bytes) = (self.waiting.len(), self.names.len());
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

    #[test]
    fn of_those_that_wait_only_names_are_kept() {
        const MANY: usize = 1_000;
        let parent = [b"p".repeat(255), b"q".repeat(255)].join(&b'/');
        let mut shape = Shape::new(&parent, 0);
        for number in 1..=MANY {
            shape.add(format!("{}/d{number:04}", String::from_utf8_lossy(&parent)).as_bytes(), number);
        }
        let mut told = Vec::new();
        let mut passed = |path: &[u8], value| {
            assert_eq!(path, format!("{}/d{value:04}", String::from_utf8_lossy(&parent)).as_bytes());
            told.push(value);
            Ok(())
        };
        let last = format!("{}/d{MANY:04}", String::from_utf8_lossy(&parent));
        assert_eq!(shape.enter(last.as_bytes(), &mut passed).unwrap(), MANY);
        assert!(told.into_iter().eq(1..MANY));
        let bytes = shape.names.capacity() + shape.waiting.capacity() * size_of::<Waiting<usize>>();
        assert!(bytes <= 2 * MANY * (5 + size_of::<Waiting<usize>>()), "{bytes} bytes for {MANY} names");
    }
}
