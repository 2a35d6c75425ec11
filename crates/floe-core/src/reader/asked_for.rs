//! Entries that a person named, who may have misspelled them.

use std::path::Path;

use floe_format::{Entry, EntryKind, parent_and_name};

use crate::alike::{Alike, there_is};
use crate::namespace::Namespace;
use crate::snapshot::Snapshot;
use crate::{Error, ErrorKind, Remedy, Result};

use super::glance::{find_entry, walk_span};
use super::items::SegmentWalk;
use super::sources::{Reach, Sources};
use super::span::{Span, shown};

/// One entry of a snapshot; where there is none, the error says what there is instead.
///
/// # Errors
/// `NotFound` where there is none; `Invalid` where the path cannot be one of an entry.
pub(crate) async fn find_entry_asked_for(
    namespace: &Namespace,
    snapshot: &Snapshot,
    cache: Option<&Path>,
    path: &[u8],
) -> Result<Entry> {
    match find_entry(namespace, snapshot, cache, path).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Whatever fails now, what was asked for is not there.
            let instead = what_is_instead(namespace, snapshot, cache, path).await.unwrap_or_default();
            let message = format!("the snapshot has no entry {}{instead}", shown(path));
            Err(Error::new(ErrorKind::NotFound, message).with_remedy(Remedy::OtherPath))
        }
        found => found,
    }
}

/// How far the path leads, and what looks there like what it goes on with.
async fn what_is_instead(
    namespace: &Namespace,
    snapshot: &Snapshot,
    cache: Option<&Path>,
    path: &[u8],
) -> Result<String> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let ends: Vec<usize> = slashes.map(|(at, _)| at).chain([path.len()]).collect();
    // What is above an entry is there; so many of the ends are known to be, and so many may be.
    let (mut there, mut most) = (0, ends.len() - 1);
    while there < most {
        let tried = (there + most).div_ceil(2);
        let above = &path[..ends[tried - 1]];
        match find_entry(namespace, snapshot, cache, above).await {
            Ok(entry) if entry.as_entry().kind() == EntryKind::Directory => there = tried,
            Ok(_) => return Ok(format!(": {} is not a directory", shown(above))),
            Err(error) if error.kind() == ErrorKind::NotFound => most = tried - 1,
            Err(error) => return Err(error),
        }
    }
    let missing = &path[..ends[there]];
    let (directory, name) = parent_and_name(missing);
    let span = Span::Children(directory.to_vec());
    let items = SegmentWalk::root_items(snapshot, &span);
    let mut sources = Sources::open(namespace, snapshot, cache, &items, Reach::Metadata).await?;
    let mut alike = Alike::to(&String::from_utf8_lossy(name));
    walk_span(snapshot, &mut sources, &span, &mut |entry| {
        // Only what can be written down as it is.
        if let Ok(path) = std::str::from_utf8(entry.path) {
            alike.see(path.rsplit('/').next().unwrap_or(path));
        }
        Ok(())
    })
    .await?;
    let is_above = if missing == path { String::new() } else { format!(": it has no {}", shown(missing)) };
    let below = if directory.is_empty() { Vec::new() } else { [directory, b"/"].concat() };
    let alike = there_is(alike.nearest().map(|name| shown(&[&below, name.as_bytes()].concat()).to_string()));
    Ok(format!("{is_above}{alike}"))
}
