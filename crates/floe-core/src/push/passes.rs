//! What one pass over the source leaves to the next, where it is planned several times.

use std::path::Path;
use std::sync::Arc;

use super::left_out::LeftOut;
use super::made::Made;
use super::packs::PackOutput;
use super::seen_rules::SeenRules;
use crate::source::WalkBegan;

/// The passes until now.
pub(super) struct Passes {
    /// How many there were, with the one that is under way.
    pub(super) count: usize,
    /// What they made of what they read.
    pub(super) made: Arc<Made>,
    pub(super) packs: PackOutput,
    /// What could not be read.
    pub(super) left_out: LeftOut,
    /// When the first of them began of which anything is in the packs, by the clock of the source; nothing before the first.
    pub(super) packs_began: Option<WalkBegan>,
    /// What the ignore files were in them.
    pub(super) seen_rules: SeenRules,
}

impl Passes {
    /// None yet.
    pub(super) fn new(packs: PackOutput, cache_dir: Option<&Path>) -> Self {
        let made = Arc::new(Made::new(cache_dir));
        Self {
            count: 0,
            made,
            packs,
            left_out: LeftOut::default(),
            packs_began: None,
            seen_rules: SeenRules::default(),
        }
    }

    /// Gives up all that was read.
    pub(super) fn give_up(&mut self, cache_dir: Option<&Path>) {
        self.packs.give_up();
        self.made = Arc::new(Made::new(cache_dir));
        self.packs_began = None;
        self.seen_rules.settle();
    }
}
