//! What differs between a directory as it is and as the snapshot has it.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::readlinkat_raw;
use rustix::io::{self, Errno};

use super::attributes::Handle;
use super::directories::{DirId, state};
use super::entry::{ALL_MODE_BITS, Device, FileId, FileStat, GROUP_BITS, Kind, Meta, SPECIAL_BITS};
use super::existing::{ExistingFile, Listing, has_entries};
use super::finish::stricter;
use super::obstacles::is_to_be_written;
use super::problem::failed;
use super::spelling::OtherSpellings;
use super::worker::Worker;
use super::{names, staging, xattrs};
use crate::{Error, ErrorKind, Remedy, Result};

/// One entry that the snapshot has in a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Its name.
    pub(crate) name: &'a [u8],
    /// What it is.
    pub(crate) kind: WantedKind<'a>,
    /// What is restored of it besides; not looked at for a hard link.
    pub(crate) meta: Meta<'a>,
}

impl Wanted<'_> {
    fn kind_has_mode(&self) -> bool {
        !matches!(self.kind, WantedKind::Symlink(_))
    }
}

/// What an entry of the snapshot is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WantedKind<'a> {
    /// A directory that was added to the tree.
    Directory(DirId),
    /// A regular file with so many bytes.
    File(u64),
    /// A symlink with this target.
    Symlink(&'a [u8]),
    /// Another name of an earlier file.
    HardLink,
    /// The same of a file that is not pulled: it may become that file, as which it is looked at later.
    StandIn,
    /// A named pipe.
    Fifo,
    /// A device node.
    Device(Device),
}

/// What an entry of the snapshot asks for, where things are as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: it is there and equal. A directory that is there is kept whatever its mode and time.
    Keep,
    /// [`Worker::fix`]: only mode, time, owner or extended attributes differ.
    Fix,
    /// To be written; there is nothing of that name.
    Create,
    /// To be written over something else, which the same calls do.
    Replace,
    /// [`Worker::hard_link`], after all files are written; there is nothing of that name.
    Link,
    /// The same over what is there, unless [`Survey::linked`] shows that it is that link.
    Relink,
    /// Nothing: a device node, which was not asked for.
    Skip,
}

/// A directory compared with the snapshot's.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// For each wanted entry, in their order.
    pub(crate) verdicts: Vec<Verdict>,
    /// What is there of hard links, and of kept files that have other names: which file it is.
    pub(crate) linked: Vec<(usize, FileId)>,
    /// Which wanted entries, by their numbers, are to be written or linked where a directory is.
    pub(crate) in_the_way: Vec<usize>,
    /// Which wanted entries are there under other spellings, which the directory lists.
    pub(crate) respelled: Vec<usize>,
    /// Whether the directory finds names in another case, where a name of it shows that.
    pub(crate) ignores_case: Option<bool>,
    /// Names that the snapshot does not have; to be removed only when deleting is asked for.
    pub(crate) extra: Vec<Vec<u8>>,
    /// Temporary names that a killed pull left behind; to be removed in any case.
    pub(crate) stale: Vec<Vec<u8>>,
}

impl Survey {
    /// Takes down what is to become of a wanted entry, the next in their order, and what is there of its name.
    fn decide(&mut self, number: usize, entry: &Wanted<'_>, stat: Option<&FileStat>, verdict: Verdict) {
        if let Some(stat) = stat.filter(|stat| stat.kind == Kind::File && stat.links > 1)
            && matches!(
                (entry.kind, verdict),
                (WantedKind::HardLink | WantedKind::StandIn, _) | (WantedKind::File(_), Verdict::Keep)
            )
        {
            self.linked.push((number, stat.id()));
        }
        if stat.is_some_and(|stat| stat.kind == Kind::Directory)
            && matches!(verdict, Verdict::Replace | Verdict::Relink)
        {
            self.in_the_way.push(number);
        }
        self.verdicts.push(verdict);
    }
}

