//! A segment being put together.

use floe_format::{Body, FrameId, Index, Item, Kept, OwnedBody, Run, SegmentBuilder};

use super::base::BaseSegment;
use super::run_log::{LoggedRuns, RunLog};
use super::unit::{Entries, ReadFile, Unit};
use crate::{Result, keeping};

/// The units of a segment that is not encoded yet.
#[derive(Debug)]
pub(super) struct Draft {
    /// Bytes of its content that belong to a file begun in an earlier segment.
    lead: u64,
    /// Path of the first entry, or of the lead's file.
    path: Vec<u8>,
    units: Vec<Unit>,
    has_entries: bool,
    has_end: bool,
}

/// A segment as the index lists it, and the runs in it.
#[derive(Debug)]
pub(super) struct MadeSegment {
    pub(super) item: Item,
    pub(super) runs: LoggedRuns,
    /// What it says that it keeps of its entries.
    pub(super) kept: Kept,
}

/// A tree, put together.
#[derive(Debug)]
pub(super) struct MadeTree<'a> {
    pub(super) segments: &'a [MadeSegment],
    /// The runs of those.
    pub(super) runs: &'a RunLog,
    pub(super) index: &'a Index,
}

/// A segment, its runs and, unless the base has it, its plain bytes.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) item: Item,
    pub(super) runs: Vec<Run>,
    pub(super) kept: Kept,
    pub(super) plain: Option<Vec<u8>>,
}

impl Draft {
    /// A draft whose content goes on in the file at this path, or begins with an entry, whose path is set then.
    pub(super) fn new(continued: Vec<u8>) -> Self {
        Self { lead: 0, path: continued, units: Vec::new(), has_entries: false, has_end: false }
    }

    /// Adds a unit; those without entries before the first with some are the lead.
    pub(super) fn push(&mut self, unit: Unit) {
        match unit.entries().next() {
            Some(first) if !self.has_entries => {
                if self.units.is_empty() {
                    self.path = first.path.to_vec();
                }
                self.has_entries = true;
            }
            None if !self.has_entries => self.lead += content_len(&unit.run),
            _ => {}
        }
        self.units.push(unit);
    }

    /// Adds the tar's end.
    pub(super) fn push_end(&mut self, end: Run) {
        self.units.push(Unit::of_content(end, None));
        self.has_end = true;
    }

    /// Makes the last entry, a big file whose content was read since it was added, what was read.
    pub(super) fn set_last_read(&mut self, read: &ReadFile, kept: Kept) {
        let last = self.units.iter_mut().rev().find_map(|unit| match &mut unit.entries {
            Entries::Given(entries) => entries.last_mut(),
            Entries::OfBase(_) => None,
        });
        if let Some(entry) = last
            && let OwnedBody::File { hash, .. } = &mut entry.body
        {
            *hash = Some(read.hash);
            keeping::set_read(entry, &read.stat, kept);
        }
    }

    /// Whether its last entry is a big file whose content is not known yet.
    pub(super) fn waits_for_hash(&self) -> bool {
        let last = self.units.iter().rev().find_map(|unit| unit.entries().next_back());
        last.is_some_and(|entry| matches!(entry.body, Body::File { size, hash: None } if size > 0))
    }

    /// The segment.
    pub(super) fn encode(self, kept: Kept, is_known: impl Fn(&FrameId) -> Result<bool>) -> Result<Encoded> {
        let length = self.units.iter().map(|unit| content_len(&unit.run)).sum();
        let entries = self.units.iter().map(|unit| unit.entry_count() as u64).sum();
        // What the base lists of it is what the index is to list: it is not looked into again.
        let is_listed = |base: &&BaseSegment| {
            let item = base.item();
            (item.length, item.entries, &item.path) == (length, entries, &self.path)
        };
        if let Some(base) = self.same_as_base(kept).filter(is_listed)
            && is_known(&base.item().id)?
        {
            let (item, runs) = (base.item().clone(), base.runs().to_vec());
            return Ok(Encoded { item, runs, kept: base.kept(), plain: None });
        }
        let mut builder = SegmentBuilder::new(kept);
        builder.set_lead(self.lead);
        for unit in &self.units {
            for entry in unit.entries() {
                builder.add_entry(&entry)?;
            }
            builder.add_run(unit.run)?;
        }
        let runs = builder.runs().to_vec();
        let plain = builder.finish(self.has_end)?;
        let item = Item { id: FrameId::of(&plain), length, entries, path: self.path };
        Ok(Encoded { item, runs, kept, plain: Some(plain) })
    }

    /// The base's segment that has exactly these units, all of them unchanged, and keeps as much of its entries.
    fn same_as_base(&self, kept: Kept) -> Option<&BaseSegment> {
        let segment = &self.units.first()?.base.as_ref()?.segment;
        let runs = self.units.len() - usize::from(self.has_end);
        // Entries that are equal, or none at all, do not tell what was kept of them.
        if segment.kept() != kept
            || self.has_end != segment.has_end()
            || segment.runs().len() != self.units.len()
        {
            return None;
        }
        let is_unchanged = |(position, unit): (usize, &Unit)| {
            let is_same_run = unit
                .base
                .as_ref()
                .is_some_and(|base| base.segment.ordinal() == segment.ordinal() && base.run == position);
            is_same_run
                && match &unit.entries {
                    Entries::OfBase(_) => true,
                    Entries::Given(entries) => entries.is_empty(),
                }
        };
        let unchanged = self.units[..runs].iter().enumerate().all(is_unchanged);
        unchanged.then_some(&**segment)
    }
}

fn content_len(run: &Run) -> u64 {
    run.content_len().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
