//! Entries whose paths have one buffer for all.

use floe_format::{ContentHash, Entry, EntryRef, OwnedBody};

/// A list of entries.
#[derive(Debug)]
pub(super) struct EntryTable {
    /// The paths, one after the other.
    paths: Vec<u8>,
    entries: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    /// Where its path ends; it begins where the one before ends.
    path_end: usize,
    /// Its path is left out.
    entry: Entry,
}

impl EntryTable {
    /// An empty list with room for so many entries and bytes of paths.
    pub(super) fn with_capacity(entries: usize, path_bytes: usize) -> Self {
        Self { paths: Vec::with_capacity(path_bytes), entries: Vec::with_capacity(entries) }
    }

    pub(super) fn push(&mut self, entry: &EntryRef<'_>) {
        self.paths.extend_from_slice(entry.path);
        let entry = EntryRef { path: b"", ..*entry }.to_entry();
        self.entries.push(Row { path_end: self.paths.len(), entry });
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry at this position.
    #[inline]
    pub(super) fn get(&self, position: usize) -> EntryRef<'_> {
        EntryRef { path: self.path(position), ..self.entries[position].entry.as_entry() }
    }

    /// The path of the entry at this position.
    pub(super) fn path(&self, position: usize) -> &[u8] {
        let start = position.checked_sub(1).map_or(0, |before| self.entries[before].path_end);
        &self.paths[start..self.entries[position].path_end]
    }

    /// The hash of the file at this position, if that is one with content.
    pub(super) fn content_hash(&self, position: usize) -> Option<&ContentHash> {
        match &self.entries[position].entry.body {
            OwnedBody::File { hash, .. } => hash.as_ref(),
            _ => None,
        }
    }
}
