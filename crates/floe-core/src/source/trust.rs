//! When a content hash may be believed later, without reading the file again.
//!
//! A hash is kept together with what the kernel said about the file. Equal answers later mean equal content only if
//! every change after hashing began was bound to show in the change time. File systems stamp changes with a clock
//! that stands still for up to 10 ms; a file hashed within the tick of its last change may change once more within
//! it, and nothing would show. So a hash is believed only where both times were more than [`GRANULARITY`] old, by the
//! clock of the file system, when hashing began.
//!
//! That clock can only be read by changing something in the source, which a push must not do. Local file systems
//! stamp with the kernel's coarse real-time clock or, since Linux 6.13, with a finer one that is never behind it, so
//! the coarse clock is read instead. Others have clocks of their own: theirs may be [`FOREIGN_SKEW`] behind. A change
//! time of whole seconds says that the file system keeps no finer one: FAT, the coarsest, counts two seconds.
//!
//! A write has the time at which it began, however long it takes, and through a mapping a file is written long after the
//! time that shows. So a file of over [`WRITE_BYTES`] that changed in the last [`WRITE_SECONDS`] is only believed if nobody
//! had it open for writing when hashing began, as far as the kernel tells us, which it does of our own files, and of all
//! if we are root. To ask costs 5 µs, which would be much for each small file of a tree that was just made; writes to
//! those take no time to speak of.
//!
//! An image that was made elsewhere has the times its maker chose, often the same in each version of it, as are inodes.
//! Nothing is believed where it can only be read; where it can be changed, too, and the kernel stamps nanoseconds, a
//! change time of whole seconds is most likely such a time, and not believed. Names in directories are believed by the same rule, but only on a few file systems:
//! not where directories are put together from several, as by overlayfs, show or hide names by how they are asked, as
//! with snapshots of ZFS and bcachefs, or are made up.

mod sys;

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::time::ClockId;

use super::stat::{FileTime, Stat};
#[cfg(test)]
pub(super) use sys::Lease;

/// More than the longest tick of a kernel (10 ms at 100 Hz).
const GRANULARITY_NANOS: i128 = 20_000_000;

/// Added where a file system seems to keep whole seconds only.
const COARSE_GRANULARITY_NANOS: i128 = 2_000_000_000;

/// The most bytes of a file that is thought to be written at once.
const WRITE_BYTES: u64 = 64 << 10;

/// The longest that one write is thought to take.
const WRITE_SECONDS: i128 = 60;

/// How far the clock of a file system that is not the kernel's own may be behind.
const FOREIGN_SKEW_SECONDS: i64 = 10;

/// The moment hashing begins, by the clock of the file system a file is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashClock {
    time: FileTime,
    /// Whether who stamps files counts nanoseconds.
    is_fine: bool,
}

impl HashClock {
    /// Before everything, so that nothing is old enough to be believed.
    const NEVER: Self = Self::at(FileTime { seconds: i64::MIN, nanos: 0 });

    /// Reads the clock of the file system of an open file or directory; to be called before its content is read.
    ///
    /// # Errors
    ///
    /// The kernel cannot say on which file system the file is.
    pub fn read(file: impl AsFd) -> Result<Self, Errno> {
        Self::now(Stamps::read(file)?)
    }

    /// The moment names in an open directory begin to be read; nothing where they must not be believed later.
    ///
    /// # Errors
    ///
    /// The kernel cannot say on which file system the directory is.
    pub(super) fn of_names(directory: impl AsFd) -> Result<Option<Self>, Errno> {
        let stamps = Stamps::read(directory)?;
        (stamps == Stamps::KernelOfNames).then(|| Self::now(stamps)).transpose()
    }

