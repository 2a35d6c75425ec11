//! The tree that a tar's members make.
//!
//! Members come in any order, some more than once. All are kept until the tar has ended, a hundred bytes and its
//! path each; then they are put in the order of a tree, the last of each path wins, hard links find their files, and
//! directories that are missing are made.

use std::collections::HashSet;

use floe_format::{compare_paths, parent_and_name};

use super::path::shown;
use crate::error::{Error, ErrorKind, Result};
use crate::source::ignore::Filter;
use crate::source::{FileKind, FileTime, Stat};

/// The most bytes of paths and hard links' targets, those of directories that are made included.
const MAX_PATH_BYTES: usize = 1 << 30;

/// The most members.
const MAX_MEMBERS: usize = 1 << 24;

/// A run of bytes among the paths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u32,
    length: u16,
}

/// What a member is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    Directory,
    File {
        size: u64,
        /// Where the content begins in the spool.
        start: u64,
        /// The hash of the content, where it is known.
        hash: Option<[u8; 32]>,
    },
    Symlink {
        /// Where the target is in the spool, and its length.
        start: u64,
        length: u16,
    },
    /// Another name of what has this path.
    HardLink(Span),
    Fifo,
    CharDevice(u64),
    BlockDevice(u64),
}

/// Where the attributes of a member are in the spool, and how many bytes they have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct XattrsAt {
    pub(super) start: u64,
    pub(super) length: u32,
}

/// What a tar says of a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) body: Body,
    pub(super) modified: FileTime,
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) mode: u16,
    pub(super) xattrs: XattrsAt,
}

/// A directory of which the tar says nothing.
const MADE_DIRECTORY: Member = Member {
    body: Body::Directory,
    modified: FileTime { seconds: 0, nanos: 0 },
    user: 0,
    group: 0,
    mode: 0o755,
    xattrs: XattrsAt { start: 0, length: 0 },
};

/// A path of the tree and which member it is; names of one file are one member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    path: Span,
    pub(super) member: u32,
}

/// The members of a tar, being collected.
#[derive(Debug, Default)]
pub(super) struct TreeBuilder {
    paths: Vec<u8>,
    /// Bytes of paths of directories that were made, which share those of what is in them.
    made_bytes: usize,
    members: Vec<Member>,
    /// The path of each member.
    spans: Vec<Span>,
    root: Option<Member>,
}

/// The tree, in its order.
#[derive(Debug)]
pub(super) struct Tree {
    paths: Vec<u8>,
    members: Vec<Member>,
    /// How many names each member has.
    names: Vec<u32>,
    places: Vec<Place>,
    root: Member,
}

impl TreeBuilder {
    /// Keeps a path, which is valid or empty.
    pub(super) fn keep(&mut self, path: &[u8]) -> Result<Span> {
        let start = self.paths.len();
        if start + path.len() > MAX_PATH_BYTES {
            return Err(too_many("the paths in the tar are more than fits in memory"));
        }
        self.paths.extend_from_slice(path);
        let fits = "no valid path is longer, nor are all of them";
        Ok(Span { start: u32::try_from(start).expect(fits), length: u16::try_from(path.len()).expect(fits) })
    }

    /// Adds a member; an empty path is the root's.
    pub(super) fn add(&mut self, path: &[u8], member: Member) -> Result<()> {
        if path.is_empty() {
            self.root = Some(member);
            return Ok(());
        }
        if self.members.len() == MAX_MEMBERS {
            return Err(too_many("the tar has too many entries"));
        }
        let span = self.keep(path)?;
        self.spans.push(span);
        self.members.push(member);
        Ok(())
    }

    /// The tree, without what the filter leaves out.
    pub(super) fn finish(mut self, filter: &Filter) -> Result<Tree> {
        let order = self.order();
        let mut places = self.last_of_each(&order);
        self.resolve_links(&order, &mut places)?;
        drop(order);
        self.make_parents(&mut places)?;
        let root = self.root.unwrap_or(MADE_DIRECTORY);
        let mut tree = Tree {
            names: vec![0; self.members.len()],
            paths: self.paths,
            members: self.members,
            places,
            root,
        };
        tree.leave_out(filter);
        for place in &tree.places {
            tree.names[place.member as usize] += 1;
        }
        Ok(tree)
    }

