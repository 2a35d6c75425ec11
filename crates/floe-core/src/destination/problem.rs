//! What a failed system call means to who pulls.

use rustix::io::Errno;

use crate::offload::cancelled;
use crate::{Error, ErrorKind, Remedy};

/// Answered where something would be done to a directory of Floe's own; no system call that is made here says it.
pub(super) const OWN: Errno = Errno::OWNERDEAD;

/// Answered where the pull is to stop; no system call that is made here says it either.
pub(super) const STOPPED: Errno = Errno::CANCELED;

/// Answered where something can be done only through `/proc`, which is not there; no system call that is made here says it.
pub(super) const NO_PROC: Errno = Errno::NOTUNIQ;

/// Answered where a directory would be removed in which a living pull writes; no system call that is made here says it.
pub(super) const HELD: Errno = Errno::USERS;

/// Answered where a directory with entries would be removed that no survey saw so; no system call that is made here says it.
pub(super) const UNSEEN: Errno = Errno::REMCHG;

/// Answered where somebody else has made what was not there; no system call that is made here says it.
pub(super) const TAKEN: Errno = Errno::XFULL;

/// What the kernel said, or would say.
pub(super) fn why(errno: Errno) -> String {
    if errno == NO_PROC { "/proc is not mounted".into() } else { std::io::Error::from(errno).to_string() }
}

/// The error for what is not, or not as, it was when it was looked at.
pub(super) fn changed_meanwhile(path: &str) -> Error {
    let message = format!("`{path}` was changed or replaced by somebody else meanwhile");
    Error::new(ErrorKind::Conflict, message)
}

/// The error for a system call that failed while `doing` something (a verb, "write") to what `path` shows.
pub(super) fn failed(doing: &str, path: &str, errno: Errno) -> Error {
    let (kind, why) = match errno {
        STOPPED => return cancelled(),
        Errno::NOSPC => (ErrorKind::Internal, ": the disk is full"),
        Errno::DQUOT => (ErrorKind::Internal, ": the disk quota is used up"),
        Errno::ACCESS | Errno::PERM => (ErrorKind::Denied, ": not permitted"),
        Errno::ROFS => (ErrorKind::Denied, ": the file system is read-only"),
        Errno::NOENT | Errno::STALE => (ErrorKind::Conflict, ": it was removed by somebody else meanwhile"),
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV => {
            (ErrorKind::Conflict, ": it is not the directory it was, and links are not followed")
        }
        // A few file systems say it also of what they use themselves.
        Errno::BUSY => (ErrorKind::Invalid, ": a mount point is there"),
        NO_PROC => (ErrorKind::Invalid, ": /proc is not mounted"),
        HELD => (ErrorKind::Conflict, ": another pull is writing there, or somebody else holds a lock on it"),
        UNSEEN => (
            ErrorKind::Conflict,
            ": somebody else has put a directory with entries there meanwhile, or changed the one that was there",
        ),
        TAKEN => (ErrorKind::Conflict, ": somebody else has put something there meanwhile"),
        OWN => (ErrorKind::Invalid, ": the store or the caches of this very command are there"),
        Errno::ISDIR | Errno::NOTEMPTY => (ErrorKind::Conflict, ": a directory with entries is in the way"),
        Errno::EXIST => (
            ErrorKind::Invalid,
            ": it exists already (do two names of the snapshot differ only in ways that this file system ignores?)",
        ),
        Errno::NAMETOOLONG | Errno::ILSEQ => (ErrorKind::Invalid, ": the file system cannot hold this name"),
        Errno::FBIG => (ErrorKind::Invalid, ": no file of this size may be made there"),
        Errno::MLINK => (ErrorKind::Invalid, ": the file system cannot hold so many links to one file"),
        Errno::OPNOTSUPP => (ErrorKind::Unsupported, ": the file system cannot do this"),
        Errno::MFILE | Errno::NFILE => (ErrorKind::Internal, ": too many files are open"),
        _ => (ErrorKind::Internal, ""),
    };
    let error = Error::new(kind, format!("cannot {doing} `{path}`{why}"));
    // What cannot be there whatever is done about it.
    let cannot_be = kind == ErrorKind::Invalid && errno != NO_PROC;
    let error = if cannot_be { error.with_remedy(Remedy::LeaveOut) } else { error };
    if matches!(errno, OWN | NO_PROC | HELD | UNSEEN | TAKEN) {
        error
    } else {
        error.with_source(std::io::Error::from(errno))
    }
}
