//! Listing one directory as it was at one moment, as far as that can be had.
//!
//! Names are read, then the kernel is asked about each. A name that is moved meanwhile may be among neither those that
//! were read nor those that are found; and ignore files may be rewritten, which is not done at one moment either. So a
//! directory that is not the same before and after is read again, [`READ_AGAIN`] times. After these, what is there is
//! taken, and told of: where names come and go all the time no push would end. Not where ignore files do: what they keep out
//! might be secret.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::Shared;
use super::agenda::{Outcome, Subdirectories};
use super::directory::Directory;
use super::huge::HugeDirectory;
use super::listing::Listing;
use super::names::{Names, bytes_of};
use crate::source::ignore::{CACHE_TAG_NAME, Obeyed};
use crate::source::read::unsteady;
use crate::source::trust::HashClock;
use crate::source::{FileKind, FileTime, Stat};

/// How often a directory that changed while it was listed is listed again.
pub(super) const READ_AGAIN: usize = 3;

/// What came of listing a directory once.
struct Attempt {
    outcome: Outcome,
    /// Whether it was the same before and after, and all its names were there.
    is_steady: bool,
    obeyed: Obeyed,
}

impl Shared {
    pub(super) fn list(
        &self,
        directory: &Arc<Directory>,
        closes_parent: bool,
        dirents: &mut Vec<u8>,
    ) -> Outcome {
        let opened = self.descriptors.open(directory);
        if closes_parent {
            self.descriptors.close_parent(directory);
        }
        let listed = opened.and_then(|descriptor| self.list_until_steady(directory, &descriptor, dirents));
        listed.unwrap_or_else(|errno| Outcome::Listed(unreadable(directory, errno), None))
    }

    fn list_until_steady(
        &self,
        directory: &Arc<Directory>,
        descriptor: &Arc<OwnedFd>,
        dirents: &mut Vec<u8>,
    ) -> Result<Outcome, Errno> {
        // The ignore files that were there once.
        let mut seen: Vec<&str> = Vec::new();
        let mut attempt = 0;
        let outcome = loop {
            let Attempt { mut outcome, is_steady, obeyed } =
                self.try_list(directory, descriptor, attempt == 0, dirents)?;
            let mut shaken = obeyed.shaken(descriptor);
            if is_steady && shaken.is_none() {
                break outcome;
            }
            if attempt == READ_AGAIN || self.is_stopped() {
                if let Outcome::Listed(listing, _) = &mut outcome {
                    listing.is_restless = !is_steady;
                }
                shaken = shaken.or_else(|| seen.into_iter().find(|file| !obeyed.has(file)));
                break match shaken {
                    Some(file) => Outcome::Failed(unsteady(&directory.path(), file.as_bytes())),
                    None => outcome,
                };
            }
            seen.extend(obeyed.files());
            attempt += 1;
        };
        if matches!(outcome, Outcome::Listed(_, Some(_))) {
            self.descriptors.keep(directory, descriptor);
        }
        Ok(outcome)
    }

