//! A umask of the thread's own.

use rustix::fs::Mode;
use rustix::process::umask;

use super::sys;

/// A umask of zero for the current thread, as long as this lives.
///
/// A mode given to `open` is then the mode of the file, which saves an `fchmod` for each (413 ms against 477 ms for 50,000
/// files). Where the kernel refuses, the process's umask stays and modes are set afterwards.
pub(super) struct PrivateUmask {
    previous: Option<Mode>,
}

impl PrivateUmask {
    pub(super) fn enter() -> Self {
        let previous = sys::unshare_file_system_attributes().ok().map(|()| umask(Mode::empty()));
        Self { previous }
    }

    /// Whether modes given to `open` come out as they are.
    pub(super) fn is_private(&self) -> bool {
        self.previous.is_some()
    }
}

impl Drop for PrivateUmask {
    fn drop(&mut self) {
        if let Some(mask) = self.previous {
            umask(mask);
        }
    }
}
