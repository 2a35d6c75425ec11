//! Puts the pieces of a plan together: frames into packs, units into segments.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::Receiver;
use floe_format::{Body, Codec, Compressor, FrameId, FrameRecord, Kept, Run, SegmentCutter, parent_and_name};

use tokio_util::sync::CancellationToken;

use super::base::{BasePacks, BaseRun};
use super::draft::{Draft, Encoded, MadeSegment};
use super::known::KnownFrames;
use super::links::LinkCheck;
use super::made::{Made, MadeRuns};
use super::noted::Noted;
use super::packs::PackOutput;
use super::plan::Slot;
use super::run_log::RunLog;
use super::unit::{Entries, MadeFrame, MadeGroup, Note, NotedContent, ReadFile, Unit};
use super::work::{Changed, Failure, FilePiece, Unread, changed, make_end};
use super::{PushProgress, leading_u64};
use crate::offload::cancelled;
use crate::source::{Recency, Stat, WalkBegan};
use crate::{Error, ErrorKind, Result};

/// What an assembly needs.
pub(super) struct Assembly<'a> {
    pub(super) kept: Kept,
    pub(super) has_base: bool,
    pub(super) base: &'a BasePacks,
    pub(super) known: &'a Arc<KnownFrames>,
    pub(super) packs: &'a mut PackOutput,
    /// What is made is noted there.
    pub(super) made: &'a Made,
    pub(super) noted: Option<&'a mut Noted>,
    pub(super) progress: &'a PushProgress,
    /// When the walk began.
    pub(super) began: Option<WalkBegan>,
    /// Asked before each piece.
    pub(super) cancel: &'a CancellationToken,
    pub(super) compressor: Compressor,
    /// Temporary files are made there, if they can be.
    pub(super) directory: Option<&'a Path>,
}

/// A tree, put together.
#[derive(Debug, Default)]
pub(super) struct Assembled {
    pub(super) segments: Vec<MadeSegment>,
    /// The runs of those.
    pub(super) runs: RunLog,
    pub(super) entries: u64,
    pub(super) files: u64,
    pub(super) file_bytes: u64,
    /// Files whose content the base is known to have, and their bytes.
    pub(super) reused_files: u64,
    pub(super) reused_file_bytes: u64,
    /// The first bytes of the hash and the size of each file that was read.
    pub(super) read_files: Vec<(u64, u64)>,
    pub(super) unread: Vec<Unread>,
    /// How recently anything changed, as it was when it was read.
    pub(super) recency: Recency,
    /// The paths of directories in which something was read that may have changed since the walk began.
    pub(super) fresh: BTreeSet<Vec<u8>>,
}

impl Assembled {
    /// Whether anything fresh was read in or below a directory.
    pub(super) fn is_fresh_below(&self, directory: &[u8]) -> bool {
        let below = if directory.is_empty() { Vec::new() } else { [directory, b"/"].concat() };
        let mut rest = self.fresh.range(below.clone()..);
        self.fresh.contains(directory) || rest.next().is_some_and(|fresh| fresh.starts_with(&below))
    }

    /// Counts a file whose content the base has.
    pub(super) fn count_reused(&mut self, size: u64) {
        self.reused_files += 1;
        self.reused_file_bytes += size;
    }

    /// Notes what was read, of this stat then.
    pub(super) fn note_read(&mut self, path: &[u8], stat: &Stat, began: Option<WalkBegan>) {
        self.recency.add(stat);
        if began.is_some_and(|began| !began.is_after(stat)) {
            let directory = parent_and_name(path).0;
            if !self.fresh.contains(directory) {
                self.fresh.insert(directory.to_vec());
            }
        }
    }
}

/// What of an assembly is told while it goes on, once for each group.
pub(super) struct Counts {
    entries: u64,
    files: u64,
    reused_files: u64,
    reused_file_bytes: u64,
}

impl Counts {
    pub(super) fn of(assembled: &Assembled) -> Self {
        let Assembled { entries, files, reused_files, reused_file_bytes, .. } = *assembled;
        Self { entries, files, reused_files, reused_file_bytes }
    }

    /// Tells what was added.
    pub(super) fn tell_since(&self, before: &Self, progress: &PushProgress) {
        progress.entries.fetch_add(self.entries - before.entries, Ordering::Relaxed);
        progress.files.fetch_add(self.files - before.files, Ordering::Relaxed);
        progress.reused_files.fetch_add(self.reused_files - before.reused_files, Ordering::Relaxed);
        let reused_file_bytes = self.reused_file_bytes - before.reused_file_bytes;
        progress.reused_file_bytes.fetch_add(reused_file_bytes, Ordering::Relaxed);
    }
}

