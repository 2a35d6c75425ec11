//! The plan for one entry.

use floe_format::Segment;

use crate::reader::{SegmentWalk, Sources, Span, TreeCheck};
use crate::snapshot::Snapshot;
use crate::{Error, Result};

use super::planner::Planner;

/// Has one entry unpacked; `sources` serve its root items.
pub(crate) fn plan_entry(
    planner: &mut Planner<'_, '_>,
    snapshot: &Snapshot,
    sources: &mut Sources,
    path: &[u8],
) -> Result<()> {
    let span = Span::Entry(path.to_vec());
    let mut walk = SegmentWalk::new(snapshot, span.clone());
    let mut check = TreeCheck::new(snapshot.root(), &span, ());
    let mut first = 0;
    while let Some(listed) = planner.wait(walk.next(&mut sources.metadata))? {
        let segment = Segment::parse(&listed.plain)
            .map_err(|e| Error::from(e).in_object(format_args!("segment {}", listed.item.id)))?;
        let content = check.segment(&listed, &segment)?;
        let mut plan = planner.begin(&segment, content, first, listed.follows);
        let mut entries = segment.entries();
        while let Some(entry) = entries.next()? {
            let is_it = span.place(entry.path).is_eq();
            if is_it {
                check.entry(&entry, &mut |_, ()| Ok(()))?;
            } else if span.place(entry.path).is_lt() {
                check.pass_over(entry.path);
            }
            plan.entry(&entry, is_it)?;
        }
        first += segment.entry_count() as u64;
        planner.end(plan, listed.plain.clone(), &sources.data, false, &mut |_, _| {})?;
    }
    Ok(())
}
