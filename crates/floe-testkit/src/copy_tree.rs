//! Directories copied whole.

use std::path::Path;
use std::process::Command;

/// Copies a directory and all that is in it, with modes, times and links, to where nothing is yet; where there is no
/// such directory, nothing.
///
/// Inodes and times of change are others, and so a copy of a source is one that no stat cache knows; a copy of a cache
/// knows what the cache knew.
#[track_caller]
pub fn copy_tree(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let (from, to) = (from.as_ref(), to.as_ref());
    if !from.exists() {
        return;
    }
    assert!(!to.exists(), "{to:?} is there already");
    let status = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success(), "{from:?} was not copied to {to:?}");
}
