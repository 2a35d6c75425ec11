//! From segments, in order, to units.

use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::Sender;
use floe_format::{Content, EntryRef, Run, Segment, SegmentEntries, tar_header_len, tar_padding};
use tokio::sync::Semaphore;

use crate::catalog::Catalog;
use crate::namespace::Namespace;
use crate::ranges::Places;
use crate::reader::shown;
use crate::{Error, ErrorKind, Result};

use super::batch::{Batch, PackRange};
use super::big_file::BigFile;
use super::engine::Stop;
use super::unit::{FrameOfUnit, SegmentPart, Start, Unit};

/// What a permit of the semaphore stands for: of stored bytes that are in flight, fetched or waiting to be unpacked.
const PERMIT_BYTES: u64 = 1 << 10;
/// What of a batch is fetched, with the gaps that are, and the segments it is of: of each at most these bytes, and at most
/// such a part of what may be in flight.
const BATCH_BYTES: u64 = 4 << 20;
const BATCHES_IN_FLIGHT: u64 = 8;
/// Those of the first, so that workers begin early; each following has twice as many.
const FIRST_BATCH_BYTES: u64 = 256 << 10;
/// Plain bytes of a unit, counting repeated frames once.
const UNIT_PLAIN_BYTES: u64 = 768 << 10;

/// What is wanted is collected here, and goes to the workers in batches.
pub(crate) struct Wants<'t> {
    units: Sender<Unit<'t>>,
    number: u64,
    pending: Vec<Pending<'t>>,
    places: Places,
    /// Plain bytes of the segments that have something pending.
    segment_bytes: u64,
    batch_bytes: u64,
    in_flight: Arc<Semaphore>,
    most_in_flight: u32,
    /// Stored bytes asked for.
    fetched_bytes: u64,
}

struct Pending<'t> {
    segment: Arc<SegmentPart<'t>>,
    content: Range<u64>,
    start: Start,
    is_whole: bool,
    frames: Vec<FrameOfUnit>,
}

impl<'t> Wants<'t> {
    /// At most so many stored bytes are in flight.
    pub(crate) fn new(units: Sender<Unit<'t>>, in_flight_bytes: u64) -> Self {
        let most_in_flight = u32::try_from(in_flight_bytes / PERMIT_BYTES).unwrap_or(u32::MAX);
        Self {
            units,
            number: 0,
            pending: Vec::new(),
            places: Places::default(),
            segment_bytes: 0,
            batch_bytes: FIRST_BATCH_BYTES,
            in_flight: Arc::new(Semaphore::new(most_in_flight as usize)),
            most_in_flight,
            fetched_bytes: 0,
        }
    }

    /// Adds a unit; whether what is pending is enough for a batch.
    fn add(&mut self, unit: Pending<'t>) -> bool {
        for frame in &unit.frames {
            self.places.add(frame.pack, frame.place());
        }
        self.pending.push(unit);
        let most = (u64::from(self.most_in_flight) * PERMIT_BYTES / BATCHES_IN_FLIGHT).min(BATCH_BYTES);
        if self.places.cost_bytes() < self.batch_bytes && self.segment_bytes < most {
            return false;
        }
        self.batch_bytes = (self.batch_bytes * 2).min(most);
        true
    }
}

/// Takes segments in order, and makes units of what is wanted of them.
pub(crate) struct Planner<'a, 't> {
    namespace: &'a Namespace,
    stop: &'a Stop,
    wants: Wants<'t>,
    going_on: Option<GoingOn<'t>>,
}

/// A file whose content goes on in the next segment.
struct GoingOn<'t> {
    size: u64,
    /// Bytes of its padded content that are still to come.
    owed: u64,
    file: Option<Arc<BigFile<'t>>>,
}

/// What of a frame wanted entries are that begin and end in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    Nothing,
    Everything,
    Something,
}

/// One segment, as its entries pass by.
pub(crate) struct SegmentPlan<'s, 't> {
    runs: &'s [Run],
    /// Where in the content each run begins, and where the last ends.
    starts: Vec<u64>,
    run: usize,
    at: u64,
    number: usize,
    wanted: Vec<bool>,
    wanted_runs: Vec<bool>,
    shares: Vec<Share>,
    /// The first entry, and those at which runs begin, each with the run's number.
    entries: Vec<(usize, Start)>,
    part: SegmentPart<'t>,
    last: Option<(u64, Option<Arc<BigFile<'t>>>)>,
    content: Content,
}

impl<'a, 't> Planner<'a, 't> {
    pub(crate) fn new(namespace: &'a Namespace, stop: &'a Stop, wants: Wants<'t>) -> Self {
        Self { namespace, stop, wants, going_on: None }
    }

    /// An error when everything stops.
    pub(crate) fn check(&self) -> Result<()> {
        self.stop.check()
    }

    /// Waits for a request.
    pub(crate) fn wait<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        self.stop.wait(request)
    }

    /// Whether content of a wanted file is still to come, in the next segment.
    pub(crate) fn is_owed(&self) -> bool {
        self.going_on.as_ref().is_some_and(|going_on| going_on.file.is_some())
    }

