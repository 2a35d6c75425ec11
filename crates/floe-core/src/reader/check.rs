//! What segments must be to each other, and entries to a tree.

use std::collections::HashMap;
use std::hash::RandomState;

use floe_format::{Body, Content, EntryKind, EntryRef, Item, Root, Segment, compare_paths, parent_and_name};

use crate::{Error, ErrorKind, Result};

use super::items::ListedSegment;
use super::shape::Shape;
use super::span::{Span, shown};

/// Follows the segments and entries of a walk, and refuses what no tree can be.
///
/// Of a walk over the whole tree it checks all that `docs/format.md` says of segments and entries together, but for the
/// files that hard links name: those are checked in a second pass, with [`links`](Self::links).
#[derive(Debug)]
pub(crate) struct TreeCheck<T> {
    kept: floe_format::Kept,
    reproducible: bool,
    whole: Option<(u64, u64, u64)>,
    shape: Shape<T>,
    /// Path of the last entry.
    last: Vec<u8>,
    /// Bytes of the last file that are still to come; none where that is not known.
    owed: Option<u64>,
    ended: bool,
    totals: Totals,
    links: Links,
}

/// What passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) entries: u64,
    pub(crate) files: u64,
    pub(crate) file_bytes: u64,
}

impl<T: Copy> TreeCheck<T> {
    /// Nothing has passed yet of what `span` is; `directory` is the value of the directory it is below.
    pub(crate) fn new(root: &Root, span: &Span, directory: T) -> Self {
        let base = match span {
            Span::All => &[][..],
            Span::Entry(path) => parent_and_name(path).0,
            Span::Children(path) | Span::Below(path) => path,
        };
        Self {
            kept: root.kept,
            reproducible: root.reproducible,
            whole: (*span == Span::All).then_some((root.entries, root.files, root.file_bytes)),
            shape: Shape::new(base, directory),
            last: Vec::new(),
            owed: (*span == Span::All).then_some(0),
            ended: false,
            totals: Totals::default(),
            links: Links::default(),
        }
    }

    /// Checks a segment against its item and the segment before it.
    pub(crate) fn segment(&mut self, listed: &ListedSegment, segment: &Segment<'_>) -> Result<Content> {
        let item = &listed.item;
        let content = segment.check_listed(item)?;
        if segment.kept() != self.kept {
            return Err(corrupt_segment(item, "it keeps something else of entries than the root says"));
        }
        if !listed.follows {
            self.owed = None;
        }
        if self.ended {
            return Err(corrupt_segment(item, "it comes after the end of the tar"));
        }
        if let Some(owed) = self.owed {
            if content.lead > 0 && item.path != self.last {
                return Err(corrupt_segment(item, "it goes on with another file than the one begun"));
            }
            self.owed = Some(content.follow(owed)?);
        } else {
            self.owed = Some(content.unfinished);
            if content.lead > 0 && segment.entry_count() == 0 {
                self.owed = None;
            }
        }
        if content.lead > 0 && self.last.is_empty() {
            self.last.clone_from(&item.path);
        }
        self.ended = segment.has_end();
        Ok(content)
    }

    /// Passes over an entry of a segment that is before the span.
    pub(crate) fn pass_over(&mut self, path: &[u8]) {
        self.last.clear();
        self.last.extend_from_slice(path);
    }

    /// Checks an entry as far as that does not take the directories above it.
    #[inline]
    pub(crate) fn alone(&mut self, entry: &EntryRef<'_>) -> Result<()> {
        if !self.last.is_empty() && compare_paths(&self.last, entry.path).is_ge() {
            return Err(corrupt(entry, "comes out of order or twice"));
        }
        self.last.clear();
        self.last.extend_from_slice(entry.path);
        if self.reproducible && !entry.is_reproducible() {
            return Err(corrupt(entry, "has what a reproducible snapshot does not keep"));
        }
        Ok(())
    }

    /// Checks an entry, and returns the value of the directory it is in.
    #[inline]
    pub(crate) fn entry(
        &mut self,
        entry: &EntryRef<'_>,
        passed: &mut dyn FnMut(&[u8], T) -> Result<()>,
    ) -> Result<T> {
        self.alone(entry)?;
        self.totals.entries += 1;
        match entry.body {
            Body::File { size, .. } => {
                self.totals.files += 1;
                // Each is at most 2^60.
                self.totals.file_bytes = self.totals.file_bytes.saturating_add(size);
            }
            Body::HardLink { target } => self.links.add(entry, target)?,
            _ => {}
        }
        self.shape.enter(parent_and_name(entry.path).0, passed)
    }

    /// Adds the directory that just passed.
    pub(crate) fn add_directory(&mut self, path: &[u8], value: T) {
        self.shape.add(path, value);
    }

    /// Checks what can only be told when all has passed.
    pub(crate) fn finish(&mut self, passed: &mut dyn FnMut(&[u8], T) -> Result<()>) -> Result<Totals> {
        self.shape.finish(passed)?;
        if let Some(said) = self.whole {
            let Totals { entries, files, file_bytes } = self.totals;
            if said != (entries, files, file_bytes) || self.owed != Some(0) || !self.ended {
                let message = "the snapshot's segments are not the tree that its root says";
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
        }
        Ok(self.totals)
    }

    /// The hard links that passed.
    pub(crate) fn into_links(self) -> Links {
        self.links
    }
}

/// The files that hard links name, to be found among the entries in a second pass.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// By a hash of the path, whose key nobody knows.
    wanted: HashMap<u64, (u16, bool)>,
    hasher: RandomState,
}

impl Links {
    fn add(&mut self, entry: &EntryRef<'_>, target: &[u8]) -> Result<()> {
        use std::hash::BuildHasher as _;
        let known = self.wanted.entry(self.hasher.hash_one(target)).or_insert((entry.mode, false));
        if known.0 != entry.mode {
            return Err(corrupt(entry, "has another mode than another link to its file"));
        }
        Ok(())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Shows an entry of the second pass; says whether a link names it.
    pub(crate) fn show(&mut self, entry: &EntryRef<'_>) -> Result<bool> {
        use std::hash::BuildHasher as _;
        if entry.kind() != EntryKind::File {
            return Ok(false);
        }
        let Some((mode, found)) = self.wanted.get_mut(&self.hasher.hash_one(entry.path)) else {
            return Ok(false);
        };
        if *mode != entry.mode {
            return Err(corrupt(entry, "has another mode than a hard link to it"));
        }
        *found = true;
        Ok(true)
    }

    /// Whether a file that a link names was shown.
    pub(crate) fn is_found(&self, target: &[u8]) -> bool {
        use std::hash::BuildHasher as _;
        self.wanted.get(&self.hasher.hash_one(target)).is_some_and(|(_, found)| *found)
    }

    /// Checks that all were found.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.wanted.values().all(|(_, found)| *found) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Corrupt, "the snapshot has a hard link to what is no file of it"))
    }
}

fn corrupt(entry: &EntryRef<'_>, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the snapshot's entry {} {what}", shown(entry.path)))
}

fn corrupt_segment(item: &Item, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("segment {}: {what}", item.id))
}