/// Decides whether a file of the right size has the content that the snapshot has; the number is the wanted entry's.
pub(crate) type SameContent<'a> = dyn FnMut(usize, &ExistingFile<'_>) -> Result<bool> + 'a;

impl Worker<'_> {
    /// Compares a directory with all that the snapshot has in it, ascending by name. Nothing is changed, but that one which
    /// its owner may not look into is opened for the owner until all is done, and for good where the pull fails.
    ///
    /// A directory is surveyed after its parent, so that what is below a missing one costs nothing; survey all before the
    /// first is written, and whatever stands in the way is known before anything has changed.
    ///
    /// # Errors
    ///
    /// Invalid: a directory with entries is where the snapshot has something else, and deleting was not asked for; or one
    /// of Floe's own is where the snapshot has a directory. Where it [only looks](super::Settings::looks_only), also what is
    /// found of what writing would have.
    pub(crate) fn survey<'w>(
        &mut self,
        directory: DirId,
        wanted: impl IntoIterator<Item = Wanted<'w>, IntoIter: Clone>,
        same: &mut SameContent<'_>,
    ) -> Result<Survey> {
        let mut last = None;
        let wanted = wanted.into_iter();
        let names = wanted.clone().map(|entry| entry.name);
        let wanted = wanted.map(|entry| {
            check_next(last.replace(entry.name), &entry)?;
            Ok(entry)
        });
        let known = self.tree.directories().state(directory);
        let is_hidden = known & state::CLOSED != 0 && self.tree.settings.looks_only;
        if is_hidden {
            let path = self.tree.shown(directory, b"");
            tracing::warn!("`{path}` may not be looked into; what is to be below it counts as missing there");
        }
        if known & state::ABSENT != 0 || is_hidden {
            return self.survey_missing(directory, wanted);
        }
        let shown = |name: &[u8]| self.tree.shown(directory, name);
        let mut survey = Survey::default();
        let at = self.directory(directory)?;
        let at = at.as_fd();
        if known & state::CLOSED != 0 {
            self.make_writable(directory, at)?;
        }
        let listing = Listing::read_through(at, &mut self.dirents)
            .map_err(|e| failed("read the directory", &self.tree.shown(directory, b""), e))?;
        let mut spellings = match known & state::FOLDS {
            0 => OtherSpellings::of(at, &listing, names),
            _ => OtherSpellings::of_missing(),
        };
        survey.ignores_case = spellings.ignore_case();
        if survey.ignores_case == Some(true) {
            self.tree.directories().mark(directory, state::FOLDS);
        }
        let mut found = listing.iter().peekable();
        let mut is_written = false;
        let mut vacant = Vec::new();
        for (number, entry) in wanted.enumerate() {
            let entry = entry?;
            while let Some(name) = found.next_if(|&name| name < entry.name) {
                surplus(&mut survey, at, name);
            }
            let mut there = false;
            while found.next_if_eq(&entry.name).is_some() {
                there = true;
            }
            let stat = if there {
                FileStat::of_name_if_any(at, entry.name)
                    .map_err(|e| failed("look at", &self.tree.shown(directory, entry.name), e))?
            } else {
                None
            };
            let is_listed = stat.is_some();
            let stat = spellings.note(Some((at, &listing)), entry.name, stat, &shown)?;
            if stat.is_some() && !is_listed {
                survey.respelled.push(number);
            }
            let verdict = match stat {
                Some(stat) => self.judge(directory, at, &entry, stat, &mut |file| same(number, file))?,
                None => {
                    vacant.push(self.tree.place(directory, entry.name));
                    self.missing(directory, &entry)
                }
            };
            if self.tree.settings.looks_only {
                self.foresee(directory, at, &entry, stat.as_ref(), verdict)?;
                is_written |= is_to_be_written(entry.kind, stat.as_ref(), verdict);
            }
            survey.decide(number, &entry, stat.as_ref(), verdict);
        }
        for name in found {
            surplus(&mut survey, at, name);
        }
        self.tree.note_vacant(vacant);
        survey.extra.retain(|name| !spellings.has(at, name));
        if is_written {
            self.foresee_writing(directory, at)?;
        }
        Ok(survey)
    }

    /// The survey of a directory that is not there, or may not be looked into.
    fn survey_missing<'w>(
        &self,
        directory: DirId,
        wanted: impl Iterator<Item = Result<Wanted<'w>>>,
    ) -> Result<Survey> {
        let shown = |name: &[u8]| self.tree.shown(directory, name);
        let mut spellings = match self.tree.directories().state(directory) & state::FOLDS {
            0 => OtherSpellings::default(),
            _ => OtherSpellings::of_missing(),
        };
        let mut survey = Survey::default();
        for entry in wanted {
            let entry = entry?;
            spellings.note(None, entry.name, None, &shown)?;
            survey.verdicts.push(self.missing(directory, &entry));
        }
        Ok(survey)
    }

    /// Whether the root has another mode, time, owner or other extended attributes than these.
    ///
    /// # Errors
    ///
    /// What the [module](crate::destination#errors) says of system calls.
    pub(crate) fn root_differs(&self, meta: &Meta<'_>) -> Result<bool> {
        let root = self.tree.root.as_fd();
        let wrong = |errno| failed("look at", &self.tree.shown(DirId::ROOT, b""), errno);
        let stat = FileStat::of_descriptor(root).map_err(wrong)?;
        let differs = self.tree.closed_root.unwrap_or(stat.mode) != meta.mode & ALL_MODE_BITS
            || meta.mtime.is_some_and(|t| t != stat.mtime)
            || meta.owner.is_some_and(|o| o != stat.owner);
        let differs = match meta.xattrs {
            Some(wanted) if !differs => !xattrs::compare(root, wanted).map_err(wrong)?.is_empty(),
            _ => differs,
        };
        if differs && self.tree.settings.looks_only {
            self.foresee_root(&stat)?;
        }
        Ok(differs)
    }

    /// Whether a directory has that name; links are not followed.
    ///
    /// # Errors
    ///
    /// What the [module](crate::destination#errors) says of system calls.
    pub(crate) fn is_directory(&mut self, directory: DirId, name: &[u8]) -> Result<bool> {
        if self.tree.directories().state(directory) & state::ABSENT != 0 {
            return Ok(false);
        }
        let at = self.directory(directory)?;
        let stat = FileStat::of_name_if_any(at.as_fd(), name)
            .map_err(|e| failed("look at", &self.tree.shown(directory, name), e))?;
        Ok(stat.is_some_and(|stat| stat.kind == Kind::Directory))
    }

    fn missing(&self, directory: DirId, entry: &Wanted<'_>) -> Verdict {
        match entry.kind {
            WantedKind::Directory(id) => {
                let table = self.tree.directories();
                // It will be as the one that it is made in.
                table.mark(id, state::ABSENT | table.state(directory) & state::FOLDS);
                Verdict::Create
            }
            WantedKind::HardLink | WantedKind::StandIn => Verdict::Link,
            WantedKind::Device(_) if !self.tree.settings.devices => Verdict::Skip,
            _ => Verdict::Create,
        }
    }

    fn judge(
        &self,
        directory: DirId,
        at: BorrowedFd<'_>,
        entry: &Wanted<'_>,
        stat: FileStat,
        same: &mut dyn FnMut(&ExistingFile<'_>) -> Result<bool>,
    ) -> Result<Verdict> {
        let tree = self.tree;
        let wrong = |errno| failed("look at", &tree.shown(directory, entry.name), errno);
        if let WantedKind::Directory(id) = entry.kind {
            if stat.kind != Kind::Directory {
                tree.directories().mark(id, state::ABSENT);
                return Ok(Verdict::Replace);
            }
            if tree.settings.is_own(&stat) {
                let path = tree.shown(directory, entry.name);
                let message = format!(
                    "the snapshot has a directory where `{path}` is the store or the caches of this very command; leave it out"
                );
                return Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::LeaveOut));
            }
            let known = self.state_of_directory(at, entry, &stat).map_err(wrong)?;
            let table = tree.directories();
            table.note_identity(id, stat.id());
            table.mark(id, known);
            return Ok(Verdict::Keep);
        }
        if matches!(entry.kind, WantedKind::Device(_)) && !tree.settings.devices {
            return Ok(Verdict::Skip);
        }
        if stat.kind == Kind::Directory
            && !tree.settings.delete
            && has_entries(at, entry.name).map_err(wrong)?
        {
            let path = tree.shown(directory, entry.name);
            let message = format!(
                "the directory `{path}` is not empty, and the snapshot has something else of that name; only deleting removes it"
            );
            return Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::Delete));
        }
        if stat.kind == Kind::Directory {
            tree.note_looked_at(directory, entry.name, &stat);
        }
        let same_content = match entry.kind {
            WantedKind::HardLink | WantedKind::StandIn => return Ok(Verdict::Relink),
            WantedKind::File(length) => {
                let file = ExistingFile { directory: at, name: entry.name, stat };
                stat.kind == Kind::File && stat.size == length && (length == 0 || same(&file)?)
            }
            WantedKind::Symlink(target) => {
                stat.kind == Kind::Symlink && link_is(at, entry.name, target).map_err(wrong)?
            }
            WantedKind::Fifo => stat.kind == Kind::Fifo,
            WantedKind::Device(device) => stat.kind == Kind::Device(device),
            WantedKind::Directory(_) => false,
        };
        if !same_content {
            return Ok(Verdict::Replace);
        }
        let same_meta = match self.has_meta(at, entry, &stat) {
            // Of what may not be read nothing is known: it is written anew.
            Err(Errno::ACCESS) => return Ok(Verdict::Replace),
            other => other.map_err(wrong)?,
        };
        // Its other names may be outside of the destination, or be files of their own in the snapshot: only one entry may
        // keep it, and none may change it.
        if stat.links > 1 && !(same_meta && tree.claim(stat.id())) {
            return Ok(Verdict::Replace);
        }
        Ok(match same_meta {
            true => {
                if entry.kind_has_mode() {
                    self.complain_of_bits(directory, entry.name, &entry.meta, stat.owner);
                }
                Verdict::Keep
            }
            // Only its owner sets mode and time; whoever may write in the directory may put another file there.
            false if !stat.is_ours() || self.gives_away(entry, &stat) => Verdict::Replace,
            false => {
                tree.note_looked_at(directory, entry.name, &stat);
                Verdict::Fix
            }
        })
    }

    /// Whether a file that somebody else can still write, as through a mapping, would get an owner or rights that are not
    /// theirs.
    fn gives_away(&self, entry: &Wanted<'_>, stat: &FileStat) -> bool {
        let user = rustix::process::geteuid().as_raw();
        let is_others = stat.kind == Kind::File && stat.owner.user != user && stat.owner.user != 0;
        let added = self.tree.settings.mode_for(&entry.meta, stat.owner) & !stat.mode;
        is_others && (added & SPECIAL_BITS != 0 || entry.meta.owner.is_some_and(|owner| owner != stat.owner))
    }

    /// What is known of a directory that is there and is to be one.
    fn state_of_directory(&self, at: BorrowedFd<'_>, entry: &Wanted<'_>, stat: &FileStat) -> io::Result<u16> {
        let mode = entry.meta.mode & ALL_MODE_BITS;
        let mut known = state::EXISTED;
        let is_equal = match self.has_meta(at, entry, stat) {
            // Extended attributes of what may not be read; it is made readable before they are set.
            Err(Errno::ACCESS) => false,
            other => other?,
        };
        known |= if is_equal { 0 } else { state::DIFFERS };
        if stat.is_ours() {
            let is_open = stat.mode & 0o500 == 0o500 || rustix::process::geteuid().is_root();
            known |= if is_open { 0 } else { state::CLOSED };
            let is_another = entry.meta.owner.is_some_and(|owner| owner != stat.owner);
            let is_strict = stricter(stat.mode, mode) == stat.mode;
            known |= if is_strict && !is_another { 0 } else { state::LOOSE };
            // Of an ACL the mode says only the most that it gives anybody.
            if !is_equal
                && stat.mode & GROUP_BITS != 0
                && let Some(wanted) = entry.meta.xattrs
                && !Handle::place(at, entry.name).is_ok_and(|place| xattrs::has_acl_of(place.as_fd(), wanted))
            {
                known |= state::LOOSE | state::OTHER_ACL;
            }
        }
        Ok(known)
    }

    /// Whether all that is restored of an entry is as it should be.
    fn has_meta(&self, at: BorrowedFd<'_>, entry: &Wanted<'_>, stat: &FileStat) -> io::Result<bool> {
        let meta = &entry.meta;
        let mode = match stat.kind {
            Kind::Directory => meta.mode & ALL_MODE_BITS,
            _ => self.tree.settings.mode_for(meta, stat.owner),
        };
        let equal = (stat.kind == Kind::Symlink || stat.mode == mode)
            && meta.mtime.is_none_or(|t| t == stat.mtime)
            && meta.owner.is_none_or(|o| o == stat.owner);
        match meta.xattrs {
            Some(wanted) if equal => {
                let handle = Handle::place(at, entry.name)?;
                Ok(xattrs::compare(handle.as_fd(), wanted)?.is_empty())
            }
            _ => Ok(equal),
        }
    }

    /// Sets what a survey found different of something whose content is right ([`Verdict::Fix`]).
    ///
    /// # Errors
    ///
    /// Corrupt: the name or the attributes are none. Conflict: it is not what the survey looked at, or not as it was.
    /// Otherwise what the [module](crate::destination#errors) says of system calls.
    pub(crate) fn fix(&mut self, directory: DirId, wanted: &Wanted<'_>) -> Result<Option<FileStat>> {
        names::check(wanted.name)?;
        wanted.meta.check()?;
        let at = self.directory(directory)?;
        let at = at.as_fd();
        let mode = wanted.kind_has_mode().then(|| self.tree.settings.restored_mode(wanted.meta.mode));
        self.attributes_of_name(directory, at, (wanted.name, wanted.name), &wanted.meta, mode, true)?;
        self.stat_of_name(directory, at, wanted.name)
    }
}

/// Notes a name that the snapshot does not have. What a living pull to a place beside writes is no extra.
fn surplus(survey: &mut Survey, at: BorrowedFd<'_>, name: &[u8]) {
    if names::is_temporary(name) {
        survey.stale.push(name.to_vec());
    } else if !(names::is_staging(name) && staging::is_living(at, name)) {
        survey.extra.push(name.to_vec());
    }
}

/// Refuses what cannot be there, and a name that does not come after the one before it.
fn check_next(last: Option<&[u8]>, entry: &Wanted<'_>) -> Result<()> {
    names::check(entry.name)?;
    entry.meta.check()?;
    if last.is_none_or(|last| last < entry.name) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Corrupt,
        format!("the snapshot's entry `{}` is out of order or listed twice", names::shown(entry.name)),
    ))
}

fn link_is(at: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> io::Result<bool> {
    let mut buffer = vec![0; target.len() + 1];
    match readlinkat_raw(at, name, &mut buffer[..]) {
        Ok(length) => Ok(buffer[..length] == *target),
        // It became something else.
        Err(Errno::INVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}
