//! One pass over a source: it is planned, read and assembled at once.

use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use floe_format::Compressor;

use super::{Build, MAX_PASSES, tell_of_cache};
use crate::offload::spawn;
use crate::push::assemble::{Assembled, Assembly, Ended};
use crate::push::base::BaseCursor;
use crate::push::input::Listings;
use crate::push::known::KnownFrames;
use crate::push::noted::Noted;
use crate::push::passes::Passes;
use crate::push::plan::{Planned, Planner, Slot};
use crate::push::work::{WorkSettings, Worker, workers};
use crate::source::CacheWriter;
use crate::{Error, ErrorKind, Result};

/// How many pieces of the plan may wait for the assembly.
const SLOTS_AHEAD: usize = 64;

/// How many groups and files may wait to be read.
const JOBS_AHEAD: usize = 64;

impl Build {
    pub(super) fn pass(
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
            directory: self.options.cache_dir.as_deref(),
        };
        let workers = workers(&settings, &files, &jobs)?;
        drop(jobs);
        let done = side_by_side(workers, planner, assembly, slots);
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
}

/// Plans, reads and assembles, each in threads of its own, until all have ended.
fn side_by_side(
    workers: Vec<Worker>,
    planner: Planner<'_>,
    assembly: Assembly<'_>,
    slots: Receiver<Slot>,
) -> Result<(Planned, Assembled), Ended> {
    std::thread::scope(|scope| {
        for worker in workers {
            spawn(scope, move || worker.run())?;
        }
        let planning = spawn(scope, move || planner.run())?;
        let assembled = assembly.run(&slots);
        // Where it ended early, the planner finds nobody to take its pieces.
        drop(slots);
        let planned =
            planning.join().map_err(|_| Error::new(ErrorKind::Internal, "the thread that plans panicked"))?;
        match (planned, assembled) {
            (Err(planned), Err(assembled)) => Err(assembled.and(&planned)),
            (Ok(_), Err(ended)) | (Err(ended), Ok(_)) => Err(ended),
            (Ok(planned), Ok(assembled)) => Ok((planned, assembled)),
        }
    })
}
