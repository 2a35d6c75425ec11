//! Telling a directory from another that takes its place.
//!
//! What a listing of the parent said of a directory and what is found in the directory make one entry of a snapshot only
//! where both are of one directory: else the content of one would come with the mode and owner of another.

use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::AsFd;
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
    /// the same if nothing changed: whatever is moved to another place has the time of that for its time of change. On
    /// others two that were made at the same time look the same, too; so the one that is open is asked where it is.
    pub(super) fn is_same(self, open: Self, directory: impl AsFd) -> bool {
        self.is_same_where(open, || {
            let told = rustix::fs::fstatfs(directory);
            told.is_ok_and(|told| numbers_anew(i128::from(told.f_type)))
        })
    }

    fn is_same_where(self, other: Self, numbers_anew: impl FnOnce() -> bool) -> bool {
        self.device == other.device
            && (self.inode == other.inode || (self.looks == other.looks && numbers_anew()))
    }

    /// Whether both are on one file system.
    pub(super) fn is_beside(self, other: Self) -> bool {
        self.device == other.device
    }
}

/// Whether a file system of this type may number a directory anew while nobody has it open; see `statfs(2)`.
fn numbers_anew(file_system: i128) -> bool {
    // The field is of another width and sign on other machines.
    matches!(
        file_system & 0xffff_ffff,
        0x4d44          // FAT
        | 0x2011_bab0   // exFAT
        | 0x6573_5546   // FUSE
        | 0x0102_1997   // 9p
        | 0xff53_4d42   // CIFS
        | 0xfe53_4d42   // SMB 2 and 3
        | 0x517b        // SMB
        | 0x786f_4256 // VirtualBox's shared folders
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{FileKind, FileTime};

    #[test]
    fn a_directory_is_told_by_its_inode_and_by_all_else_where_inodes_do_not_last() {
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
            let (one, other_id) = (DirectoryId::of(&stat), DirectoryId::of(&other));
            assert_eq!(one.is_same_where(other_id, || true), is_same, "{other:?}");
            let has_inode = other.inode == stat.inode;
            assert_eq!(one.is_same_where(other_id, || false), is_same && has_inode, "{other:?}");
        }
        // Made in the same tick, they look the same.
        let local = std::fs::File::open("/dev/shm").unwrap();
        let made = Stat { inode: 10, ..stat };
        assert!(!DirectoryId::of(&stat).is_same(DirectoryId::of(&made), &local));
        assert!(numbers_anew(0x6573_5546) && !numbers_anew(0xef53));
    }
}
