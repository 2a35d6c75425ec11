//! What the store and the actors hold at one moment of the model.
//!
//! Everything is a few bytes wide, `Copy` and hashable, so that a million states fit in memory. A *slot* is one
//! attempt to push: it owns one lease key, one pack key and one snapshot key, none of which is ever used again.

/// Attempts to push that one run can hold.
pub(super) const SLOTS: usize = 3;

/// The last slot; in scenarios with an orphaned pack, that pack is this slot's and no attempt uses it.
pub(super) const LAST_SLOT: u8 = 2;

/// A set of objects: bit 0 is the base's pack, bits 1..=3 the slots' packs, bit 4 the base's snapshot object,
/// bits 5..=7 the slots' snapshot objects.
pub(super) type Objects = u8;

/// The pack of the snapshot that the ref names at the start; every client knows its layout from a cache.
pub(super) const BASE_PACK: Objects = 1;
/// The snapshot object that the ref names at the start.
pub(super) const BASE_SNAPSHOT: Objects = 1 << 4;
/// Every snapshot object.
pub(super) const SNAPSHOTS: Objects = 0xf0;

/// The pack that the attempt in this slot uploads.
pub(super) fn pack_of(slot: u8) -> Objects {
    2 << slot
}

/// The snapshot object that the attempt in this slot publishes.
pub(super) fn snapshot_of(slot: u8) -> Objects {
    BASE_SNAPSHOT << (slot + 1)
}

/// What a ref entry names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) enum Named {
    /// Nothing: a tombstone, or no entry at all.
    #[default]
    Nothing,
    /// The snapshot of the start.
    Base,
    /// The snapshot object published in this slot.
    Slot(u8),
}

/// One entry of a ref: what it names, and the token of the push that made it (0: somebody else's, else slot + 1).
///
/// The token belongs to the *entry*: a fence rewrites the object under a token of its own and leaves the entry's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Entry {
    pub(super) named: Named,
    pub(super) token: u8,
}

/// The one ref. `version` is the store's (0: there is no object); `generation` counts entries, not fences.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Ref {
    pub(super) version: u8,
    pub(super) generation: u8,
    pub(super) current: Entry,
    /// The newest history entry, whose generation is `generation - 1`; always empty where history is 0.
    pub(super) previous: Entry,
}

/// The object `gc/state`. `doomed` is only used where the collector seals its decision (see the collector).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct GcState {
    pub(super) present: bool,
    pub(super) version: u8,
    pub(super) generation: u8,
    pub(super) condemned: Objects,
    pub(super) doomed: Objects,
}

/// The state of a push lease. There is no way back up this list, but from `Committing` to `Committing`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) enum Lease {
    /// Not yet created.
    #[default]
    Unborn,
    /// Held; the ref is not going to move yet.
    Active,
    /// Held; the writer may CAS the ref from exactly this version.
    Committing(u8),
    /// Ended by a collector.
    Dead,
    /// Deleted; what is missing is dead.
    Gone,
}

impl Lease {
    /// Whether it still protects what its stamp protects.
    pub(super) fn is_held(self) -> bool {
        matches!(self, Lease::Active | Lease::Committing(_))
    }
}

/// What the writer told its user about an attempt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) enum Report {
    /// Nothing: it crashed, failed, or tries again.
    #[default]
    Nothing,
    /// The ref was moved by this push.
    Won,
    /// The ref was not and never will be moved by this attempt.
    Lost,
    /// The answer was lost, and the entry in question has fallen out of the history since.
    Unknown,
}

/// One attempt to push: its objects in the store and the truth about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Slot {
    pub(super) lease: Lease,
    pub(super) stamp: u8,
    /// The packs that the snapshot object of this slot lists.
    pub(super) needs: Objects,
    /// A ref CAS whose answer was given up on and which may yet be executed: the version it expects, and its entry.
    pub(super) in_flight: Option<(u8, Named)>,
    /// Whether a ref CAS of this attempt was executed with success: the truth, known to no actor.
    pub(super) won: bool,
    pub(super) report: Report,
}

/// Where a writer stands; the step is the next request it makes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) enum WriterStep {
    /// Nothing under way.
    #[default]
    Idle,
    /// W1: create the lease.
    CreateLease,
    /// W2: read `gc/state`.
    ReadState,
    /// W2: CAS the lease to the generation just read (held in `seen`).
    Restamp,
    /// W3: read the ref, and plan.
    ReadRef,
    /// W5: ask whether the `unchecked` objects exist.
    Request,
    /// W6 to W8: whatever `todo` still names.
    Publish,
    /// W8: the answer was lost, read the lease back.
    ReadLease,
    /// W9: CAS the ref.
    MoveRef,
    /// W9: the answer was lost or was no, read the ref back.
    Settle,
    /// W10: delete the lease.
    EndLease,
}

