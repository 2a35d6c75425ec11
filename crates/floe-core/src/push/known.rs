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
        if self.packs.data.contains(id) {
            return Ok(false);
        }
        if self.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(*id, ()).is_some() {
            return Ok(false);
        }
        match &self.elsewhere {
            Some(elsewhere) => Ok(!elsewhere.has(id)?),
            None => Ok(true),
        }
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
    }
}