    fn path(&self, span: Span) -> &[u8] {
        bytes_of(&self.paths, span)
    }

    /// The members by path in the order of a tree, those of one path as they came.
    fn order(&self) -> Vec<u32> {
        let count = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_unstable_by(|&a, &b| {
            let path = |member: u32| self.path(self.spans[member as usize]);
            compare_paths(path(a), path(b)).then(a.cmp(&b))
        });
        order
    }

    fn last_of_each(&self, order: &[u32]) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::with_capacity(order.len());
        for &member in order {
            let path = self.spans[member as usize];
            match places.last_mut() {
                Some(last) if self.path(last.path) == self.path(path) => last.member = member,
                _ => places.push(Place { path, member }),
            }
        }
        places
    }

    /// Makes all names of a file the same member.
    fn resolve_links(&self, order: &[u32], places: &mut [Place]) -> Result<()> {
        /// A link on the way that is being followed.
        const FOLLOWED: u32 = u32::MAX;
        // By member, what it was found to be; itself, as long as nobody looked.
        let mut found: Vec<u32> = (0..u32::try_from(self.members.len()).unwrap_or(u32::MAX)).collect();
        let mut followed = Vec::new();
        for place in places {
            let mut at = place.member;
            let end = loop {
                match (found[at as usize], self.members[at as usize].body) {
                    (FOLLOWED, _) => return Err(self.bad_link(place, "comes back to itself")),
                    (known, _) if known != at => break known,
                    (_, Body::HardLink(target)) => {
                        found[at as usize] = FOLLOWED;
                        followed.push(at);
                        at = self
                            .link_target(order, at, target)
                            .ok_or_else(|| self.bad_link(place, "names nothing in the tar"))?;
                    }
                    (_, Body::Directory) if !followed.is_empty() => {
                        return Err(self.bad_link(place, "names a directory"));
                    }
                    _ => break at,
                }
            };
            for link in followed.drain(..) {
                found[link as usize] = end;
            }
            place.member = end;
        }
        Ok(())
    }

    /// What a link's target was when the link came, or else what it became.
    fn link_target(&self, order: &[u32], link: u32, target: Span) -> Option<u32> {
        let target = self.path(target);
        let path = |member: &u32| self.path(self.spans[*member as usize]);
        let first = order.partition_point(|member| compare_paths(path(member), target).is_lt());
        let named = &order[first..];
        let named = &named[..named.partition_point(|member| path(member) == target)];
        let before = named.partition_point(|member| *member < link);
        match before.checked_sub(1) {
            Some(last_before) => Some(named[last_before]),
            None => named.last().copied(),
        }
    }

    fn bad_link(&self, place: &Place, what: &str) -> Error {
        let path = shown(self.path(place.path));
        Error::new(ErrorKind::Invalid, format!("the hard link {path} in the tar {what}"))
    }

    /// Makes the directories that are missing.
    fn make_parents(&mut self, places: &mut Vec<Place>) -> Result<()> {
        let mut made = Vec::new();
        let mut last: &[u8] = b"";
        for place in places.iter() {
            let (parent, _) = parent_and_name(bytes_of(&self.paths, place.path));
            if parent == last {
                continue;
            }
            let mut missing = parent;
            // All above the last one are there: parents come in the order of a tree, too.
            while !missing.is_empty() && !is_in(last, missing) {
                match places
                    .binary_search_by(|place| compare_paths(bytes_of(&self.paths, place.path), missing))
                {
                    Ok(found) => {
                        let member = places[found].member;
                        if !matches!(self.members[member as usize].body, Body::Directory) {
                            let (inner, outer) = (shown(bytes_of(&self.paths, place.path)), shown(missing));
                            let message =
                                format!("{inner} in the tar is below {outer}, which is not a directory");
                            return Err(Error::new(ErrorKind::Invalid, message));
                        }
                        break;
                    }
                    Err(_) => {
                        self.made_bytes += missing.len();
                        if self.paths.len() + self.made_bytes > MAX_PATH_BYTES {
                            return Err(too_many("directories missing from the tar are too many to make"));
                        }
                        let length = u16::try_from(missing.len()).unwrap_or(u16::MAX);
                        made.push(Span { length, ..place.path });
                    }
                }
                (missing, _) = parent_and_name(missing);
            }
            last = parent;
        }
        if made.is_empty() {
            return Ok(());
        }
        let member = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        self.members.push(MADE_DIRECTORY);
        places.extend(made.into_iter().map(|path| Place { path, member }));
        places.sort_unstable_by(|a, b| {
            compare_paths(bytes_of(&self.paths, a.path), bytes_of(&self.paths, b.path))
        });
        Ok(())
    }
}

