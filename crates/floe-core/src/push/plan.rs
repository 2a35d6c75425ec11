//! What a push has to do: the entries of the source, grouped, and of each group whether the base has it.
//!
//! Everything follows from what the kernel says about the entries, from the stat cache and from the base, so nothing
//! is read here but links. The plan comes out in order, piece by piece, while what it asks for is being read.

mod candidate;
mod comparison;
mod rules;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use floe_format::{Body, GroupEntry, Grouper, Parameters, Run, XattrList};

use self::candidate::{OpenGroup, State};
use self::rules::RulesRead;
use super::assemble::Ended;
use super::base::{BaseCursor, BasePacks, BaseRun};
use super::input::{InputFiles, KnownContents, Listings};
use super::known::KnownFrames;
use super::left_out::LeftOut;
use super::links::FirstNames;
use super::made::Made;
use super::seen_rules::SeenRules;
use super::unit::{Entries, MadeGroup, Note, Unit};
use super::work::{
    Changed, Failure, FileJob, FilePiece, GroupJob, Job, PlannedFile, Unread, changed, pieces_ahead,
};
use crate::keeping::Keeping;
use crate::source::{FileKind, Listing, OwnFound, Stat, WalkBegan, join};
use crate::{Error, ErrorKind, Remedy, Result};

/// How many known groups are handed out together.
const KNOWN_AT_ONCE: usize = 64;

/// A piece of the plan, in the order of the tree.
#[derive(Debug)]
pub(super) enum Slot {
    /// Groups that the base has, with what the stat cache is to know of their entries.
    Known(Vec<(Unit, Vec<Note>)>),
    /// A group that is being read.
    Group(Receiver<Result<MadeGroup, Failure>>),
    /// The content of the big file that ended the last group, where the base has it.
    KnownContent(Vec<BaseRun>),
    /// The same, where it was made when all was planned before.
    MadeContent(Vec<Run>),
    /// The content of the big file that ended the last group, being read.
    Content(Receiver<FilePiece>),
}

/// The root directory and what was found on the way.
#[derive(Debug)]
pub(super) struct Planned {
    /// The root directory.
    pub(super) root: Stat,
    pub(super) root_xattrs: XattrList,
    pub(super) unread: Vec<Unread>,
    pub(super) sockets: u64,
    /// Directories of Floe's own that the walk did not enter.
    pub(super) own: Vec<OwnFound>,
    /// Directories that changed each time they were listed.
    pub(super) restless: Vec<Vec<u8>>,
    /// The ignore files that were obeyed.
    pub(super) rules: RulesRead,
    /// What was planned all the same, but cannot be read.
    pub(super) denied: Vec<Unread>,
    /// The first bytes of the hashes of all files of the base; none where there is no base.
    pub(super) base_contents: Option<Vec<u64>>,
}

/// What a plan is made from.
pub(super) struct Planner<'a> {
    pub(super) listings: Listings,
    pub(super) files: InputFiles,
    pub(super) contents: KnownContents,
    pub(super) base: Option<BaseCursor>,
    pub(super) packs: &'a BasePacks,
    pub(super) known_frames: &'a KnownFrames,
    /// What was made when all was planned before; nothing the first time.
    pub(super) made_before: Option<&'a Made>,
    pub(super) parameters: Parameters,
    pub(super) keeping: Keeping,
    /// What is left out, since it could not be read before.
    pub(super) left_out: &'a LeftOut,
    /// Whether all was planned again often enough for what is not as it was listed.
    pub(super) is_last: bool,
    /// Whether a directory that is not there to be listed any more is then one that cannot be read.
    pub(super) skip_unreadable: bool,
    pub(super) workers: usize,
    pub(super) slots: Sender<Slot>,
    /// Whether the plan fails because the source is not as the walk found it.
    pub(super) has_changed: bool,
    /// And whether an ignore file is not.
    pub(super) has_other_rules: bool,
    /// When the first pass began of which anything is in the packs; nothing where nothing is.
    pub(super) packs_began: Option<WalkBegan>,
    /// Those of the passes before, of which something is in the packs.
    pub(super) seen_rules: &'a mut SeenRules,
    /// See [`Planned::denied`].
    pub(super) denied: Vec<Unread>,
    /// Directories that are stored without the extended attributes that may not be read.
    pub(super) denied_directories: Vec<Unread>,
    /// Known groups that were not handed out yet.
    pub(super) known: Vec<(Unit, Vec<Note>)>,
    pub(super) jobs: Sender<Job>,
}