/// Still to do before the ref may be moved: the pack.
pub(super) const DUE_PACK: u8 = 1;
/// Still to do before the ref may be moved: the snapshot object.
pub(super) const DUE_SNAPSHOT: u8 = 2;
/// Still to do before the ref may be moved: the lease to `committing`.
pub(super) const DUE_LEASE: u8 = 4;

/// What a writer remembers. All of it is lost in a crash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Writer {
    pub(super) step: WriterStep,
    pub(super) slot: u8,
    /// The generation just read, where it is not the stamp.
    pub(super) seen: u8,
    /// The condemned objects at the lease's generation.
    pub(super) condemned: Objects,
    /// Version and generation of the ref as read, and the objects that it named.
    pub(super) ref_read: Option<(u8, u8)>,
    pub(super) known: Objects,
    pub(super) target: Named,
    pub(super) reuse: Objects,
    pub(super) unchecked: Objects,
    pub(super) todo: u8,
    /// The lease as this writer wrote it last.
    pub(super) lease: Lease,
}

/// Where a collector stands; the step is the next request it makes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) enum CollectorStep {
    /// C1: read `gc/state`.
    #[default]
    ReadState,
    /// C2: end the leases stamped above the generation read (those in `leases`).
    ClearAbove,
    /// C3: read every ref.
    Mark,
    /// C4: list packs and snapshot objects.
    List,
    /// C5: CAS `gc/state`.
    Condemn,
    /// C6: list the leases.
    ListLeases,
    /// C6: wait for, or end, the leases in `leases`.
    Wait,
    /// C7: read every ref again.
    MarkAfresh,
    /// C8: CAS `gc/state` once more (only where decisions are sealed).
    Seal,
    /// C9: delete what is in `garbage`.
    Delete,
    /// Finished, or stopped.
    Done,
}

/// What a collector remembers. All of it is lost in a crash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Collector {
    pub(super) step: CollectorStep,
    /// Version, generation and carried-over objects of `gc/state` as read, later as written.
    pub(super) version: u8,
    pub(super) generation: u8,
    pub(super) carried: Objects,
    pub(super) marked: Objects,
    /// Whether the first half of C7 is done (only where there is a mount: refs and `reading` leases apart).
    pub(super) half_marked: bool,
    pub(super) garbage: Objects,
    /// Slots whose leases are still to be looked at.
    pub(super) leases: u8,
    /// The version that a `committing` lease names for which the ref has been fenced.
    pub(super) fenced: Option<u8>,
}

/// Where the mount stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) enum MountStep {
    /// There is none, or it has ended.
    #[default]
    Off,
    /// R1: read the ref.
    ReadRef,
    /// R2: create the `reading` lease.
    CreateLease,
    /// R3: read the ref again.
    Verify,
    /// Serving; every object of the snapshot must be there.
    Serving,
}

/// A mount: it names what it reads by a `reading` lease.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Mount {
    pub(super) step: MountStep,
    pub(super) named: Named,
    /// Whether the `reading` lease exists in the store.
    pub(super) lease: bool,
}

/// One moment: the store, and every actor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct State {
    pub(super) reference: Ref,
    /// What another ref names, which pushes can take as their base but do not move.
    pub(super) other_ref: Named,
    pub(super) gc: GcState,
    /// Packs and snapshot objects that exist.
    pub(super) present: Objects,
    /// Those that ever existed: what a journal or a cache can know.
    pub(super) uploaded: Objects,
    pub(super) slots: [Slot; SLOTS],
    pub(super) used_slots: u8,
    pub(super) writers: [Writer; 2],
    pub(super) collectors: [Collector; 2],
    pub(super) mount: Mount,
    pub(super) removals_left: u8,
    pub(super) accidents_left: u8,
}

impl State {
    /// The snapshot object and the packs that this name needs.
    pub(super) fn closure(&self, named: Named) -> Objects {
        match named {
            Named::Nothing => 0,
            Named::Base => BASE_SNAPSHOT | BASE_PACK,
            Named::Slot(slot) => snapshot_of(slot) | self.slots[usize::from(slot)].needs,
        }
    }

    /// Everything that the pushed-to ref names, its history included.
    pub(super) fn named_by_ref(&self) -> Objects {
        self.closure(self.reference.current.named) | self.closure(self.reference.previous.named)
    }

    /// Everything that any ref names.
    pub(super) fn reachable(&self) -> Objects {
        self.named_by_ref() | self.closure(self.other_ref)
    }

    /// A write of the ref that adds an entry.
    pub(super) fn move_ref(&mut self, history: bool, entry: Entry) {
        let old = self.reference;
        self.reference = Ref {
            version: old.version + 1,
            generation: old.generation + 1,
            current: entry,
            previous: if history { old.current } else { Entry::default() },
        };
    }
}
