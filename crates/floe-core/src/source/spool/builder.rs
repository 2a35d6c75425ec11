//! From members in any order to the tree that they make.
//!
//! Members come in any order, some more than once. All are kept until the tar has ended; then they are put in the
//! order of a tree, the last of each path wins, hard links find their files, and directories that are missing are made.
//!
//! In memory are 16 bytes and the name of each member, and each directory once; what else is said of a member is in its
//! record. All that is held, and all that is needed to put it in order, is counted before it is there, and is less
//! than [`MAX_HELD_BYTES`].

use std::path::Path;

use floe_format::parent_and_name;

use super::directories::Directories;
use super::link::{LINK_BYTES, Link, Links, Target};
use super::names::{Budget, Names, too_many};
use super::path::shown;
use super::place::{MemberRef, Place};
use super::record::{Body, Member, RecordsWriter};
use super::tree::Tree;
use crate::error::{Error, ErrorKind, Result};
use crate::source::ignore::{Excluder, Filter};
use crate::source::walk::join;

/// The most bytes that are held.
const MAX_HELD_BYTES: usize = 192 << 20;

/// Bytes held of a directory beside what [`Directories`] hold: its place, if it is made, where its own places begin,
/// and whether it is left out.
const DIRECTORY_BYTES: usize = size_of::<Place>() + size_of::<u32>() + size_of::<bool>();

/// The most bytes of paths of directories that are made: a few bytes can claim any number, and each is listed.
const MAX_MADE_BYTES: usize = 1 << 30;

/// The members of a tar, being collected.
pub(super) struct TreeBuilder {
    filter: Filter,
    names: Names,
    directories: Directories,
    places: Vec<Place>,
    links: Vec<Link>,
    records: RecordsWriter,
    /// How many records there are.
    count: u32,
    root: MemberRef,
    budget: Budget,
}

impl TreeBuilder {
    /// Nothing yet; what the filter leaves out will not be in the tree. Records go to a file in this directory, if that
    /// can be.
    ///
    /// # Errors
    /// There can be no temporary file.
    pub(super) fn new(filter: Filter, directory: Option<&Path>) -> Result<Self> {
        Self::holding(MAX_HELD_BYTES, filter, directory)
    }

    /// The same, with at most so many bytes held.
    pub(super) fn holding(bytes: usize, filter: Filter, directory: Option<&Path>) -> Result<Self> {
        Ok(Self {
            filter,
            names: Names::default(),
            directories: Directories::new(),
            places: Vec::new(),
            links: Vec::new(),
            records: RecordsWriter::new(directory)?,
            count: 0,
            root: MemberRef::MADE,
            budget: Budget(bytes),
        })
    }

    /// Keeps the path that a hard link names.
    ///
    /// # Errors
    /// There is more than may be held.
    pub(super) fn keep_target(&mut self, path: &[u8]) -> Result<Target> {
        let (parent, name) = parent_and_name(path);
        self.budget.take(LINK_BYTES + Names::bytes_of(name))?;
        Ok(Target { directory: self.keep_directory(parent)?, name: self.names.keep(name) })
    }

    /// Adds a member; an empty path is the root's.
    ///
    /// # Errors
    /// There is more than may be held, or its record cannot be written.
    pub(super) fn add(&mut self, path: &[u8], member: &Member) -> Result<()> {
        let number = self.count.checked_add(1).ok_or_else(|| too_many("the tar has too many entries"))?;
        let is_left_out = member.body.kind().is_some() && self.filter.excludes_stat(&member.stat());
        let of_it = MemberRef::new(number, member, is_left_out);
        if path.is_empty() {
            self.root = of_it;
        } else {
            let (parent, name) = parent_and_name(path);
            self.budget.take(size_of::<Place>() + Names::bytes_of(name))?;
            let directory = self.keep_directory(parent)?;
            self.directories.note_member(directory);
            self.places.push(Place { directory, name: self.names.keep(name), member: of_it });
        }
        if let Body::HardLink(target) = member.body {
            self.links.push(Link { number, target });
        }
        self.count = number;
        self.records.append(member)
    }

