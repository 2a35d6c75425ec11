//! Frames that need not be stored: the store has them, or this push is already storing them.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use floe_format::FrameId;

use super::base::BasePacks;
use super::elsewhere::Elsewhere;
use crate::Result;
use crate::spilled_table::{KEY_LEN, SpilledTable};

/// The frames that are known, and those that this push has taken upon itself to store.
#[derive(Debug)]
pub(super) struct KnownFrames {
    packs: Arc<BasePacks>,
    elsewhere: Option<Arc<Elsewhere>>,
    claimed: Mutex<SpilledTable<KEY_LEN>>,
}

impl KnownFrames {
    /// Nothing is claimed yet; a temporary file is made in this directory, if it can be.
    pub(super) fn new(
        packs: Arc<BasePacks>,
        elsewhere: Option<Arc<Elsewhere>>,
        directory: Option<&Path>,
    ) -> Self {
        Self { packs, elsewhere, claimed: Mutex::new(SpilledTable::new(directory)) }
    }

    /// Whether the caller has to store this frame: it is not known, and nobody claimed it before.
    ///
    /// # Errors
    /// Those of the store, where a pack has to be asked for.
    pub(super) fn claim(&self, id: &FrameId) -> Result<bool> {
        self.claim_unless(id, Elsewhere::has)
    }

    /// Whether the caller has to store a frame that all trees have: it alone is no reason to use a pack of another tree,
    /// of which this one would have to be read, and which could never go while this one is there.
    ///
    /// # Errors
    /// As [`KnownFrames::claim`].
    pub(super) fn claim_common(&self, id: &FrameId) -> Result<bool> {
        self.claim_unless(id, Elsewhere::has_in_used)
    }

    /// Claims a frame; whether it is not in the base's packs, was not claimed before, and is not elsewhere.
    fn claim_unless(
        &self,
        id: &FrameId,
        is_elsewhere: impl Fn(&Elsewhere, &FrameId) -> Result<bool>,
    ) -> Result<bool> {
        if self.packs.data.contains(id)? || !self.claimed().insert(id.as_bytes())? {
            return Ok(false);
        }
        match &self.elsewhere {
            Some(elsewhere) => Ok(!is_elsewhere(elsewhere, id)?),
            None => Ok(true),
        }
    }

    /// Whether this frame need not be stored by who asks: it is known, or was claimed.
    ///
    /// # Errors
    /// Those of the store, where a pack has to be asked for.
    pub(super) fn has(&self, id: &FrameId) -> Result<bool> {
        if self.packs.data.contains(id)? || self.claimed().contains(id.as_bytes())? {
            return Ok(true);
        }
        match &self.elsewhere {
            Some(elsewhere) => elsewhere.has(id),
            None => Ok(false),
        }
    }

    /// Forgets all claims but those that were kept.
    ///
    /// # Errors
    /// Those of the iterator, and of a temporary file.
    pub(super) fn release_all_but(&self, stored: impl Iterator<Item = Result<FrameId>>) -> Result<()> {
        let mut claimed = self.claimed();
        claimed.clear();
        for id in stored {
            claimed.insert(id?.as_bytes())?;
        }
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.release();
        }
        Ok(())
    }

    fn claimed(&self) -> MutexGuard<'_, SpilledTable<KEY_LEN>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
