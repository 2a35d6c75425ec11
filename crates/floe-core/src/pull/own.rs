//! What is below a destination and is not the snapshot's to remove or to replace: Floe's own directories.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::source::OwnDirectory;

/// The paths of Floe's own directories below a destination, raw bytes.
#[derive(Debug, Default)]
pub(super) struct OwnBelow {
    paths: Vec<Vec<u8>>,
}

impl OwnBelow {
    /// Finds them; what is not there cannot be removed.
    pub(super) fn find(destination: &Path, own: &[OwnDirectory]) -> Self {
        let Ok(destination) = std::fs::canonicalize(destination) else { return Self::default() };
        let below = |own: &OwnDirectory| {
            let path = std::fs::canonicalize(&own.path).ok()?;
            let path = path.strip_prefix(&destination).ok()?.as_os_str().as_bytes().to_vec();
            (!path.is_empty()).then_some(path)
        };
        Self { paths: own.iter().filter_map(below).collect() }
    }

    /// Whether one of them is at a path, or below it.
    pub(super) fn stands_at(&self, path: &[u8]) -> bool {
        self.paths
            .iter()
            .any(|own| own.strip_prefix(path).is_some_and(|rest| matches!(rest, [] | [b'/', ..])))
    }
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
