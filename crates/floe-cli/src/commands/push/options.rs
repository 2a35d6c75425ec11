//! Which entries a push takes, and what it keeps of them.

use clap::Args;
use floe_core::PushOptions;
use floe_core::source::OwnDirectory;
use floe_format::Kept;

use crate::exclusions::ExclusionArguments;
use crate::failure::Failure;

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What is pushed")]
pub(crate) struct WhatArguments {
    #[command(flatten)]
    exclusions: ExclusionArguments,
    /// Keep owners
    #[arg(long, conflicts_with = "reproducible")]
    owner: bool,
    /// Keep extended attributes
    #[arg(long, conflicts_with = "reproducible")]
    xattrs: bool,
    /// Keep no times, and of modes the executable bit alone, so that equal content is an equal snapshot
    #[arg(long)]
    reproducible: bool,
    /// Leave out what cannot be read, and say so in the ref, instead of failing
    #[arg(long)]
    skip_unreadable: bool,
}

impl WhatArguments {
    /// The options that these say, beside Floe's own directories; all others are as by default.
    pub(crate) fn options(self, own: Vec<OwnDirectory>) -> Result<PushOptions, Failure> {
        let kept = match self.reproducible {
            true => Kept::NONE,
            false => [(self.owner, Kept::OWNER), (self.xattrs, Kept::XATTRS)]
                .into_iter()
                .filter_map(|(wanted, kept)| wanted.then_some(kept))
                .fold(Kept::MTIME, |all, one| all | one),
        };
        Ok(PushOptions {
            kept,
            reproducible: self.reproducible,
            skip_unreadable: self.skip_unreadable,
            exclusions: self.exclusions.read(own)?,
            ..PushOptions::default()
        })
    }
}
