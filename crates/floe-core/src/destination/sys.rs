//! The one call of the destination that is not safe Rust.
#![allow(unsafe_code)]

use rustix::io;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Gives the calling thread a umask and a working directory of its own.
pub(super) fn unshare_file_system_attributes() -> io::Result<()> {
    // SAFETY: CLONE_FS unshares no memory, descriptors or namespaces; what other threads of this process see does not
    // change, and code that relies on threads sharing a working directory or umask is not run on this thread.
    // WHY: rustix has no safe form, because other flags of the same call are unsound.
    unsafe { unshare_unsafe(UnshareFlags::FS) }
}