    fn keep_directory(&mut self, path: &[u8]) -> Result<u32> {
        self.directories.keep(path, &mut self.names, &mut self.budget, DIRECTORY_BYTES)
    }

    /// The tree, without what the filter leaves out.
    ///
    /// # Errors
    /// The members make none, or the records cannot be written.
    pub(super) fn finish(self) -> Result<Tree> {
        let Self { filter, mut names, mut directories, mut places, mut links, .. } = self;
        let numbers = directories.sort(&names);
        let renumber = |directory: &mut u32| *directory = numbers[*directory as usize];
        places.iter_mut().for_each(|place| renumber(&mut place.directory));
        links.iter_mut().for_each(|link| renumber(&mut link.target.directory));
        drop(numbers);
        let made = |(directory, name)| Place { directory, name, member: MemberRef::MADE };
        places.extend(directories.with_members().map(made));
        places.sort_unstable_by(|a, b| a.compare(b, &names));
        let resolved = Links::resolve(&links, &places, &directories, &names)?;
        keep_last(&mut places, &resolved, &directories, &names)?;
        leave_out(&mut places, &filter, &directories, &names);
        let ends = resolved.ends();
        drop(links);
        places.shrink_to_fit();
        names.shrink();
        Ok(Tree::new(names, directories, places, &ends, self.records.finish()?, self.root))
    }
}

/// Keeps of each path the last member, whatever that is by its links.
///
/// # Errors
/// Something is below what is no directory, or too many are missing.
fn keep_last(
    places: &mut Vec<Place>,
    links: &Links<'_>,
    directories: &Directories,
    names: &Names,
) -> Result<()> {
    let mut made_bytes = 0;
    // Of the directories that are none, the first.
    let mut no_directory: Option<(u32, Place)> = None;
    let (mut at, mut kept) = (0, 0);
    while let Some(first) = places.get(at).copied() {
        let same = places[at..].iter().take_while(|place| place.has_path_of(&first, names));
        at += same.count();
        let member = links.end(places[at - 1].member);
        let place = Place { member, ..first };
        // What is below a path is known before all that is said of that.
        if first.member.is_made() && !member.is_directory() {
            let number = directories.child(first.directory, names.get(first.name), names);
            let number = number.expect("it was made for a directory");
            if no_directory.is_none_or(|(other, _)| number < other) {
                no_directory = Some((number, place));
            }
        }
        if member.is_made() {
            made_bytes += directories.length(place.directory) + 1 + names.get(place.name).len();
            if made_bytes > MAX_MADE_BYTES {
                return Err(too_many("directories missing from the tar are too many to make"));
            }
        }
        places[kept] = place;
        kept += 1;
    }
    places.truncate(kept);
    let Some((number, outer)) = no_directory else { return Ok(()) };
    let in_it = &places[places.partition_point(|place| place.directory < number)..];
    let inner = in_it.iter().find(|place| !place.member.is_made()).unwrap_or(&outer);
    let path = |place: &Place| shown(&join(&directories.path(place.directory, names), names.get(place.name)));
    let message = format!("{} in the tar is below {}, which is not a directory", path(inner), path(&outer));
    Err(Error::new(ErrorKind::Invalid, message))
}