/// Bytes of files that were dealt with.
#[derive(Clone, Copy, Debug, Default)]
struct FileBytes {
    all: u64,
    /// Those in frames that are stored now.
    new: u64,
}

impl FileBytes {
    fn of(bytes: u64, is_new: bool) -> Self {
        Self { all: bytes, new: if is_new { bytes } else { 0 } }
    }

    fn add(&mut self, other: Self) {
        self.all += other.all;
        self.new += other.new;
    }

    fn tell(self, progress: &PushProgress) {
        progress.file_bytes.fetch_add(self.all, Ordering::Relaxed);
        progress.new_file_bytes.fetch_add(self.new, Ordering::Relaxed);
    }
}

/// Where a group comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// It is as the base has it.
    Base,
    /// It was made, and its frame was known.
    Known,
    /// It was made, and its frame is stored.
    New,
}

/// Why an assembly ended early.
#[derive(Debug)]
pub(super) enum Ended {
    Changed(Changed),
    Failed(Error),
}

impl Ended {
    /// This end, of what ended so as well: that rules are others by now is not forgotten.
    pub(super) fn and(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Changed(changed), Self::Changed(Changed { is_of_rules: true, .. })) => {
                Self::Changed(Changed { is_of_rules: true, ..changed })
            }
            (ended, _) => ended,
        }
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct State {
    cutter: SegmentCutter,
    draft: Option<Draft>,
    /// A draft whose last entry is the big file being read, and its place.
    held: Option<(usize, Draft)>,
    segments: Vec<Option<MadeSegment>>,
    /// The big file whose content comes.
    file: Option<BigFile>,
    /// Equal chunks, to which more may come.
    pending: Option<Unit>,
    links: LinkCheck,
    /// Of the last file, not yet told: where its content comes by itself, that is told with it.
    untold: FileBytes,
    out: Assembled,
}

impl State {
    /// Goes on to the end for all else that cannot be read; nothing is made of all this then.
    fn fail(&mut self, failure: Failure) -> Result<(), Ended> {
        // Content that may still come is of a file of the group that failed, not of the last one before.
        (self.file, self.held) = (None, None);
        match failure {
            Failure::Changed(changed) => Err(Ended::Changed(changed)),
            Failure::Unreadable(unread) => {
                self.out.unread.extend(unread);
                Ok(())
            }
            Failure::Other(error) => Err(Ended::Failed(error)),
        }
    }
}

/// A big file between its header and the end of its content.
struct BigFile {
    path: Vec<u8>,
    note: Note,
    /// Whether its entry waits for what reading finds.
    is_read: bool,
}

