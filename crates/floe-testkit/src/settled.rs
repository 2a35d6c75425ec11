//! Waiting for the clock that files are stamped with.

use std::path::Path;

use floe_core::source::{HashClock, Stat, is_trusted};

use crate::wait_until;

/// Waits until hashes of what was written so far on the file system of `directory` may be remembered.
///
/// It asks again and again, since nothing tells that a clock has moved on. What `directory` holds stays as it is, but its
/// own times may change.
pub fn wait_until_trusted(directory: &Path) {
    // Stamped after all that was written before.
    let last = tempfile::tempfile_in(directory).unwrap();
    let stat = Stat::of_file(&last).unwrap();
    wait_until("the file system's clock moves on", || is_trusted(&stat, HashClock::read(&last).unwrap()));
}