    /// Stored bytes asked for so far.
    pub(crate) fn fetched_bytes(&self) -> u64 {
        self.wants.fetched_bytes
    }

    /// Begins a segment whose content was checked; `first` is the number of its first entry in the walk. `follows` says
    /// that it is the one right after the one before.
    pub(crate) fn begin<'s>(
        &mut self,
        segment: &'s Segment<'_>,
        content: Content,
        first: u64,
        follows: bool,
    ) -> SegmentPlan<'s, 't> {
        if !follows {
            self.going_on = None;
        }
        let runs = segment.runs();
        let mut starts = Vec::with_capacity(runs.len() + 1);
        let mut start = 0;
        for run in runs {
            starts.push(start);
            // `Content` has checked that the sum fits.
            start += run.content_len().unwrap_or(0);
        }
        starts.push(start);
        let lead = segment.lead();
        let mut part = SegmentPart {
            plain: Vec::new(),
            has_end: segment.has_end(),
            first,
            wanted: None,
            lead: None,
            lead_len: lead,
            // Where the file is not known, nothing can be said of its padding.
            lead_content: lead,
            big_files: Vec::new(),
        };
        let mut wanted_runs = vec![false; runs.len()];
        if lead > 0
            && let Some(going_on) = &self.going_on
        {
            let padded = going_on.size + tar_padding(going_on.size) as u64;
            let offset = padded.saturating_sub(going_on.owed);
            part.lead_content = lead.min(going_on.size.saturating_sub(offset));
            if let Some(file) = &going_on.file {
                part.lead = Some((Arc::clone(file), offset));
                for (wanted, start) in wanted_runs.iter_mut().zip(&starts) {
                    *wanted = *start < lead;
                }
            }
        }
        SegmentPlan {
            runs,
            starts,
            run: 0,
            at: lead,
            number: 0,
            wanted: Vec::with_capacity(segment.entry_count()),
            wanted_runs,
            shares: vec![Share::Nothing; runs.len()],
            entries: vec![(0, Start { place: segment.entries().place(), number: 0, at: lead })],
            part,
            last: None,
            content,
        }
    }

    /// Ends a segment: what is wanted of it is fetched and unpacked. With `all`, the end of the tar is wanted too.
    ///
    /// # Errors
    /// `Corrupt` where a frame is in none of the packs, or not the one that the segment means.
    pub(crate) fn end(
        &mut self,
        mut plan: SegmentPlan<'_, 't>,
        plain: Vec<u8>,
        data: &Catalog,
        all: bool,
        each: &mut dyn FnMut(&Run, &FrameOfUnit),
    ) -> Result<()> {
        self.check()?;
        self.going_on = match plan.last.take() {
            Some((size, file)) => {
                let owed = plan.content.unfinished;
                (owed > 0).then_some(GoingOn { size, owed, file })
            }
            None => self.going_on.take().and_then(|going_on| {
                let owed = going_on.owed.checked_sub(plan.content.lead).filter(|owed| *owed > 0)?;
                Some(GoingOn { owed, ..going_on })
            }),
        };
        if all {
            plan.wanted_runs.fill(true);
        }
        if !plan.wanted.iter().all(|wanted| *wanted) {
            plan.part.wanted = Some(std::mem::take(&mut plan.wanted));
        }
        if plan.wanted_runs.contains(&true) {
            self.wants.segment_bytes += plain.len() as u64;
        }
        plan.part.plain = plain;
        let segment = Arc::new(plan.part);
        let mut unit: Option<(Pending<'t>, u64)> = None;
        for (index, run) in plan.runs.iter().enumerate() {
            if !plan.wanted_runs[index] {
                self.push(unit.take())?;
                continue;
            }
            let located = data.find_run(run)?;
            let pack = data.packs()[located.pack];
            // A lead that goes on in it is of no entry here.
            let is_whole = plan.shares[index] == Share::Everything && plan.starts[index] >= plan.content.lead;
            let frame = FrameOfUnit {
                run: *run,
                is_whole,
                frame: located.frame,
                pack: located.pack,
                pack_id: pack.id,
            };
            each(run, &frame);
            let content = plan.starts[index]..plan.starts[index + 1];
            let is_whole = frame.is_whole && run.count == 1;
            if unit.as_ref().is_some_and(|(pending, _)| pending.is_whole != is_whole) {
                self.push(unit.take())?;
            }
            let (pending, plain_bytes) = unit.get_or_insert_with(|| {
                let content = content.start..content.start;
                let entry = plan.entries.partition_point(|(run, _)| *run <= index).saturating_sub(1);
                let start = plan.entries[entry].1.clone();
                (Pending { segment: Arc::clone(&segment), content, start, is_whole, frames: Vec::new() }, 0)
            });
            pending.content.end = content.end;
            pending.frames.push(frame);
            *plain_bytes += u64::from(run.plain_len);
            if *plain_bytes >= UNIT_PLAIN_BYTES {
                self.push(unit.take())?;
            }
        }
        self.push(unit.take())
    }

    fn push(&mut self, unit: Option<(Pending<'t>, u64)>) -> Result<()> {
        let Some((unit, _)) = unit else { return Ok(()) };
        if self.wants.add(unit) { self.flush() } else { Ok(()) }
    }

    /// Begins to fetch what is wanted so far.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.wants.pending);
        let places = std::mem::take(&mut self.wants.places);
        let in_memory = std::mem::take(&mut self.wants.segment_bytes) + places.cost_bytes();
        if pending.is_empty() {
            return Ok(());
        }
        let frames = pending.iter().flat_map(|unit| &unit.frames);
        let ids: std::collections::HashMap<usize, _> =
            frames.map(|frame| (frame.pack, frame.pack_id)).collect();
        let ranges: Vec<_> = places
            .into_ranges()
            .into_iter()
            .map(|(pack, range)| PackRange { key: self.namespace.keys().pack(&ids[&pack]), pack, range })
            .collect();
        self.wants.fetched_bytes +=
            ranges.iter().map(|range| range.range.end - range.range.start).sum::<u64>();
        let permits =
            u32::try_from(in_memory / PERMIT_BYTES + 1).unwrap_or(u32::MAX).min(self.wants.most_in_flight);
        let in_flight = Arc::clone(&self.wants.in_flight);
        let permit = self.stop.wait(async move {
            in_flight
                .acquire_many_owned(permits)
                .await
                .map_err(|e| Error::new(ErrorKind::Internal, "the room for frames is closed").with_source(e))
        })?;
        let batch = Batch::fetch(self.namespace, self.stop, ranges, permit);
        for Pending { segment, content, start, is_whole, frames } in pending {
            let number = self.wants.number;
            self.wants.number += 1;
            let unit = Unit { number, segment, content, start, is_whole, frames, batch: Arc::clone(&batch) };
            if self.wants.units.send(unit).is_err() {
                return Err(Error::new(ErrorKind::Internal, "no thread unpacks any more"));
            }
        }
        Ok(())
    }

    /// No more segments come.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush()
    }
}