impl Tree {
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(super) fn path(&self, place: &Place) -> &[u8] {
        bytes_of(&self.paths, place.path)
    }

    /// The member at a path; the root's where that is empty.
    pub(super) fn find(&self, path: &[u8]) -> Option<(&Member, Stat)> {
        if path.is_empty() {
            return Some((&self.root, self.root_stat()));
        }
        let found = self.places.binary_search_by(|place| compare_paths(self.path(place), path)).ok()?;
        let place = &self.places[found];
        Some((&self.members[place.member as usize], self.stat(place)))
    }

    /// What a kernel would say of a path, were the tar extracted.
    pub(super) fn stat(&self, place: &Place) -> Stat {
        let member = &self.members[place.member as usize];
        let stat = Stat { inode: u64::from(place.member) + 1, ..member.stat() };
        match stat.kind {
            FileKind::File => Stat { links: self.names[place.member as usize], ..stat },
            // Only names of a file are one in a tree; all directories that were made are one member.
            _ => stat,
        }
    }

    pub(super) fn root_stat(&self) -> Stat {
        self.root.stat()
    }

    /// Removes what the filter leaves out, and all in it.
    fn leave_out(&mut self, filter: &Filter) {
        let mut left_out: HashSet<&[u8]> = HashSet::new();
        let mut kept = Vec::with_capacity(self.places.len());
        for in_one in self.places.chunk_by(|a, b| {
            let parent = |place: &Place| parent_and_name(bytes_of(&self.paths, place.path)).0;
            parent(a) == parent(b)
        }) {
            let (parent, _) = parent_and_name(bytes_of(&self.paths, in_one[0].path));
            let mut excluder = filter.excluder(None, parent);
            let is_left_out = left_out.contains(parent);
            for place in in_one {
                let path = bytes_of(&self.paths, place.path);
                let stat = self.members[place.member as usize].stat();
                let is_directory = stat.kind == FileKind::Directory;
                let name = parent_and_name(path).1;
                let excludes = |excluder: &mut crate::source::ignore::Excluder<'_>| {
                    excluder.excludes(name, is_directory)
                };
                if is_left_out || filter.excludes_stat(&stat) || excluder.as_mut().is_some_and(excludes) {
                    if is_directory {
                        left_out.insert(path);
                    }
                } else {
                    kept.push(*place);
                }
            }
        }
        self.places = kept;
    }
}

impl Member {
    fn stat(&self) -> Stat {
        let (kind, size, special) = match self.body {
            Body::Directory => (FileKind::Directory, 0, 0),
            Body::File { size, .. } => (FileKind::File, size, 0),
            Body::Symlink { length, .. } => (FileKind::Symlink, u64::from(length), 0),
            Body::HardLink(_) => unreachable!("links were resolved before anybody asks"),
            Body::Fifo => (FileKind::Fifo, 0, 0),
            Body::CharDevice(special) => (FileKind::CharDevice, 0, special),
            Body::BlockDevice(special) => (FileKind::BlockDevice, 0, special),
        };
        Stat {
            size,
            inode: 0,
            device: 0,
            special,
            modified: self.modified,
            changed: FileTime::default(),
            links: 1,
            uid: self.user,
            gid: self.group,
            mode: self.mode,
            kind,
        }
    }
}

fn bytes_of(paths: &[u8], span: Span) -> &[u8] {
    let start = span.start as usize;
    &paths[start..start + usize::from(span.length)]
}

/// Whether `path` is this directory or in it.
fn is_in(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn too_many(message: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{message}; extract it and push the directory"))
}
