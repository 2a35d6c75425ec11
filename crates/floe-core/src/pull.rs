//! Pull: a snapshot, or a part of it, written to a directory.
//!
//! A new destination is written aside and renamed into place when all of it was checked. An existing directory, be it
//! empty, is used as it is: whoever made it chose its place, its owner and who may write beside it. What goes into an
//! empty one is written to a directory inside it, and moved up name by name when all was checked. One with entries is
//! surveyed first, so that whatever stands in the way is known before anything changes, and then only what differs is
//! fetched and written, each file at once. Metadata is read again for each of these passes, where it is needed, rather
//! than kept; what is kept is a byte an entry for verdicts, and a record of each file for the stat cache.

mod cache;
mod foreseen;
mod group;
mod hashing;
mod in_place;
mod left_out;
mod link_list;
mod links;
mod options;
mod own;
mod restore;
mod selection;
mod single;
mod sparse;
mod stand_ins;
mod survey;
mod surveyed;
mod tree;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use floe_format::EntryKind;

pub use options::{Foreseen, PullOptions, PullOutcome, PullProgress, Pulled};

use crate::destination::{FileId, InPlace, Occupant, Settings, Staging, look};
use crate::namespace::Namespace;
use crate::offload::{Offloaded, Teller, default_threads, offload, offload_telling, unless_cancelled};
use crate::reader::{Reach, SegmentWalk, Sources, Span, find_entry_asked_for, shown};
use crate::snapshot::Snapshot;
use crate::source::{StatCache, refuse_in_own};
use crate::{Error, ErrorKind, Remedy, Result};

use restore::{Restore, Top};
use selection::Selection;
use tree::WrittenTree;

/// All that a pull on its thread is given.
struct Pull {
    namespace: Namespace,
    snapshot: Snapshot,
    sources: Sources,
    span: Span,
    top: Top,
    options: PullOptions,
    /// What Floe's own directories are.
    own: Vec<FileId>,
    selection: Selection,
    progress: Arc<PullProgress>,
    threads: usize,
    work: Offloaded,
    /// Is told what would be done, where nothing is to be written.
    teller: Option<Teller<Foreseen>>,
}

/// Writes a snapshot to `destination`: the whole tree, or what [`PullOptions::path`] names.
///
/// # Errors
/// `NotFound` where the path is not in the snapshot; `Corrupt` where the snapshot is not what its ids say, or no tree, or
/// a pack is gone (with [`Remedy::ResolveAgain`]); `Invalid` where something at the destination is in
/// the way, or it lies in a store, or the globs leave out the single entry that was asked for; `Conflict` where another pull writes there.
///
/// # Cancel safety
/// When the future is dropped the pull stops soon after, and a destination that was not there before is not there.
pub async fn pull(
    namespace: &Namespace,
    snapshot: &Snapshot,
    destination: &Path,
    options: &PullOptions,
    progress: &Arc<PullProgress>,
) -> Result<Pulled> {
    let prepared = prepare(namespace, snapshot, destination, options, progress, Reach::Data);
    let run = unless_cancelled(&options.cancel, prepared).await??;
    offload("pull", &options.cancel, move |work| run(work, None)).await
}

/// Shows what a pull would do, in the canonical order, and writes nothing.
///
/// # Errors
/// Those of [`pull`], as far as they can be told without writing, and what `each` returns.
///
/// # Cancel safety
/// When the future is dropped the work stops soon after.
pub async fn foresee_pull(
    namespace: &Namespace,
    snapshot: &Snapshot,
    destination: &Path,
    options: &PullOptions,
    progress: &Arc<PullProgress>,
    each: &mut (dyn FnMut(Foreseen) -> Result<()> + Send),
) -> Result<Pulled> {
    let prepared = prepare(namespace, snapshot, destination, options, progress, Reach::Metadata);
    let run = unless_cancelled(&options.cancel, prepared).await??;
    offload_telling("pull", &options.cancel, move |work, teller| run(work, Some(teller)), each).await
}

/// Opens what a pull reads; the rest is done on a thread, and only looked at where somebody is to be told.
async fn prepare(
    namespace: &Namespace,
    snapshot: &Snapshot,
    destination: &Path,
    options: &PullOptions,
    progress: &Arc<PullProgress>,
    reach: Reach,
) -> Result<impl FnOnce(Offloaded, Option<Teller<Foreseen>>) -> Result<Pulled> + use<>> {
    refuse_in_own(destination, &options.own)?;
    let cache = options.cache_dir.as_deref();
    let root = snapshot.root();
    let (span, top) = if options.path.is_empty() {
        (Span::All, Top::of_root(root))
    } else {
        let entry = find_entry_asked_for(namespace, snapshot, cache, &options.path).await?;
        if entry.as_entry().kind() == EntryKind::Directory {
            (Span::below(&options.path), Top::of_entry(entry))
        } else {
            (Span::Entry(options.path.clone()), Top::of_entry(entry))
        }
    };
    let selection = Selection::new(&options.include, &options.exclude)?;
    let items = SegmentWalk::root_items(snapshot, &span);
    let sources = Sources::open(namespace, snapshot, cache, &items, reach).await?;
    let (namespace, snapshot, options) = (namespace.clone(), snapshot.clone(), options.clone());
    let (progress, destination) = (Arc::clone(progress), destination.to_owned());
    let threads = options.threads.unwrap_or_else(default_threads);
    Ok(move |work, teller| {
        let own = own::ids(&options.own);
        Pull {
            namespace,
            snapshot,
            sources,
            span,
            top,
            options,
            own,
            selection,
            progress,
            threads,
            work,
            teller,
        }
        .run(&destination)
    })
}

