//! Frames that the store may have though the base has not: in packs whose tails are cached, and in those that an
//! earlier try of this push published.
//!
//! Nothing of this is believed: a pack counts only once a request made under the lease has shown that it exists, and
//! is asked for at the first frame that is found in it.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use floe_format::{FrameId, PackId};
use tokio::runtime::Handle;

use crate::Result;
use crate::catalog::{Catalog, PackShape};
use crate::collector_state::CollectorState;
use crate::namespace::Namespace;
use crate::pack_tails::PackTails;

/// How many cached tails are looked into, besides those of the journal.
const MAX_TAILS: usize = 256;

/// How many frames are looked up in, at most.
const MAX_FRAMES: usize = 400_000;

/// Where to look, not looked into yet.
pub(super) struct Places {
    pub(super) namespace: Namespace,
    pub(super) tails: PackTails,
    pub(super) handle: Handle,
    pub(super) collector: CollectorState,
    /// The packs of the base, which are known or must not be used.
    pub(super) base: HashSet<PackId>,
    /// Packs published by an earlier try.
    pub(super) journal: Vec<PackId>,
}

/// The frames of packs of which nobody knows whether they exist.
pub(super) struct Elsewhere {
    places: Places,
    looked_into: OnceLock<Found>,
}

#[derive(Default)]
struct Found {
    frames: Catalog,
    /// For each pack whether it exists, once that was asked.
    exists: Vec<OnceLock<bool>>,
    /// For each pack whether a frame of it is used.
    is_used: Vec<AtomicBool>,
}

impl Elsewhere {
    pub(super) fn new(places: Places) -> Self {
        Self { places, looked_into: OnceLock::new() }
    }

    /// Whether a pack that exists has this frame.
    pub(super) fn has(&self, id: &FrameId) -> Result<bool> {
        let found = self.looked_into.get_or_init(|| self.places.look_into());
        let Some(located) = found.frames.find(id)? else { return Ok(false) };
        let asked = &found.exists[located.pack];
        let exists = match asked.get() {
            Some(&exists) => exists,
            // Two threads may ask at once; the answers are the same.
            None => {
                let exists = self.places.ask(&found.frames.packs()[located.pack])?;
                *asked.get_or_init(|| exists)
            }
        };
        found.is_used[located.pack].fetch_or(exists, Ordering::Relaxed);
        Ok(exists)
    }

    /// Whether a pack that is used already has this frame.
    ///
    /// # Errors
    /// Those of [`Catalog::find`].
    pub(super) fn has_in_used(&self, id: &FrameId) -> Result<bool> {
        let Some(found) = self.looked_into.get() else { return Ok(false) };
        let located = found.frames.find(id)?;
        Ok(located.is_some_and(|located| found.is_used[located.pack].load(Ordering::Relaxed)))
    }

    /// Forgets which packs are used.
    pub(super) fn release(&self) {
        let used = self.looked_into.get().into_iter().flat_map(|found| &found.is_used);
        used.for_each(|is_used| is_used.store(false, Ordering::Relaxed));
    }

    /// The packs and frames, for the layout: only what [`Elsewhere::has`] said yes to may be used.
    pub(super) fn catalog(&self) -> Option<&Catalog> {
        self.looked_into.get().map(|found| &found.frames)
    }
}

impl Places {
    fn look_into(&self) -> Found {
        self.try_look_into().unwrap_or_else(|error| {
            tracing::debug!(%error, "nothing is known of what is elsewhere");
            Found::default()
        })
    }

    fn try_look_into(&self) -> Result<Found> {
        let mut found = Found { frames: Catalog::new(self.tails.scratch()), ..Found::default() };
        let mut seen = self.base.clone();
        let cached = self.tails.cached_ids();
        let newest = cached.iter().filter(|id| !self.journal.contains(id)).take(MAX_TAILS);
        let mut frames = 0;
        for id in self.journal.iter().chain(newest) {
            if frames >= MAX_FRAMES {
                break;
            }
            if !seen.insert(*id) || self.collector.is_condemned_pack(id) {
                continue;
            }
            if let Some(tail) = self.tails.load_cached_id(id) {
                frames += tail.tail.data().len();
                found.frames.add_pack(tail.shape, tail.tail.data())?;
                found.exists.push(OnceLock::new());
                found.is_used.push(AtomicBool::new(false));
            }
        }
        Ok(found)
    }

    fn ask(&self, shape: &PackShape) -> Result<bool> {
        let key = self.namespace.keys().pack(&shape.id);
        let size = self.handle.block_on(self.namespace.store().head(&key))?;
        if size.is_none() {
            self.tails.forget(&shape.id);
        }
        Ok(size == Some(shape.pack_len))
    }
}

impl std::fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Elsewhere").finish_non_exhaustive()
    }
}
