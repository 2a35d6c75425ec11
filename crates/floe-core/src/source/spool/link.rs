//! The hard links of a tar, and which members they are.

use super::directories::Directories;
use super::names::{Name, Names};
use super::path::shown;
use super::place::{MemberRef, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::source::FileKind;
use crate::source::walk::join;

/// Bytes that are held of a link beside the name of its target: what it is, what it was found to be, its place on the
/// way that is followed, and how many names its file has.
pub(super) const LINK_BYTES: usize =
    size_of::<Link>() + size_of::<Found>() + size_of::<u32>() + size_of::<(u32, u32)>();

/// What a hard link names: a directory, and a name in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Target {
    pub(super) directory: u32,
    pub(super) name: Name,
}

/// A member that is a hard link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) number: u32,
    pub(super) target: Target,
}

/// What became of a link.
#[derive(Clone, Copy, Debug)]
enum Found {
    /// Nobody looked.
    Unknown,
    /// It is on the way that is being followed.
    Followed,
    Is(MemberRef),
}

/// What all links are, that is of those that became names in the tree.
#[derive(Debug)]
pub(super) struct Links<'a> {
    links: &'a [Link],
    found: Vec<Found>,
}

impl<'a> Links<'a> {
    /// Follows the links, which stand in the order they came in. All members are there, in the order of a tree, and those
    /// of one path as they came.
    ///
    /// # Errors
    /// One leads nowhere.
    pub(super) fn resolve(
        links: &'a [Link],
        places: &[Place],
        directories: &Directories,
        names: &Names,
    ) -> Result<Self> {
        let mut resolved = Self { links, found: vec![Found::Unknown; links.len()] };
        if links.is_empty() {
            return Ok(resolved);
        }
        let mut followed = Vec::new();
        for (index, place) in places.iter().enumerate() {
            let is_last = places.get(index + 1).is_none_or(|next| !next.has_path_of(place, names));
            if place.member.kind.is_none() && is_last {
                resolved.follow(index, places, names, &mut followed).map_err(|what| {
                    let path = join(&directories.path(place.directory, names), names.get(place.name));
                    let message = format!("the hard link {} in the tar {what}", shown(&path));
                    Error::new(ErrorKind::Invalid, message)
                })?;
            }
        }
        Ok(resolved)
    }

    /// What a member is: itself, if it is no link.
    pub(super) fn end(&self, member: MemberRef) -> MemberRef {
        match member.kind {
            Some(_) => member,
            None => match self.found[self.index(member)] {
                Found::Is(end) => end,
                Found::Unknown | Found::Followed => unreachable!("all names in the tree were followed"),
            },
        }
    }

    /// The members that links are, once each, in their order.
    pub(super) fn ends(&self) -> Vec<u32> {
        let ends = self.found.iter().filter_map(|found| match found {
            Found::Is(end) => Some(end.number),
            Found::Unknown | Found::Followed => None,
        });
        let mut ends: Vec<u32> = ends.collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    fn follow(
        &mut self,
        mut at: usize,
        places: &[Place],
        names: &Names,
        followed: &mut Vec<u32>,
    ) -> Result<(), &'static str> {
        followed.clear();
        let end = loop {
            let member = places[at].member;
            match member.kind {
                Some(FileKind::Directory) => return Err("names a directory"),
                Some(_) => break member,
                None => {
                    let link = self.index(member);
                    match self.found[link] {
                        Found::Is(end) => break end,
                        Found::Followed => return Err("comes back to itself"),
                        Found::Unknown => self.found[link] = Found::Followed,
                    }
                    followed.push(u32::try_from(link).expect("there are no more links than members"));
                    at = target_of(&self.links[link], places, names).ok_or("names nothing in the tar")?;
                }
            }
        };
        for link in followed.drain(..) {
            self.found[link as usize] = Found::Is(end);
        }
        Ok(())
    }

    fn index(&self, member: MemberRef) -> usize {
        let found = self.links.binary_search_by_key(&member.number, |link| link.number);
        found.expect("a member without a kind is a link")
    }
}

/// What a link's target was when the link came, or else what it became.
fn target_of(link: &Link, places: &[Place], names: &Names) -> Option<usize> {
    let Target { directory, name } = link.target;
    let path = (directory, names.get(name));
    let first = places.partition_point(|place| place.path(names) < path);
    let count = places[first..].partition_point(|place| place.path(names) == path);
    let named = &places[first..first + count];
    let before = named.partition_point(|place| place.member.number < link.number);
    let at = if before > 0 && !named[before - 1].member.is_made() { before } else { count };
    let last = at.checked_sub(1)?;
    // Directories that no member is are none when links are made.
    (!named[last].member.is_made()).then_some(first + last)
}
