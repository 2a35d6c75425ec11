//! What the kernel says about one name.

use std::ffi::CStr;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags, StatxTimestamp};
use rustix::io::Errno;

/// For how long times may stand still where a file system keeps whole seconds, or as FAT every other one.
const WHOLE_SECONDS: Duration = Duration::from_millis(2_020);

/// A point in time as file systems keep it, before 1970 and after 2106 too.
///
/// Ordered by time: `nanos` counts forward from `seconds`, also before 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime {
    /// Whole seconds since 1970-01-01.
    pub seconds: i64,
    /// Nanoseconds after those, less than 1,000,000,000.
    pub nanos: u32,
}

impl FileTime {
    /// Nanoseconds since 1970-01-01; wide enough for every value.
    pub(super) fn as_nanos(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)
    }
}

impl From<StatxTimestamp> for FileTime {
    fn from(time: StatxTimestamp) -> Self {
        Self { seconds: time.tv_sec, nanos: time.tv_nsec }
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FileKind {
    /// A directory.
    Directory = 1,
    /// A regular file.
    File = 2,
    /// A symbolic link.
    Symlink = 3,
    /// A named pipe.
    Fifo = 4,
    /// A character device.
    CharDevice = 5,
    /// A block device.
    BlockDevice = 6,
    /// A socket; no tree can hold one.
    Socket = 7,
}

impl FileKind {
    fn of_mode(mode: u16) -> Option<Self> {
        use rustix::fs::FileType as Type;
        Self::of_type(Type::from_raw_mode(mode.into()))
    }

    /// The kind of that number.
    pub(super) fn of_number(number: u8) -> Option<Self> {
        const KINDS: [FileKind; 7] = [
            FileKind::Directory,
            FileKind::File,
            FileKind::Symlink,
            FileKind::Fifo,
            FileKind::CharDevice,
            FileKind::BlockDevice,
            FileKind::Socket,
        ];
        KINDS.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The kind a directory entry tells, if its file system does.
    pub(super) fn of_type(file_type: rustix::fs::FileType) -> Option<Self> {
        use rustix::fs::FileType as Type;
        Some(match file_type {
            Type::Directory => Self::Directory,
            Type::RegularFile => Self::File,
            Type::Symlink => Self::Symlink,
            Type::Fifo => Self::Fifo,
            Type::CharacterDevice => Self::CharDevice,
            Type::BlockDevice => Self::BlockDevice,
            Type::Socket => Self::Socket,
            Type::Unknown => return None,
        })
    }
}

/// What the kernel says about one file, directory, link or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Length of the content in bytes, for files and symbolic links.
    pub size: u64,
    /// Inode number.
    pub inode: u64,
    /// The device it is on: major number in the upper, minor in the lower half.
    pub device: u64,
    /// The device it is, for device nodes; in the same form.
    pub special: u64,
    /// When its content last changed, or what somebody set that to.
    pub modified: FileTime,
    /// When its content or its inode last changed; nobody can set it.
    pub changed: FileTime,
    /// How many names it has.
    pub links: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Permission bits with set-uid, set-gid and sticky: 0 to 0o7777.
    pub mode: u16,
    /// What it is.
    pub kind: FileKind,
}

const MASK: StatxFlags = StatxFlags::BASIC_STATS.difference(StatxFlags::ATIME).difference(StatxFlags::BLOCKS);

impl Stat {
    /// The major and the minor number of a device node.
    pub(crate) fn device_numbers(&self) -> (u32, u32) {
        let major = u32::try_from(self.special >> 32).unwrap_or(u32::MAX);
        let minor = u32::try_from(self.special & 0xffff_ffff).unwrap_or(u32::MAX);
        (major, minor)
    }

    /// Asks about `name` in `directory`; a symbolic link is not followed, nothing is mounted.
    pub(super) fn of_name(directory: impl AsFd, name: &CStr) -> Result<Self, Errno> {
        // Not AT_STATX_DONT_SYNC: what a network file system remembers may be older than a change made elsewhere.
        let flags = AtFlags::SYMLINK_NOFOLLOW.union(AtFlags::NO_AUTOMOUNT);
        Self::new(&rustix::fs::statx(directory, name, flags, MASK)?)
    }

    /// Asks about a path, and follows it.
    pub(crate) fn of_path(path: &std::path::Path) -> Result<Self, Errno> {
        Self::new(&rustix::fs::statx(rustix::fs::CWD, path, AtFlags::empty(), MASK)?)
    }

    /// Asks about an open file.
    ///
    /// # Errors
    ///
    /// The kernel cannot say, or the file is of no kind that there is.
    pub fn of_file(file: impl AsFd) -> Result<Self, Errno> {
        Self::new(&rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, MASK)?)
    }

    /// Whether something is mounted on `name` in `directory`; no where the kernel cannot tell.
    pub(super) fn is_mount_point(directory: impl AsFd, name: &CStr) -> bool {
        let flags = AtFlags::SYMLINK_NOFOLLOW.union(AtFlags::NO_AUTOMOUNT);
        let told = rustix::fs::statx(directory, name, flags, StatxFlags::empty());
        told.is_ok_and(|told| told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    }

    fn new(statx: &rustix::fs::Statx) -> Result<Self, Errno> {
        let device = |major: u32, minor: u32| u64::from(major) << 32 | u64::from(minor);
        Ok(Self {
            size: statx.stx_size,
            inode: statx.stx_ino,
            device: device(statx.stx_dev_major, statx.stx_dev_minor),
            special: device(statx.stx_rdev_major, statx.stx_rdev_minor),
            modified: statx.stx_mtime.into(),
            changed: statx.stx_ctime.into(),
            links: statx.stx_nlink,
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            mode: statx.stx_mode & 0o7777,
            kind: FileKind::of_mode(statx.stx_mode).ok_or(Errno::NOTSUP)?,
        })
    }
    /// Whether both describe the same file with, as far as the kernel tells, the same content.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        let told = |stat: &Self| (stat.device, stat.inode, stat.size, stat.modified, stat.changed, stat.kind);
        told(self) == told(other)
    }

    /// Whether it changed less than so long ago, or in the future, by the clock of this machine.
    pub(super) fn is_younger_than(&self, time: Duration) -> bool {
        self.age_nanos() < i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
    }

    /// How long it is until it is as old as this; nothing where it changed in the future.
    pub(crate) fn until_as_old_as(&self, time: Duration) -> Duration {
        let age = u64::try_from(self.age_nanos()).map_or(time, Duration::from_nanos);
        time.saturating_sub(age)
    }

    /// How long it is until a change would show in the times, which stand still for up to two seconds where whole seconds are
    /// all that a file system keeps. Whoever opens many files waits once.
    pub(super) fn until_settled(&self) -> Duration {
        if self.changed.nanos != 0 {
            return Duration::ZERO;
        }
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let age = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec) - self.changed.as_nanos();
        // What is stamped with the future by another clock is not waited for.
        let age = u64::try_from(age).map_or(WHOLE_SECONDS, Duration::from_nanos);
        WHOLE_SECONDS.saturating_sub(age)
    }

    fn age_nanos(&self) -> i128 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let now = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
        now - self.modified.max(self.changed).as_nanos()
    }

    /// Whether both describe the same file, and a change between them would show. Of a directory only owner and mode
    /// count: each name that comes or goes changes its times.
    pub(super) fn is_still(&self, other: &Self) -> bool {
        let told = |stat: &Self| (stat.device, stat.inode, stat.mode, stat.uid, stat.gid, stat.kind);
        self.same_content(other) || (self.kind == FileKind::Directory && told(self) == told(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_are_waited_for() {
        let stat = Stat::of_file(tempfile::tempfile().unwrap()).unwrap();
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
        for (seconds, nanos, waits) in
            [(now, 0, true), (now - 1, 0, true), (now, 1, false), (now - 3, 0, false), (now + 9, 0, false)]
        {
            let changed = FileTime { seconds, nanos };
            let left = Stat { changed, ..stat }.until_settled();
            assert_eq!(!left.is_zero(), waits, "{seconds} {nanos}: {left:?}");
            assert!(left <= WHOLE_SECONDS);
        }
    }
}
