//! Making a snapshot: everything between the walk and the commit.

use std::collections::HashSet;
use std::sync::Arc;

use crossbeam_channel::bounded;
use floe_format::{
    Compressor, Index, Item, Layout, LayoutId, Parameters, Root, SnapshotId, SnapshotObject, build_index,
};

use super::assemble::{Assembled, Assembly, Ended, count_reused, metadata_frame};
use super::base::{BaseCursor, BasePacks};
use super::elsewhere::Elsewhere;
use super::input::{Input, Listings};
use super::journal::Journal;
use super::known::KnownFrames;
use super::layout::layout_of;
use super::noted::Noted;
use super::packs::PackOutput;
use super::passes::Passes;
use super::plan::{Planned, Planner};
use super::repack::Repacking;
use super::work::{Changed, Unread, WorkSettings, workers};
use super::{PushOptions, PushOutcome, PushProgress, Pushed};
use crate::namespace::Namespace;
use crate::offload::spawn;
use crate::pack_tails::PackTails;
use crate::reference::SnapshotAt;
use crate::source::CacheWriter;
use crate::store::OpenUploads;
use crate::{Error, ErrorKind, Remedy, Result};

/// How often a source that changes meanwhile is planned.
const MAX_PASSES: usize = 4;

/// How often it is planned in all, without what could not be read. One that holds still is twice: all that cannot be read
/// is found at once.
const MAX_PASSES_IN_ALL: usize = 4 * MAX_PASSES;

/// How many restless directories are told of one by one.
const MOST_TOLD: usize = 10;

/// How many pieces of the plan may wait for the assembly.
const SLOTS_AHEAD: usize = 64;

/// How many groups and files may wait to be read.
const JOBS_AHEAD: usize = 64;

/// What a snapshot is made from.
pub(super) struct Build {
    pub(super) namespace: Namespace,
    pub(super) parameters: Parameters,
    pub(super) input: Input,
    pub(super) options: PushOptions,
    pub(super) progress: Arc<PushProgress>,
    pub(super) tails: PackTails,
    pub(super) base: Option<Root>,
    pub(super) packs: Arc<BasePacks>,
    pub(super) elsewhere: Option<Arc<Elsewhere>>,
    pub(super) journal: Journal,
    pub(super) uploads: OpenUploads,
    /// What the ref names.
    pub(super) former: Option<SnapshotAt>,
}

/// A snapshot whose packs are in the store, and the account of it.
pub(super) struct Built {
    pub(super) snapshot: NewSnapshot,
    /// Its outcome is not known yet.
    pub(super) pushed: Pushed,
    /// The source's next stat cache, to be put in place whatever becomes of the commit. Not before it: on some file
    /// systems a sync waits for what was just renamed.
    pub(super) cache: Option<CacheWriter>,
}

/// What is still to be done.
pub(super) enum NewSnapshot {
    /// Nothing: the ref names it.
    Unchanged(SnapshotAt),
    /// Nothing: that was asked.
    DryRun(SnapshotAt),
    /// The snapshot object is to be published.
    Made { at: SnapshotAt, object: Vec<u8> },
}

