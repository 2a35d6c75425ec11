//! Looking into a snapshot: what is in a directory, and what is in a file.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_format::{Body, Entry, EntryKind, EntryRef};
use tokio_util::sync::CancellationToken;

use crate::namespace::Namespace;
use crate::offload::offload;
use crate::reader::{Reach, SegmentWalk, Sources, Span, find_entry, find_entry_asked_for, shown, walk_span};
use crate::snapshot::Snapshot;
use crate::unpack::{BigFile, Output, Planner, plan_entries, run};
use crate::{Error, ErrorKind, Result};

/// How deep a listing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What is in the directory itself.
    Children,
    /// All that is below it.
    Below,
}

/// Shows the entries of a directory of a snapshot, in the canonical order; of another entry, itself. `path` has no `/` at
/// either end, and is empty for the tree's own directory.
///
/// A directory with entries costs the reading of the packs' directories and of the segments it is in: no others are read.
///
/// # Errors
/// `NotFound` where the snapshot has no such entry.
pub async fn list(
    namespace: &Namespace,
    snapshot: &Snapshot,
    path: &[u8],
    depth: Depth,
    cache: Option<&Path>,
    each: &mut (dyn FnMut(&EntryRef<'_>) -> Result<()> + Send),
) -> Result<()> {
    if !path.is_empty() {
        floe_format::validate_path(path)?;
    }
    let span = match depth {
        Depth::Children => Span::Children(path.to_vec()),
        Depth::Below => Span::below(path),
    };
    let items = SegmentWalk::root_items(snapshot, &span);
    let mut sources = Sources::open(namespace, snapshot, cache, &items, Reach::Metadata).await?;
    let mut is_empty = true;
    walk_span(snapshot, &mut sources, &span, &mut |entry| {
        is_empty = false;
        each(entry)
    })
    .await?;
    if !is_empty || path.is_empty() {
        return Ok(());
    }
    // An empty directory, something else, or nothing.
    let entry = find_entry_asked_for(namespace, snapshot, cache, path).await?;
    match entry.as_entry().kind() {
        EntryKind::Directory => Ok(()),
        _ => each(&entry.as_entry()),
    }
}

/// One entry of a snapshot.
///
/// # Errors
/// `NotFound` where there is none.
pub async fn entry_at(
    namespace: &Namespace,
    snapshot: &Snapshot,
    path: &[u8],
    cache: Option<&Path>,
) -> Result<Entry> {
    find_entry_asked_for(namespace, snapshot, cache, path).await
}

/// How a file is read.
#[derive(Clone, Debug, Default)]
pub struct CatOptions {
    /// Where caches are.
    pub cache_dir: Option<PathBuf>,
    /// Asks to stop.
    pub cancel: CancellationToken,
}

/// Writes the content of a file of a snapshot; returns its length in bytes.
///
/// # Errors
/// `NotFound` where there is no such entry; `Invalid` where it is no file; `Corrupt` where its bytes are not what the
/// snapshot says; of a file in several frames, the parts before were written then.
pub async fn cat(
    namespace: &Namespace,
    snapshot: &Snapshot,
    path: &[u8],
    out: Box<dyn Write + Send>,
    options: &CatOptions,
) -> Result<u64> {
    let cache = options.cache_dir.as_deref();
    let mut entry = find_entry_asked_for(namespace, snapshot, cache, path).await?;
    if let Body::HardLink { target } = entry.as_entry().body {
        entry = find_entry(namespace, snapshot, cache, target).await?;
    }
    let Body::File { size, .. } = entry.as_entry().body else {
        return Err(Error::new(ErrorKind::Invalid, format!("{} is not a file", shown(path))));
    };
    let items = SegmentWalk::root_items(snapshot, &Span::Entry(entry.path.clone()));
    let mut sources = Sources::open(namespace, snapshot, cache, &items, Reach::Data).await?;
    let (namespace, snapshot) = (namespace.clone(), snapshot.clone());
    offload("cat", &options.cancel, move |work| {
        let out = std::sync::Mutex::new(Some(out));
        let make = || Printer {
            out: out
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .take()
                .unwrap_or_else(|| Box::new(std::io::sink())),
        };
        // One thread: parts come in order.
        let path = [&entry.path[..]];
        let plan = |planner: &mut Planner<'_, '_>| {
            plan_entries(planner, &snapshot, &mut sources, &path, &mut |_| Ok(true))
        };
        run(&work, &namespace, 1, plan, make)?;
        Ok(size)
    })
    .await
}

struct Printer {
    out: Box<dyn Write + Send>,
}

impl Printer {
    fn print(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| Error::io("cannot write the file's content", e))
    }

    fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(|e| Error::io("cannot write the file's content", e))
    }
}

impl<'t> Output<'t> for Printer {
    type Done = ();

    fn whole(&mut self, _: u64, _: &EntryRef<'_>, content: &[u8]) -> Result<()> {
        self.print(content)?;
        self.flush()
    }

    fn part(&mut self, _: &Arc<BigFile<'t>>, _: u64, bytes: &[u8]) -> Result<()> {
        self.print(bytes)
    }

    fn complete(&mut self, _: &Arc<BigFile<'t>>) -> Result<()> {
        self.flush()
    }

    fn done(self) {}
}
