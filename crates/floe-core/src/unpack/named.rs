//! The plan for entries that are known by their paths.

use floe_format::{EntryRef, Segment};

use crate::reader::{NamedWalk, Sources, Span, TreeCheck};
use crate::snapshot::Snapshot;
use crate::{Error, Result};

use super::planner::Planner;

/// Has entries unpacked, as far as `wants` says so when it is shown them; `sources` serve their root items. Their paths are
/// in the order of a tree, each once.
///
/// # Errors
/// `NotFound` where one is not there; those of reading, and of `wants`.
pub(crate) fn plan_entries(
    planner: &mut Planner<'_, '_>,
    snapshot: &Snapshot,
    sources: &mut Sources,
    paths: &[&[u8]],
    wants: &mut dyn FnMut(&EntryRef<'_>) -> Result<bool>,
) -> Result<()> {
    let Some(first) = paths.first() else { return Ok(()) };
    let mut walk = NamedWalk::new(snapshot, paths);
    let mut check = TreeCheck::new(snapshot.root(), &Span::Entry(first.to_vec()), ());
    loop {
        planner.check()?;
        let owed = planner.is_owed();
        let Some(listed) = planner.wait(walk.next(&mut sources.metadata, owed))? else { break };
        let segment = Segment::parse(&listed.plain)
            .map_err(|e| Error::from(e).in_object(format_args!("segment {}", listed.item.id)))?;
        let content = check.segment(&listed, &segment)?;
        // Nobody asks for the entries' numbers.
        let mut plan = planner.begin(&segment, content, 0, listed.follows);
        let mut entries = segment.entries();
        while let Some(entry) = plan.next(&mut entries)? {
            let is_named = walk.meet(entry.path)?;
            if is_named {
                check.alone(&entry)?;
            } else {
                check.pass_over(entry.path);
            }
            plan.entry(&entry, is_named && wants(&entry)?)?;
        }
        planner.end(plan, listed.plain.clone(), &sources.data, false, &mut |_, _| {})?;
    }
    walk.finish()
}
