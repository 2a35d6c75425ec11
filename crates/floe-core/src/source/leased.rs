//! Opening files of a source, which perhaps somebody has leased.
//!
//! A lease for writing is what a file server takes of a file that a client of its own keeps in a cache. Whoever else opens
//! the file makes the kernel ask for the lease, and gets the file when the holder has written back and given it up, or
//! after `lease-break-time`, 45 seconds unless somebody set it otherwise. Who opens without waiting is told to come again,
//! and has asked all the same. So no open here waits in the kernel, where nothing could stop it.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::offload::rest;

use super::stat::{FileKind, Stat};

/// For how long a file that is leased is tried again, by the pauses between.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first pause, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Whoever waits for longer is told what for.
const TOLD_AFTER: Duration = Duration::from_secs(2);

/// Opens `name` in a directory to be read: no symbolic link, and nothing that would be waited for, but a regular file that
/// is leased. [`Errno::AGAIN`] where that is not given up, or the caller is to stop.
pub(super) fn open_to_read(
    directory: BorrowedFd<'_>,
    name: &CStr,
    more: OFlags,
    is_stopped: impl Fn() -> bool,
) -> Result<OwnedFd, Errno> {
    // O_NONBLOCK: a fifo or device put in the file's place must not make the push wait.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let (mut waited, mut pause) = (Duration::ZERO, PAUSES.0);
    loop {
        match rustix::fs::openat(directory, name, flags | more, Mode::empty()) {
            Err(Errno::AGAIN) if waited < PATIENCE && !is_stopped() => {
                // Some devices answer so, too.
                if Stat::of_name(directory, name)?.kind != FileKind::File {
                    return Err(Errno::NOTSUP);
                }
                rest(pause);
                if waited < TOLD_AFTER && waited + pause >= TOLD_AFTER {
                    let name = name.to_string_lossy();
                    tracing::warn!("waiting for {name}: somebody has a lease on it, a file server perhaps");
                }
                waited += pause;
                pause = (2 * pause).min(PAUSES.1);
            }
            opened => return opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use floe_testkit::skip;

    use super::*;
    use crate::source::trust::Lease;

    /// A directory with a file of which there is a lease for writing; nothing where there are no leases.
    fn leased() -> Option<(tempfile::TempDir, Lease)> {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("file")).unwrap();
        match Lease::take(file) {
            Ok(lease) => Some((directory, lease)),
            Err(error) => {
                skip(format_args!("no leases here: {error}"));
                None
            }
        }
    }

    #[test]
    fn a_file_that_is_leased_is_opened_once_the_lease_is_given_up() {
        let Some((directory, lease)) = leased() else { return };
        let open = File::open(directory.path()).unwrap();
        std::thread::scope(|scope| {
            let opening =
                scope.spawn(|| open_to_read(open.as_fd(), c"file", OFlags::empty(), || false).map(drop));
            lease.give_up_when_asked();
            assert_eq!(opening.join().unwrap(), Ok(()));
        });
    }

    #[test]
    fn who_is_to_stop_does_not_wait_for_a_lease() {
        let Some((directory, _lease)) = leased() else { return };
        let open = File::open(directory.path()).unwrap();
        let opened = open_to_read(open.as_fd(), c"file", OFlags::empty(), || true);
        assert_eq!(opened.map(drop), Err(Errno::AGAIN));
    }
}
