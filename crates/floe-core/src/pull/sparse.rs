//! Writing over an existing tree what a survey found different, from the segments that have it alone.
//!
//! The survey saw every entry, in this process and of the same snapshot, so nothing of the tree as a whole is checked again.

use std::ops::Range;
use std::sync::atomic::Ordering;

use floe_format::{Body, EntryKind, EntryRef, Segment, parent_and_name};

use crate::destination::{Tree, Wanted, Worker};
use crate::reader::SegmentWalk;
use crate::unpack::Planner;
use crate::{Error, ErrorKind, Result};

use super::Pull;
use super::restore::{wanted_kind, with_entry};
use super::surveyed::{Decision, Surveyed};

impl Pull {
    /// Whether what a survey found can be written without going through all segments again: where there are hard links
    /// to be made, or extended attributes of directories to be brought, it cannot.
    pub(super) fn is_sparse(&self, surveyed: &Surveyed) -> bool {
        surveyed.links == 0 && !self.restore().xattrs
    }

    /// Goes through the segments that have something to be done: makes directories, sets attributes, has the rest unpacked.
    /// Returns the bytes that are fetched.
    pub(super) fn plan_sparse<'t>(
        &mut self,
        planner: &mut Planner<'_, 't>,
        surveyed: &Surveyed,
        tree: &Tree,
        own: &mut Worker<'_>,
    ) -> Result<u64> {
        let restore = self.restore();
        let Self { snapshot, sources, span, top, progress, .. } = self;
        let mut walk = SegmentWalk::new(snapshot, span.clone());
        let mut first = 0;
        loop {
            planner.check()?;
            let Some((item, level)) = walk.peek() else { break };
            let entries = item.entries;
            if level == 0 && !planner.is_owed() && !surveyed.changes(first..first + entries) {
                walk.skip();
                first += entries;
                continue;
            }
            let Some(listed) = planner.wait(walk.enter(&mut sources.metadata))? else { continue };
            let segment = Segment::parse(&listed.plain)
                .map_err(|e| Error::from(e).in_object(format_args!("segment {}", listed.item.id)))?;
            let content = segment.check_listed(&listed.item)?;
            let mut plan = planner.begin(&segment, content, first, listed.follows);
            let mut entries = segment.entries();
            for ordinal in first.. {
                let Some(entry) = plan.next(&mut entries)? else { break };
                let is_written = match surveyed.decision(ordinal) {
                    Decision::Keep | Decision::Skip => false,
                    decision => {
                        let relative = top.relative(entry.path);
                        act(tree, own, &entry, relative, decision, restore)?
                    }
                };
                plan.entry(&entry, is_written)?;
            }
            first += segment.entry_count() as u64;
            planner.end(plan, listed.plain.clone(), &sources.data, false, &mut |_, _| {})?;
            progress.fetched_bytes.store(planner.fetched_bytes(), Ordering::Relaxed);
        }
        planner.flush()?;
        Ok(planner.fetched_bytes())
    }
}

/// Does about an entry what was decided; whether it is to be unpacked.
fn act(
    tree: &Tree,
    own: &mut Worker<'_>,
    entry: &EntryRef<'_>,
    relative: &[u8],
    decision: Decision,
    restore: super::Restore,
) -> Result<bool> {
    let unknown = || Error::new(ErrorKind::Internal, "a directory was not surveyed");
    if entry.kind() == EntryKind::Directory {
        own.make_directory(tree.find(relative).ok_or_else(unknown)?, None)?;
        return Ok(false);
    }
    if decision == Decision::Fix {
        let (parent, name) = parent_and_name(relative);
        let directory = tree.find(parent).ok_or_else(unknown)?;
        let kind = wanted_kind(&entry.body, directory);
        with_entry(entry, restore, |meta| own.fix(directory, &Wanted { name, kind, meta: *meta }))?;
        return Ok(false);
    }
    Ok(!matches!(entry.body, Body::HardLink { .. }))
}

impl Surveyed {
    /// Whether anything is to be done about any of these entries.
    fn changes(&self, ordinals: Range<u64>) -> bool {
        let at = |ordinal: u64| usize::try_from(ordinal).unwrap_or(usize::MAX).min(self.decisions.len());
        let decisions = &self.decisions[at(ordinals.start)..at(ordinals.end)];
        decisions.iter().any(|decision| !matches!(decision, Decision::Keep | Decision::Skip))
    }
}
