//! What is below a destination and is not the snapshot's to remove, to replace or to write in: Floe's own directories.
//!
//! By their paths they are found before anything is done, and with what they are in. A mount can hide a path, so that the
//! destination knows them by device and inode too ([`ids`]), where it enters or empties one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::destination::FileId;
use crate::reader::shown;
use crate::source::OwnDirectory;
use crate::{Error, ErrorKind, Remedy, Result};

/// How deep in Floe's own directories those are whose identities are known.
const LEVELS: usize = 2;
/// How many identities are looked for at most.
const MAX_IDS: usize = 4096;
/// As many symlinks as the kernel follows.
const MAX_SYMLINKS: usize = 40;

/// The paths of Floe's own directories below a destination, and of the symlinks that their paths lead through; raw bytes.
#[derive(Debug, Default)]
pub(super) struct OwnBelow {
    paths: Vec<Vec<u8>>,
}

impl OwnBelow {
    /// Finds them; what is not there cannot be removed.
    pub(super) fn find(destination: &Path, own: &[OwnDirectory]) -> Self {
        let Some(destination) = id(destination) else { return Self::default() };
        let below = |path: PathBuf| {
            // The same directory can have two paths.
            let top = path.ancestors().skip(1).find(|above| id(above) == Some(destination))?;
            Some(as_listed(top, path.strip_prefix(top).ok()?).into_os_string().into_vec())
        };
        Self { paths: own.iter().flat_map(|own| stations(&own.path)).filter_map(below).collect() }
    }

    /// Whether none is there.
    pub(super) fn is_none(&self) -> bool {
        self.paths.is_empty()
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
        Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::LeaveOut))
    }
}

/// A path below a directory in the spelling that the directories on the way list.
fn as_listed(top: &Path, below: &Path) -> PathBuf {
    let (mut at, mut listed) = (top.to_owned(), PathBuf::new());
    for name in below {
        let name = listed_name(&at, name).unwrap_or_else(|| name.to_owned());
        at.push(&name);
        listed.push(name);
    }
    listed
}

/// What a directory that finds a name by another spelling lists it as.
fn listed_name(directory: &Path, name: &OsStr) -> Option<OsString> {
    let list = || std::fs::read_dir(directory).into_iter().flatten().flatten();
    if list().any(|entry| entry.file_name() == name) {
        return None;
    }
    let own_id = |path: &Path| path.symlink_metadata().ok().map(|stat| (stat.dev(), stat.ino()));
    let wanted = own_id(&directory.join(name))?;
    list().find(|entry| own_id(&entry.path()) == Some(wanted)).map(|entry| entry.file_name())
}

/// What Floe's own directories are, and those in them, by whatever path they are met: sorted. One that is not there is none.
pub(super) fn ids(own: &[OwnDirectory]) -> Vec<FileId> {
    let mut ids = Vec::new();
    let mut level: Vec<PathBuf> = own.iter().map(|own| own.path.clone()).collect();
    for depth in 0..=LEVELS {
        let mut below = Vec::new();
        for path in level.iter().take(MAX_IDS.saturating_sub(ids.len())) {
            ids.extend(id(path));
            if depth == LEVELS {
                continue;
            }
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            below.extend(directories.map(|entry| entry.path()));
        }
        level = below;
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Refuses a destination that is, or is in, what a mount shows of Floe's own directories; of others [`refuse_in_own`](crate::source::refuse_in_own) knows.
///
/// # Errors
/// `Invalid` where it is.
pub(super) fn refuse_mounted(destination: &Path, ids: &[FileId]) -> Result<()> {
    let Ok(there) = destination.canonicalize() else { return Ok(()) };
    let is_own = |path: &Path| id(path).is_some_and(|id| ids.binary_search(&id).is_ok());
    if !there.ancestors().any(is_own) {
        return Ok(());
    }
    let message = format!(
        "{} lies in the store or the caches, where only Floe's own files belong",
        destination.display()
    );
    Err(Error::new(ErrorKind::Invalid, message))
}

/// Where a path leads, and the symlinks on the way there: each as a path that leads through none, but for its last component.
fn stations(path: &Path) -> Vec<PathBuf> {
    let Ok(path) = std::path::absolute(path) else { return Vec::new() };
    let mut stations = Vec::new();
    let mut at = PathBuf::from("/");
    let mut rest: Vec<OsString> = path.components().rev().map(|part| part.as_os_str().to_owned()).collect();
    while let Some(part) = rest.pop() {
        if part == "/" {
            at = PathBuf::from("/");
        } else if part == ".." {
            at.pop();
        } else if part != "." {
            at.push(&part);
            if let Ok(target) = std::fs::read_link(&at) {
                stations.push(at.clone());
                if stations.len() > MAX_SYMLINKS {
                    return stations;
                }
                at.pop();
                rest.extend(target.components().rev().map(|part| part.as_os_str().to_owned()));
            }
        }
    }
    stations.push(at);
    stations
}

fn id(path: &Path) -> Option<FileId> {
    let stat = std::fs::metadata(path).ok()?;
    Some((stat.dev(), stat.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_leads_through_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("real/store/default/packs")).unwrap();
        std::os::unix::fs::symlink("../real", base.join("real/again")).unwrap();
        std::os::unix::fs::symlink(base.join("real/again"), base.join("link")).unwrap();
        let path = base.join("real/../link/store");
        let expected = ["link", "real/again", "real/store"].map(|name| base.join(name));
        assert_eq!(stations(&path), expected);
        let own = [OwnDirectory { path, purpose: crate::source::Purpose::Store }];
        let below = OwnBelow::find(&base, &own);
        assert!(
            ["link", "real", "real/again", "real/store"].iter().all(|path| below.stands_at(path.as_bytes()))
        );
        assert!(!below.stands_at(b"real/store/default"));
        let known = ids(&own);
        for path in ["real/store", "real/store/default", "real/store/default/packs"] {
            assert!(known.contains(&id(&base.join(path)).unwrap()), "{path}");
        }
        assert!(!known.contains(&id(&base.join("real")).unwrap()));
        std::os::unix::fs::symlink("round", base.join("round")).unwrap();
        assert!(stations(&base.join("round")).len() > MAX_SYMLINKS);
    }

    #[test]
    fn a_directory_stands_at_its_path_and_at_those_above() {
        let own = OwnBelow { paths: vec![b"a/b".to_vec()] };
        assert!(own.stands_at(b"a") && own.stands_at(b"a/b"));
        assert!(!own.stands_at(b"a/") && !own.stands_at(b"a/b/c") && !own.stands_at(b"a/bc"));
    }
}
