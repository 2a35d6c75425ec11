//! The tree of a tar as listings.

use std::sync::Arc;

use floe_format::parent_and_name;

use super::Spool;
use crate::source::Listing;

/// The most children of one listing.
const LISTED_AT_ONCE: usize = 4096;

/// The listings of a tar's tree in canonical order. The root has one even if nothing is in it, others only where
/// something is.
#[derive(Debug)]
pub struct SpoolListings {
    spool: Arc<Spool>,
    /// The next place to be listed; nothing before the first listing.
    next: Option<usize>,
}

impl SpoolListings {
    pub(super) fn new(spool: Arc<Spool>) -> Self {
        Self { spool, next: None }
    }
}

impl Iterator for SpoolListings {
    type Item = Listing;

    fn next(&mut self) -> Option<Listing> {
        let tree = &self.spool.tree;
        let start = self.next.unwrap_or(0);
        let places = &tree.places()[start..];
        let parent_of = |index: usize| places.get(index).map(|place| parent_and_name(tree.path(place)).0);
        let directory = match (parent_of(0), self.next) {
            (Some(directory), Some(_)) => directory,
            (_, None) => b"",
            (None, Some(_)) => return None,
        };
        let count = (0..LISTED_AT_ONCE).take_while(|&index| parent_of(index) == Some(directory)).count();
        let stat = tree.find(directory).map_or_else(|| tree.root_stat(), |(_, stat)| stat);
        let mut names = Vec::new();
        let mut spans = Vec::with_capacity(count);
        for place in &places[..count] {
            let (_, name) = parent_and_name(tree.path(place));
            spans.push((names.len(), name.len()));
            names.extend_from_slice(name);
        }
        let fits = "4,096 names of at most 255 bytes fit";
        let mut listing = Listing::new(directory.to_vec(), stat, names, count);
        for (place, (start, length)) in places.iter().zip(spans) {
            let start = u32::try_from(start).expect(fits);
            listing.push(start, u16::try_from(length).expect(fits), tree.stat(place));
        }
        let before = start.checked_sub(1).and_then(|index| tree.places().get(index));
        listing.is_first = before.is_none_or(|place| parent_and_name(tree.path(place)).0 != directory);
        listing.is_last = parent_of(count) != Some(directory);
        self.next = Some(start + count);
        Some(listing)
    }
}
