//! Which directories the paths in a tar lead through: each by a number, known by that of its parent and its name.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::names::{Budget, Name, Names};
use crate::error::Result;

/// The number of the root.
pub(super) const ROOT: u32 = 0;

/// Bytes that are held of a directory beside its name: two of it and three numbers while they are put in order, and up
/// to three and a half places of its number in the table while that grows.
const DIRECTORY_BYTES: usize = 2 * size_of::<Directory>() + 3 * size_of::<u32>() + 18;

#[derive(Clone, Copy, Debug, Default)]
struct Directory {
    parent: u32,
    name: Name,
    /// Length of its path.
    length: u16,
    /// Whether a member is below it; else it is only where the target of a hard link would be.
    has_members: bool,
}

/// The directories. A parent's number is less than those of what is in it.
#[derive(Debug)]
pub(super) struct Directories {
    list: Vec<Directory>,
    by_name: HashTable<u32>,
    /// Nobody can make tars whose names have the same hash.
    secret: RandomState,
    /// The path that was asked for last, and its number: members of a directory often stand together.
    last: (Vec<u8>, u32),
}

impl Directories {
    /// The root alone.
    pub(super) fn new() -> Self {
        let list = vec![Directory { has_members: true, ..Directory::default() }];
        Self { list, by_name: HashTable::new(), secret: RandomState::new(), last: (Vec::new(), ROOT) }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The number of the directory at a path, which is new or known; `also_bytes` are held of a new one elsewhere.
    ///
    /// # Errors
    /// The budget does not allow it.
    pub(super) fn keep(
        &mut self,
        path: &[u8],
        names: &mut Names,
        budget: &mut Budget,
        also_bytes: usize,
    ) -> Result<u32> {
        if self.last.0 == path {
            return Ok(self.last.1);
        }
        let mut at = ROOT;
        for name in components(path) {
            at = match self.child(at, name, names) {
                Some(known) => known,
                None => {
                    budget.take(DIRECTORY_BYTES + Names::bytes_of(name) + also_bytes)?;
                    self.add(at, name, names)
                }
            };
        }
        self.last.0.clear();
        self.last.0.extend_from_slice(path);
        self.last.1 = at;
        Ok(at)
    }

    fn add(&mut self, parent: u32, name: &[u8], names: &mut Names) -> u32 {
        let number = u32::try_from(self.list.len()).expect("what is allowed in all is less");
        let above = self.list[parent as usize].length;
        let length = usize::from(above) + usize::from(above > 0) + name.len();
        let length = u16::try_from(length).expect("no valid path is longer");
        self.list.push(Directory { parent, name: names.keep(name), length, has_members: false });
        let Self { list, by_name, secret, .. } = self;
        by_name.insert_unique(secret.hash_one((parent, name)), number, |&other| {
            let other = list[other as usize];
            secret.hash_one((other.parent, names.get(other.name)))
        });
        number
    }

    /// Notes that a member is in a directory.
    pub(super) fn note_member(&mut self, directory: u32) {
        self.list[directory as usize].has_members = true;
    }

    /// The directory of that name in another.
    pub(super) fn child(&self, parent: u32, name: &[u8], names: &Names) -> Option<u32> {
        let is_it = |&other: &u32| {
            let other = self.list[other as usize];
            other.parent == parent && names.get(other.name) == name
        };
        self.by_name.find(self.secret.hash_one((parent, name)), is_it).copied()
    }

    /// The directory at a path.
    pub(super) fn find(&self, path: &[u8], names: &Names) -> Option<u32> {
        components(path).try_fold(ROOT, |at, name| self.child(at, name, names))
    }

    pub(super) fn path(&self, directory: u32, names: &Names) -> Vec<u8> {
        let mut path = vec![b'/'; self.length(directory)];
        let (mut end, mut at) = (path.len(), directory);
        while at != ROOT {
            let Directory { parent, name, .. } = self.list[at as usize];
            let name = names.get(name);
            path[end - name.len()..end].copy_from_slice(name);
            end = (end - name.len()).saturating_sub(1);
            at = parent;
        }
        path
    }

    /// Length of a directory's path.
    pub(super) fn length(&self, directory: u32) -> usize {
        self.list[directory as usize].length.into()
    }

    /// The directory that one is in, which is not the root, and its name there.
    pub(super) fn parent_and_name(&self, directory: u32) -> (u32, Name) {
        let Directory { parent, name, .. } = self.list[directory as usize];
        (parent, name)
    }

    /// The directories that members are below, without the root: their parents and names.
    pub(super) fn with_members(&self) -> impl Iterator<Item = (u32, Name)> {
        let below_root = self.list.iter().skip(1).filter(|directory| directory.has_members);
        below_root.map(|directory| (directory.parent, directory.name))
    }

    /// Numbers them in the order of a tree, and notes which have members deeper in them; returns the new number of each.
    pub(super) fn sort(&mut self, names: &Names) -> Vec<u32> {
        let count = self.list.len();
        // How many directories each is, with all in it.
        let mut sizes = vec![1; count];
        for number in (1..count).rev() {
            let Directory { parent, has_members, .. } = self.list[number];
            sizes[parent as usize] += sizes[number];
            self.list[parent as usize].has_members |= has_members;
        }
        let mut order: Vec<u32> = (1..).take(count - 1).collect();
        let key = |number: u32| {
            let Directory { parent, name, .. } = self.list[number as usize];
            (parent, names.get(name))
        };
        order.sort_unstable_by(|&a, &b| key(a).cmp(&key(b)));
        let mut numbers = vec![ROOT; count];
        // Parents come before what is in them: their old numbers are less.
        let (mut last_parent, mut next) = (None, 0);
        for number in order {
            let parent = self.list[number as usize].parent;
            if last_parent != Some(parent) {
                (last_parent, next) = (Some(parent), numbers[parent as usize] + 1);
            }
            numbers[number as usize] = next;
            next += sizes[number as usize];
        }
        drop(sizes);
        self.renumber(&numbers, names);
        numbers
    }

    fn renumber(&mut self, numbers: &[u32], names: &Names) {
        self.by_name = HashTable::new();
        self.last = (Vec::new(), ROOT);
        let mut list = vec![Directory::default(); self.list.len()];
        for (directory, number) in self.list.iter().zip(numbers) {
            list[*number as usize] = Directory { parent: numbers[directory.parent as usize], ..*directory };
        }
        self.list = list;
        let hash = |number: &u32| {
            let directory = self.list[*number as usize];
            self.secret.hash_one((directory.parent, names.get(directory.name)))
        };
        self.by_name.reserve(numbers.len(), hash);
        for number in (1..).take(numbers.len() - 1) {
            self.by_name.insert_unique(hash(&number), number, hash);
        }
    }

    /// Bytes that are held of all but the root.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        (self.list.len() - 1) * size_of::<Directory>() + self.by_name.allocation_size()
    }
}

