//! What is different between two streams of entries in canonical order.

use std::cmp::Ordering;

use floe_core::Result;
use floe_format::{ContentHash, Entry, OwnedBody, compare_paths};
use serde::Serialize;

/// How an entry of the second tree differs from the first's of the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// It is something of another kind.
    Kind,
    /// A file's content, a link's target or a device's number.
    Content,
    /// The mode alone.
    Mode,
}

impl Change {
    /// One letter for it.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Removed => 'D',
            Self::Kind => 'T',
            Self::Content => 'M',
            Self::Mode => 'P',
        }
    }
}

/// A tree's entries, and what a file holds where the entry does not tell.
pub(crate) trait Side {
    /// The next entry in canonical order.
    fn next(&mut self) -> Result<Option<Entry>>;

    /// The hash of the content of a file that was just handed out without one.
    fn hash(&mut self, path: &[u8]) -> Result<Option<ContentHash>>;
}

/// Tells every change from the first tree to the second.
pub(crate) fn compare(
    first: &mut dyn Side,
    second: &mut dyn Side,
    tell: &mut dyn FnMut(Change, &[u8]) -> Result<()>,
) -> Result<()> {
    let (mut old, mut new) = (first.next()?, second.next()?);
    loop {
        let order = match (&old, &new) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => compare_paths(&old.path, &new.path),
        };
        match (order, &old, &new) {
            (Ordering::Less, Some(entry), _) => tell(Change::Removed, &entry.path)?,
            (Ordering::Greater, _, Some(entry)) => tell(Change::Added, &entry.path)?,
            (_, Some(old), Some(new)) => {
                if let Some(change) = change(first, old, second, new)? {
                    tell(change, &new.path)?;
                }
            }
            _ => {}
        }
        if order.is_le() {
            old = first.next()?;
        }
        if order.is_ge() {
            new = second.next()?;
        }
    }
}

fn change(first: &mut dyn Side, old: &Entry, second: &mut dyn Side, new: &Entry) -> Result<Option<Change>> {
    if old.body.as_body().kind() != new.body.as_body().kind() {
        return Ok(Some(Change::Kind));
    }
    let is_equal = match (&old.body, &new.body) {
        (OwnedBody::File { size: a, .. }, OwnedBody::File { size: b, .. }) if a != b => false,
        (OwnedBody::File { size: 0, .. }, OwnedBody::File { .. }) => true,
        (OwnedBody::File { hash: a, .. }, OwnedBody::File { hash: b, .. }) => {
            let a = if a.is_none() { first.hash(&old.path)? } else { *a };
            let b = if b.is_none() { second.hash(&new.path)? } else { *b };
            a.is_some() && a == b
        }
        (a, b) => a == b,
    };
    Ok(match (is_equal, old.mode == new.mode) {
        (false, _) => Some(Change::Content),
        (true, false) => Some(Change::Mode),
        (true, true) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Given(std::vec::IntoIter<Entry>);

    impl Side for Given {
        fn next(&mut self) -> Result<Option<Entry>> {
            Ok(self.0.next())
        }

        fn hash(&mut self, path: &[u8]) -> Result<Option<ContentHash>> {
            Ok(Some(ContentHash::of(path)))
        }
    }

    fn entry(path: &str, mode: u16, body: OwnedBody) -> Entry {
        let xattrs = floe_format::XattrList::default();
        Entry { path: path.into(), mode, mtime: None, owner: None, body, xattrs }
    }

    fn file(path: &str, size: u64, content: Option<&str>) -> Entry {
        let hash = content.map(|content| ContentHash::of(content.as_bytes()));
        entry(path, 0o644, OwnedBody::File { size, hash })
    }

    fn changes(old: Vec<Entry>, new: Vec<Entry>) -> Vec<String> {
        let mut told = Vec::new();
        compare(&mut Given(old.into_iter()), &mut Given(new.into_iter()), &mut |change, path| {
            told.push(format!("{} {}", change.letter(), String::from_utf8_lossy(path)));
            Ok(())
        })
        .unwrap();
        told
    }

    #[test]
    fn every_kind_of_change_is_told() {
        let link = |target: &str| OwnedBody::Symlink { target: target.into() };
        let old = vec![
            file("a", 1, Some("x")),
            file("b", 1, Some("x")),
            file("c", 1, Some("x")),
            file("d", 1, Some("x")),
            entry("e", 0o777, link("x")),
            file("f", 1, Some("x")),
            file("g", 2, Some("x")),
        ];
        let new = vec![
            file("a", 1, Some("x")),
            file("b", 1, Some("y")),
            entry("c", 0o755, file("c", 1, Some("x")).body),
            entry("d", 0o755, OwnedBody::Directory),
            entry("e", 0o777, link("y")),
            file("ff", 1, Some("x")),
            file("g", 1, Some("x")),
            file("d/x", 1, Some("x")),
        ];
        assert_eq!(changes(old, new), ["M b", "P c", "T d", "M e", "D f", "A ff", "M g", "A d/x"]);
    }

    #[test]
    fn what_an_entry_does_not_tell_is_read() {
        assert_eq!(changes(vec![file("a", 1, None)], vec![file("a", 1, Some("a"))]), [""; 0]);
        assert_eq!(changes(vec![file("a", 1, None)], vec![file("a", 1, Some("b"))]), ["M a"]);
        assert_eq!(changes(vec![file("a", 0, None)], vec![file("a", 0, None)]), [""; 0]);
    }
}
