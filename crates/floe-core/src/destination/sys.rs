//! The calls of the destination that are not safe Rust.
#![allow(unsafe_code)]

use std::os::fd::{IntoRawFd, OwnedFd};

use rustix::io::{self, Errno};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Gives the calling thread a umask and a working directory of its own.
pub(super) fn unshare_file_system_attributes() -> io::Result<()> {
    // SAFETY: CLONE_FS unshares no memory, descriptors or namespaces; what other threads of this process see does not
    // change, and code that relies on threads sharing a working directory or umask is not run on this thread.
    // WHY: rustix has no safe form, because other flags of the same call are unsound.
    unsafe { unshare_unsafe(UnshareFlags::FS) }
}

/// Closes a file, and says what the file system says of what was written.
pub(super) fn close(file: OwnedFd) -> io::Result<()> {
    // SAFETY: nobody else has the descriptor, and it is not used again: Linux gives it free whatever it answers.
    // WHY: rustix drops what the kernel answers.
    if unsafe { libc::close(file.into_raw_fd()) } == 0 {
        return Ok(());
    }
    match Errno::from_io_error(&std::io::Error::last_os_error()) {
        None | Some(Errno::INTR) => Ok(()),
        Some(errno) => Err(errno),
    }
}