impl Build {
    /// Makes the snapshot; blocks.
    pub(super) fn run(self, listings: Listings) -> Result<Built> {
        let known = Arc::new(KnownFrames::new(Arc::clone(&self.packs), self.elsewhere.clone()));
        let packs = PackOutput::new(
            &self.namespace,
            &self.tails,
            &self.journal,
            &self.progress,
            &self.uploads,
            &self.options,
        );
        let cache_dir = self.options.cache_dir.as_deref();
        let mut passes = Passes::new(packs, cache_dir);
        let mut skipped = Vec::new();
        let mut listings = Some(listings);
        let (mut planned, mut assembled, cache) = loop {
            passes.count += 1;
            let these_listings = match listings.take() {
                Some(listings) => listings,
                None => {
                    self.progress.restart();
                    known.release_all_but(passes.packs.stored_ids());
                    self.input.listings(&self.options.exclusions, &self.options.cancel)?
                }
            };
            let (mut planned, mut assembled, cache) = match self.pass(these_listings, &known, &mut passes) {
                Ok(done) => done,
                Err(Ended::Changed(Changed { error, is_of_rules })) => {
                    if is_of_rules {
                        passes.give_up(cache_dir);
                    }
                    if passes.count >= MAX_PASSES {
                        return Err(error);
                    }
                    tracing::debug!(%error, "the source changed meanwhile; it is planned again");
                    continue;
                }
                Err(Ended::Failed(error)) => return Err(error),
            };
            let mut unread = std::mem::take(&mut assembled.unread);
            if !planned.denied.is_empty() {
                let told: HashSet<&[u8]> = unread.iter().map(|unread| &unread.path[..]).collect();
                planned.denied.retain(|denied| !told.contains(&denied.path[..]));
                unread.append(&mut planned.denied);
            }
            let all_read = unread.is_empty() && planned.unread.is_empty();
            let is_enough = !unread.is_empty() && passes.count >= MAX_PASSES_IN_ALL;
            if !all_read && (!self.options.skip_unreadable || is_enough) {
                planned.unread.extend(unread);
                self.keep_for_next(cache);
                return Err(unreadable(&planned.unread));
            }
            if unread.is_empty() {
                skipped.append(&mut planned.unread);
                break (planned, assembled, cache);
            }
            // Without them groups are others, so all is planned again; what was read is known by then.
            keep_cache(cache);
            unread.iter().for_each(|unread| passes.left_out.add(unread));
            skipped.extend(unread);
        };
        tell_of_restless(&planned.restless);
        self.count_moved(&mut planned, &mut assembled);
        match self.finish(planned, assembled, skipped, passes.packs) {
            Ok((snapshot, pushed)) => Ok(Built { snapshot, pushed, cache }),
            Err(error) => {
                self.keep_for_next(cache);
                Err(error)
            }
        }
    }

    /// Whoever repeats a push that failed need not read everything again.
    fn keep_for_next(&self, cache: Option<CacheWriter>) {
        keep_cache(cache);
        self.input.keep_names();
    }

    fn pass(
        &self,
        listings: Listings,
        known: &Arc<KnownFrames>,
        passes: &mut Passes,
    ) -> Result<(Planned, Assembled, Option<CacheWriter>), Ended> {
        let keeping = self.options.keeping();
        // The planner has one, too.
        let mut files = self.input.files(&self.options.cancel)?.shared_by(self.options.workers + 1);
        let cache = self.input.cache(self.options.cache_dir.as_deref());
        let mut noted = cache.as_ref().map(|cache| Noted::new(cache.writer()));
        let packs_began = passes.packs_began;
        let began = listings.began();
        passes.packs_began = packs_began.or(began);
        passes.seen_rules.begin();
        let made_before = (passes.count > 1).then(|| Arc::clone(&passes.made));
        let settings = WorkSettings {
            parameters: self.parameters,
            kept: keeping.kept,
            level: self.options.level,
            known: Arc::clone(known),
            made_before: made_before.clone(),
            progress: Arc::clone(&self.progress),
            workers: self.options.workers.max(1),
        };
        let (slot_sender, slots) = bounded(SLOTS_AHEAD);
        let (job_sender, jobs) = bounded(JOBS_AHEAD);
        // One that was cut otherwise has no group or chunk of this one; its frames are known all the same.
        let base = match self.base.as_ref().filter(|root| root.parameters == self.parameters) {
            Some(root) => Some(BaseCursor::new(Arc::clone(&self.packs), root)?),
            None => None,
        };
        let planner = Planner {
            listings,
            files: files.try_clone()?,
            contents: self.input.known_contents(cache.as_ref().filter(|_| !self.options.by_hash)),
            base,
            packs: &self.packs,
            known_frames: known,
            made_before: made_before.as_deref(),
            parameters: self.parameters,
            keeping,
            left_out: &passes.left_out,
            is_last: passes.count >= MAX_PASSES,
            skip_unreadable: self.options.skip_unreadable,
            workers: settings.workers,
            slots: slot_sender,
            has_changed: false,
            has_other_rules: false,
            packs_began,
            seen_rules: &mut passes.seen_rules,
            denied: Vec::new(),
            denied_directories: Vec::new(),
            known: Vec::new(),
            jobs: job_sender,
        };
        let assembly = Assembly {
            kept: keeping.kept,
            has_base: self.base.is_some(),
            base: &self.packs,
            known,
            packs: &mut passes.packs,
            made: &passes.made,
            noted: noted.as_mut(),
            progress: &self.progress,
            began,
            cancel: &self.options.cancel,
            compressor: Compressor::new(self.options.level).map_err(Error::from)?,
        };
        let workers = workers(&settings, &files, &jobs)?;
        drop(jobs);
        let done = std::thread::scope(|scope| {
            for worker in workers {
                spawn(scope, move || worker.run())?;
            }
            let planning = spawn(scope, move || planner.run())?;
            let assembled = assembly.run(&slots);
            // Where it ended early, the planner finds nobody to take its pieces.
            drop(slots);
            let planned = planning
                .join()
                .map_err(|_| Error::new(ErrorKind::Internal, "the thread that plans panicked"))?;
            match (planned, assembled) {
                (Err(planned), Err(assembled)) => Err(assembled.and(&planned)),
                (Ok(_), Err(ended)) | (Err(ended), Ok(_)) => Err(ended),
                (Ok(planned), Ok(assembled)) => Ok((planned, assembled)),
            }
        });
        let done = done.and_then(|done: (Planned, Assembled)| {
            let (planned, assembled) = &done;
            let (rules, exclusions) = (&planned.rules, &self.options.exclusions);
            rules.check(&mut files, assembled, exclusions, &self.options.cancel).map(|()| done)
        });
        match done {
            Ok((planned, assembled)) => Ok((planned, assembled, noted.map(Noted::into_whole))),
            Err(ended) => {
                // Whatever is planned next, here or by who repeats the push, need not read this again.
                if let (Ended::Changed(_), Some(noted)) = (&ended, noted) {
                    tell_of_cache(noted.keep_beginning());
                }
                Err(ended)
            }
        }
    }

