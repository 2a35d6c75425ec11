//! A parallel walk in canonical order.
//!
//! The caller's thread and a few others take directories from one [`agenda`](self::agenda), soonest needed first; the
//! caller gets the listings in order. A caller with nothing to take helps instead of waiting, so two threads keep two
//! cores busy whether or not the caller has other work.
//!
//! Memory is bounded: others run ahead until [`WalkOptions::look_ahead_bytes`] of listings wait; a huge directory is
//! handed out in parts, of which only the names exist at once. Dropping the walk stops all threads within one
//! system call each.

mod agenda;
mod directory;
mod huge;
mod listing;
mod names;
mod reading;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use self::agenda::{Agenda, Job, Outcome};
use self::directory::{Descriptors, Directory, lock};
pub(crate) use self::listing::join;
pub use self::listing::{Child, Listing, Problem};
use self::names::{FoundDirectories, c_str};
pub(super) use self::names::{Name, Names};
use super::ignore::{Exclusions, Filter, Rules};
use super::name_cache::NameCache;
use super::read::unsteady;
use super::stat::{FileKind, Stat};
use super::trust::{HashClock, WalkBegan};
use crate::error::{Error, ErrorKind, Result};
use crate::offload::OnPanic;

/// How a walk is done and what it leaves out.
#[derive(Clone, Debug)]
pub struct WalkOptions {
    /// How many threads take part, the caller's included. Beyond two, nothing was gained on two cores.
    pub threads: NonZeroUsize,
    /// How many bytes of listings may wait to be taken.
    pub look_ahead_bytes: usize,
    /// What is left out.
    pub exclusions: Exclusions,
    /// What the names in directories were, and where they are noted.
    pub(crate) names: Option<Arc<NameCache>>,
    /// Ends waiting for an ignore file that somebody has leased.
    pub cancel: CancellationToken,
}

impl Default for WalkOptions {
    fn default() -> Self {
        let threads = NonZeroUsize::MIN.saturating_add(1);
        Self {
            threads,
            look_ahead_bytes: 8 << 20,
            exclusions: Exclusions::default(),
            names: None,
            cancel: CancellationToken::new(),
        }
    }
}

/// A walk under way: an iterator over [`Listing`]s in canonical order, until one of them is an error.
///
/// Every directory has at least one listing, except those on other file systems that are not entered. A directory that
/// cannot be read has an empty one with a [`Problem`]; so has one that was moved away, removed, replaced or given another
/// mode or owner after its parent was listed, which [`Problem::is_change`] tells. So whatever was decided of what the
/// parent's listing says of it, and what that says itself, is true of what is opened; what was mounted meanwhile excepted.
#[derive(Debug)]
pub struct Walk {
    shared: Arc<Shared>,
    dirents: Vec<u8>,
    threads: Vec<JoinHandle<()>>,
    failed: bool,
    began: WalkBegan,
}

#[derive(Debug)]
struct Shared {
    agenda: Mutex<Agenda>,
    /// Signalled when there is something to take, and when the walk stops.
    changed: Condvar,
    waiting: std::sync::atomic::AtomicUsize,
    /// Asked for each name, and therefore not the token.
    stopped: AtomicBool,
    cancel: CancellationToken,
    /// A thread panicked; its job will never be finished.
    broken: AtomicBool,
    filter: Filter,
    names: Option<Arc<NameCache>>,
    root_device: u64,
    descriptors: Descriptors,
}

impl Walk {
    /// Starts to walk the directory at `root`, the one path here of which the last component may be a symbolic link.
    ///
    /// # Errors
    ///
    /// The root cannot be opened, is no directory, or it is a directory of Floe's own, or a glob of the exclusions is
    /// malformed.
    pub fn new(root: &Path, options: &WalkOptions) -> Result<Self> {
        let open = || -> Result<(OwnedFd, Stat, WalkBegan), Errno> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let descriptor = rustix::fs::open(root, flags, Mode::empty())?;
            let stat = Stat::of_file(&descriptor)?;
            let began = WalkBegan { clock: HashClock::read(&descriptor)?, device: stat.device };
            Ok((descriptor, stat, began))
        };
        let (descriptor, stat, began) = open().map_err(|errno| {
            let root = root.display();
            match errno {
                Errno::NOTDIR => Error::new(ErrorKind::Invalid, format!("{root} is not a directory")),
                _ => Error::io(format!("cannot open {root}"), errno.into()),
            }
        })?;
        // A walk that is dropped waits for nothing either.
        let cancel = options.cancel.child_token();
        let filter = Filter::new(&options.exclusions)?.heeding(&cancel);
        if let Some(purpose) = filter.own(&stat) {
            let message = format!("{} is {purpose} of this very command", root.display());
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let root = Arc::new(Directory::root(descriptor));
        let shared = Arc::new(Shared {
            agenda: Mutex::new(Agenda::new(root, options.look_ahead_bytes)),
            changed: Condvar::new(),
            waiting: 0.into(),
            stopped: AtomicBool::new(false),
            cancel,
            broken: AtomicBool::new(false),
            filter,
            names: options.names.clone(),
            root_device: stat.device,
            descriptors: Descriptors::default(),
        });
        let mut walk = Self { shared, dirents: Vec::new(), threads: Vec::new(), failed: false, began };
        for _ in 1..options.threads.get() {
            let shared = Arc::clone(&walk.shared);
            let spawned = std::thread::Builder::new().name("floe-walk".into()).spawn(move || shared.work());
            walk.threads
                .push(spawned.map_err(|error| Error::io("cannot start a thread for the walk", error))?);
        }
        Ok(walk)
    }

