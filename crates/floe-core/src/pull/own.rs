//! What is below a destination and is not the snapshot's to remove, to replace or to write in: Floe's own directories.
//!
//! By their paths they are found before anything is done, and with what they are in. A mount can hide a path, so that the
//! destination knows them by device and inode too ([`ids`]), where it enters or empties one.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::destination::FileId;
use crate::reader::shown;
use crate::source::OwnDirectory;
use crate::{Error, ErrorKind, Result};

/// The paths of Floe's own directories below a destination, raw bytes.
#[derive(Debug, Default)]
pub(super) struct OwnBelow {
    paths: Vec<Vec<u8>>,
}

impl OwnBelow {
    /// Finds them; what is not there cannot be removed.
    pub(super) fn find(destination: &Path, own: &[OwnDirectory]) -> Self {
        let Some(destination) = id(destination) else { return Self::default() };
        let below = |own: &OwnDirectory| {
            let path = std::fs::canonicalize(&own.path).ok()?;
            // The same directory can have two paths.
            let top = path.ancestors().skip(1).find(|above| id(above) == Some(destination))?;
            Some(path.strip_prefix(top).ok()?.as_os_str().as_bytes().to_vec())
        };
        Self { paths: own.iter().filter_map(below).collect() }
    }

    /// Whether one of them is at a path, or below it.
    pub(super) fn stands_at(&self, path: &[u8]) -> bool {
        self.paths
            .iter()
            .any(|own| own.strip_prefix(path).is_some_and(|rest| matches!(rest, [] | [b'/', ..])))
    }

    /// Refuses to write something else where one of them stands, or a directory that it is in.
    ///
    /// # Errors
    /// `Invalid` where that is so.
    pub(super) fn refuse(&self, path: &[u8]) -> Result<()> {
        if !self.stands_at(path) {
            return Ok(());
        }
        let message = format!(
            "the snapshot has something else where the directory {} is, which the store or the caches are in",
            shown(path)
        );
        Err(Error::new(ErrorKind::Invalid, message))
    }
}

/// What Floe's own directories are, by whatever path they are met; one that is not there is none.
pub(super) fn ids(own: &[OwnDirectory]) -> Vec<FileId> {
    own.iter().filter_map(|own| id(&own.path)).collect()
}

fn id(path: &Path) -> Option<FileId> {
    let stat = std::fs::metadata(path).ok()?;
    Some((stat.dev(), stat.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stands_at_its_path_and_at_those_above() {
        let own = OwnBelow { paths: vec![b"a/b".to_vec()] };
        assert!(own.stands_at(b"a") && own.stands_at(b"a/b"));
        assert!(!own.stands_at(b"a/") && !own.stands_at(b"a/b/c") && !own.stands_at(b"a/bc"));
    }
}
