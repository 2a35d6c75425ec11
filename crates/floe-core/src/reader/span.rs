//! Parts of a tree that stand together in its order.

use std::cmp::Ordering;
use std::fmt;

use floe_format::{Item, compare_paths, parent_and_name};

use crate::source::compare_directories;

/// Entries that stand together in the canonical order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// All entries.
    All,
    /// One entry.
    Entry(Vec<u8>),
    /// The children of a directory; of the tree's own when the path is empty.
    Children(Vec<u8>),
    /// All that is below a directory.
    Below(Vec<u8>),
}

impl Span {
    /// All that is below a directory, which is all of the tree for its own.
    pub(crate) fn below(path: &[u8]) -> Self {
        if path.is_empty() { Self::All } else { Self::Below(path.to_vec()) }
    }

    /// Whether a path is before, in or after the span.
    pub(crate) fn place(&self, path: &[u8]) -> Ordering {
        match self {
            Self::All => Ordering::Equal,
            Self::Entry(entry) => compare_paths(path, entry),
            Self::Children(directory) => compare_directories(parent_and_name(path).0, directory),
            Self::Below(directory) => {
                let parent = parent_and_name(path).0;
                match parent.strip_prefix(directory.as_slice()) {
                    Some([] | [b'/', ..]) => Ordering::Equal,
                    _ => compare_directories(parent, directory),
                }
            }
        }
    }

    /// Whether any entry of the span may be in what `item` lists, where `next` is the item after it, if any.
    pub(crate) fn touches(&self, item: &Item, next: Option<&Item>) -> bool {
        // The next item's path comes after all entries of this one, or is its last, when a file goes on there.
        self.place(&item.path).is_le() && next.is_none_or(|next| self.place(&next.path).is_ge())
    }
}

/// A path in a message: what would steer a terminal is escaped, and the middle cut out where it is long.
pub(crate) fn shown(path: &[u8]) -> impl fmt::Display + '_ {
    const MAX: usize = 300;
    const BEGINNING: usize = 100;
    if path.len() <= MAX {
        return format!("`{}`", escaped(path));
    }
    let end = path.len() - (MAX - BEGINNING);
    format!("`{}…{}`", escaped(&path[..BEGINNING]), escaped(&path[end..]))
}

fn escaped(path: &[u8]) -> String {
    let mut escaped = String::with_capacity(path.len());
    for character in String::from_utf8_lossy(path).chars() {
        // Marks that change the direction in which their neighbours are shown, too.
        let is_direction =
            matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || is_direction {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_and_steer_nothing() {
        assert_eq!(shown(b"a/\x1b[2J\n").to_string(), "`a/\\u{1b}[2J\\n`");
        assert_eq!(shown("a\u{202e}b\u{e4}".as_bytes()).to_string(), "`a\\u{202e}b\u{e4}`");
        let long = [b"first/".as_slice(), &[b'x'; 400], b"/last"].concat();
        let told = shown(&long).to_string();
        assert!(
            told.starts_with("`first/xxx") && told.contains("xx…xx") && told.ends_with("xxx/last`"),
            "{told}"
        );
    }

    #[test]
    fn spans_stand_together_in_the_order_of_a_tree() {
        let mut paths: Vec<&[u8]> = vec![
            b"a", b"a-b", b"a/b", b"a/b/c", b"a/b/c/d", b"a/c", b"a-b/c", b"b", b"a/b-", b"a/b-/x", b"z",
            b"a/z/y", b"a/z",
        ];
        paths.sort_by(|x, y| compare_paths(x, y));
        for span in [
            Span::All,
            Span::Entry(b"a/b".to_vec()),
            Span::Children(b"a".to_vec()),
            Span::Children(vec![]),
            Span::Below(b"a".to_vec()),
            Span::Below(b"a/b".to_vec()),
        ] {
            let places: Vec<_> = paths.iter().map(|path| span.place(path)).collect();
            assert!(places.is_sorted(), "{span:?}: {places:?}");
            let inside: Vec<_> = paths.iter().filter(|path| span.place(path).is_eq()).copied().collect();
            let expected: Vec<_> = paths
                .iter()
                .filter(|path| match &span {
                    Span::All => true,
                    Span::Entry(entry) => *path == entry,
                    Span::Children(directory) => parent_and_name(path).0 == directory,
                    Span::Below(directory) => path.starts_with(&[directory.as_slice(), b"/"].concat()),
                })
                .copied()
                .collect();
            assert_eq!(inside, expected, "{span:?}");
        }
    }
}