/// Removes what the filter leaves out, and all in it.
fn leave_out(places: &mut Vec<Place>, filter: &Filter, directories: &Directories, names: &Names) {
    let mut left_out = vec![false; directories.len()];
    let mut current: Option<(u32, Option<Excluder<'_>>)> = None;
    places.retain(|place| {
        let excluder = match &mut current {
            Some((directory, excluder)) if *directory == place.directory => excluder,
            other => {
                let path = || directories.path(place.directory, names);
                let excluder = filter.has_globs().then(path).and_then(|path| filter.excluder(None, &path));
                &mut other.insert((place.directory, excluder)).1
            }
        };
        let (name, is_directory) = (names.get(place.name), place.member.is_directory());
        let is_left_out = left_out[place.directory as usize]
            || place.member.is_left_out
            || excluder.as_mut().is_some_and(|excluder| excluder.caller_excludes(name, is_directory));
        if is_left_out
            && is_directory
            && let Some(number) = directories.child(place.directory, name, names)
        {
            left_out[number as usize] = true;
        }
        !is_left_out
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::ignore::Exclusions;
    use crate::source::spool::record::MADE_DIRECTORY;

    fn builder(bytes: usize) -> TreeBuilder {
        TreeBuilder::holding(bytes, Filter::new(&Exclusions::default()).unwrap(), None).unwrap()
    }

    impl TreeBuilder {
        /// Bytes that are held, and those that were counted for them.
        fn bytes(&self, most: usize) -> (usize, usize) {
            let held = self.places.len() * size_of::<Place>()
                + self.links.len() * size_of::<Link>()
                + self.names.len()
                + self.directories.bytes();
            (held, most - self.budget.0)
        }
    }

    const FILE: Member = Member { body: Body::File { size: 0, start: 0, hash: None }, ..MADE_DIRECTORY };

    #[test]
    fn of_members_names_are_kept_and_no_paths() {
        const MANY: usize = 5_000;
        let parent = vec!["d".repeat(250); 8].join("/");
        let mut members = builder(MAX_HELD_BYTES);
        for number in 0..MANY {
            members.add(format!("{parent}/f{number:06}").as_bytes(), &FILE).unwrap();
        }
        let (held, counted) = members.bytes(MAX_HELD_BYTES);
        assert!(held <= counted && counted <= 8 * (250 + 100) + MANY * (16 + 8), "{held} {counted}");
        for number in 0..MANY {
            let body =
                Body::HardLink(members.keep_target(format!("{parent}/f{number:06}").as_bytes()).unwrap());
            members.add(format!("{parent}/l{number:06}").as_bytes(), &Member { body, ..FILE }).unwrap();
        }
        let (held, with_links) = members.bytes(MAX_HELD_BYTES);
        assert!(held <= with_links && with_links - counted <= MANY * (16 + 8 + 32 + 8), "{with_links}");
        let (places, counted) = (members.finish().unwrap().places().len(), with_links);
        assert!(places == 8 + 2 * MANY && counted < MAX_HELD_BYTES);
    }

    #[test]
    fn i7_more_than_may_be_held_is_refused() {
        const MOST: usize = 100_000;
        let refused = |add: &dyn Fn(&mut TreeBuilder, usize) -> Result<()>| {
            let mut members = builder(MOST);
            let mut count = 0;
            let error = loop {
                match add(&mut members, count) {
                    Ok(()) => count += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().ends_with("extract it and push the directory"), "{error}");
            let (held, counted) = members.bytes(MOST);
            assert!(held <= counted && counted <= MOST, "{held} {counted}");
            count
        };
        // Of one path all members, since a link may be any of them.
        let files = refused(&|members, _| members.add(b"f", &FILE));
        assert_eq!(files, MOST / 18);
        let nested = refused(&|members, number| members.add(format!("{number}/d/f").as_bytes(), &FILE));
        assert!((200..600).contains(&nested), "{nested}");
        let targets = refused(&|members, number| {
            let body = Body::HardLink(members.keep_target(format!("{number}/f").as_bytes())?);
            members.add(b"f", &Member { body, ..FILE })
        });
        assert!((400..1_000).contains(&targets), "{targets}");
        let deep = "d/".repeat(30_000) + "f";
        assert_eq!(refused(&|members, _| members.add(deep.as_bytes(), &FILE)), 0);
        // The root is one, however often it is told.
        let mut members = builder(0);
        for _ in 0..100 {
            members.add(b"", &MADE_DIRECTORY).unwrap();
        }
        members.finish().unwrap();
    }
}
