//! Asking the kernel whether a file is open for writing anywhere.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{F_RDLCK, F_SETLEASE, F_UNLCK, SIGURG, c_int, fcntl};

/// Which signal tells of a lease that is to be given up; `libc` does not have it for Linux.
const F_SETSIG: c_int = 10;

/// Whether somebody has a regular file open for writing, or mapped so that it can be written. False where that is not told:
/// of files of others, and where there are no leases.
///
/// A lease for reading is given only if nobody has. It is given back at once: whoever opens the file in between waits for
/// that long.
pub(super) fn is_written(file: BorrowedFd<'_>) -> bool {
    let file = file.as_raw_fd();
    // SAFETY: these commands take and give numbers alone, and the descriptor is open. The signal that tells of somebody who
    // waits for the lease is one that does nothing unless a program asks for it; by default it would end the process.
    // WHY: rustix has no leases.
    let lease = unsafe {
        if fcntl(file, F_SETSIG, SIGURG) != 0 {
            return false;
        }
        fcntl(file, F_SETLEASE, F_RDLCK)
    };
    if lease != 0 {
        return std::io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN);
    }
    // SAFETY: the file is open; F_UNLCK takes a lease away and reads no memory.
    // WHY: rustix has no leases.
    unsafe { fcntl(file, F_SETLEASE, F_UNLCK) };
    false
}

/// A lease for writing, as a file server takes it.
#[cfg(test)]
pub(in crate::source) struct Lease(std::fs::File);

#[cfg(test)]
impl Lease {
    pub(in crate::source) fn take(file: std::fs::File) -> std::io::Result<Self> {
        let lease = Self(file);
        // SAFETY: the file is open as long as `lease`, and neither command reads memory.
        // WHY: rustix has no leases.
        let is_taken = unsafe {
            fcntl(lease.0.as_raw_fd(), F_SETSIG, SIGURG) == 0
                && fcntl(lease.0.as_raw_fd(), F_SETLEASE, libc::F_WRLCK) == 0
        };
        if is_taken { Ok(lease) } else { Err(std::io::Error::last_os_error()) }
    }

    /// Waits until somebody wants the file, and gives it up.
    pub(in crate::source) fn give_up_when_asked(self) {
        let file = self.0.as_raw_fd();
        // SAFETY: the file is open as long as `self`, and F_GETLEASE takes no argument.
        // WHY: rustix has no leases.
        while unsafe { fcntl(file, libc::F_GETLEASE) } == libc::F_WRLCK {
            std::thread::yield_now();
        }
        // SAFETY: the file is open as long as `self`, and F_UNLCK reads no memory.
        // WHY: rustix has no leases.
        unsafe { fcntl(file, F_SETLEASE, F_UNLCK) };
    }
}
