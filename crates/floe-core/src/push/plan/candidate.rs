//! Entries of a group that is being put together, beside those of the base.

use floe_format::Entry;

use crate::push::base::BaseEntry;
use crate::push::unit::Note;
use crate::push::work::PlannedEntry;
use crate::source::DirectoryId;

/// An entry of the group that is open.
pub(super) struct Candidate {
    pub(super) directory: DirectoryId,
    pub(super) note: Note,
    pub(super) state: State,
}

/// How an entry compares with the base's at its path. Most are the same, and copied a few times: no room for the others.
pub(super) enum State {
    /// Nothing that is kept differs.
    Same(BaseEntry),
    /// Its tar bytes are the same, but something else that is kept differs.
    SameTar(BaseEntry, Box<Entry>),
    /// It is new, changed, or has to be read to be known.
    Other(Box<Entry>),
}

impl State {
    pub(super) fn base(&self) -> Option<&BaseEntry> {
        match self {
            Self::Same(base) | Self::SameTar(base, _) => Some(base),
            Self::Other(_) => None,
        }
    }

    pub(super) fn into_entry(self) -> Entry {
        match self {
            Self::Same(base) => base.entry().to_entry(),
            Self::SameTar(_, entry) | Self::Other(entry) => *entry,
        }
    }
}

pub(super) fn planned_entry(candidate: Candidate) -> PlannedEntry {
    let Candidate { directory, note, state } = candidate;
    PlannedEntry { entry: state.into_entry(), directory, note }
}
