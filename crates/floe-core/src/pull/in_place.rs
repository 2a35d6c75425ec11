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
        self.work.check()?;
        self.top.with_meta(self.restore(), |meta| place.tree().worker().tighten(meta))?;
        let written = self.write_tree(place.tree(), Some(surveyed), true)?;
        let is_unchanged = surveyed.is_equal() && written.removed == 0;
        let outcome = if is_unchanged { PullOutcome::Unchanged } else { PullOutcome::Updated };
        Ok(self.pulled(&written, outcome))
    }
}
