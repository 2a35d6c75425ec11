//! Names of objects.

use std::fmt;

use crate::{Error, ErrorKind, Result};

/// The longest key: S3 takes 1,024 bytes, and a store may put a prefix of its own before ours.
const MAX_KEY_BYTES: usize = 700;

/// The name of an object in a store: segments joined by `/`.
///
/// A segment holds ASCII letters, digits and `-._%~=@`, is not empty and does not begin with a dot, so that a key
/// is a relative path on every file system and dotted names are free for a store's own use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The key of this name.
    ///
    /// # Errors
    /// `Invalid` for a name that is empty, too long, or has a segment no key may have.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if name.len() > MAX_KEY_BYTES || !name.split('/').all(is_segment) {
            return Err(invalid("key", &name));
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the keys of a listing begin with; it may end inside a segment, and the empty one is that of all keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// The prefix of this name.
    ///
    /// # Errors
    /// `Invalid` for one that no key begins with.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let (whole, partial) = name.rsplit_once('/').map_or((None, name.as_str()), |(w, p)| (Some(w), p));
        let valid = name.len() <= MAX_KEY_BYTES
            && whole.is_none_or(|whole| whole.split('/').all(is_segment))
            && (partial.is_empty() || is_segment(partial));
        if !valid {
            return Err(invalid("key prefix", &name));
        }
        Ok(Self(name))
    }

    /// The prefix itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_segment(segment: &str) -> bool {
    !segment.is_empty()
        && !segment.starts_with('.')
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._%~=@".contains(&b))
}

fn invalid(what: &str, name: &str) -> Error {
    let shown: String = name.chars().take(80).collect();
    Error::new(ErrorKind::Invalid, format!("`{}` is not a {what}", shown.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_relative_paths_of_plain_segments() {
        for good in ["a", "ns/refs/main%2Fdev", "ns/packs/0123", "a.b/c~d", &"x".repeat(700)] {
            assert_eq!(Key::new(good).unwrap().as_str(), good);
        }
        for bad in
            ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/.tmp", "a+b", "a b", "ä", "a\0", "a\\b"]
        {
            assert_eq!(Key::new(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        }
        assert!(Key::new("x".repeat(701)).is_err());
    }

    #[test]
    fn prefixes_end_anywhere_but_climb_nowhere() {
        for good in ["", "a", "a/", "a/b", "ns/packs/01"] {
            assert_eq!(KeyPrefix::new(good).unwrap().as_str(), good);
        }
        for bad in ["/", "//", "a//", "..", "../", "a/..", "a/../", ".tmp/"] {
            assert!(KeyPrefix::new(bad).is_err(), "{bad:?}");
        }
    }
}
