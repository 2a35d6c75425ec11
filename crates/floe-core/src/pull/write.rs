//! One thread that writes what was unpacked.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use floe_format::{Body, EntryRef, parent_and_name};

use crate::destination::{DirId, FileStat, Tree, Worker};
use crate::source::{CacheSection, CacheSections, Child};
use crate::unpack::{BigFile, Output, Stop, Unit};
use crate::{Error, ErrorKind, Result};

use super::cache::stat_of;
use super::options::PullProgress;
use super::restore::{Restore, below, device, with_entry};

/// What one thread has written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The files' stats, if they were asked for; in any order.
    pub(super) sections: CacheSections,
    pub(super) written_files: u64,
    pub(super) written_bytes: u64,
    pub(super) skipped_devices: u64,
    /// Stored bytes that were asked of the store for it alone; those of a whole plan are counted there.
    pub(super) fetched_bytes: u64,
}

/// Directories and names, by paths in the snapshot.
pub(super) type Places = HashMap<Vec<u8>, (DirId, Vec<u8>)>;

impl Written {
    pub(super) fn add(&mut self, other: Self) {
        self.sections.append(other.sections);
        self.written_files += other.written_files;
        self.written_bytes += other.written_bytes;
        self.skipped_devices += other.skipped_devices;
        self.fetched_bytes += other.fetched_bytes;
    }
}

/// Writes entries into a tree.
pub(super) struct Writer<'t> {
    worker: Worker<'t>,
    top: &'t [u8],
    /// Where entries go whose paths say nothing of that.
    places: Option<&'t Places>,
    restore: Restore,
    progress: &'t PullProgress,
    parent: Vec<u8>,
    directory: DirId,
    section: CacheSection,
    written: Written,
    /// What `progress` was not told yet.
    untold: Untold,
}

/// What was written since it was last told; telling it for each file would keep threads waiting for each other.
#[derive(Debug, Default)]
struct Untold {
    entries: u64,
    files: u64,
    file_bytes: u64,
}

impl<'t> Writer<'t> {
    /// A writer of what is below `top`, a path in the snapshot; what is to be recorded waits below `caches`.
    pub(super) fn new(
        tree: &'t Tree,
        top: &'t [u8],
        restore: Restore,
        progress: &'t PullProgress,
        caches: Option<&Path>,
    ) -> Self {
        Self {
            worker: tree.worker(),
            top,
            places: None,
            restore,
            progress,
            parent: Vec::new(),
            directory: DirId::ROOT,
            section: CacheSection::default(),
            written: Written { sections: CacheSections::new(caches), ..Written::default() },
            untold: Untold::default(),
        }
    }

    /// A writer of entries that go where `places` says.
    pub(super) fn elsewhere(
        tree: &'t Tree,
        places: &'t Places,
        restore: Restore,
        progress: &'t PullProgress,
    ) -> Self {
        Self { places: Some(places), ..Self::new(tree, &[], restore, progress, None) }
    }

    /// The directory and name of an entry.
    fn place<'p>(&mut self, path: &'p [u8]) -> Result<(DirId, &'p [u8])>
    where
        't: 'p,
    {
        if let Some(places) = self.places {
            let unasked = || Error::new(ErrorKind::Internal, "an entry is unpacked that was not asked for");
            let (directory, name) = places.get(path).ok_or_else(unasked)?;
            return Ok((*directory, name));
        }
        let relative = below(self.top, path).unwrap_or(path);
        let (parent, name) = parent_and_name(relative);
        if self.parent != parent {
            self.directory = self.worker.tree().find(parent).ok_or_else(|| {
                Error::new(ErrorKind::Internal, "an entry is unpacked before its directory is known")
            })?;
            self.parent.clear();
            self.parent.extend_from_slice(parent);
        }
        Ok((self.directory, name))
    }

    /// Counts a file that was written, the last that was [placed](Self::place).
    fn note(&mut self, ordinal: u64, entry: &EntryRef<'_>, stat: Option<FileStat>) {
        let Body::File { size, hash } = entry.body else { return };
        self.written.written_files += 1;
        self.written.written_bytes += size;
        self.untold.files += 1;
        let (Some(stat), Some(hash)) = (stat, hash) else { return };
        if self.section.is_full() {
            self.end_section();
        }
        let stat = stat_of(&stat);
        let child = Child { name: parent_and_name(entry.path).1, stat: &stat };
        self.section.push(ordinal, &self.parent, &child, hash.as_bytes());
    }

    fn tell_progress(&mut self) {
        let Untold { entries, files, file_bytes } = std::mem::take(&mut self.untold);
        self.progress.entries.fetch_add(entries, Ordering::Relaxed);
        self.progress.files.fetch_add(files, Ordering::Relaxed);
        self.progress.file_bytes.fetch_add(file_bytes, Ordering::Relaxed);
    }

    /// Begins another section of what is told to the stat cache.
    fn end_section(&mut self) {
        self.written.sections.push(&mut self.section);
    }
}

