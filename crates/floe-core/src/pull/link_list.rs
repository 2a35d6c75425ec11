//! The hard links of a tree, kept until all of its files are there.
//!
//! There may be as many as there are files, anywhere: of each its name is kept and that of its file, and in which
//! directories they are, but no path. Files that are not pulled are kept by their paths, once each.

use std::collections::HashMap;
use std::sync::Arc;

use floe_format::{EntryRef, parent_and_name};

use crate::Result;
use crate::destination::DirId;

use super::links::no_file;

/// Hard links to be made, in their order.
#[derive(Debug, Default)]
pub(super) struct LinkList {
    rows: Vec<Row>,
    /// Of each link its name, and behind that the name of its file if that is pulled.
    names: Vec<u8>,
    outside: Vec<Arc<[u8]>>,
    numbers: HashMap<Arc<[u8]>, u32>,
    /// Where the last file was: links to the files of a directory often stand together.
    last: Option<(Vec<u8>, DirId)>,
}

#[derive(Debug)]
struct Row {
    ordinal: u64,
    directory: DirId,
    target: Target,
    mode: u16,
    name_len: u16,
}

#[derive(Debug)]
enum Target {
    Pulled(DirId, u16),
    Outside(u32),
}

/// A hard link to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link<'a> {
    /// Its number in the walk.
    pub(super) ordinal: u64,
    pub(super) directory: DirId,
    pub(super) name: &'a [u8],
    pub(super) target: LinkTarget<'a>,
    pub(super) mode: u16,
}

/// The file that a hard link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkTarget<'a> {
    /// Its directory and name.
    Pulled(DirId, &'a [u8]),
    /// Its number among the files that are not pulled, and its path in the snapshot.
    Outside(u32, &'a [u8]),
}

impl LinkList {
    /// Adds a hard link that is in `directory`, and whose file is at `target` in the snapshot; `pulled` is the path of that
    /// below the top, if it is pulled; `find` knows the directories there.
    ///
    /// # Errors
    /// `Corrupt` where that is in no directory that came before.
    pub(super) fn push(
        &mut self,
        find: impl FnOnce(&[u8]) -> Option<DirId>,
        (ordinal, directory): (u64, DirId),
        entry: &EntryRef<'_>,
        target: &[u8],
        pulled: Option<&[u8]>,
    ) -> Result<()> {
        let length = |name: &[u8]| u16::try_from(name.len()).map_err(|_| no_file(target));
        let name = parent_and_name(entry.path).1;
        let name_len = length(name)?;
        self.names.extend_from_slice(name);
        let target = match pulled {
            Some(path) => {
                let (parent, name) = parent_and_name(path);
                let in_directory = self.directory(parent, find).ok_or_else(|| no_file(target))?;
                self.names.extend_from_slice(name);
                Target::Pulled(in_directory, length(name)?)
            }
            None => Target::Outside(self.number(target)),
        };
        self.rows.push(Row { ordinal, directory, target, mode: entry.mode, name_len });
        Ok(())
    }

    fn directory(&mut self, path: &[u8], find: impl FnOnce(&[u8]) -> Option<DirId>) -> Option<DirId> {
        if let Some((last, id)) = &self.last
            && last == path
        {
            return Some(*id);
        }
        let id = find(path)?;
        self.last = Some((path.to_vec(), id));
        Some(id)
    }

    fn number(&mut self, target: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(target) {
            return *number;
        }
        // No more of them fit in memory.
        let number = u32::try_from(self.outside.len()).unwrap_or(u32::MAX);
        let target: Arc<[u8]> = target.into();
        self.outside.push(Arc::clone(&target));
        self.numbers.insert(target, number);
        number
    }

    /// The links, in the order they came in.
    pub(super) fn iter(&self) -> impl Iterator<Item = Link<'_>> {
        let mut names = &self.names[..];
        self.rows.iter().map(move |row| {
            let mut next = |length: u16| {
                let (name, rest) = names.split_at(usize::from(length));
                names = rest;
                name
            };
            let name = next(row.name_len);
            let target = match row.target {
                Target::Pulled(directory, length) => LinkTarget::Pulled(directory, next(length)),
                Target::Outside(number) => LinkTarget::Outside(number, &self.outside[number as usize]),
            };
            Link { ordinal: row.ordinal, directory: row.directory, name, target, mode: row.mode }
        })
    }
}

#[cfg(test)]
mod tests {
    use floe_format::{Body, Xattrs};

    use super::*;

    #[test]
    fn of_links_names_are_kept_and_no_paths() {
        const MANY: usize = 2_000;
        let parent = vec!["d".repeat(250); 8].join("/");
        let known = |path: &[u8]| (path.is_empty() || path == parent.as_bytes()).then_some(DirId::ROOT);
        let mut links = LinkList::default();
        let mut push = |number: usize, target: &str, pulled: Option<&str>| {
            let path = format!("top/{parent}/l{number:06}");
            let body = Body::HardLink { target: target.as_bytes() };
            let xattrs = Xattrs::default();
            let entry =
                EntryRef { path: path.as_bytes(), mode: 0o644, mtime: None, owner: None, body, xattrs };
            let pulled = pulled.map(str::as_bytes);
            links.push(known, (number as u64, DirId::ROOT), &entry, target.as_bytes(), pulled)
        };
        for number in 0..MANY {
            let path = format!("{parent}/f{number:06}");
            push(number, &format!("top/{path}"), Some(&path)).unwrap();
        }
        push(MANY, "elsewhere/f", None).unwrap();
        push(MANY + 1, "a", Some("a")).unwrap();
        push(MANY + 2, "elsewhere/f", None).unwrap();
        let error = push(MANY + 3, "top/no/f", Some("no/f")).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Corrupt);

        let name = |number: u64| format!("l{number:06}");
        for (number, link) in (0..MANY as u64).zip(links.iter()) {
            assert_eq!((link.ordinal, link.directory, link.mode), (number, DirId::ROOT, 0o644));
            assert_eq!(link.name, name(number).as_bytes());
            assert_eq!(link.target, LinkTarget::Pulled(DirId::ROOT, format!("f{number:06}").as_bytes()));
        }
        let rest: Vec<_> = links.iter().skip(MANY).map(|link| link.target).collect();
        let outside = LinkTarget::Outside(0, b"elsewhere/f");
        assert_eq!(rest, [outside, LinkTarget::Pulled(DirId::ROOT, b"a"), outside]);
        let bytes = links.names.len() + links.rows.len() * size_of::<Row>();
        assert!(bytes <= MANY * 50, "{bytes} bytes for {MANY} links");
    }
}