impl<'t> SegmentPlan<'_, 't> {
    /// The next of the segment's entries, all of which are to be asked for in this way.
    ///
    /// # Errors
    /// Those of the entries.
    pub(crate) fn next<'e>(&mut self, entries: &'e mut SegmentEntries<'_>) -> Result<Option<EntryRef<'e>>> {
        self.pass_runs();
        if self.starts.get(self.run) == Some(&self.at)
            && self.at > self.part.lead_len
            && self.run + 1 < self.starts.len()
        {
            let start = Start { place: entries.place(), number: self.number, at: self.at };
            self.entries.push((self.run, start));
        }
        Ok(entries.next()?)
    }

    /// Passes an entry by; its frames are fetched, and it is handed out, if it is wanted. Its file is returned if that is in
    /// several frames.
    ///
    /// # Errors
    /// `Corrupt` where its headers are cut.
    pub(crate) fn entry(&mut self, entry: &EntryRef<'_>, wanted: bool) -> Result<Option<Arc<BigFile<'t>>>> {
        let number = self.number;
        self.number += 1;
        self.wanted.push(wanted);
        let size = entry.body.size();
        let begins = self.at + tar_header_len(entry) as u64;
        let end = begins + size + tar_padding(size) as u64;
        let frame_end = self.frame_end();
        if frame_end < begins {
            let message = format!("the frames of the snapshot cut the headers of {}", shown(entry.path));
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let is_big = size > 0 && frame_end < end;
        let share = if wanted && !is_big { Share::Everything } else { Share::Something };
        let mut run = self.run;
        while run < self.runs.len() && self.starts[run] < end {
            if self.shares[run] == Share::Nothing {
                self.shares[run] = share;
            } else if share == Share::Something {
                self.shares[run] = Share::Something;
            }
            run += 1;
        }
        if wanted {
            let mut run = self.run;
            while run < self.runs.len() && self.starts[run] < end {
                self.wanted_runs[run] = true;
                run += 1;
            }
        }
        let file = (is_big && wanted).then(|| {
            let file = Arc::new(BigFile::new(entry.to_entry(), self.part.first + number as u64));
            self.part.big_files.push((number, Arc::clone(&file)));
            file
        });
        self.last = Some((size, file.clone()));
        self.at = end;
        Ok(file)
    }

    /// Moves on to the run that `at` is in.
    fn pass_runs(&mut self) {
        while self.run < self.runs.len() && self.starts[self.run + 1] <= self.at {
            self.run += 1;
        }
    }

    /// Where the frame that `at` is in ends; `at` itself where there is none.
    fn frame_end(&mut self) -> u64 {
        self.pass_runs();
        let Some(run) = self.runs.get(self.run) else { return self.at };
        let start = self.starts[self.run];
        let plain_len = u64::from(run.plain_len);
        start + ((self.at - start) / plain_len + 1) * plain_len
    }
}

#[cfg(test)]
mod tests;
