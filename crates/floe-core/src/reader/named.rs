//! Entries that are known by their paths, anywhere in a tree: found in one pass over the segments that have them.

use std::cmp::Ordering;
use std::ops::Range;
use std::path::Path;

use floe_format::{Entry, Segment, compare_paths};

use crate::namespace::Namespace;
use crate::snapshot::Snapshot;
use crate::{Error, ErrorKind, Result};

use super::items::{ListedSegment, SegmentWalk};
use super::metadata::Metadata;
use super::sources::{Reach, Sources};
use super::span::{Span, shown};

/// Goes through the segments that have some entries.
#[derive(Debug)]
pub(crate) struct NamedWalk<'p> {
    walk: SegmentWalk,
    /// Those that were not met yet, in the order of a tree and each once.
    paths: &'p [&'p [u8]],
}

impl<'p> NamedWalk<'p> {
    /// Walks to these paths, which are in the order of a tree, each once.
    pub(crate) fn new(snapshot: &Snapshot, paths: &'p [&'p [u8]]) -> Self {
        debug_assert!(paths.is_sorted_by(|a, b| compare_paths(a, b).is_lt()));
        Self { walk: SegmentWalk::new(snapshot, Span::All), paths }
    }

    /// The root items that such a walk will ask for.
    pub(crate) fn root_items(snapshot: &Snapshot, paths: &[&[u8]]) -> Vec<Range<u32>> {
        let items = &snapshot.root().items;
        let mut rest = paths;
        let mut numbers = Vec::new();
        for (number, item) in (0u32..).zip(items) {
            let next = items.get(number as usize + 1);
            let before = rest.partition_point(|path| compare_paths(path, &item.path).is_lt());
            rest = &rest[before..];
            if rest.first().is_some_and(|path| Span::Entry(path.to_vec()).touches(item, next)) {
                numbers.push(number..number + 1);
            }
        }
        numbers
    }

    /// The next segment that has one of the paths, or goes on with the file before, where that is `owed`.
    ///
    /// # Errors
    /// What reading metadata meets.
    pub(crate) async fn next(
        &mut self,
        metadata: &mut Metadata,
        owed: bool,
    ) -> Result<Option<ListedSegment>> {
        loop {
            let wanted = self.paths.first().map(|path| Span::Entry(path.to_vec()));
            if (wanted.is_none() && !owed) || self.walk.peek().is_none() {
                return Ok(None);
            }
            if !owed && !wanted.is_some_and(|span| self.walk.next_touches(&span)) {
                self.walk.skip();
                continue;
            }
            if let Some(segment) = self.walk.enter(metadata).await? {
                return Ok(Some(segment));
            }
        }
    }

    /// Whether an entry is one of the paths; entries are shown in their order.
    ///
    /// # Errors
    /// `NotFound` where one of the paths would have come before it.
    pub(crate) fn meet(&mut self, path: &[u8]) -> Result<bool> {
        let Some((wanted, rest)) = self.paths.split_first() else { return Ok(false) };
        match compare_paths(wanted, path) {
            Ordering::Less => Err(no_entry(wanted)),
            Ordering::Equal => {
                self.paths = rest;
                Ok(true)
            }
            Ordering::Greater => Ok(false),
        }
    }

    /// Ends the walk.
    ///
    /// # Errors
    /// `NotFound` where one of the paths was not met.
    pub(crate) fn finish(self) -> Result<()> {
        self.paths.first().map_or(Ok(()), |path| Err(no_entry(path)))
    }
}

/// Entries of a snapshot, by their paths, which are in the order of a tree and each once.
///
/// # Errors
/// `NotFound` where there is none at one of them.
pub(crate) async fn find_entries(
    namespace: &Namespace,
    snapshot: &Snapshot,
    cache: Option<&Path>,
    paths: &[&[u8]],
) -> Result<Vec<Entry>> {
    let items = NamedWalk::root_items(snapshot, paths);
    let mut sources = Sources::open(namespace, snapshot, cache, &items, Reach::Metadata).await?;
    let mut walk = NamedWalk::new(snapshot, paths);
    let mut found = Vec::with_capacity(paths.len());
    while let Some(listed) = walk.next(&mut sources.metadata, false).await? {
        let segment = Segment::parse(&listed.plain)
            .map_err(|e| Error::from(e).in_object(format_args!("segment {}", listed.item.id)))?;
        segment.check_listed(&listed.item)?;
        let mut entries = segment.entries();
        while let Some(entry) = entries.next()? {
            if walk.meet(entry.path)? {
                found.push(entry.to_entry());
            }
        }
    }
    walk.finish()?;
    Ok(found)
}

fn no_entry(path: &[u8]) -> Error {
    Error::new(ErrorKind::NotFound, format!("the snapshot has no entry {}", shown(path)))
}