    /// Lists a directory; by the names that are known of it, where they may be believed.
    fn try_list(
        &self,
        directory: &Arc<Directory>,
        descriptor: &Arc<OwnedFd>,
        believes_names: bool,
        dirents: &mut Vec<u8>,
    ) -> Result<Attempt, Errno> {
        let stat = Stat::of_file(descriptor)?;
        if !directory.is_listed(&stat, descriptor) && !self.is_mounted_since(directory, descriptor, &stat) {
            return Err(Errno::STALE);
        }
        if !self.filter.enters(&stat, self.root_device) {
            let outcome = Outcome::Listed(Listing::new(directory.path(), stat, Vec::new(), 0), None);
            return Ok(Attempt { outcome, is_steady: true, obeyed: Obeyed::default() });
        }
        let began = match &self.names {
            // Where the kernel cannot say what it is, names are read.
            Some(_) if !directory.is_lost_and_found() => HashClock::of_names(descriptor).ok().flatten(),
            _ => None,
        };
        let cache = self.names.as_ref().zip(began);
        let known = cache.filter(|_| believes_names).and_then(|(cache, _)| cache.find(&stat));
        let known = known.filter(|names| !names.are_many());
        // What is read is to be as of now: some file systems (btrfs) list what was there when the directory was opened.
        let is_read = known.is_none();
        let names = match known {
            Some(names) => names,
            None => {
                match rustix::fs::seek(descriptor, SeekFrom::Start(0)) {
                    // It cannot be read from its beginning but once.
                    Err(Errno::SPIPE) if believes_names => {}
                    result => drop(result?),
                }
                Names::read(descriptor, dirents)?
            }
        };
        #[cfg(test)]
        super::tests::once_names_are_read();
        if let Some((cache, began)) = cache
            && is_read
            && !names.are_many()
            && Stat::of_file(descriptor)? == stat
        {
            cache.note(&stat, &names, began);
        }
        let mut obeyed = Obeyed::default();
        let (outcome, is_short) = self.list_names(directory, descriptor, stat, names, &mut obeyed);
        let is_steady = !is_short && Stat::of_file(descriptor)? == stat;
        Ok(Attempt { outcome, is_steady, obeyed })
    }

    /// Whether something was mounted on a directory since it was listed: opening one does that where file systems are
    /// mounted when they are used. Nobody but root can put what is mounted in another's place.
    fn is_mounted_since(&self, directory: &Directory, descriptor: &OwnedFd, stat: &Stat) -> bool {
        !directory.is_listed_beside(stat)
            && Stat::is_mount_point(descriptor, c".")
            && self.filter.own(stat).is_none()
    }

    /// Lists those names of a directory that are wanted; and whether some of them were not there any more.
    fn list_names(
        &self,
        directory: &Arc<Directory>,
        descriptor: &Arc<OwnedFd>,
        stat: Stat,
        mut names: Names,
        obeyed: &mut Obeyed,
    ) -> (Outcome, bool) {
        let above = directory.inherited.as_ref();
        let rules = match self.filter.enter(above, descriptor, &stat, &names, || directory.path(), obeyed) {
            Ok(rules) => rules,
            Err(error) => return (Outcome::Failed(error), false),
        };
        if self.filter.keeps_only_tag(descriptor, &stat, &names, obeyed) {
            names.spans.retain(|span| bytes_of(&names.bytes, *span) == CACHE_TAG_NAME);
        }
        if names.are_many() {
            let (directory, descriptor, obeyed) =
                (Arc::clone(directory), Arc::clone(descriptor), obeyed.clone());
            let huge = HugeDirectory::new(directory, descriptor, stat, names, rules, obeyed);
            return (Outcome::Huge(huge), false);
        }
        let Names { bytes, spans } = names;
        let mut listing = Listing::new(directory.path(), stat, bytes, spans.len());
        let found = match self.stat_names(descriptor, &mut listing, &spans, rules.as_ref()) {
            Ok(found) => found,
            Err(error) => return (Outcome::Failed(error), false),
        };
        listing.rules = obeyed.in_the_end(!found.subdirectories.ids.is_empty());
        if found.subdirectories.ids.is_empty() {
            return (Outcome::Listed(listing, None), found.is_short);
        }
        let parent = Arc::clone(directory);
        let subdirectories = Subdirectories { parent, found: found.subdirectories, rules };
        (Outcome::Listed(listing, Some(subdirectories)), found.is_short)
    }
}

/// The empty listing of a directory that cannot be read. Nothing is known about it but its path.
fn unreadable(directory: &Directory, errno: Errno) -> Listing {
    let stat = Stat {
        size: 0,
        inode: 0,
        device: 0,
        special: 0,
        modified: FileTime::default(),
        changed: FileTime::default(),
        links: 0,
        uid: 0,
        gid: 0,
        mode: 0,
        kind: FileKind::Directory,
    };
    let mut listing = Listing::new(directory.path(), stat, Vec::new(), 0);
    listing.push_problem(b"", errno);
    listing
}
