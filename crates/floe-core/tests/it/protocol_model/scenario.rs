//! What one run of the explorer contains, and the state in which it begins.

use super::rules::Rules;
use super::state::{
    BASE_PACK, BASE_SNAPSHOT, CollectorStep, Entry, GcState, LAST_SLOT, Lease, MountStep, Named, Ref, State,
    pack_of,
};

/// An operator's accident that a scenario may contain, once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Accident {
    /// None.
    Nothing,
    /// `gc/state` is deleted.
    StateVanishes,
    /// `gc/state` is put back as it was one generation ago, while no collector runs.
    StateRestored,
}

/// What one run of the explorer contains: who acts, how often, and which rules they keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    /// Named in failures.
    pub(super) name: &'static str,
    /// The rules that are kept.
    pub(super) rules: Rules,
    /// Where the base is named at the start.
    pub(super) base: BaseIn,
    /// Whether there is a pack of an upload long given up, which no cache knows and collectors can condemn.
    pub(super) orphan: bool,
    /// Whether the ref that is pushed to is read before the handshake, and other refs still after it.
    pub(super) early_ref: bool,
    /// Whether a ref keeps one history entry, or none.
    pub(super) history: bool,
    /// Attempts to push, of all writers together.
    pub(super) attempts: u8,
    /// Writers.
    pub(super) writers: usize,
    /// Collectors, each of one round.
    pub(super) collectors: usize,
    /// Moves of the ref by somebody else, to a tombstone.
    pub(super) removals: u8,
    /// Whether pushes may also name the base's snapshot object itself (tag, rollback).
    pub(super) tags: bool,
    /// Whether leases are also created with a guessed stamp, one too low or one too high.
    pub(super) guesses: bool,
    /// Whether answers may be lost after or before the work was done, or come from a repeated request.
    pub(super) lost_answers: bool,
    /// What of `DUE_PACK` and `DUE_SNAPSHOT` is done before the lease is CASed to `committing`; the rest may be in
    /// flight together with it.
    pub(super) before_lease: u8,
    /// Whether a retry may keep a held lease by a CAS from `committing` to `committing`.
    pub(super) keep_lease: bool,
    /// Whether collectors list objects before they mark, not after.
    pub(super) list_first: bool,
    /// Whether collectors seal their decision in `gc/state` before deleting, and release what survived.
    pub(super) seal: bool,
    /// Whether there is a mount.
    pub(super) mount: bool,
    /// What befalls `gc/state`.
    pub(super) accident: Accident,
}

/// What names the base at the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BaseIn {
    /// The ref that is pushed to.
    Ref,
    /// Another ref; the one that is pushed to does not exist.
    OtherRef,
    /// Only caches and journals; the ref does not exist.
    Caches,
    /// Caches, and a ref CAS in flight under a lease of the first generation, whose writer is no more; the ref does
    /// not exist yet. It takes a slot.
    InFlight,
}

impl Scenario {
    /// The state in which everything begins.
    pub(super) fn start(&self) -> State {
        let base = Entry { named: Named::Base, token: 0 };
        let mut state = State {
            gc: GcState { present: true, version: 1, generation: 1, ..GcState::default() },
            present: BASE_PACK | BASE_SNAPSHOT,
            uploaded: BASE_PACK | BASE_SNAPSHOT,
            removals_left: self.removals,
            accidents_left: u8::from(self.accident != Accident::Nothing),
            ..State::default()
        };
        match self.base {
            BaseIn::Ref => {
                state.reference =
                    Ref { version: 1, generation: 1, current: base, previous: Entry::default() };
            }
            BaseIn::OtherRef => state.other_ref = Named::Base,
            BaseIn::Caches => {}
            BaseIn::InFlight => {
                state.used_slots = 1;
                state.slots[0].lease = Lease::Committing(0);
                state.slots[0].stamp = 1;
                state.slots[0].in_flight = Some((0, Named::Base));
            }
        }
        if self.orphan {
            state.present |= pack_of(LAST_SLOT);
        }
        for collector in &mut state.collectors[self.collectors..] {
            collector.step = CollectorStep::Done;
        }
        if self.mount {
            state.mount.step = MountStep::ReadRef;
        }
        state
    }
}