    /// Counts as reused the files that were read and whose content the base has under another path.
    fn count_moved(&self, planned: &mut Planned, assembled: &mut Assembled) {
        let mut read = std::mem::take(&mut assembled.read_files);
        let Some(contents) = planned.base_contents.take().filter(|_| !read.is_empty()) else { return };
        // Most often few files were read, and the base has many.
        read.sort_unstable();
        let mut is_moved = vec![false; read.len()];
        for content in contents {
            let first = read.partition_point(|(read, _)| *read < content);
            // Many files may have the same content, there and here.
            if is_moved.get(first).is_none_or(|is_moved| *is_moved) {
                continue;
            }
            for (at, _) in read[first..].iter().enumerate().take_while(|(_, (read, _))| *read == content) {
                is_moved[first + at] = true;
            }
        }
        for ((_, size), _) in read.into_iter().zip(is_moved).filter(|(_, is_moved)| *is_moved) {
            count_reused(assembled, &self.progress, size);
        }
    }

    fn finish(
        &self,
        planned: Planned,
        assembled: Assembled,
        skipped: Vec<Unread>,
        mut packs: PackOutput,
    ) -> Result<(NewSnapshot, Pushed)> {
        let Assembled { mut segments, entries, files, file_bytes, .. } = assembled;
        let (reused_files, reused_file_bytes) = (assembled.reused_files, assembled.reused_file_bytes);
        // The index takes the paths along, which nobody else needs and which are long in a deep tree.
        let items = segments.iter_mut().map(|made| {
            let path = std::mem::take(&mut made.item.path);
            Item { path, ..made.item.clone() }
        });
        let index = build_index(items.collect())?;
        let tar_bytes = segments.iter().map(|made| made.item.length).sum();
        let keeping = self.options.keeping();
        // Nobody could read a snapshot whose segments keep something else than its root says.
        if segments.iter().any(|segment| segment.kept != keeping.kept) {
            let message = "a segment of the base keeps something else of entries than this push";
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let root = Root {
            kept: keeping.kept,
            reproducible: keeping.reproducible,
            parameters: self.parameters,
            length: tar_bytes,
            entries,
            files,
            file_bytes,
            directory: keeping.meta(&planned.root),
            xattrs: planned.root_xattrs,
            level: index.level,
            items: index.items.clone(),
        }
        .to_bytes()?;
        let snapshot = SnapshotId::of(&root);
        let mut pushed = Pushed {
            outcome: PushOutcome::DryRun,
            at: SnapshotAt { snapshot, layout: LayoutId::from_bytes([0; 16]) },
            entries,
            files,
            file_bytes,
            reused_files,
            reused_file_bytes,
            reused_tar_bytes: tar_bytes,
            tar_bytes,
            archive_bytes: 0,
            uploaded_bytes: 0,
            packs: 0,
            skipped,
            sockets: planned.sockets,
            own: planned.own,
        };
        if let Some(former) = self.former.filter(|former| former.snapshot == snapshot) {
            return Ok((NewSnapshot::Unchanged(former), pushed));
        }
        let elsewhere = self.elsewhere.as_ref().and_then(|found| found.catalog());
        let mut index_segments = self.index_segments(&index)?;
        let repacking = Repacking { namespace: &self.namespace, base: &self.packs, elsewhere };
        index_segments.extend(repacking.run(&segments, &index, &mut packs)?);
        let written = packs.finish(index_segments)?;
        pushed.packs = written.data.packs().len() as u64;
        pushed.uploaded_bytes = written.data.packs().iter().map(|pack| pack.pack_len).sum();
        pushed.reused_tar_bytes = tar_bytes.saturating_sub(written.plain_bytes);
        let layout = layout_of(&index, &segments, &written, &self.packs, elsewhere)?;
        pushed.archive_bytes = layout.archive_len();
        let is_dry_run = self.options.dry_run;
        // A dry run has no layout; the object is as long with any.
        let at = match is_dry_run {
            true => pushed.at,
            false => SnapshotAt { snapshot, layout: self.namespace.ambient().layout_id() },
        };
        let object = snapshot_object(at, &root, &layout)?;
        pushed.uploaded_bytes += object.len() as u64;
        let made = if is_dry_run { NewSnapshot::DryRun(at) } else { NewSnapshot::Made { at, object } };
        Ok((made, pushed))
    }

    fn index_segments(&self, index: &Index) -> Result<Vec<(floe_format::FrameRecord, Vec<u8>)>> {
        let mut compressor = Compressor::new(self.options.level)?;
        index
            .segments
            .iter()
            .filter(|segment| !self.packs.metadata.contains(&segment.id))
            .map(|segment| metadata_frame(&mut compressor, segment.id, &segment.plain))
            .collect()
    }
}

/// Puts the new stat cache in the place of the old one. Without it the next push is slower.
pub(super) fn keep_cache(cache: Option<CacheWriter>) {
    if let Some(cache) = cache {
        tell_of_cache(cache.finish());
    }
}

fn tell_of_cache(kept: Result<()>) {
    if let Err(error) = kept {
        tracing::warn!("the next push will be slower: {}", error.with_causes());
    }
}

fn snapshot_object(at: SnapshotAt, root: &[u8], layout: &Layout) -> Result<Vec<u8>> {
    let layout = layout.encode()?;
    Ok(SnapshotObject { layout_id: at.layout, root, layout: &layout }.encode()?)
}

/// Says in which directories something may have been missed; of many the first ones.
fn tell_of_restless(directories: &[Vec<u8>]) {
    for path in directories.iter().take(MOST_TOLD) {
        let path = if path.is_empty() { "the source".into() } else { String::from_utf8_lossy(path) };
        tracing::warn!("{path} changed each time it was listed; what was renamed in it may be missing");
    }
    if let Some(more @ 1..) = directories.len().checked_sub(MOST_TOLD) {
        tracing::warn!("so did {more} other directories");
    }
}

/// The error that names all that could not be read.
fn unreadable(unread: &[Unread]) -> Error {
    let mut message = match unread.len() {
        1 => "an entry cannot be read".to_owned(),
        count => format!("{count} entries cannot be read"),
    };
    for unread in unread {
        message.push_str("\n  ");
        message.push_str(&String::from_utf8_lossy(&unread.path));
        message.push_str(": ");
        message.push_str(&unread.reason());
    }
    Error::new(ErrorKind::Denied, message).with_remedy(Remedy::SkipUnreadable)
}
