//! Bringing an existing directory to what a survey of it found missing.

use crate::Result;
use crate::destination::InPlace;

use super::Pull;
use super::options::{PullOutcome, Pulled};
use super::surveyed::Surveyed;

impl Pull {
    /// Writes what differs.
    pub(super) fn bring(&mut self, place: &InPlace, surveyed: &Surveyed) -> Result<Pulled> {
        place.remove_stale(&surveyed.stale);
        place.tree().worker().tighten()?;
        let written = self.write_tree(place.tree(), Some(surveyed), true)?;
        let removed = if self.options.delete { surveyed.extra.len() as u64 } else { 0 };
        let is_unchanged = surveyed.is_equal() && removed == 0;
        let outcome = if is_unchanged { PullOutcome::Unchanged } else { PullOutcome::Updated };
        let mut pulled = self.pulled(&written, outcome);
        pulled.removed = removed;
        Ok(pulled)
    }
}