impl Planner<'_> {
    /// Makes the plan and hands it out.
    pub(super) fn run(mut self) -> Result<Planned, Ended> {
        let planned = self.plan();
        let is_of_rules = self.has_other_rules;
        planned.map_err(|error| match self.has_changed {
            true => Ended::Changed(Changed { error, is_of_rules }),
            false => Ended::Failed(error),
        })
    }

    fn plan(&mut self) -> Result<Planned> {
        let mut grouper = Grouper::new(&self.parameters);
        let mut group = OpenGroup::default();
        let mut links = FirstNames::default();
        let mut path = Vec::new();
        let mut planned = None;
        while let Some(listing) = self.listings.next() {
            // An ignore file that will not hold still.
            let mut listing = listing.inspect_err(|error| {
                self.has_other_rules = error.remedy() == Some(Remedy::QuietSource);
                self.has_changed |= self.has_other_rules;
            })?;
            let planned = match &mut planned {
                Some(planned) => planned,
                None => planned.insert(Planned {
                    root: *listing.stat(),
                    root_xattrs: self.xattrs(listing.directory(), b"", b"")?,
                    unread: Vec::new(),
                    sockets: 0,
                    own: Vec::new(),
                    restless: Vec::new(),
                    rules: RulesRead::since(self.listings.began()),
                    denied: Vec::new(),
                    base_contents: None,
                }),
            };
            for problem in listing.take_problems() {
                // Without the root there is nothing to push.
                let is_told = self.is_last && self.skip_unreadable;
                if problem.is_change() && (!is_told || problem.path.is_empty()) {
                    return Err(self.changed(&problem.path).with_source(problem.into_cause()));
                }
                let shown = String::from_utf8_lossy(&problem.path).into_owned();
                let error = Error::io(format!("cannot read {shown}"), problem.error);
                if error.is_of_resources() {
                    return Err(error);
                }
                planned.unread.push(Unread::new(problem.path, error));
            }
            if listing.is_short() && !self.is_last {
                return Err(self.changed(listing.path()));
            }
            // A huge one comes in parts.
            if (listing.is_short() || listing.is_restless())
                && planned.restless.last().is_none_or(|last| last != listing.path())
            {
                planned.restless.push(listing.path().to_vec());
            }
            planned.own.extend(listing.take_own());
            planned.rules.add(&listing);
            self.check_rules(&listing)?;
            self.add_listing(&listing, &mut grouper, &mut group, &mut links, &mut path, planned)?;
        }
        if !group.is_empty() {
            self.end_group(&mut group)?;
        }
        self.hand_out_known()?;
        let mut planned = planned
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "the directory vanished before it was read"))?;
        planned.denied = std::mem::take(&mut self.denied);
        self.tell_of_denied_directories(&mut planned.unread);
        if let Some(base) = self.base.take() {
            planned.base_contents = Some(base.into_contents()?);
        }
        Ok(planned)
    }

    /// Whoever may not read a directory's attributes may not list it either, most often, which was told then.
    fn tell_of_denied_directories(&mut self, unread: &mut Vec<Unread>) {
        if self.denied_directories.is_empty() {
            return;
        }
        let told: HashSet<&[u8]> = unread.iter().map(|unread| &unread.path[..]).collect();
        self.denied_directories.retain(|denied| !told.contains(&denied.path[..]));
        unread.append(&mut self.denied_directories);
    }

    fn add_listing(
        &mut self,
        listing: &Listing,
        grouper: &mut Grouper,
        group: &mut OpenGroup,
        links: &mut FirstNames,
        path: &mut Vec<u8>,
        planned: &mut Planned,
    ) -> Result<()> {
        path.clear();
        path.extend_from_slice(listing.path());
        if !path.is_empty() {
            path.push(b'/');
        }
        let directory_len = path.len();
        let directory = listing.directory();
        for child in listing.children() {
            path.truncate(directory_len);
            path.extend_from_slice(child.name);
            if child.stat.kind == FileKind::Socket {
                planned.sockets += 1;
                continue;
            }
            if !self.left_out.is_empty()
                && let Some(left_out) = self.left_out.find(path, child.stat)
            {
                planned.unread.extend(left_out);
                continue;
            }
            let Some(candidate) = self.candidate(directory, &child, path, links)? else { continue };
            let cut = {
                let entry = match &candidate.state {
                    State::Same(base) => base.entry(),
                    State::SameTar(_, entry) | State::Other(entry) => entry.as_entry(),
                };
                grouper.add(&GroupEntry::of(&entry, &self.parameters))
            };
            if cut.before {
                self.end_group(group)?;
            }
            group.push(candidate);
            if cut.after {
                self.end_group(group)?;
            }
        }
        Ok(())
    }

    /// Checks that these ignore files are older than all that is in the packs, and what they were when that was read: what was
    /// read before them may be what they leave out, and everybody could read it in a pack that the snapshot uses.
    fn check_rules(&mut self, listing: &Listing) -> Result<()> {
        if !listing.is_first() {
            return Ok(());
        }
        let is_old = |stat: &Stat| self.packs_began.is_none_or(|began| began.is_after(stat));
        let another = self.seen_rules.note(listing, is_old);
        match another.filter(|_| self.packs_began.is_some()) {
            Some(name) => {
                self.has_other_rules = true;
                Err(self.changed(&join(listing.path(), name.as_bytes())))
            }
            None => Ok(()),
        }
    }

    /// The error of what is not as it was listed, for which all is planned again.
    fn changed(&mut self, path: &[u8]) -> Error {
        let Changed { error, is_of_rules } = changed(path);
        self.has_changed = true;
        self.has_other_rules |= is_of_rules;
        error
    }

    /// Hands out the open group, and the content of the big file that ended it.
    fn end_group(&mut self, group: &mut OpenGroup) -> Result<()> {
        let content = self.content(group)?;
        match self.group_in_base(group)? {
            Some((base, entries)) => {
                let known = self.known_group(base, entries, group);
                self.known.push(known);
                // Many at once, so that the assembly is not woken for each.
                if self.known.len() >= KNOWN_AT_ONCE {
                    self.hand_out_known()?;
                }
            }
            None => {
                let (reply, made) = bounded(1);
                let job = GroupJob { entries: group.take_planned(), reply };
                self.hand_out_known()?;
                // The slot first: whoever waits for it waits for a job that is sent next.
                self.slots.send(Slot::Group(made)).map_err(|_| stopped())?;
                self.jobs.send(Job::Group(job)).map_err(|_| stopped())?;
            }
        }
        match content {
            Content::None => Ok(()),
            Content::Known(runs) => {
                self.hand_out_known()?;
                self.slots.send(Slot::KnownContent(runs)).map_err(|_| stopped())
            }
            Content::Made(runs) => {
                self.hand_out_known()?;
                self.slots.send(Slot::MadeContent(runs)).map_err(|_| stopped())
            }
            Content::Read(file) => {
                self.hand_out_known()?;
                let (reply, pieces) = bounded(pieces_ahead(self.workers));
                self.slots.send(Slot::Content(pieces)).map_err(|_| stopped())?;
                self.jobs.send(Job::File(FileJob { file, reply })).map_err(|_| stopped())
            }
        }
    }

    fn hand_out_known(&mut self) -> Result<()> {
        if self.known.is_empty() {
            return Ok(());
        }
        let known = std::mem::replace(&mut self.known, Vec::with_capacity(KNOWN_AT_ONCE));
        self.slots.send(Slot::Known(known)).map_err(|_| stopped())
    }

    /// What is to be done about the content of the group's last entry, if that is a big file.
    fn content(&mut self, group: &OpenGroup) -> Result<Content> {
        let Some((directory, note, state)) = group.last() else { return Ok(Content::None) };
        let (entry, base) = match state {
            State::Same(base) => (base.entry(), Some(base)),
            State::SameTar(base, entry) => (entry.as_entry(), Some(base)),
            State::Other(entry) => (entry.as_entry(), None),
        };
        let Body::File { size, hash } = entry.body else { return Ok(Content::None) };
        if !self.parameters.is_big(size) {
            return Ok(Content::None);
        }
        if let (Some(cursor), Some(base)) = (&mut self.base, base)
            && let Some(runs) = cursor.content_runs(base)?
            && self.are_usable(&runs)?
        {
            return Ok(Content::Known(runs));
        }
        if let (Some(made), Some(hash)) = (self.made_before, hash)
            && let Some(runs) = made.file(hash.as_bytes(), self.known_frames)?
        {
            return Ok(Content::Made(runs));
        }
        let (path, planned) = (entry.path.to_vec(), note.stat);
        Ok(Content::Read(PlannedFile { path, directory, planned }))
    }

    /// The run of the base that is this very group.
    fn group_in_base(&self, group: &OpenGroup) -> Result<Option<(BaseRun, Range<usize>)>> {
        let Some(found) = Self::run_of_group(group) else { return Ok(None) };
        Ok(self.are_usable(std::slice::from_ref(&found.0))?.then_some(found))
    }

    fn run_of_group(group: &OpenGroup) -> Option<(BaseRun, Range<usize>)> {
        let states = group.states();
        let first = states.first()?.base()?;
        let entries = first.index..first.index + states.len();
        let is_next = |(index, state): (usize, &State)| {
            state
                .base()
                .is_some_and(|base| base.index == index && base.segment.ordinal() == first.segment.ordinal())
        };
        if !entries.clone().zip(states).all(is_next) {
            return None;
        }
        let run = first.segment.group(&entries)?;
        Some((BaseRun { segment: Arc::clone(&first.segment), run }, entries))
    }

    /// Whether all frames of these runs are in packs that may be used.
    fn are_usable(&self, runs: &[BaseRun]) -> Result<bool> {
        for run in runs {
            if !self.packs.data.contains(&run.segment.runs()[run.run].id)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn known_group(&self, base: BaseRun, range: Range<usize>, group: &mut OpenGroup) -> (Unit, Vec<Note>) {
        let is_same = group.states().iter().all(|state| matches!(state, State::Same(_)));
        let (notes, states) = group.take_states();
        let entries = match is_same {
            true => Entries::OfBase(range),
            false => Entries::Given(states.map(State::into_entry).collect()),
        };
        let run = base.segment.runs()[base.run];
        (Unit { entries, run, base: Some(base) }, notes)
    }
}

enum Content {
    None,
    Known(Vec<BaseRun>),
    Made(Vec<Run>),
    Read(PlannedFile),
}

/// Nobody takes the plan any more, for a reason of their own.
fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "the plan was given up")
}

#[cfg(test)]
mod tests;
