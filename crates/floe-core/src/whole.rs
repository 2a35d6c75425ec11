//! Going through all segments of a snapshot: to check its metadata, and to have all of its frames unpacked.

mod archive_check;
mod in_several;
mod seen;

use std::ops::Range;

use floe_format::{Content, EntryKind, Segment, tar_len};

use crate::catalog::Catalog;
use crate::offload::Offloaded;
use crate::reader::{Links, ListedSegment, SegmentWalk, Sources, Span, TreeCheck};
use crate::snapshot::Snapshot;
use crate::unpack::Planner;
use crate::{Error, ErrorKind, Result};

use self::archive_check::ArchiveCheck;
pub(crate) use self::archive_check::Unhashed;
use self::in_several::RunEnds;
pub(crate) use self::seen::Seen;

/// Checks all segments of a snapshot, that packs have all its frames, and that the layout says the right thing of its
/// archive, but for what is returned. No data is read.
///
/// # Errors
/// `Corrupt` for the first thing that is wrong.
pub(crate) fn check_metadata(
    work: &Offloaded,
    snapshot: &Snapshot,
    sources: &mut Sources,
) -> Result<Unhashed> {
    let mut check = TreeCheck::new(snapshot.root(), &Span::All, ());
    let mut walk = SegmentWalk::new(snapshot, Span::All);
    let mut archive = ArchiveCheck::new(snapshot.layout().items.len());
    while let Some(listed) = work.wait(walk.next(&mut sources.metadata))? {
        work.check()?;
        let in_segment = |e: Error| e.in_object(format_args!("segment {}", listed.item.id));
        let segment = Segment::parse(&listed.plain).map_err(|e| in_segment(e.into()))?;
        check.segment(&listed, &segment)?;
        let mut entries = segment.entries();
        while let Some(entry) = entries.next()? {
            check.entry(&entry, &mut |_, ()| Ok(()))?;
            if entry.kind() == EntryKind::Directory {
                check.add_directory(entry.path, ());
            }
        }
        for run in segment.runs() {
            let located = sources.data.find_run(run).map_err(in_segment)?;
            let record = &located.frame.record;
            archive.add(listed.root_item, run, record, &mut || work.check()).map_err(in_segment)?;
        }
    }
    check.finish(&mut |_, ()| Ok(()))?;
    check_links(work, snapshot, sources, check.into_links())?;
    archive.finish(&snapshot.layout().items)
}

fn corrupt(message: String) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

fn check_links(work: &Offloaded, snapshot: &Snapshot, sources: &mut Sources, mut links: Links) -> Result<()> {
    if links.is_empty() {
        return Ok(());
    }
    let mut walk = SegmentWalk::new(snapshot, Span::All);
    while let Some(listed) = work.wait(walk.next(&mut sources.metadata))? {
        work.check()?;
        let segment = Segment::parse(&listed.plain)?;
        let mut entries = segment.entries();
        while let Some(entry) = entries.next()? {
            links.show(&entry)?;
        }
    }
    links.finish()
}

/// Has all frames of a snapshot whose metadata was checked unpacked, in order; what was left of that check is done
/// meanwhile.
///
/// # Errors
/// `Corrupt` where that finds something wrong.
pub(crate) fn plan_all(
    planner: &mut Planner<'_, '_>,
    snapshot: &Snapshot,
    sources: &mut Sources,
    unhashed: Unhashed,
) -> Result<()> {
    let mut archive = unhashed.rest();
    let mut walk = SegmentWalk::new(snapshot, Span::All);
    let mut first = 0;
    while let Some(listed) = planner.wait(walk.next(&mut sources.metadata))? {
        let segment = Segment::parse(&listed.plain)?;
        let content = segment.check_listed(&listed.item)?;
        plan_segment(planner, &listed, &segment, content, first, &sources.data, None)?;
        first += segment.entry_count() as u64;
        let Some(archive) = &mut archive else { continue };
        if segment.runs().iter().any(|run| run.count > 1) {
            // It may take long, and the others need not wait for it.
            planner.flush()?;
        }
        for run in segment.runs() {
            let located = sources.data.find_run(run)?;
            archive.add(listed.root_item, run, &located.frame.record, &mut || planner.check())?;
        }
    }
    match archive {
        Some(archive) => archive.finish(&snapshot.layout().items).map(drop),
        None => Ok(()),
    }
}

/// Has the frames of a snapshot whose metadata was checked unpacked, but for those of which `seen` knows that they were,
/// as parts of the same segment and from the same place, or as parts of the same entry.
pub(crate) fn plan_unseen(
    planner: &mut Planner<'_, '_>,
    snapshot: &Snapshot,
    sources: &mut Sources,
    seen: &mut Seen,
) -> Result<()> {
    let mut in_several = in_several::unseen(planner, snapshot, sources, seen)?.into_iter();
    let mut walk = SegmentWalk::new(snapshot, Span::All);
    let mut first = 0;
    while let Some(listed) = planner.wait(walk.next(&mut sources.metadata))? {
        let segment = Segment::parse(&listed.plain)?;
        let content = segment.check_listed(&listed.item)?;
        let ends = RunEnds::of(&segment);
        let parts = seen.note(listed.item.id, &segment, &ends, &sources.data)?;
        let unseen = Unseen { parts, ends, in_several: &mut in_several };
        plan_segment(planner, &listed, &segment, content, first, &sources.data, Some(unseen))?;
        first += segment.entry_count() as u64;
    }
    Ok(())
}

/// What of a segment was not read before.
struct Unseen<'i> {
    /// Parts of its content, in order.
    parts: Vec<Range<u64>>,
    ends: RunEnds,
    /// Of the entries that lie in several runs whether each was not.
    in_several: &'i mut dyn Iterator<Item = bool>,
}

impl Unseen<'_> {
    /// Whether the next entry, which lies there, is among it.
    fn has(&mut self, entry: &Range<u64>) -> bool {
        match self.ends.are_in(entry) {
            true => self.in_several.next().unwrap_or(true),
            false => self.parts.iter().any(|part| part.start < entry.end && entry.start < part.end),
        }
    }
}

/// Has the frames of a segment unpacked: all, or those in which the parts are that were not seen, together with the rest of
/// each entry in them.
fn plan_segment(
    planner: &mut Planner<'_, '_>,
    listed: &ListedSegment,
    segment: &Segment<'_>,
    content: Content,
    first: u64,
    data: &Catalog,
    mut unseen: Option<Unseen<'_>>,
) -> Result<()> {
    let mut plan = planner.begin(segment, content, first, listed.follows);
    let mut entries = segment.entries();
    let mut begins = content.lead;
    while let Some(entry) = plan.next(&mut entries)? {
        let ends = begins.saturating_add(tar_len(&entry));
        let is_wanted = unseen.as_mut().is_none_or(|unseen| unseen.has(&(begins..ends)));
        plan.entry(&entry, is_wanted)?;
        begins = ends;
    }
    // The end is of no entry.
    let all = unseen.is_none_or(|unseen| {
        segment.has_end() && unseen.parts.last().is_some_and(|last| last.end == content.length)
    });
    planner.end(plan, listed.plain.clone(), data, all, &mut |_, _| {})
}
