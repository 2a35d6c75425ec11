//! Sections that are kept until all of a source is known.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::layout;
use super::records::Records;
use super::section::CacheSection;
use super::writer::CacheWriter;
use crate::Result;
use crate::scratch::{Spill, damaged};
use crate::source::trust::{HashClock, Recency};

/// How many bytes of records are kept in memory for each thread that makes some; a record takes about 90.
const MOST_IN_MEMORY: usize = 256 << 10;

/// The sections of a source, in any order. Where they are many their records are kept in a temporary file.
#[derive(Debug, Default)]
pub struct CacheSections {
    directory: Option<PathBuf>,
    sections: Vec<Kept>,
    /// The records, of one thread each.
    records: Vec<Spill>,
}

/// A section whose records are elsewhere.
#[derive(Debug)]
struct Kept {
    first: u64,
    kept: Range<u64>,
    recency: Recency,
    spill: usize,
    start: u64,
    length: usize,
    /// Of the records, which may be on a disk meanwhile.
    sum: [u8; 16],
    entries: u32,
    /// Of its last record.
    directory: Vec<u8>,
    device: u64,
}

impl CacheSections {
    /// No sections yet; a temporary file is made in this directory, if it can be.
    pub fn new(directory: Option<&Path>) -> Self {
        Self { directory: directory.map(Path::to_owned), ..Self::default() }
    }

    /// Adds a section, and empties it.
    pub fn push(&mut self, section: &mut CacheSection) {
        if section.is_empty() {
            return;
        }
        if self.records.is_empty() {
            self.records.push(Spill::new(self.directory.as_deref(), MOST_IN_MEMORY));
        }
        let records = &mut section.records;
        self.sections.push(Kept {
            first: section.first,
            kept: section.kept.clone(),
            recency: section.recency,
            spill: 0,
            start: self.records[0].append(records.bytes()),
            length: records.len(),
            sum: layout::sum(records.bytes()),
            entries: records.entries(),
            directory: records.directory().to_vec(),
            device: records.device(),
        });
        section.clear();
    }

    /// Adds the sections of another thread.
    pub fn append(&mut self, other: Self) {
        let before = self.records.len();
        self.records.extend(other.records);
        self.sections.extend(other.sections.into_iter().map(|mut section| {
            section.spill += before;
            section
        }));
    }

    fn read(&self, section: &Kept, records: &mut Records) -> Result<()> {
        let spill = &self.records[section.spill];
        records.refill(section.entries, &section.directory, section.device, |bytes| {
            spill.read(section.start, section.length, bytes)?;
            match layout::sum(bytes) == section.sum {
                true => Ok(()),
                false => Err(damaged()),
            }
        })
    }
}

impl CacheWriter {
    /// Records sections, all of whose files [pushed](CacheSection::push) have had the content they are recorded with since
    /// that moment; nothing of a section if they are not all to be trusted.
    pub fn push_sections(&mut self, mut all: CacheSections, hashing_began: HashClock) {
        let mut sections = std::mem::take(&mut all.sections);
        sections.sort_unstable_by_key(|section| section.first);
        let mut records = Records::default();
        for section in sections {
            if !section.kept.is_empty() {
                self.keep(section.kept);
            } else if section.recency.is_trusted(hashing_began) {
                match all.read(&section, &mut records) {
                    Ok(()) => self.append(&records),
                    // What is not recorded is read again.
                    Err(error) => tracing::debug!(%error, "a part of the stat cache is lost"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::stat_cache::StatCache;
    use crate::source::walk::Child;
    use crate::source::{FileKind, FileTime, Stat};

    #[test]
    fn a_section_that_is_not_what_was_written_is_not_recorded() {
        let time = FileTime { seconds: 1_000, nanos: 5 };
        let stat = |inode| Stat {
            size: 7,
            inode,
            device: 1,
            special: 0,
            modified: time,
            changed: time,
            links: 1,
            uid: 0,
            gid: 0,
            mode: 0o644,
            kind: FileKind::File,
        };
        for is_damaged in [false, true] {
            let caches = tempfile::tempdir().unwrap();
            let cache = || StatCache::open(caches.path(), Path::new("/source"));
            let mut sections = CacheSections::new(Some(caches.path()));
            for number in 0..2 {
                let mut section = CacheSection::default();
                let (name, stat) = ([b'a' + number], stat(number.into()));
                section.push_trusted(number.into(), b"", &Child { name: &name, stat: &stat }, &[number; 32]);
                sections.push(&mut section);
            }
            // The bytes of the other section are as many.
            if is_damaged {
                sections.sections[1].start = sections.sections[0].start;
            }
            let mut writer = cache().writer();
            writer.push_sections(sections, HashClock::at(FileTime { seconds: 2_000, nanos: 5 }));
            writer.finish().unwrap();
            let mut cursor = cache().cursor();
            let mut found = |name: &[u8], inode| {
                cursor.lookup(b"", &Child { name, stat: &stat(inode) }).map(|hit| hit.hash)
            };
            assert_eq!(found(b"a", 0), Some([0; 32]));
            assert_eq!(found(b"b", 1), (!is_damaged).then_some([1; 32]));
        }
    }
}