impl Assembly<'_> {
    /// Takes all pieces.
    pub(super) fn run(mut self, slots: &Receiver<Slot>) -> Result<Assembled, Ended> {
        let mut state = State {
            cutter: SegmentCutter::new(),
            draft: None,
            held: None,
            segments: Vec::new(),
            file: None,
            pending: None,
            links: LinkCheck::default(),
            untold: FileBytes::default(),
            out: Assembled { runs: RunLog::new(self.directory), ..Assembled::default() },
        };
        for slot in slots {
            self.check_cancelled()?;
            match slot {
                Slot::Known(groups) => {
                    for (unit, notes) in groups {
                        self.add_group(&mut state, unit, notes, Origin::Base)?;
                    }
                }
                Slot::Group(made) => match received(made.recv())? {
                    Ok(MadeGroup { entries, notes, frame, key }) => {
                        let origin = if frame.stored.is_some() { Origin::New } else { Origin::Known };
                        let run = self.store(frame)?;
                        self.made.add_group(key, run.id, run.plain_len);
                        let unit = Unit { entries: Entries::Given(entries), run, base: None };
                        self.add_group(&mut state, unit, notes, origin)?;
                    }
                    Err(failure) => state.fail(failure)?,
                },
                Slot::KnownContent(runs) => {
                    let known = runs.into_iter().map(|base| (base.segment.runs()[base.run], Some(base)));
                    self.add_known_content(&mut state, known)?;
                }
                Slot::MadeContent(runs) => {
                    self.add_known_content(&mut state, runs.into_iter().map(|run| (run, None)))?;
                }
                Slot::Content(pieces) => self.add_content(&mut state, &pieces)?,
            }
        }
        if !state.out.unread.is_empty() {
            return Ok(state.out);
        }
        self.end(&mut state)?;
        let mut out = state.out;
        out.segments = state.segments.into_iter().flatten().collect();
        Ok(out)
    }

    fn check_cancelled(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(cancelled());
        }
        Ok(())
    }

    /// Adds a group, whose last entry may be a big file whose content follows.
    fn add_group(
        &mut self,
        state: &mut State,
        unit: Unit,
        notes: Vec<Note>,
        origin: Origin,
    ) -> Result<(), Ended> {
        self.flush(state)?;
        let out = &mut state.out;
        let before = Counts::of(out);
        let (is_known, is_new) = (origin == Origin::Base, origin == Origin::New);
        let mut told = FileBytes::default();
        for (entry, note) in unit.entries().zip(&notes) {
            told.add(std::mem::take(&mut state.untold));
            out.entries += 1;
            // With entries missing, these links are not committed.
            if out.unread.is_empty() {
                state.links.add(&entry, note.may_be_linked)?;
            }
            match entry.body {
                Body::File { .. } | Body::Symlink { .. } if !is_known => {
                    out.note_read(entry.path, &note.stat, self.began);
                }
                _ => out.recency.add(&note.stat),
            }
            self.note(entry.path, note);
            let Body::File { size, hash } = entry.body else { continue };
            out.files += 1;
            out.file_bytes += size;
            state.untold = FileBytes::of(size, is_new);
            match hash {
                _ if is_known => out.count_reused(size),
                Some(hash) => out.read_files.push((leading_u64(&hash), size)),
                // Nothing is in the base just as in any other.
                None if size == 0 && self.has_base => out.count_reused(0),
                // A big file that is being read; counted when its hash is known.
                None => {}
            }
        }
        Counts::of(out).tell_since(&before, self.progress);
        told.tell(self.progress);
        if let (Some(entry), Some(note)) = (unit.entries().next_back(), notes.last()) {
            let is_read = matches!(entry.body, Body::File { size, hash: None } if size > 0);
            if let Some(noted) = &mut self.noted {
                noted.reach(entry.path);
            }
            state.file = Some(BigFile { path: entry.path.to_vec(), note: *note, is_read });
        }
        self.add_unit(state, unit)
    }

    fn add_known_content(
        &mut self,
        state: &mut State,
        runs: impl Iterator<Item = (Run, Option<BaseRun>)>,
    ) -> Result<(), Ended> {
        state.untold = FileBytes::default();
        for (run, base) in runs {
            let bytes = u64::from(run.plain_len) * run.count;
            FileBytes::of(bytes, false).tell(self.progress);
            self.flush(state)?;
            self.add_unit(state, Unit::of_content(run, base))?;
        }
        Ok(())
    }

    fn add_content(&mut self, state: &mut State, pieces: &Receiver<FilePiece>) -> Result<(), Ended> {
        state.untold = FileBytes::default();
        let mut runs = MadeRuns::default();
        loop {
            self.check_cancelled()?;
            match received(pieces.recv())? {
                FilePiece::Chunk(made) => {
                    let frame = received(made.recv())??;
                    let told = FileBytes::of(frame.plain_len.into(), frame.stored.is_some());
                    let run = self.store(frame)?;
                    told.tell(self.progress);
                    runs.push(run);
                    match &mut state.pending {
                        Some(pending) if pending.run.id == run.id => pending.run.count += 1,
                        _ => {
                            self.flush(state)?;
                            state.pending = Some(Unit::of_content(run, None));
                        }
                    }
                }
                FilePiece::Again => {
                    let Some(pending) = &mut state.pending else {
                        return Err(again_of_nothing().into());
                    };
                    pending.run.count += 1;
                    runs.repeat();
                    FileBytes::of(pending.run.plain_len.into(), false).tell(self.progress);
                }
                FilePiece::Done(read) => {
                    if let Some(runs) = runs.into_all() {
                        self.made.add_file(read.hash.as_bytes(), &runs);
                    }
                    return self.end_file(state, &read);
                }
                FilePiece::Failed(failure) => return state.fail(failure),
            }
        }
    }

    fn end_file(&mut self, state: &mut State, read: &ReadFile) -> Result<(), Ended> {
        self.flush(state)?;
        let Some(file) = state.file.take() else { return Ok(()) };
        let content = NotedContent::Hashed(*read.hash.as_bytes(), read.hashing_began);
        let was_expected = match file.note.content {
            NotedContent::Known(hit) => hit.hash == *read.hash.as_bytes() && file.note.stat == read.stat,
            _ => false,
        };
        if !file.is_read {
            // Its hash was known, but not its chunks; where the cache was wrong the entry is, too.
            return if was_expected { Ok(()) } else { Err(Ended::Changed(changed(&file.path))) };
        }
        state.out.read_files.push((leading_u64(&read.hash), read.stat.size));
        state.out.note_read(&file.path, &read.stat, self.began);
        self.note(&file.path, &Note { stat: read.stat, content, ..file.note });
        match &mut state.held {
            Some((_, held)) => held.set_last_read(read, self.kept),
            None => {
                if let Some(draft) = &mut state.draft {
                    draft.set_last_read(read, self.kept);
                }
            }
        }
        if let Some((place, draft)) = state.held.take() {
            let made = self.encode(draft, &mut state.out.runs)?;
            state.segments[place] = Some(made);
        }
        Ok(())
    }

    fn flush(&mut self, state: &mut State) -> Result<(), Ended> {
        match state.pending.take() {
            Some(unit) => self.add_unit(state, unit),
            None => Ok(()),
        }
    }

    fn add_unit(&mut self, state: &mut State, unit: Unit) -> Result<(), Ended> {
        if state.cutter.add_run(&unit.run.id, unit.entry_count(), unit.metadata_len()) {
            self.end_draft(state)?;
            let continued = match &state.file {
                Some(file) if unit.entry_count() == 0 => file.path.clone(),
                _ => Vec::new(),
            };
            state.draft = Some(Draft::new(continued));
        }
        if let Some(draft) = &mut state.draft {
            draft.push(unit);
        }
        Ok(())
    }

    /// Encodes the draft, unless its last entry is a big file whose content is still being read.
    fn end_draft(&mut self, state: &mut State) -> Result<(), Ended> {
        let Some(draft) = state.draft.take() else { return Ok(()) };
        // A big file that could not be read stays without a hash; all of it is planned again without that.
        if !state.out.unread.is_empty() {
            return Ok(());
        }
        let place = state.segments.len();
        if draft.waits_for_hash() {
            state.segments.push(None);
            state.held = Some((place, draft));
        } else {
            let made = self.encode(draft, &mut state.out.runs)?;
            state.segments.push(Some(made));
        }
        Ok(())
    }

    fn end(&mut self, state: &mut State) -> Result<(), Ended> {
        self.flush(state)?;
        std::mem::take(&mut state.untold).tell(self.progress);
        let frame = make_end(self.known, &mut self.compressor)?;
        let end = self.store(frame)?;
        state.draft.get_or_insert_with(|| Draft::new(Vec::new())).push_end(end);
        self.end_draft(state)
    }

    fn encode(&mut self, draft: Draft, log: &mut RunLog) -> Result<MadeSegment> {
        let metadata = &self.base.metadata;
        let Encoded { item, runs, kept, plain } = draft.encode(self.kept, |id| metadata.contains(id))?;
        if let Some(plain) = plain
            && !metadata.contains(&item.id)?
            && !self.packs.has_metadata(&item.id)
        {
            let (record, stored) = metadata_frame(&mut self.compressor, item.id, &plain)?;
            self.packs.add_segment(record, &stored)?;
        }
        Ok(MadeSegment { item, runs: log.add(&runs), kept })
    }

    /// Stores a frame, unless it is known; returns it as a run.
    fn store(&mut self, frame: MadeFrame) -> Result<Run> {
        let MadeFrame { id, plain_len, stored } = frame;
        if let Some((record, stored)) = stored {
            self.packs.add_data(record, &stored)?;
        }
        Ok(Run { count: 1, plain_len, id })
    }

    /// Tells the stat cache about an entry.
    fn note(&mut self, path: &[u8], note: &Note) {
        if let Some(noted) = &mut self.noted {
            noted.note(path, note);
        }
    }
}

