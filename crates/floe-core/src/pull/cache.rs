//! The stat cache of a destination, for the next push from there or pull to there.
//!
//! What is recorded is only what nobody can have changed unnoticed. Of a tree just made: it was reachable by no name that
//! another process knew until it was renamed into place, so a change has a time of change after that. Of an existing one:
//! what the cache knew already, and what was read, by the clock from before it was read; what was written over it is not
//! recorded, since whoever had its name could change it within the same tick.

use std::fs::File;
use std::path::Path;

use crate::destination::{FileStat, Kind};
use crate::source::{CacheSections, FileKind, FileTime, HashClock, Stat, StatCache};

use super::surveyed::Surveyed;

/// The stat cache of a directory that is there.
pub(super) fn open_cache(caches: &Path, root: &Path) -> Option<StatCache> {
    let root = std::fs::canonicalize(root).ok()?;
    Some(StatCache::of_source(caches, &root))
}

/// The clock of the file system that a destination is on, or is to be made on.
pub(super) fn clock_near(destination: &Path, is_there: bool) -> Option<HashClock> {
    let above = destination.parent().filter(|above| !above.as_os_str().is_empty());
    let directory = if is_there { destination } else { above.unwrap_or(Path::new(".")) };
    HashClock::read(&File::open(directory).ok()?).ok()
}

/// What the kernel said of a file, as a source has it.
pub(super) fn stat_of(stat: &FileStat) -> Stat {
    let time = |time: crate::destination::Mtime| FileTime { seconds: time.seconds, nanos: time.nanoseconds };
    let kind = match stat.kind {
        Kind::Directory => FileKind::Directory,
        Kind::Symlink => FileKind::Symlink,
        Kind::Fifo => FileKind::Fifo,
        Kind::Device(device) if device.block => FileKind::BlockDevice,
        Kind::Device(_) => FileKind::CharDevice,
        Kind::File => FileKind::File,
        _ => FileKind::Socket,
    };
    let (major, minor) = (rustix::fs::major(stat.device), rustix::fs::minor(stat.device));
    Stat {
        size: stat.size,
        inode: stat.inode,
        device: u64::from(major) << 32 | u64::from(minor),
        special: 0,
        modified: time(stat.mtime),
        changed: time(stat.ctime),
        links: stat.links,
        uid: stat.owner.user,
        gid: stat.owner.group,
        // 12 bits.
        mode: u16::try_from(stat.mode & 0o7777).unwrap_or_default(),
        kind,
    }
}

/// Records the files of an existing directory that were equal, if that is news.
pub(super) fn record_kept(surveyed: Surveyed) {
    if let Some(cache) = surveyed.cache.filter(|_| surveyed.any_hashed) {
        record(&cache, surveyed.kept, HashClock::at(FileTime::default()));
    }
}

/// Writes a cache anew; the moment is one since which the files of sections that depend on it have had their content.
/// That it fails is no failure of the pull.
pub(super) fn record(cache: &StatCache, sections: CacheSections, hashing_began: HashClock) {
    let mut writer = cache.writer();
    writer.push_sections(sections, hashing_began);
    if let Err(error) = writer.finish() {
        tracing::warn!("the next push or pull reads the files again: {}", error.with_causes());
    }
}
