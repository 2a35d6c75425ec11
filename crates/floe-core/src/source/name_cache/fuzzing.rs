//! Caches of any bytes, with right sums.

use std::ffi::CString;
use std::path::PathBuf;

use super::layout::reseal;
use crate::source::walk::Names;
use crate::source::{FileKind, FileTime, HashClock, Stat};

/// A name in a directory, and its kind, where the file system told one.
pub type ToldName = (Vec<u8>, Option<FileKind>);

/// A cache of names.
#[derive(Debug)]
pub struct NameCache(super::NameCache);

impl NameCache {
    /// Opens the cache in this file.
    pub fn open(path: PathBuf) -> Self {
        Self(super::NameCache::open(path))
    }

    /// What it knows to be in a directory.
    pub fn find(&self, stat: &Stat) -> Option<Vec<ToldName>> {
        let names = self.0.find(stat)?;
        Some(names.spans.iter().map(|span| (names.c_str(*span).to_bytes().to_vec(), span.kind)).collect())
    }

    /// Notes what is in a directory that nobody has changed for long, and says whether a walk can have found that.
    pub fn note(&self, stat: &Stat, told: &[ToldName]) -> bool {
        let mut names = Names::default();
        for (name, kind) in told {
            let Ok(name) = CString::new(name.as_slice()) else { return false };
            if names.push(&name, *kind).is_err() {
                return false;
            }
        }
        self.0.note(stat, &names, HashClock::at(FileTime { seconds: i64::MAX, nanos: 0 }));
        true
    }

    /// Writes the next cache.
    pub fn keep(self) {
        self.0.keep();
    }
}

/// Makes the sums in a cache those of its bytes, as far as they are there.
pub fn reseal_name_cache(file: &mut [u8]) {
    let _ = reseal(file);
}
