//! The rules of the protocol, each of which a mutant can leave out.

/// One rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Rule {
    /// W2: `gc/state` is read again after the lease was created, until it shows the lease's stamp.
    ReadStateAfterLease,
    /// W3: what names the base is read after the handshake, not before.
    ReadRefAfterHandshake,
    /// W4: nothing used is condemned at the lease's generation.
    CheckCondemned,
    /// W5: what the ref read after the handshake did not name is shown to exist by a request.
    RequestExistence,
    /// W6: packs are published before the snapshot object that lists them.
    PacksBeforeSnapshot,
    /// W6: packs are published before the ref moves.
    PacksBeforeRef,
    /// W7: the snapshot object is published before the ref moves.
    SnapshotBeforeRef,
    /// W8: the lease is CASed to `committing` before the ref moves.
    CommittingBeforeRef,
    /// W8: a dead lease stays dead; the CAS is from the state the writer wrote last.
    DeadIsFinal,
    /// W8: a lease that is missing is dead, and is not made anew.
    MissingLeaseIsDead,
    /// W8: a lost answer to the lease's CAS is settled by reading the lease.
    ReadBackLease,
    /// W9: a lost answer, or a no, to the ref's CAS is settled by reading the ref.
    ReadBackRef,
    /// W9: an unchanged ref read back settles nothing: the same CAS is repeated.
    RepeatUntilSettled,
    /// W9: the token looked for is that of the ref's *entry*, in the history too; a fence leaves it.
    FenceKeepsToken,
    /// W11: every retry re-arms the lease first.
    RetryRearms,
    /// W2: a writer that finds no `gc/state` refuses; it does not make one.
    WriterNeedsState,
    /// C1: a collector that finds no `gc/state` stops.
    CollectorNeedsState,
    /// C2: a lease stamped above the generation read blocks, until it is ended.
    StampAboveBlocks,
    /// C5: condemning is a CAS on the version of `gc/state` read before the mark.
    CondemnOnReadVersion,
    /// C5: what was condemned stays condemned until it is gone (or, where decisions are sealed, what is doomed).
    CondemnedStays,
    /// C6: every push lease with an older stamp has ended before anything is deleted.
    WaitForOlderLeases,
    /// C6: the ref that a `committing` lease names is fenced before the lease is ended.
    FenceBeforeDead,
    /// C6: the fence of an absent ref is a tombstone.
    FenceAbsentRef,
    /// C6: a lease is CASed to `dead` from the very state read, not overwritten.
    EndLeaseByCas,
    /// C7: refs are read again after the wait.
    MarkAfresh,
    /// C9: snapshot objects are deleted before packs.
    SnapshotsDeletedFirst,
    /// C3, C7: history entries are roots.
    HistoryIsRoot,
    /// C3, C7: `reading` leases are roots, and read after the refs.
    ReadingLeasesAfterRefs,
    /// R3: a mount reads the ref again after it created its lease.
    MountVerifies,
}

/// A set of rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules(u32);

impl Rules {
    /// Every rule.
    pub(super) const ALL: Rules = Rules(u32::MAX);

    /// All of these but one.
    pub(super) fn without(self, rule: Rule) -> Rules {
        Rules(self.0 & !(1 << rule as u8))
    }

    /// Whether the rule is kept.
    pub(super) fn keep(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u8) != 0
    }
}