/// The names that a path leads through; none for the root's.
fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use floe_format::parent_and_name;
    use proptest::prelude::*;

    use super::*;
    use crate::source::compare_directories;

    proptest! {
        #[test]
        fn directories_are_numbered_in_the_order_of_a_tree(
            paths in proptest::collection::vec(proptest::collection::vec("[a.\\-0]{1,2}", 0..5), 0..30),
        ) {
            let (mut names, mut directories) = (Names::default(), Directories::new());
            let mut budget = Budget(1 << 20);
            let mut expected = vec![Vec::new()];
            let mut old = Vec::new();
            for path in paths {
                let mut path = path.join("/").into_bytes();
                let number = directories.keep(&path, &mut names, &mut budget, 0).unwrap();
                prop_assert_eq!(directories.path(number, &names), &path[..]);
                old.push((path.clone(), number));
                while !path.is_empty() {
                    expected.push(path.clone());
                    path = parent_and_name(&path).0.to_vec();
                }
            }
            expected.sort_by(|a, b| compare_directories(a, b));
            expected.dedup();
            prop_assert!(directories.bytes() + names.len() <= (1 << 20) - budget.0);
            let numbers = directories.sort(&names);
            prop_assert_eq!(directories.len(), expected.len());
            for (number, path) in (0..).zip(&expected) {
                prop_assert_eq!(&directories.path(number, &names), path);
                prop_assert_eq!(directories.length(number), path.len());
                prop_assert_eq!(directories.find(path, &names), Some(number));
            }
            for (path, number) in old {
                prop_assert_eq!(&directories.path(numbers[number as usize], &names), &path);
            }
            prop_assert_eq!(directories.find(b"a/none", &names), None);
        }
    }
}
