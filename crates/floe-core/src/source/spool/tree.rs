//! The tree that a tar's members make, in its order.

use floe_format::parent_and_name;

use super::directories::{Directories, ROOT};
use super::names::Names;
use super::place::{MemberRef, Place};
use super::record::{MADE_DIRECTORY, Member, Records};
use crate::error::Result;
use crate::source::{FileKind, Stat};

/// The tree of a tar.
#[derive(Debug)]
pub(super) struct Tree {
    names: Names,
    directories: Directories,
    places: Vec<Place>,
    /// By directory, where its places begin; and where all end.
    starts: Vec<u32>,
    /// Files that have several names, and how many.
    shared: Vec<(u32, u32)>,
    records: Records,
    root: MemberRef,
}

impl Tree {
    /// The tree of these places, which are in its order; `linked` are the members that may have several of them, in order.
    pub(super) fn new(
        names: Names,
        directories: Directories,
        places: Vec<Place>,
        linked: &[u32],
        records: Records,
        root: MemberRef,
    ) -> Self {
        let mut starts = vec![0; directories.len() + 1];
        let mut shared: Vec<_> = linked.iter().map(|number| (*number, 0)).collect();
        for place in &places {
            starts[place.directory as usize + 1] += 1;
            // Only names of a file are one in a tree.
            if !shared.is_empty()
                && place.member.kind == Some(FileKind::File)
                && let Ok(found) = shared.binary_search_by_key(&place.member.number, |(number, _)| *number)
            {
                shared[found].1 += 1;
            }
        }
        shared.retain(|(_, count)| *count > 1);
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self { names, directories, places, starts, shared, records, root }
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// How many directories have numbers; they are in order, and some may be empty.
    pub(super) fn directory_count(&self) -> u32 {
        u32::try_from(self.directories.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn directory_path(&self, directory: u32) -> Vec<u8> {
        self.directories.path(directory, &self.names)
    }

    /// What is in a directory, in order.
    pub(super) fn places_in(&self, directory: u32) -> &[Place] {
        let start = |directory: usize| self.starts[directory] as usize;
        &self.places[start(directory as usize)..start(directory as usize + 1)]
    }

    pub(super) fn name(&self, place: &Place) -> &[u8] {
        self.names.get(place.name)
    }

    /// The member of that name in the directory at a path, or that at the path where there is no name.
    pub(super) fn find(&self, directory: &[u8], name: &[u8]) -> Option<MemberRef> {
        let (directory, name) = if name.is_empty() { parent_and_name(directory) } else { (directory, name) };
        if name.is_empty() {
            return Some(self.root);
        }
        self.find_in(self.directories.find(directory, &self.names)?, name)
    }

    fn find_in(&self, directory: u32, name: &[u8]) -> Option<MemberRef> {
        let places = self.places_in(directory);
        let found = places.binary_search_by(|place| self.name(place).cmp(name)).ok()?;
        Some(places[found].member)
    }

    /// The member that a directory is.
    pub(super) fn of_directory(&self, directory: u32) -> Option<MemberRef> {
        if directory == ROOT {
            return Some(self.root);
        }
        let (parent, name) = self.directories.parent_and_name(directory);
        self.find_in(parent, self.names.get(name))
    }

    /// What the tar says of a member.
    ///
    /// # Errors
    /// The records cannot be read.
    pub(super) fn member(&self, of: MemberRef) -> Result<Member> {
        if of.is_made() { Ok(MADE_DIRECTORY) } else { self.records.read(of.number) }
    }

    /// What a kernel would say of a member, were the tar extracted.
    ///
    /// # Errors
    /// The records cannot be read.
    pub(super) fn stat(&self, of: MemberRef) -> Result<Stat> {
        Ok(self.stat_of(of.number, &self.member(of)?))
    }

    /// The same of these places; their records are read together.
    ///
    /// # Errors
    /// The records cannot be read.
    pub(super) fn stats(&self, places: &[Place]) -> Result<Vec<Stat>> {
        let mut stats = vec![self.stat_of(MemberRef::MADE.number, &MADE_DIRECTORY); places.len()];
        let told = places.iter().enumerate().filter(|(_, place)| !place.member.is_made());
        let mut wanted: Vec<_> = told.map(|(index, place)| (place.member.number, index)).collect();
        wanted.sort_unstable();
        self.records
            .read_all(&wanted, |number, index, member| stats[index] = self.stat_of(number, &member))?;
        Ok(stats)
    }

    /// What a kernel would say of the member of this number.
    pub(super) fn stat_of(&self, number: u32, member: &Member) -> Stat {
        let shared = self.shared.binary_search_by_key(&number, |(number, _)| *number);
        let links = shared.map_or(1, |found| self.shared[found].1);
        Stat { inode: number.into(), links, ..member.stat() }
    }
}