impl<'t> Output<'t> for Writer<'t> {
    type Done = Written;

    fn whole(&mut self, ordinal: u64, entry: &EntryRef<'_>, content: &[u8]) -> Result<()> {
        let restore = self.restore;
        match entry.body {
            // Made by the planner, and after all files.
            Body::Directory | Body::HardLink { .. } => {}
            Body::File { .. } => {
                let (directory, name) = self.place(entry.path)?;
                let parts = [content];
                let parts = if content.is_empty() { &[][..] } else { &parts };
                let worker = &mut self.worker;
                let stat =
                    with_entry(entry, restore, |meta| worker.write_small_file(directory, name, meta, parts))?;
                self.untold.file_bytes += content.len() as u64;
                self.note(ordinal, entry, stat);
            }
            Body::Symlink { target } => {
                let (directory, name) = self.place(entry.path)?;
                with_entry(entry, restore, |meta| self.worker.symlink(directory, name, target, meta))?;
            }
            Body::Fifo => {
                let (directory, name) = self.place(entry.path)?;
                with_entry(entry, restore, |meta| self.worker.fifo(directory, name, meta))?;
            }
            Body::CharDevice { .. } | Body::BlockDevice { .. } => {
                let (directory, name) = self.place(entry.path)?;
                match device(&entry.body).filter(|_| self.worker.tree().settings().devices) {
                    Some(device) => {
                        with_entry(entry, restore, |meta| self.worker.device(directory, name, device, meta))?;
                    }
                    None => self.written.skipped_devices += 1,
                }
            }
        }
        self.untold.entries += 1;
        Ok(())
    }

    fn part(&mut self, file: &Arc<BigFile<'t>>, offset: u64, bytes: &[u8]) -> Result<()> {
        // Whoever completes it tells the stat cache of it; what comes here is before it or after it.
        self.end_section();
        loop {
            let writer = file.writer.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(writer) = &*writer {
                writer.write_at(offset, bytes)?;
                self.untold.file_bytes += bytes.len() as u64;
                return Ok(());
            }
            drop(writer);
            let entry = file.entry.as_entry();
            let (directory, name) = self.place(entry.path)?;
            let mut writer = file.writer.write().unwrap_or_else(PoisonError::into_inner);
            if writer.is_none() {
                let worker = &mut self.worker;
                let made = with_entry(&entry, self.restore, |meta| {
                    worker.create_file(directory, name, meta, file.size())
                })?;
                *writer = Some(made);
            }
        }
    }

    fn complete(&mut self, file: &Arc<BigFile<'t>>) -> Result<()> {
        let writer = file.writer.write().unwrap_or_else(PoisonError::into_inner).take();
        let writer =
            writer.ok_or_else(|| Error::new(ErrorKind::Internal, "a file is complete that was not begun"))?;
        let entry = file.entry.as_entry();
        let worker = &mut self.worker;
        let stat = with_entry(&entry, self.restore, |meta| worker.finish_file(writer, meta))?;
        self.untold.entries += 1;
        self.end_section();
        self.place(entry.path)?;
        self.note(file.ordinal, &entry, stat);
        self.end_section();
        Ok(())
    }

    fn unit(&mut self, _unit: &Unit<'t>, _plain: &[Vec<u8>], _stop: &Stop) -> Result<()> {
        // Another thread may have what comes next.
        self.end_section();
        self.tell_progress();
        Ok(())
    }

    fn checks_ids(&self) -> bool {
        false
    }

    fn done(self) -> Written {
        self.written
    }
}
