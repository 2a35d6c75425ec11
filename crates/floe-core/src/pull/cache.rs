//! The stat cache of a destination, for the next push from there or pull to there.
//!
//! What is recorded is only what nobody can have changed unnoticed. Of a tree just made: it was reachable by no name that
//! another process knew until it was renamed into place, so a change has a time of change after that. Of an existing one:
//! what the cache knew already, and what was read, by the clock from before it was read; what was written over it is not
//! recorded, since whoever had its name could change it within the same tick.

use std::fs::File;
use std::path::Path;

use floe_format::{Body, EntryKind, parent_and_name};

use crate::destination::{FileStat, Kind};
use crate::reader::Span;
use crate::source::{Child, FileKind, FileTime, HashClock, Stat, StatCache};

use super::Pull;
use super::survey::{Known, Surveyed};
use super::write::WrittenFile;

/// The stat cache of a directory that is there.
pub(super) fn open_cache(caches: &Path, root: &Path) -> Option<StatCache> {
    let root = std::fs::canonicalize(root).ok()?;
    Some(StatCache::open(&caches.join("sources"), &root))
}

/// The clock of the file system that a new destination is made on.
pub(super) fn clock_near(destination: &Path) -> Option<HashClock> {
    let above = destination.parent().filter(|above| !above.as_os_str().is_empty());
    let directory = File::open(above.unwrap_or(Path::new("."))).ok()?;
    HashClock::read(&directory).ok()
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

/// A file to be recorded.
struct Record {
    ordinal: u64,
    stat: Stat,
    known: Known,
}

impl Pull {
    /// Records the files of a tree that was just made; `files` are in order. That it fails is no failure of the pull.
    pub(super) fn remember_written(
        &mut self,
        caches: &Path,
        destination: &Path,
        files: Vec<WrittenFile>,
        before_commit: HashClock,
    ) {
        let records = files.into_iter().map(|file| Record {
            ordinal: file.ordinal,
            stat: stat_of(&file.stat),
            known: Known::Hashed(before_commit),
        });
        self.remember(caches, destination, records);
    }

    /// Records the files of an existing directory that were equal, if that is news.
    pub(super) fn remember_kept(
        &mut self,
        caches: &Path,
        destination: &Path,
        surveyed: Surveyed,
        _any_written: bool,
    ) {
        if surveyed.any_hashed {
            let records = surveyed.kept.into_iter();
            let records =
                records.map(|file| Record { ordinal: file.ordinal, stat: file.stat, known: file.how });
            self.remember(caches, destination, records);
        }
    }

    fn remember(&mut self, caches: &Path, destination: &Path, records: impl Iterator<Item = Record>) {
        // A part of a tree is recorded as what it is where it was written: a source of its own.
        if matches!(self.span, Span::Entry(_)) {
            return;
        }
        let Some(cache) = open_cache(caches, destination) else { return };
        let mut writer = cache.writer();
        let mut records = records.peekable();
        if records.peek().is_none() {
            return;
        }
        let passed = self.each_entry(&mut |ordinal, entry, relative, parent| {
            while records.next_if(|record| record.ordinal < ordinal).is_some() {}
            if let Some(record) = records.next_if(|record| record.ordinal == ordinal)
                && let Body::File { hash: Some(hash), .. } = entry.body
            {
                let (directory, name) = parent_and_name(relative);
                let child = Child { name, stat: &record.stat };
                match record.known {
                    Known::Hit(hit) => writer.push_known(directory, &child, &hit),
                    Known::Hashed(clock) => writer.push_hashed(directory, &child, hash.as_bytes(), clock),
                }
            }
            Ok((entry.kind() == EntryKind::Directory).then_some(parent))
        });
        if let Err(error) = passed.and_then(|()| writer.finish()) {
            tracing::warn!(%error, "the stat cache could not be written; the next push or pull reads the files again");
        }
    }
}
