//! Paths of entries: their form, their order, and the cursor that front-codes a list of them.

use std::cmp::Ordering;

use crate::{Error, Result};

/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 65_535;

/// The longest component of a path, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// Checks that a path has the form of `docs/format.md` §5.1.
///
/// # Errors
/// `Invalid` where it has not.
pub fn validate_path(path: &[u8]) -> Result<()> {
    check_names(path, 0).map_err(|what| Error::invalid(format!("path {}: {what}", Shown(path))))
}

/// Splits a valid path into its parent directory (empty: the tree's own) and its name.
#[inline]
pub fn parent_and_name(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// Compares two valid paths in the order of a tree: all children of a directory by name, then each
/// subdirectory's.
#[inline]
pub fn compare_paths(a: &[u8], b: &[u8]) -> Ordering {
    let shared = common_prefix(a, b);
    compare_after(shared, (a, parent_len(a)), (b, parent_len(b)))
}

/// Compares paths, each given with the length of its parent, that share exactly their first `shared` bytes.
fn compare_after(shared: usize, (a, a_parent): (&[u8], usize), (b, b_parent): (&[u8], usize)) -> Ordering {
    if shared < a_parent.min(b_parent) {
        // Both parents have a byte here. A `/` ends a component, so it comes before all that may go on one.
        return rank(a[shared]).cmp(&rank(b[shared]));
    }
    // The shorter parent is a prefix of the other; where they are equal the names differ at `shared`.
    a_parent.cmp(&b_parent).then_with(|| a.get(shared).cmp(&b.get(shared)))
}

/// A byte's place when components are compared one by one.
fn rank(byte: u8) -> u8 {
    if byte == b'/' { 0 } else { byte }
}

/// Length of the parent's path, 0 for the tree's own directory.
fn parent_len(path: &[u8]) -> usize {
    path.iter().rposition(|&b| b == b'/').unwrap_or(0)
}

/// Length of the longest common prefix.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let mut length = 0;
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        let different = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if different != 0 {
            return length + different.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + a[length..].iter().zip(&b[length..]).take_while(|(a, b)| a == b).count()
}

/// Checks the components of a path from the one that begins at `start` on.
fn check_names(path: &[u8], start: usize) -> Result<(), &'static str> {
    if path.len() > MAX_PATH_BYTES {
        return Err("a path over 65,535 bytes");
    }
    for name in path[start..].split(|&b| b == b'/') {
        match name {
            [] => return Err("an empty component"),
            b"." | b".." => return Err("a component . or .."),
            _ if name.len() > MAX_NAME_BYTES => return Err("a component over 255 bytes"),
            _ if name.contains(&0) => return Err("a NUL byte"),
            _ => {}
        }
    }
    Ok(())
}

/// A path in an error message: escaped, and cut where it is long.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MAX: usize = 200;
        if self.0.len() > MAX {
            write!(f, "\"{}…\"", self.0[..MAX].escape_ascii())
        } else {
            write!(f, "\"{}\"", self.0.escape_ascii())
        }
    }
}

/// The last path of an ascending list, which the next one is coded against.
#[derive(Clone, Debug, Default)]
pub(crate) struct PathCursor {
    path: Vec<u8>,
    parent: usize,
}

impl PathCursor {
    /// The path that the cursor is at, empty before the first.
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Length of the longest common prefix of the path at hand and `next`.
    pub(crate) fn shared_with(&self, next: &[u8]) -> usize {
        common_prefix(&self.path, next)
    }

    /// Moves on to the path that goes on with `suffix` after the first `shared` bytes of this one.
    ///
    /// It must be valid, share no more than that with this one, and come after it in a tree's order (or be the same, if
    /// `repeats`). After an error the cursor must not be used again.
    pub(crate) fn advance(
        &mut self,
        shared: usize,
        suffix: &[u8],
        repeats: bool,
    ) -> Result<(), &'static str> {
        let Some(next) = self.path.get(shared..) else {
            return Err("a path that shares more bytes than the one before it has");
        };
        let ascends = match (next.first(), suffix.first()) {
            (Some(a), Some(b)) if a == b => return Err("a path that shares more bytes than it says"),
            (None, None) if !self.path.is_empty() => repeats,
            _ => true,
        };
        let shared_slash = if shared > self.parent && self.parent > 0 {
            Some(self.parent)
        } else {
            self.path[..shared].iter().rposition(|&b| b == b'/')
        };
        let parent = match suffix.iter().rposition(|&b| b == b'/') {
            Some(slash) => shared + slash,
            None => shared_slash.unwrap_or(0),
        };
        let ascends = ascends
            && if shared < parent.min(self.parent) {
                rank(next[0]) < rank(suffix[0])
            } else if parent == self.parent {
                next.first() <= suffix.first()
            } else {
                self.parent < parent
            };
        if !ascends && !self.path.is_empty() {
            return Err("a path out of order");
        }
        self.path.truncate(shared);
        self.path.extend_from_slice(suffix);
        self.parent = parent;
        check_names(&self.path, shared_slash.map_or(0, |slash| slash + 1))
    }
}

#[cfg(test)]
mod tests;
