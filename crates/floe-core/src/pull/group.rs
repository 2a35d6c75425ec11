//! A directory of the snapshot, collected to be compared with one that is there.
//!
//! A directory may have as many entries as there are: of each little is kept.

use std::sync::Arc;

use floe_format::{Body, EntryRef, Meta, OwnedBody, XattrList, parent_and_name};

use crate::destination::DirId;

use super::selection::Picked;

/// A directory and what the snapshot has in it.
pub(super) struct Group {
    pub(super) directory: DirId,
    /// Its directory; none for the top.
    pub(super) parent: Option<DirId>,
    pub(super) picked: Picked,
    /// Its path below the top.
    pub(super) path: Vec<u8>,
    pub(super) entries: Vec<Member>,
    /// The entries' names, one after the other.
    names: Vec<u8>,
    /// Names of entries that are not selected.
    pub(super) unselected: Vec<Box<[u8]>>,
    /// The hard links among the entries, by their numbers, ascending.
    pub(super) links: Vec<(usize, Linked)>,
}

/// The file that a hard link is.
pub(super) enum Linked {
    /// By a hash of its path below the top, whose key nobody knows.
    Pulled(u64),
    /// By its path in the snapshot.
    Outside(Arc<[u8]>),
}

/// An entry of a directory; its name is kept with those of the others.
pub(super) struct Member {
    pub(super) ordinal: u64,
    /// Where its name ends; it begins where the one before ends.
    name_end: usize,
    /// Of a directory.
    pub(super) id: DirId,
    pub(super) meta: Meta,
    /// Without the path of a hard link's file.
    pub(super) body: OwnedBody,
    xattrs: Option<Box<XattrList>>,
}

impl Member {
    /// The entry without its path.
    pub(super) fn entry(&self) -> EntryRef<'_> {
        let Meta { mode, mtime, owner } = self.meta;
        let xattrs = self.xattrs.as_deref().map(XattrList::as_xattrs).unwrap_or_default();
        EntryRef { path: b"", mode, mtime, owner, body: self.body.as_body(), xattrs }
    }
}

impl Group {
    /// A directory of which no entry is known yet.
    pub(super) fn new(directory: DirId, parent: Option<DirId>, picked: Picked, path: Vec<u8>) -> Self {
        Self {
            directory,
            parent,
            picked,
            path,
            entries: Vec::new(),
            names: Vec::new(),
            unselected: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Adds an entry; `id` is the directory that it is, or is in.
    pub(super) fn push(&mut self, ordinal: u64, entry: &EntryRef<'_>, id: DirId) {
        self.names.extend_from_slice(parent_and_name(entry.path).1);
        let body = match entry.body {
            Body::HardLink { .. } => Body::HardLink { target: b"" },
            body => body,
        };
        self.entries.push(Member {
            ordinal,
            name_end: self.names.len(),
            id,
            meta: entry.meta(),
            body: body.into(),
            xattrs: (!entry.xattrs.is_empty()).then(|| Box::new(entry.xattrs.to_list())),
        });
    }

    /// The name of an entry.
    pub(super) fn name(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.entries[before].name_end);
        &self.names[start..self.entries[number].name_end]
    }

    /// Whether an entry is a hard link to a file that is not pulled.
    pub(super) fn is_link_outside(&self, number: usize) -> bool {
        let found = self.links.binary_search_by_key(&number, |(link, _)| *link);
        found.is_ok_and(|at| matches!(self.links[at].1, Linked::Outside(_)))
    }

    /// The path of a name in the directory, below the top.
    pub(super) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        path_below(&self.path, name)
    }
}

/// The path of a name in a directory that has this path.
pub(super) fn path_below(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}
