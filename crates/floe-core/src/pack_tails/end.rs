//! The last bytes of a pack.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bytes::Bytes;
use floe_format::StoredOffset;

use crate::catalog::PackShape;
use crate::{Error, ErrorKind, Result};

/// The last bytes of a pack, in memory or in a file of the cache, which is not kept open.
#[derive(Clone, Debug)]
pub(crate) struct PackEnd {
    start: StoredOffset,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Memory(Bytes),
    Cached(PathBuf),
}

/// The last bytes of a pack, ready to be read. What is read of them is not checked.
#[derive(Debug)]
pub(crate) struct OpenEnd {
    start: StoredOffset,
    place: OpenPlace,
}

#[derive(Debug)]
enum OpenPlace {
    Memory(Bytes),
    File(File),
}

impl PackEnd {
    /// These last bytes of a pack.
    pub(super) fn in_memory(shape: &PackShape, bytes: Bytes) -> Self {
        let start = StoredOffset::new(shape.pack_len.saturating_sub(bytes.len() as u64));
        Self { start, place: Place::Memory(bytes) }
    }

    /// The tail of a pack, which the file at this path has.
    pub(super) fn cached(shape: &PackShape, path: PathBuf) -> Self {
        Self { start: tail_start(shape), place: Place::Cached(path) }
    }

    /// Where they begin.
    pub(crate) fn start(&self) -> StoredOffset {
        self.start
    }

    /// The bytes, where they are in memory.
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match &self.place {
            Place::Memory(bytes) => Some(bytes),
            Place::Cached(_) => None,
        }
    }

    /// Opens the file, if they are in one.
    ///
    /// # Errors
    /// `Corrupt` where it is there no more.
    pub(crate) fn open(&self) -> Result<OpenEnd> {
        let place = match &self.place {
            Place::Memory(bytes) => OpenPlace::Memory(bytes.clone()),
            Place::Cached(path) => OpenPlace::File(File::open(path).map_err(|e| {
                Error::new(ErrorKind::Corrupt, "a tail is in the cache no more").with_source(e)
            })?),
        };
        Ok(OpenEnd { start: self.start, place })
    }

    /// The bytes of a range of the pack.
    ///
    /// # Errors
    /// `Corrupt` where not all of them are here.
    pub(crate) fn read(&self, range: Range<StoredOffset>) -> Result<Bytes> {
        self.open()?.read(range)
    }
}

impl OpenEnd {
    /// The tail of a pack, which the file has.
    pub(super) fn in_file(shape: &PackShape, file: File) -> Self {
        Self { start: tail_start(shape), place: OpenPlace::File(file) }
    }

    /// The bytes of a range of the pack.
    ///
    /// # Errors
    /// `Corrupt` where not all of them are here.
    pub(crate) fn read(&self, range: Range<StoredOffset>) -> Result<Bytes> {
        let missing = || {
            let message =
                format!("bytes {} to {} of a pack are not among its last ones", range.start, range.end);
            Error::new(ErrorKind::Corrupt, message)
        };
        let start = range.start.checked_distance(self.start).ok_or_else(missing)?;
        let len = range.end.checked_distance(range.start).ok_or_else(missing)?;
        let len = usize::try_from(len).map_err(|_| missing())?;
        match &self.place {
            OpenPlace::Memory(bytes) => {
                let start = usize::try_from(start).map_err(|_| missing())?;
                let end = start.checked_add(len).filter(|end| *end <= bytes.len()).ok_or_else(missing)?;
                Ok(bytes.slice(start..end))
            }
            OpenPlace::File(file) => {
                let mut read = vec![0; len];
                file.read_exact_at(&mut read, start).map_err(|e| missing().with_source(e))?;
                Ok(Bytes::from(read))
            }
        }
    }
}

fn tail_start(shape: &PackShape) -> StoredOffset {
    StoredOffset::new(shape.pack_len.saturating_sub(shape.tail_len))
}

#[cfg(test)]
mod tests {
    use floe_format::PackId;

    use super::*;

    #[test]
    fn both_places_have_the_same_bytes() {
        let bytes: Vec<u8> = (0..100).collect();
        let shape =
            PackShape { id: PackId::from_bytes([7; 16]), pack_len: 1000, directory_len: 40, tail_len: 100 };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tail");
        std::fs::write(&path, &bytes).unwrap();
        for end in [PackEnd::in_memory(&shape, Bytes::from(bytes.clone())), PackEnd::cached(&shape, path)] {
            let read =
                |from, to| end.read(StoredOffset::new(from)..StoredOffset::new(to)).map(|read| read.to_vec());
            assert_eq!(end.start(), StoredOffset::new(900));
            assert_eq!(read(900, 1000).unwrap(), bytes);
            assert_eq!(read(950, 953).unwrap(), [50, 51, 52]);
            assert!(read(1000, 1000).unwrap().is_empty());
            for (from, to) in [(899, 950), (950, 1001), (1001, 1002), (960, 950)] {
                assert_eq!(read(from, to).unwrap_err().kind(), ErrorKind::Corrupt, "{from} to {to}");
            }
        }
    }
}
