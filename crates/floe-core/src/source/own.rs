//! The directories that Floe itself writes to while it works: a store on this machine, and caches.
//!
//! In the source of a push they would be pushed into themselves, and every push would differ from the one before. They
//! are known by device and inode, so that no link, mount or other spelling of a path hides one.

use std::fmt;
use std::path::{Path, PathBuf};

use super::stat::{FileKind, Stat};
use crate::error::{Error, ErrorKind, Result};

/// A directory of Floe's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDirectory {
    /// Where it is, or will be.
    pub path: PathBuf,
    /// What it is.
    pub purpose: Purpose,
}

/// What Floe keeps in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The snapshots.
    Store,
    /// What makes the next command faster.
    Caches,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Store => "the store",
            Self::Caches => "the caches",
        })
    }
}

/// A directory of Floe's own that was found in a source, and left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFound {
    /// Its path in the source, raw bytes.
    pub path: Vec<u8>,
    /// What it is.
    pub purpose: Purpose,
}

/// Those of Floe's own directories that are there.
#[derive(Debug, Default)]
pub(crate) struct OwnDirectories {
    known: Vec<(u64, u64, Purpose)>,
}

impl OwnDirectories {
    /// Looks at each; one that is not there is none.
    pub(crate) fn find(directories: &[OwnDirectory]) -> Self {
        let stat = |own: &OwnDirectory| {
            let stat = Stat::of_path(&own.path).ok()?;
            (stat.kind == FileKind::Directory).then_some((stat.device, stat.inode, own.purpose))
        };
        Self { known: directories.iter().filter_map(stat).collect() }
    }

    /// What a directory is of these.
    pub(crate) fn purpose(&self, stat: &Stat) -> Option<Purpose> {
        let is_this = |known: &&(u64, u64, Purpose)| (known.0, known.1) == (stat.device, stat.inode);
        self.known.iter().find(is_this).map(|known| known.2)
    }
}

/// Refuses a destination in a directory of Floe's own: what is written in a store would be taken for objects of it, and
/// what is removed there or of caches is lost.
///
/// # Errors
/// `Invalid` where it is one, or is or would be below one.
pub fn refuse_in_own(destination: &Path, directories: &[OwnDirectory]) -> Result<()> {
    let own = OwnDirectories::find(directories);
    let Ok(absolute) = std::path::absolute(destination) else { return Ok(()) };
    // Of a destination that is not there yet, what it would be in.
    let there = absolute.ancestors().find_map(|above| std::fs::canonicalize(above).ok());
    let purpose =
        |path: &Path| own.purpose(&Stat::of_path(path).ok()?).map(|purpose| (path.to_owned(), purpose));
    match there.as_deref().and_then(|there| there.ancestors().find_map(purpose)) {
        None => Ok(()),
        Some((directory, purpose)) => {
            let (destination, directory) = (destination.display(), directory.display());
            let message =
                format!("{destination} lies in {purpose} {directory}, where only Floe's own files belong");
            Err(Error::new(ErrorKind::Invalid, message))
        }
    }
}

/// Refuses a source that lies in a directory of Floe's own: it is pushed into itself, or holds nothing but caches.
///
/// # Errors
/// `Invalid` where it lies in one. That it is one itself the walk finds.
pub(crate) fn refuse_source_below(source: &Path, directories: &[OwnDirectory]) -> Result<()> {
    let own = OwnDirectories::find(directories);
    let purpose = |above: &Path| own.purpose(&Stat::of_path(above).ok()?);
    match source.ancestors().skip(1).find_map(purpose) {
        None => Ok(()),
        Some(purpose) => {
            let message = format!("{} lies in {purpose} of this very command", source.display());
            Err(Error::new(ErrorKind::Invalid, message))
        }
    }
}