impl Pull {
    fn run(mut self, destination: &Path) -> Result<Pulled> {
        own::refuse_mounted(destination, &self.own)?;
        if matches!(self.span, Span::Entry(_)) {
            return self.pull_single(destination);
        }
        match look(destination)? {
            Occupant::Absent => self.pull_anew(destination),
            Occupant::Directory => self.pull_in_place(destination),
            Occupant::Special | Occupant::Other => {
                let path = shown(std::os::unix::ffi::OsStrExt::as_bytes(destination.as_os_str())).to_string();
                let message = format!("{path} is not a directory, and a directory is to be pulled there");
                Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::OtherPlace))
            }
        }
    }

    /// Tells how much there is to pull, where the root says it.
    fn tell_totals(&self) {
        if self.span == Span::All && self.selection.is_all() {
            let root = self.snapshot.root();
            self.progress.entries_total.store(root.entries, Ordering::Relaxed);
            self.progress.file_bytes_total.store(root.file_bytes, Ordering::Relaxed);
        }
    }

    fn settings(&self, stat_written: bool) -> Settings {
        Settings {
            special_bits: self.options.special_bits,
            devices: self.options.devices,
            delete: self.options.delete,
            stat_written,
            looks_only: self.teller.is_some(),
            own: self.own.clone(),
            token: u64::from_le_bytes(self.namespace.ambient().random()),
            stop: self.work.cancel.clone(),
        }
    }

    fn restore(&self) -> Restore {
        Restore {
            owner: self.options.owner,
            xattrs: self.options.xattrs && self.snapshot.root().kept.contains(floe_format::Kept::XATTRS),
        }
    }

    /// Writes a tree to a destination that is absent.
    fn pull_anew(&mut self, destination: &Path) -> Result<Pulled> {
        if self.teller.is_some() {
            Staging::check(destination)?;
            return self.count();
        }
        self.tell_totals();
        let staging = Staging::create(destination, self.settings(self.options.cache_dir.is_some()))?;
        let written = self.write_tree(staging.tree(), None, true)?;
        self.commit(destination, staging, written, None)
    }

    /// Moves a tree to where it belongs: to a destination that is absent, or into an empty directory.
    fn commit(
        &mut self,
        destination: &Path,
        staging: Staging,
        written: WrittenTree,
        place: Option<&InPlace>,
    ) -> Result<Pulled> {
        let mut pulled = self.pulled(&written, PullOutcome::Created);
        pulled.complaints = staging.tree().complaints();
        self.work.check()?;
        // Until here nobody else could know the tree: what changes it has a time of change after this moment.
        let before_commit = cache::clock_near(destination, place.is_some());
        if let Some(place) = place {
            self.top.with_meta(self.restore(), |meta| place.tree().worker().tighten(meta))?;
        }
        staging.commit(self.options.sync)?;
        if let Some(place) = place {
            let there = place.tree();
            self.top.with_meta(self.restore(), |meta| there.worker().finish(Some(meta)))?;
            pulled.complaints.add(there.complaints());
            if self.options.sync {
                there.sync()?;
            }
        }
        if let Some(caches) = &self.options.cache_dir {
            let cache = cache::open_cache(caches, destination);
            if let (Some(cache), Some(clock)) = (cache, before_commit) {
                cache::record(&cache, written.sections, clock);
            }
            StatCache::evict(caches, self.namespace.ambient());
        }
        Ok(pulled)
    }

    fn pull_in_place(&mut self, destination: &Path) -> Result<Pulled> {
        let mut place = InPlace::open(destination, self.settings(false))?;
        self.tell_totals();
        let settings = self.settings(self.options.cache_dir.is_some());
        if self.teller.is_none()
            && self.snapshot.root().entries > 0
            && let Some(staging) = Staging::within(&place, destination, settings)?
        {
            // Out of a directory of some modes nothing can be moved.
            let written = self.write_tree(staging.tree(), None, false)?;
            if !written.is_empty() {
                return self.commit(destination, staging, written, Some(&place));
            }
            // Then all that may differ is the directory itself.
        }
        let mut surveyed = self.survey(place.tree(), destination)?;
        if let Some(teller) = self.teller.clone() {
            surveyed.foresee_links(&mut place.tree().worker())?;
            surveyed.foresee_removals(&self.options, &mut place.tree().worker())?;
            // Whoever is told may take their time.
            place.unlock();
            let would_be = surveyed.would_be(&self.options, &self.selection);
            self.tell_foreseen(place.tree(), &mut surveyed, &teller)?;
            return Ok(would_be);
        }
        let mut pulled = self.bring(&place, &surveyed)?;
        pulled.complaints = place.tree().complaints();
        if self.options.sync {
            place.tree().sync()?;
        }
        // Of what was not selected nothing is known now, and perhaps something before.
        if self.selection.is_all() {
            cache::record_kept(surveyed);
        }
        Ok(pulled)
    }
}
