//! The side of a pull that writes: a tree of files below one directory, and never beside it.
//!
//! A tree is written into a [`Staging`] directory that is renamed into place when it is whole, or over an existing
//! directory ([`InPlace`]), where each file is replaced at once and only where it differs. Both hand out a [`Tree`];
//! each thread that writes takes a [`Worker`] of it.
//!
//! # Invariants
//!
//! - Nothing outside the destination is created, changed or removed, whatever the snapshot says and whatever another
//!   process does to the destination meanwhile (invariant 6). Every directory is opened beneath the root's descriptor
//!   without following a symlink; every other operation names one component relative to such a descriptor and follows
//!   nothing. Names are checked again here, though the format has checked them.
//! - A staged tree is seen whole or not at all. In place, each file is the old one or the new one, never a part, and
//!   what others may not do in a directory in the end they may not from before anything is written there. A file where the
//!   snapshot has a directory stays until all is written and checked.
//! - In place, what is made is its maker's alone until it has its owner and its ACL, and what is there loses rights before it
//!   gets others. Attributes are given to what a survey looked at, and to nothing that somebody put in its place.
//! - What is removed never leads through a symlink or into another mount. A staging directory is removed only under its
//!   lock, however deep it is below what is removed: whatever a living pull has staged stays, also where it is moved to its
//!   destination meanwhile. Nor is a directory emptied that a living pull in place holds.
//! - Floe's own directories ([`Settings::own`]) are neither written in nor removed, by whatever path they are met.
//!
//! # Concurrency
//!
//! A [`Tree`] is shared by reference; its table of directories is behind one lock that is taken when a directory is
//! opened, not for each file. A [`Worker`] belongs to its thread: it keeps the directories last used open (a fixed number,
//! so that neither a million directories nor a depth of ten thousand need more) and a umask of its own.
//!
//! # Errors
//!
//! What a system call refuses is Denied (not permitted, a read-only file system), Conflict (somebody else changes the
//! destination meanwhile), Invalid or Unsupported (the file system cannot hold such a name, file or attribute) or Internal
//! (a full disk, too many open files). Removing, which may take long, is Cancelled when the pull is to stop.
//!
//! # What a crash leaves
//!
//! A staging directory `.NAME.floe-…` beside the destination, or temporary files `.floe-….tmp` inside it. Both are
//! held by a `flock` that ends with the process, so the next pull to the same place knows them for dead and clears
//! them, and never a living one's, nor somebody else's. Whatever has exactly such a name, 16 hexadecimal digits and all, is
//! taken for one.

mod aside;
mod attributes;
mod below;
mod directories;
mod entry;
mod existing;
mod file;
mod finish;
mod in_place;
mod lent;
mod letters;
mod names;
mod obstacles;
mod open;
mod problem;
mod reconcile;
mod removal;
mod special;
mod spelling;
mod staging;
mod stale;
mod sys;
mod tree;
mod umask;
mod worker;
mod xattrs;

#[cfg(test)]
mod tests;

pub(crate) use directories::DirId;
pub(crate) use entry::{Device, FileId, FileStat, Kind, Meta, Mtime, Owner, Settings, Xattr};
pub(crate) use existing::ExistingFile;
pub(crate) use file::FileWriter;
pub(crate) use in_place::InPlace;
pub(crate) use letters::{in_one_spelling, without_case};
pub(crate) use reconcile::{Survey, Verdict, Wanted, WantedKind};
pub(crate) use staging::{Occupant, Staging, look};
pub use tree::Complaints;
pub(crate) use tree::Tree;
pub(crate) use worker::Worker;

/// Closes a file, and says what the file system says of what was written: where a server has it, perhaps only now that there
/// is no room for it.
///
/// # Errors
///
/// What the kernel answers; the file is closed in any case.
pub fn close(file: impl Into<std::os::fd::OwnedFd>) -> std::io::Result<()> {
    sys::close(file.into()).map_err(Into::into)
}