    fn now(stamps: Stamps) -> Result<Self, Errno> {
        let (skew, is_fine) = match stamps {
            Stamps::KernelOfNames | Stamps::Kernel => (0, true),
            Stamps::KernelCoarse => (0, false),
            Stamps::Foreign => (FOREIGN_SKEW_SECONDS, false),
            Stamps::None => return Ok(Self::NEVER),
        };
        let now = rustix::time::clock_gettime(ClockId::RealtimeCoarse);
        let nanos = u32::try_from(now.tv_nsec).map_err(|_| Errno::RANGE)?;
        Ok(Self { time: FileTime { seconds: now.tv_sec - skew, nanos }, is_fine })
    }

    /// A moment that was read before, of files that may be stamped with whole seconds.
    pub const fn at(time: FileTime) -> Self {
        Self { time, is_fine: false }
    }
}

/// Reads clocks of files that are mostly on one file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashClocks {
    last: Option<(u64, Stamps)>,
}

impl HashClocks {
    /// As [`HashClock::read`], of a regular file that is open for reading and of which the kernel said this just before;
    /// a moment by which nothing is believed if somebody may be writing to it.
    ///
    /// # Errors
    ///
    /// The kernel cannot say on which file system the file is.
    pub fn read(&mut self, file: impl AsFd, stat: &Stat) -> Result<HashClock, Errno> {
        let stamps = match self.last {
            Some((last, stamps)) if last == stat.device => stamps,
            _ => Stamps::read(&file)?,
        };
        self.last = Some((stat.device, stamps));
        let clock = HashClock::now(stamps)?;
        let age = clock.time.as_nanos() - stat.modified.max(stat.changed).as_nanos();
        let may_be_written = stat.size > WRITE_BYTES && age < WRITE_SECONDS * 1_000_000_000;
        Ok(if may_be_written && sys::is_written(file.as_fd()) { HashClock::NEVER } else { clock })
    }
}

/// Whether a hash may be believed as long as the kernel says the same of the file as `stat`, taken when hashing had
/// ended, does.
pub fn is_trusted(stat: &Stat, hashing_began: HashClock) -> bool {
    let mut recency = Recency::default();
    recency.add(stat);
    recency.is_trusted(hashing_began)
}

/// When a walk began: by the clock of the file system of its root, which says nothing of what others are mounted in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalkBegan {
    pub(crate) clock: HashClock,
    /// The device of the root.
    pub(crate) device: u64,
}

impl WalkBegan {
    /// Whether a file of this stat is known not to have changed since.
    pub(crate) fn is_after(&self, stat: &Stat) -> bool {
        stat.device == self.device && is_trusted(stat, self.clock)
    }

    /// The same of all of some files.
    pub(crate) fn is_after_all(&self, recency: &Recency) -> bool {
        let is_there = recency.device.is_none_or(|device| device == self.device);
        is_there && !recency.is_of_several && recency.is_trusted(self.clock)
    }
}

/// How recently any of some files was modified or changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recency {
    latest: Option<FileTime>,
    is_coarse: bool,
    /// The device of the first, and whether others are on another: each has a clock of its own.
    device: Option<u64>,
    is_of_several: bool,
}

impl Recency {
    /// Adds a file.
    pub(crate) fn add(&mut self, stat: &Stat) {
        self.latest = self.latest.max(Some(stat.modified.max(stat.changed)));
        self.is_coarse |= stat.changed.nanos == 0;
        self.is_of_several |= *self.device.get_or_insert(stat.device) != stat.device;
    }

    /// Whether [`is_trusted`] holds of all of them.
    pub(crate) fn is_trusted(&self, hashing_began: HashClock) -> bool {
        if self.is_coarse && hashing_began.is_fine {
            return false;
        }
        let coarse = if self.is_coarse { COARSE_GRANULARITY_NANOS } else { 0 };
        self.latest.is_none_or(|latest| {
            hashing_began.time.as_nanos() - latest.as_nanos() > GRANULARITY_NANOS + coarse
        })
    }
}

/// Who stamps what changes on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamps {
    /// The kernel itself, and a directory for each name that comes or goes.
    KernelOfNames,
    /// The kernel itself, with nanoseconds.
    Kernel,
    /// The kernel itself, with what the file system keeps of that.
    KernelCoarse,
    /// Somebody else, with a clock of their own.
    Foreign,
    /// Nobody: the times are those that whoever made the image chose.
    None,
}

