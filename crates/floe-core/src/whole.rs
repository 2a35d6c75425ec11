//! Going through all segments of a snapshot: to check its metadata, and to have all of its frames unpacked.

use std::collections::HashSet;

use floe_format::{EntryKind, FrameId, ItemHasher, LayoutItem, Segment};

use crate::catalog::Catalog;
use crate::offload::Offloaded;
use crate::reader::{Links, SegmentWalk, Sources, Span, TreeCheck};
use crate::snapshot::Snapshot;
use crate::unpack::Planner;
use crate::{Error, ErrorKind, Result};

/// Checks all segments of a snapshot, that packs have all its frames, and that the layout says the right thing of its
/// archive. No data is read.
///
/// # Errors
/// `Corrupt` for the first thing that is wrong.
pub(crate) fn check_metadata(work: &Offloaded, snapshot: &Snapshot, sources: &mut Sources) -> Result<()> {
    let mut check = TreeCheck::new(snapshot.root(), &Span::All, ());
    let mut walk = SegmentWalk::new(snapshot, Span::All);
    let mut items: Vec<ItemHasher> = snapshot.layout().items.iter().map(|_| ItemHasher::new()).collect();
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
            let frame = find(&sources.data, run.id, run.plain_len).map_err(in_segment)?;
            // Of an archive that long the layout says nothing true, and nobody waits for the end of it.
            if run.count > MAX_REPETITIONS {
                return Err(in_segment(corrupt(format!(
                    "frame {} stands in it {} times",
                    run.id, run.count
                ))));
            }
            if let Some(hasher) = items.get_mut(listed.root_item as usize) {
                for repetition in 0..run.count {
                    if repetition % (1 << 16) == 0 {
                        work.check()?;
                    }
                    hasher.add(frame.0, &frame.1);
                }
            }
        }
    }
    check.finish(&mut |_, ()| Ok(()))?;
    check_links(work, snapshot, sources, check.into_links())?;
    let items: Vec<LayoutItem> = items.into_iter().map(ItemHasher::finish).collect();
    if items != snapshot.layout().items {
        return Err(corrupt("the layout's archive is not that of the snapshot's frames".to_owned()));
    }
    Ok(())
}

/// The most repetitions of a frame: 2^60 bytes, the longest file, of the shortest chunks.
const MAX_REPETITIONS: u64 = 1 << 44;

fn corrupt(message: String) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

fn find(data: &Catalog, id: FrameId, plain_len: u32) -> Result<(u32, floe_format::Sum128)> {
    let located = data
        .find(&id)
        .ok_or_else(|| corrupt(format!("the data frame {id} is in none of the layout's packs")))?;
    let record = &located.frame.record;
    if record.plain_len != plain_len {
        return Err(corrupt(format!("frame {id}: its pack and its segment say different lengths")));
    }
    Ok((record.stored_len, record.stored_sum))
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

/// Has all frames of a snapshot whose metadata was checked unpacked, in order; segments that `seen` has and that stand for
/// themselves are left out.
pub(crate) fn plan_all(
    planner: &mut Planner<'_, '_>,
    snapshot: &Snapshot,
    sources: &mut Sources,
    seen: &mut HashSet<FrameId>,
) -> Result<()> {
    let mut walk = SegmentWalk::new(snapshot, Span::All);
    let mut first = 0;
    while let Some(listed) = planner.wait(walk.next(&mut sources.metadata))? {
        let segment = Segment::parse(&listed.plain)?;
        let content = segment.check_listed(&listed.item)?;
        let stands_alone = content.lead == 0 && content.unfinished == 0;
        let is_seen = !seen.insert(listed.item.id) && stands_alone;
        let mut plan = planner.begin(&segment, content, first, listed.follows);
        let mut entries = segment.entries();
        while let Some(entry) = entries.next()? {
            plan.entry(&entry, !is_seen)?;
        }
        first += segment.entry_count() as u64;
        planner.end(plan, listed.plain.clone(), &sources.data, !is_seen, &mut |_, _| {})?;
    }
    Ok(())
}
