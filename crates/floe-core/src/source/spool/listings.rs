//! The tree of a tar as listings.

use std::sync::Arc;

use super::Spool;
use super::directories::ROOT;
use super::place::MemberRef;
use crate::error::Result;
use crate::source::Listing;

/// The most children of one listing.
const LISTED_AT_ONCE: usize = 4096;

/// The listings of a tar's tree in canonical order. The root has one even if nothing is in it, others only where
/// something is.
#[derive(Debug)]
pub struct SpoolListings {
    spool: Arc<Spool>,
    /// The directory to be listed next, and how much of it was listed before; nothing at the end.
    next: Option<(u32, usize)>,
}

impl SpoolListings {
    pub(super) fn new(spool: Arc<Spool>) -> Self {
        Self { spool, next: Some((ROOT, 0)) }
    }

    fn list(&self, directory: u32, listed: usize) -> Result<Listing> {
        let tree = &self.spool.tree;
        let left = &tree.places_in(directory)[listed..];
        let places = &left[..left.len().min(LISTED_AT_ONCE)];
        let mut names = Vec::new();
        let mut spans = Vec::with_capacity(places.len());
        for place in places {
            let name = tree.name(place);
            spans.push((names.len(), name.len()));
            names.extend_from_slice(name);
        }
        let fits = "4,096 names of at most 255 bytes fit";
        let stat = tree.stat(tree.of_directory(directory).unwrap_or(MemberRef::MADE))?;
        let path = tree.directory_path(directory);
        let mut listing = Listing::new(path, stat, names, places.len());
        for (stat, (start, length)) in tree.stats(places)?.into_iter().zip(spans) {
            let start = u32::try_from(start).expect(fits);
            listing.push(start, u16::try_from(length).expect(fits), stat);
        }
        listing.is_first = listed == 0;
        listing.is_last = places.len() == left.len();
        Ok(listing)
    }
}

impl Iterator for SpoolListings {
    type Item = Result<Listing>;

    fn next(&mut self) -> Option<Result<Listing>> {
        let (directory, listed) = self.next?;
        let listing = self.list(directory, listed);
        let tree = &self.spool.tree;
        self.next = match &listing {
            Ok(listing) if !listing.is_last => Some((directory, listed + listing.children().len())),
            Ok(_) => {
                let mut after = directory + 1..tree.directory_count();
                after.find(|&directory| !tree.places_in(directory).is_empty()).map(|directory| (directory, 0))
            }
            Err(_) => None,
        };
        Some(listing)
    }
}