impl Stamps {
    fn read(file: impl AsFd) -> Result<Self, Errno> {
        Ok(Self::of_type(i128::from(rustix::fs::fstatfs(file)?.f_type)))
    }

    /// Those of a type of file system: see `statfs(2)` and `linux/magic.h`.
    fn of_type(file_system: i128) -> Self {
        // The field is of another width and sign on other machines.
        match file_system & 0xffff_ffff {
            0xef53          // ext2, ext3, ext4
            | 0x5846_5342   // XFS
            | 0x9123_683e   // btrfs
            | 0x0102_1994   // tmpfs
            => Self::KernelOfNames,
            0xf2f5_2010     // F2FS
            | 0x2fc1_2fc1   // ZFS
            | 0xca45_1a4e   // bcachefs
            | 0x8584_58f6   // ramfs
            | 0x794c_7630   // overlayfs
            | 0x7366_746e   // NTFS
            | 0x3153_464a   // JFS
            | 0x3434        // NILFS
            => Self::Kernel,
            0x4d44          // FAT
            | 0x2011_bab0   // exFAT
            => Self::KernelCoarse,
            0x7371_7368     // SquashFS
            | 0xe0f5_e1e2   // EROFS
            | 0x9660        // ISO 9660
            | 0x28cd_3d45   // cramfs
            | 0x7275        // romfs
            => Self::None,
            _ => Self::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(modified: FileTime, changed: FileTime) -> Stat {
        let root = rustix::fs::open("/", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
        Stat { modified, changed, ..Stat::of_file(root).unwrap() }
    }

    fn after(time: FileTime, nanos: i64) -> HashClock {
        let sum = time.as_nanos() + i128::from(nanos);
        let seconds = i64::try_from(sum.div_euclid(1_000_000_000)).unwrap();
        HashClock::at(FileTime { seconds, nanos: u32::try_from(sum.rem_euclid(1_000_000_000)).unwrap() })
    }

    #[test]
    fn both_times_must_be_more_than_twenty_milliseconds_old() {
        for seconds in [i64::from(u32::MAX) + 5, 1, 0, -1, -3_000_000_000] {
            for nanos in [1, 500_000_000, 999_999_999] {
                let new = FileTime { seconds, nanos };
                let old = FileTime { seconds: seconds - 5, nanos };
                for both in [stat(new, old), stat(old, new), stat(new, new)] {
                    assert!(!is_trusted(&both, after(new, -1)));
                    assert!(!is_trusted(&both, after(new, 19_999_999)));
                    assert!(!is_trusted(&both, after(new, 20_000_000)));
                    assert!(is_trusted(&both, after(new, 20_000_001)));
                }
            }
        }
    }

    /// A single file may be mounted, from a file system with a clock of its own.
    #[test]
    fn what_is_on_another_device_is_not_known_to_be_old() {
        let (old, now) = (FileTime { seconds: 6, nanos: 1 }, FileTime { seconds: 9, nanos: 1 });
        let here = stat(old, old);
        let there = Stat { device: here.device + 1, ..here };
        let began = WalkBegan { clock: after(now, 0), device: here.device };
        let is_after = |files: &[Stat]| {
            let mut recency = Recency::default();
            files.iter().for_each(|file| recency.add(file));
            began.is_after_all(&recency)
        };
        assert!(began.is_after(&here) && is_after(&[]) && is_after(&[here, here]));
        assert!(!began.is_after(&there) && !is_after(&[there]) && !is_after(&[here, there]));
        assert!(!is_after(&[there, here]) && !is_after(&[here, stat(old, now)]));
    }

    #[test]
    fn whole_seconds_are_taken_for_a_coarse_clock() {
        let whole = FileTime { seconds: 7, nanos: 0 };
        assert!(!is_trusted(&stat(whole, whole), after(whole, 2_020_000_000)));
        assert!(is_trusted(&stat(whole, whole), after(whole, 2_020_000_001)));
        let old = FileTime { seconds: 6, nanos: 1 };
        assert!(is_trusted(&stat(whole, old), after(whole, 20_000_001)), "anyone can set a whole mtime");
    }

    #[test]
    fn a_file_is_stamped_no_earlier_than_the_clock_read_before() {
        let file = tempfile::tempfile().unwrap();
        let before = HashClock::read(&file).unwrap();
        std::io::Write::write_all(&mut &file, b"x").unwrap();
        assert!(Stat::of_file(&file).unwrap().changed >= before.time);
    }

    #[test]
    fn a_file_that_somebody_may_be_writing_to_is_not_believed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reader = std::fs::File::open(file.path()).unwrap();
        let stat = Stat { size: WRITE_BYTES + 1, ..Stat::of_file(&reader).unwrap() };
        let long_ago = FileTime { seconds: stat.changed.seconds - 61, ..stat.changed };
        let mut clocks = HashClocks::default();
        assert_eq!(clocks.read(&reader, &stat), Ok(HashClock::NEVER));
        assert_ne!(
            clocks.read(&reader, &Stat { modified: long_ago, changed: long_ago, ..stat }),
            Ok(HashClock::NEVER)
        );
        assert_ne!(clocks.read(&reader, &Stat { size: WRITE_BYTES, ..stat }), Ok(HashClock::NEVER));
        let (file, _path) = file.into_parts();
        drop(file);
        assert_ne!(clocks.read(&reader, &stat), Ok(HashClock::NEVER));
    }

    #[test]
    fn nothing_is_believed_of_images_that_were_made_elsewhere() {
        let long_ago = FileTime { seconds: -3_000_000_000, nanos: 1 };
        let image = HashClock::now(Stamps::of_type(0xe0f5_e1e2)).unwrap();
        assert!(!is_trusted(&stat(long_ago, long_ago), image));
        assert!(is_trusted(&stat(long_ago, long_ago), HashClock::now(Stamps::Foreign).unwrap()));
    }

    #[test]
    fn whole_seconds_are_not_believed_where_nanoseconds_are_kept() {
        let long_ago = FileTime { seconds: 1_000_000_000, nanos: 0 };
        let (image, file) = (stat(long_ago, long_ago), stat(long_ago, FileTime { nanos: 1, ..long_ago }));
        for fine in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0xf2f5_2010] {
            let now = HashClock::now(Stamps::of_type(fine)).unwrap();
            assert!(!is_trusted(&image, now) && is_trusted(&file, now), "{fine:#x}");
        }
        for coarse in [0x4d44, 0x2011_bab0, 0x6969] {
            assert!(is_trusted(&image, HashClock::now(Stamps::of_type(coarse)).unwrap()), "{coarse:#x}");
        }
    }

    #[test]
    fn names_are_believed_where_directories_are_stamped() {
        assert!(HashClock::of_names(std::fs::File::open("/dev/shm").unwrap()).unwrap().is_some());
        let made_up = std::fs::File::open("/proc").unwrap();
        assert_eq!(HashClock::of_names(made_up).unwrap(), None);
        for other in [0x794c_7630, 0x2fc1_2fc1, 0xca45_1a4e] {
            assert_eq!(Stamps::of_type(other), Stamps::Kernel, "overlayfs, ZFS, bcachefs");
        }
    }

    #[test]
    fn clocks_of_others_are_taken_to_be_behind() {
        assert_eq!(Stamps::of_type(0xef53), Stamps::KernelOfNames);
        for foreign in [0x6969, 0xff53_4d42, 0x6573_5546, 0x0102_1997, 0] {
            assert_eq!(Stamps::of_type(foreign), Stamps::Foreign);
        }
        let processes = std::fs::File::open("/proc").unwrap();
        let local = HashClock::read(tempfile::tempfile().unwrap()).unwrap();
        assert!(HashClock::read(processes).unwrap().time < local.time);
    }
}
