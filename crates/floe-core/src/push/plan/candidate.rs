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

/// How an entry compares with the base's at its path. Most are the same, and are moved a few times: what others hold is boxed.
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

/// The group that is open: its entries, taken apart, since of one that the base has the notes alone are handed out.
#[derive(Default)]
pub(super) struct OpenGroup {
    directories: Vec<DirectoryId>,
    notes: Vec<Note>,
    states: Vec<State>,
}

impl OpenGroup {
    pub(super) fn push(&mut self, candidate: Candidate) {
        let Candidate { directory, note, state } = candidate;
        self.directories.push(directory);
        self.notes.push(note);
        self.states.push(state);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// How its entries compare with the base's.
    pub(super) fn states(&self) -> &[State] {
        &self.states
    }

    /// Its last entry.
    pub(super) fn last(&self) -> Option<(DirectoryId, &Note, &State)> {
        Some((*self.directories.last()?, self.notes.last()?, self.states.last()?))
    }

    /// Ends it: what is known of its entries, and what they are.
    pub(super) fn take_states(&mut self) -> (Vec<Note>, impl Iterator<Item = State>) {
        self.directories.clear();
        // The next has about as many.
        let next = Vec::with_capacity(self.notes.len());
        (std::mem::replace(&mut self.notes, next), self.states.drain(..))
    }

    /// Ends it: what is to be read.
    pub(super) fn take_planned(&mut self) -> Vec<PlannedEntry> {
        let notes = self.notes.drain(..).zip(self.states.drain(..));
        let planned = |(directory, (note, state)): (_, (Note, State))| PlannedEntry {
            entry: state.into_entry(),
            directory,
            note,
        };
        self.directories.drain(..).zip(notes).map(planned).collect()
    }
}
