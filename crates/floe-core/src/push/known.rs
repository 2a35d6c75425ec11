//! Frames that need not be stored: the store has them, or this push is already storing them.

use std::sync::{Arc, Mutex, PoisonError};

use floe_format::FrameId;

use super::base::BasePacks;
use super::elsewhere::Elsewhere;
use crate::Result;
use crate::catalog::FrameMap;

/// The frames that are known, and those that this push has taken upon itself to store.
#[derive(Debug)]
pub(super) struct KnownFrames {
    packs: Arc<BasePacks>,
    elsewhere: Option<Arc<Elsewhere>>,
    claimed: Mutex<FrameMap<()>>,
}

impl KnownFrames {
    pub(super) fn new(packs: Arc<BasePacks>, elsewhere: Option<Arc<Elsewhere>>) -> Self {
        Self { packs, elsewhere, claimed: Mutex::default() }
    }

    /// Whether the caller has to store this frame: it is not known, and nobody claimed it before.
    ///
    /// # Errors
    /// Those of the store, where a pack has to be asked for.
    pub(super) fn claim(&self, id: &FrameId) -> Result<bool> {
        if !self.claim_new(id) {
            return Ok(false);
        }
        match &self.elsewhere {
            Some(elsewhere) => Ok(!elsewhere.has(id)?),
            None => Ok(true),
        }
    }

    /// Whether the caller has to store a frame that all trees have: it alone is no reason to use a pack of another tree,
    /// of which this one would have to be read, and which could never go while this one is there.
    pub(super) fn claim_common(&self, id: &FrameId) -> bool {
        self.claim_new(id) && !self.elsewhere.as_ref().is_some_and(|elsewhere| elsewhere.has_in_used(id))
    }

    /// Claims a frame that is not in the base's packs; false when it is, or was claimed before.
    fn claim_new(&self, id: &FrameId) -> bool {
        !self.packs.data.contains(id)
            && self.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(*id, ()).is_none()
    }

    /// Whether this frame need not be stored by who asks: it is known, or was claimed.
    ///
    /// # Errors
    /// Those of the store, where a pack has to be asked for.
    pub(super) fn has(&self, id: &FrameId) -> Result<bool> {
        if self.packs.data.contains(id)
            || self.claimed.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id)
        {
            return Ok(true);
        }
        match &self.elsewhere {
            Some(elsewhere) => elsewhere.has(id),
            None => Ok(false),
        }
    }

    /// Forgets all claims but those that were kept.
    pub(super) fn release_all_but(&self, stored: impl Iterator<Item = FrameId>) {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.clear();
        claimed.extend(stored.map(|id| (id, ())));
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.release();
        }
    }
}