/// A metadata frame's record and stored bytes.
pub(super) fn metadata_frame(
    compressor: &mut Compressor,
    id: FrameId,
    plain: &[u8],
) -> Result<(FrameRecord, Vec<u8>)> {
    let mut stored = Vec::new();
    compressor.compress(plain, &mut stored)?;
    stored.shrink_to_fit();
    let plain_len = u32::try_from(plain.len()).unwrap_or(u32::MAX);
    Ok((FrameRecord::new(id, plain_len, Codec::Zstd, &stored)?, stored))
}

fn again_of_nothing() -> Error {
    Error::new(ErrorKind::Internal, "a chunk is to come once more before it came")
}

fn received<T>(result: Result<T, crossbeam_channel::RecvError>) -> Result<T> {
    result.map_err(|_| Error::new(ErrorKind::Internal, "a thread that reads the source ended early"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_rules_are_others_is_not_forgotten_for_what_else_changed() {
        let ended = |is_of_rules| Ended::Changed(Changed { is_of_rules, ..changed(b"x") });
        for (one, other) in [(false, false), (false, true), (true, false), (true, true)] {
            let both = ended(one).and(&ended(other));
            assert!(
                matches!(&both, Ended::Changed(changed) if changed.is_of_rules == (one || other)),
                "{both:?}"
            );
        }
        let failed = Ended::Failed(again_of_nothing()).and(&ended(true));
        assert!(matches!(failed, Ended::Failed(_)));
    }
}