    /// The moment it began, by the clock of the root's file system.
    pub(crate) fn began(&self) -> WalkBegan {
        self.began
    }

    fn next_listing(&mut self) -> Option<Result<Listing>> {
        let shared = &*self.shared;
        let mut agenda = lock(&shared.agenda);
        loop {
            if let Some(result) = agenda.pop() {
                drop(agenda);
                shared.signal();
                return Some(result);
            }
            if agenda.is_empty() {
                return None;
            }
            if shared.broken.load(Ordering::Relaxed) {
                return Some(Err(Error::new(ErrorKind::Internal, "a thread of the walk panicked")));
            }
            agenda = match agenda.take() {
                Some((slot, job)) => {
                    drop(agenda);
                    let outcome = shared.run(job, &mut self.dirents);
                    let mut agenda = lock(&shared.agenda);
                    agenda.finish(slot, outcome);
                    shared.signal();
                    agenda
                }
                None => shared.wait(agenda),
            };
        }
    }
}

impl Iterator for Walk {
    type Item = Result<Listing>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_listing();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            // A panic was reported when it happened and, unless nobody asked any more, by `next`.
            let _ = thread.join();
        }
    }
}

/// What was found of names.
#[derive(Default)]
struct Found {
    /// The directories to enter.
    subdirectories: FoundDirectories,
    /// Whether some of them were not there any more.
    is_short: bool,
}

impl Shared {
    /// What each thread but the caller's does.
    fn work(&self) {
        let _watch = OnPanic::new(|| {
            self.broken.store(true, Ordering::Relaxed);
            self.stop();
        });
        let mut dirents = Vec::new();
        let mut agenda = lock(&self.agenda);
        while !agenda.is_empty() && !self.is_stopped() {
            agenda = match agenda.take() {
                Some((slot, job)) => {
                    drop(agenda);
                    let outcome = self.run(job, &mut dirents);
                    let mut agenda = lock(&self.agenda);
                    agenda.finish(slot, outcome);
                    self.signal();
                    agenda
                }
                None => self.wait(agenda),
            };
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.cancel.cancel();
        // Under the lock, so that nobody is between looking and waiting.
        let _agenda = lock(&self.agenda);
        self.changed.notify_all();
    }

    fn signal(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }

    fn wait<'a>(&self, agenda: std::sync::MutexGuard<'a, Agenda>) -> std::sync::MutexGuard<'a, Agenda> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let agenda = self.changed.wait(agenda).unwrap_or_else(std::sync::PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        agenda
    }

    fn run(&self, job: Job, dirents: &mut Vec<u8>) -> Outcome {
        match job {
            Job::Root(root) => self.list(&root, false, dirents),
            Job::Subdirectory(group, index) => {
                let (directory, is_last) = group.directory(index);
                drop(group);
                self.list(&directory, is_last, dirents)
            }
            Job::Chunk(huge, chunk, reserved) => {
                let (mut listing, spans) = huge.part(chunk);
                let found = self.stat_names(&huge.descriptor, &mut listing, &spans, huge.rules.as_ref());
                let found = match found {
                    Ok(found) => found,
                    Err(error) => return Outcome::Failed(error),
                };
                if let Some(file) = huge.obeyed.shaken(&huge.descriptor) {
                    return Outcome::Failed(unsteady(&huge.path, file.as_bytes()));
                }
                let is_same = |now: Stat| now == huge.stat;
                listing.is_short = found.is_short || !Stat::of_file(&huge.descriptor).is_ok_and(is_same);
                let (group, all_done) = huge.finish(chunk, found.subdirectories);
                if group.is_some() {
                    self.descriptors.keep(&huge.directory, &huge.descriptor);
                }
                Outcome::Part(listing, reserved, group, all_done)
            }
        }
    }

    /// Adds to the listing those of its names that are wanted and still there.
    fn stat_names(
        &self,
        descriptor: &OwnedFd,
        listing: &mut Listing,
        spans: &[Name],
        rules: Option<&Arc<Rules>>,
    ) -> Result<Found> {
        let mut subdirectories = FoundDirectories::default();
        let mut is_short = false;
        let mut excluder = self.filter.excluder(rules, &listing.path);
        for &span in spans {
            if self.is_stopped() {
                break;
            }
            let name = c_str(&listing.names, span);
            if let (Some(excluder), Some(kind)) = (&mut excluder, span.kind)
                && excluder.excludes(name.to_bytes(), kind == FileKind::Directory)?
            {
                continue;
            }
            let stat = match Stat::of_name(descriptor, name) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => {
                    is_short = true;
                    continue;
                }
                Err(errno) => {
                    let name = name.to_bytes().to_vec();
                    listing.push_problem(&name, errno);
                    continue;
                }
            };
            let is_directory = stat.kind == FileKind::Directory;
            // Asked again where the directory entry told no kind, or one that is true no more.
            if let Some(excluder) = &mut excluder
                && span.kind.is_none_or(|kind| (kind == FileKind::Directory) != is_directory)
                && excluder.excludes(name.to_bytes(), is_directory)?
            {
                continue;
            }
            let is_mounted = || Stat::is_mount_point(descriptor, name);
            if self.filter.excludes_stat(&stat)
                || self.filter.excludes_mounted(&stat, self.root_device, is_mounted)
            {
                continue;
            }
            if is_directory && let Some(purpose) = self.filter.own(&stat) {
                let name = name.to_bytes().to_vec();
                listing.push_own(&name, purpose);
                continue;
            }
            if is_directory && self.filter.enters(&stat, self.root_device) {
                subdirectories.push(name, &stat);
            }
            listing.push(span.start, span.length, stat);
        }
        Ok(Found { subdirectories, is_short })
    }
}
