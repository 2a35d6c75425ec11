//! Telling a directory from another that takes its place.
//!
//! What a listing of the parent said of a directory and what is found in the directory make one entry of a snapshot only
//! where both are of one directory: else the content of one would come with the mode and owner of another.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use super::stat::Stat;

/// Nobody knows it, so nobody makes a directory that is taken for another.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Which directory it is, with which mode and owner, as far as the kernel tells. It is small: of a directory with very
/// many, one is kept for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryId {
    device: u64,
    /// A hash of mode, owner and inode.
    inode: u64,
    /// A hash of mode, owner and, instead of the inode, all times and counts.
    looks: u64,
}

/// A directory that a walk listed: its path below the root in raw bytes, and which it is.
#[derive(Clone, Copy, Debug)]
pub struct ListedDirectory<'a> {
    /// Empty for the root.
    pub path: &'a [u8],
    /// What was listed there, and by now may be elsewhere.
    pub id: DirectoryId,
}

impl DirectoryId {
    /// That of the directory of which the kernel says this.
    pub fn of(stat: &Stat) -> Self {
        let kept = (stat.mode, stat.uid, stat.gid);
        Self {
            device: stat.device,
            inode: KEY.hash_one((kept, stat.inode)),
            looks: KEY.hash_one((kept, stat.modified, stat.changed, stat.size, stat.links)),
        }
    }

    /// Whether both are of one directory, which has the mode and owner that it had.
    ///
    /// Some file systems (FAT, many in user space) number what the kernel has not in memory anew each time. There it is
    /// the same if nothing changed: whatever is moved to another place has the time of that for its time of change.
    pub fn is_same(self, other: Self) -> bool {
        self.device == other.device && (self.inode == other.inode || self.looks == other.looks)
    }

    /// Whether both are on one file system.
    pub(super) fn is_beside(self, other: Self) -> bool {
        self.device == other.device
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{FileKind, FileTime};

    #[test]
    fn a_directory_is_told_by_its_inode_or_by_all_else() {
        let time = |seconds| FileTime { seconds, nanos: 5 };
        let stat = Stat {
            size: 40,
            inode: 9,
            device: 1,
            special: 0,
            modified: time(1),
            changed: time(2),
            links: 2,
            uid: 3,
            gid: 4,
            mode: 0o755,
            kind: FileKind::Directory,
        };
        for (other, is_same) in [
            (stat, true),
            (Stat { size: 60, links: 3, modified: time(7), changed: time(7), ..stat }, true),
            (Stat { mode: 0o700, ..stat }, false),
            (Stat { uid: 0, ..stat }, false),
            (Stat { gid: 0, ..stat }, false),
            (Stat { device: 2, ..stat }, false),
            (Stat { inode: 10, ..stat }, true),
            (Stat { inode: 10, changed: time(3), ..stat }, false),
            (Stat { inode: 10, modified: time(3), ..stat }, false),
            (Stat { inode: 10, mode: 0o700, ..stat }, false),
        ] {
            assert_eq!(DirectoryId::of(&stat).is_same(DirectoryId::of(&other)), is_same, "{other:?}");
        }
    }
}
