//! Looking at a few entries, with few requests.

use std::path::Path;

use floe_format::{Entry, EntryRef, Segment};

use crate::namespace::Namespace;
use crate::snapshot::Snapshot;
use crate::{Error, ErrorKind, Result};

use super::check::TreeCheck;
use super::items::SegmentWalk;
use super::sources::{Reach, Sources};
use super::span::{Span, shown};

/// Shows the entries of a span, in order.
pub(crate) async fn walk_span(
    snapshot: &Snapshot,
    sources: &mut Sources,
    span: &Span,
    each: &mut (dyn FnMut(&EntryRef<'_>) -> Result<()> + Send),
) -> Result<()> {
    let mut walk = SegmentWalk::new(snapshot, span.clone());
    let mut check = TreeCheck::new(snapshot.root(), span, ());
    while let Some(listed) = walk.next(&mut sources.metadata).await? {
        let segment = Segment::parse(&listed.plain)
            .map_err(|e| Error::from(e).in_object(format_args!("segment {}", listed.item.id)))?;
        check.segment(&listed, &segment)?;
        let mut entries = segment.entries();
        while let Some(entry) = entries.next()? {
            match span.place(entry.path) {
                std::cmp::Ordering::Less => check.pass_over(entry.path),
                std::cmp::Ordering::Equal => {
                    check.entry(&entry, &mut |_, ()| Ok(()))?;
                    if entry.kind() == floe_format::EntryKind::Directory {
                        check.add_directory(entry.path, ());
                    }
                    each(&entry)?;
                }
                std::cmp::Ordering::Greater => return Ok(()),
            }
        }
    }
    check.finish(&mut |_, ()| Ok(())).map(drop)
}

/// One entry of a snapshot.
///
/// # Errors
/// `NotFound` where there is none; `Invalid` where the path cannot be one of an entry.
pub(crate) async fn find_entry(
    namespace: &Namespace,
    snapshot: &Snapshot,
    cache: Option<&Path>,
    path: &[u8],
) -> Result<Entry> {
    floe_format::validate_path(path)?;
    let span = Span::Entry(path.to_vec());
    let items = SegmentWalk::root_items(snapshot, &span);
    let mut sources = Sources::open(namespace, snapshot, cache, &items, Reach::Metadata).await?;
    let mut found = None;
    walk_span(snapshot, &mut sources, &span, &mut |entry| {
        found = Some(entry.to_entry());
        Ok(())
    })
    .await?;
    found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("the snapshot has no entry {}", shown(path))))
}
