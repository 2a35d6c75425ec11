//! The names in one directory.

use std::ffi::CStr;
use std::os::fd::AsFd;

use rustix::fs::RawDir;
use rustix::io::Errno;

use super::huge::CHUNK_NAMES;
use crate::source::{DirectoryId, FileKind, Stat};

/// Bytes of directory entries asked of the kernel at once; glibc's choice.
const DIRENT_BYTES: usize = 32 * 1024;

/// Where a name stands among the bytes of [`Names`].
#[derive(Clone, Copy, Debug)]
pub(in crate::source) struct Name {
    pub(in crate::source) start: u32,
    pub(in crate::source) length: u16,
    pub(in crate::source) kind: Option<FileKind>,
}

/// The names in one directory, each followed by a NUL.
#[derive(Debug, Default)]
pub(in crate::source) struct Names {
    pub(in crate::source) bytes: Vec<u8>,
    pub(in crate::source) spans: Vec<Name>,
}

/// Directories that a listing found, to be entered.
#[derive(Debug, Default)]
pub(super) struct FoundDirectories {
    pub(super) names: Names,
    /// Which directory each name stood for.
    pub(super) ids: Vec<DirectoryId>,
}

impl FoundDirectories {
    /// Adds one that is not the first of more than 4 GiB of names.
    pub(super) fn push(&mut self, name: &CStr, stat: &Stat) {
        let pushed = self.names.push(name, Some(stat.kind));
        pushed.expect("a part of the names is smaller than all of them");
        self.ids.push(DirectoryId::of(stat));
    }

    /// Adds those of the next part of the same directory.
    pub(super) fn append(&mut self, part: Self) {
        let all = &mut self.names;
        let base = u32::try_from(all.bytes.len()).expect("fewer bytes than all names of the directory");
        all.spans.extend(part.names.spans.iter().map(|span| Name { start: base + span.start, ..*span }));
        all.bytes.extend_from_slice(&part.names.bytes);
        self.ids.extend_from_slice(&part.ids);
    }
}

impl Names {
    /// No names, and room for so many in a table of them.
    pub(in crate::source) fn with_capacity(count: usize) -> Self {
        Self { bytes: Vec::new(), spans: Vec::with_capacity(count) }
    }

    /// Reads all names of an open directory and sorts them bytewise; a name told twice is kept once.
    pub(in crate::source) fn read(directory: impl AsFd, dirents: &mut Vec<u8>) -> Result<Self, Errno> {
        dirents.clear();
        dirents.reserve(DIRENT_BYTES);
        let mut names = Self::default();
        let mut entries = RawDir::new(directory, dirents.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name, FileKind::of_type(entry.file_type()))?;
            }
        }
        names.sort();
        Ok(names)
    }

    /// Adds a name. [`Errno::FBIG`] where all names of one directory pass 4 GiB.
    pub(in crate::source) fn push(&mut self, name: &CStr, kind: Option<FileKind>) -> Result<(), Errno> {
        let start = u32::try_from(self.bytes.len()).map_err(|_| Errno::FBIG)?;
        let length = u16::try_from(name.count_bytes()).map_err(|_| Errno::NAMETOOLONG)?;
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
        self.spans.push(Name { start, length, kind });
        Ok(())
    }

    fn sort(&mut self) {
        let Self { bytes, spans } = self;
        spans.sort_unstable_by(|a, b| bytes_of(bytes, *a).cmp(bytes_of(bytes, *b)));
        spans.dedup_by(|a, b| bytes_of(bytes, *a) == bytes_of(bytes, *b));
    }

    /// Whether the directory is listed in parts.
    pub(in crate::source) fn are_many(&self) -> bool {
        self.spans.len() > CHUNK_NAMES
    }

    /// The name as the kernel wants it.
    pub(in crate::source) fn c_str(&self, name: Name) -> &CStr {
        c_str(&self.bytes, name)
    }

    /// Finds a name among the sorted.
    pub(in crate::source) fn find(&self, name: &[u8]) -> Option<Name> {
        let found = self.spans.binary_search_by(|span| bytes_of(&self.bytes, *span).cmp(name));
        found.ok().map(|index| self.spans[index])
    }
}

/// The bytes of a name without its NUL.
pub(in crate::source) fn bytes_of(bytes: &[u8], name: Name) -> &[u8] {
    let start = name.start as usize;
    &bytes[start..start + usize::from(name.length)]
}

/// The bytes of a name with its NUL.
pub(in crate::source) fn c_str(bytes: &[u8], name: Name) -> &CStr {
    let start = name.start as usize;
    CStr::from_bytes_with_nul(&bytes[start..=start + usize::from(name.length)])
        .expect("pushed from a C string")
}
