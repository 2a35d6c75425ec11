//! The exhaustive model of writer and collector: an executable form of `docs/protocol.md`.
//!
//! Every request to the store is one atomic step, and every order of the steps of all actors is explored. What a
//! request carries stands beside it; the steps W1 to W11, C1 to C9 and R1 to R3 are those of `docs/protocol.md`:
//!
//! | step | request | object afterwards |
//! |---|---|---|
//! | W1 | create `leases/<new id>` if absent | `active`, stamp: a guess |
//! | W2 | read `gc/state`; while its generation is not the stamp, CAS the lease and read again | `active`, stamp: that generation |
//! | W3 | read the ref, and the ref that names the base | |
//! | W4 | (local) plan: leave out what is condemned at the stamp | |
//! | W5 | ask for each object used that W3 did not name | |
//! | W6 | create the packs | immutable |
//! | W7 | create the snapshot object | immutable |
//! | W8 | CAS the lease from the content written last | `committing {ref, version read in W3}` |
//! | W9 | CAS the ref from the version read in W3 | generation + 1, an entry that bears this push's token |
//! | W10 | delete the lease | |
//! | C1 | read `gc/state`; stop if it is missing | |
//! | C2 | end leases stamped above the generation read | `dead` |
//! | C3, C4 | mark; list (either first) | |
//! | C5 | CAS `gc/state` from the version read in C1 | generation + 1, condemned: unmarked, and those condemned before |
//! | C6 | list leases; of each with an older stamp: fence its ref if it is `committing`, then CAS the lease | ref: same entry, fence + 1; lease: `dead` |
//! | C7 | mark afresh: refs, then `reading` leases | |
//! | C8 | (variant) CAS `gc/state` from C5's version | condemned: what is doomed; the survivors are free |
//! | C9 | delete what is condemned and unmarked, one by one | |
//!
//! `state.rs` holds the store and what actors remember, `writer.rs`, `collector.rs` and `environment.rs` the steps,
//! `explorer.rs` the search and the invariants, `canonical.rs` what keeps it small. `rules.rs` names every rule, so
//! that a test can leave it out and see data lost.
//!
//! Not modelled: clocks (age only decides when to try), more than two refs, frames (a pack is needed or it is not),
//! and late duplicates of requests other than the ref's CAS. A late duplicate of a create leaves an unreferenced
//! object or a lease to be ended, and one of a lease's CAS finds a lease that nobody will move a ref under; but see
//! `a_snapshot_object_alone_proves_nothing`.

mod canonical;
mod collector;
mod environment;
mod explorer;
mod rules;
mod scenario;
mod state;
mod writer;

use explorer::{Outcome, explore};
use rules::{Rule, Rules};
use scenario::{Accident, BaseIn, Scenario};
use state::{DUE_PACK, DUE_SNAPSHOT};

/// The least that there is to see: one push, one collector, one removal.
const CORE: Scenario = Scenario {
    name: "one push, one collector",
    rules: Rules::ALL,
    base: BaseIn::Ref,
    orphan: false,
    early_ref: false,
    history: false,
    attempts: 1,
    writers: 1,
    collectors: 1,
    removals: 1,
    tags: true,
    guesses: false,
    lost_answers: false,
    before_lease: DUE_PACK | DUE_SNAPSHOT,
    keep_lease: false,
    list_first: false,
    seal: false,
    mount: false,
    accident: Accident::Nothing,
};
const TWO_COLLECTORS: Scenario =
    Scenario { name: "two collectors", collectors: 2, guesses: true, lost_answers: true, ..CORE };
const LOST_ANSWERS: Scenario = Scenario { name: "lost answers", lost_answers: true, ..CORE };
const RETRY: Scenario = Scenario { name: "a crash or a retry, lost answers", attempts: 2, ..LOST_ANSWERS };
const RETRY_TWO_COLLECTORS: Scenario =
    Scenario { name: "a crash or a retry, two collectors", attempts: 2, collectors: 2, tags: false, ..CORE };
const RIVALS: Scenario =
    Scenario { name: "two writers", attempts: 2, writers: 2, removals: 0, tags: false, ..LOST_ANSWERS };
const OTHER_REF: Scenario =
    Scenario { name: "a base in another ref", base: BaseIn::OtherRef, collectors: 2, ..LOST_ANSWERS };
const ABSENT_REF: Scenario =
    Scenario { name: "an absent ref", base: BaseIn::Caches, collectors: 2, ..LOST_ANSWERS };
const HISTORY: Scenario = Scenario { name: "history", history: true, removals: 2, ..LOST_ANSWERS };
const ORPHAN: Scenario = Scenario { name: "an orphaned pack", orphan: true, collectors: 2, ..CORE };
const LATE_PUSH: Scenario =
    Scenario { name: "a late push, then another", base: BaseIn::InFlight, attempts: 2, ..ORPHAN };
const MOUNT: Scenario = Scenario { name: "a mount", mount: true, ..CORE };
const VANISHES: Scenario = Scenario {
    name: "gc/state vanishes",
    accident: Accident::StateVanishes,
    collectors: 2,
    lost_answers: true,
    ..CORE
};
const RESTORED: Scenario =
    Scenario { name: "gc/state is put back", accident: Accident::StateRestored, guesses: true, ..CORE };

/// Explores a scenario in which every rule is kept: nothing may be lost, and enough must have happened.
#[expect(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]
fn holds(scenario: &Scenario, at_least: usize) -> Outcome {
    let outcome = explore(scenario);
    println!("{}: {} states", scenario.name, outcome.states);
    assert!(outcome.violation.is_none(), "{}: {:#?}", scenario.name, outcome.violation);
    assert!(outcome.states >= at_least, "{}: only {} states", scenario.name, outcome.states);
    let seen = &outcome.witnessed;
    assert!(seen.committed && seen.collected && seen.reused && seen.lost, "{}: {seen:?}", scenario.name);
    outcome
}

/// Explores a scenario in which rules are left out: the invariant must break, in so many requests at the least.
#[expect(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]
fn breaks(scenario: &Scenario, invariant: &str, requests: usize) {
    let outcome = explore(scenario);
    let violation = outcome.violation.unwrap_or_else(|| panic!("{}: nothing is lost", scenario.name));
    println!("    {} requests, {}: {:?}", violation.trace.len(), scenario.name, violation.trace);
    assert!(violation.invariant.starts_with(invariant), "{}: {violation:#?}", scenario.name);
    assert_eq!(violation.trace.len(), requests, "{}: {violation:#?}", scenario.name);
}

#[test]
fn i1_i2_hold_for_one_push() {
    holds(&CORE, 1_300);
    holds(&TWO_COLLECTORS, 80_000);
    assert!(holds(&LOST_ANSWERS, 3_200).witnessed.unknown);
    holds(&OTHER_REF, 20_000);
    holds(&ABSENT_REF, 20_000);
    holds(&HISTORY, 5_000);
    holds(&ORPHAN, 60_000);
    holds(&Scenario { name: "objects listed first", list_first: true, ..ORPHAN }, 40_000);
    holds(&MOUNT, 8_000);
}

#[test]
fn i1_i2_hold_for_a_crash_and_a_retry() {
    holds(&RETRY, 140_000);
}

#[test]
fn i1_i2_hold_for_a_crash_and_a_retry_with_two_collectors() {
    holds(&RETRY_TWO_COLLECTORS, 900_000);
}

#[test]
fn i1_i2_hold_for_two_writers() {
    holds(&RIVALS, 180_000);
}

/// `gc/state` is lost, or put back from a copy while no collector runs: collection stops, or waits; nothing is lost.
#[test]
fn i1_i2_hold_when_the_state_is_lost() {
    holds(&VANISHES, 50_000);
    holds(&RESTORED, 3_000);
}

/// Two collectors and a push that lands late: `gc/state` must remember more than one collector's own mark.
///
/// Either what was condemned stays condemned until it is gone, or the decision to delete is itself made by a CAS on
/// `gc/state` (C8), after which what survived is free again. With neither, a second collector that sees the late
/// push's ref releases what the first is about to delete.
#[test]
fn i1_condemned_objects_are_not_released_under_a_collector() {
    holds(&LATE_PUSH, 250_000);
    holds(&Scenario { name: "a late push, sealed decisions", seal: true, ..LATE_PUSH }, 350_000);
}

/// Freedoms that the writer may take, to have more requests in flight at once.
#[test]
fn i1_i2_hold_with_the_freedoms_of_the_writer() {
    let base = Scenario { guesses: true, ..TWO_COLLECTORS };
    // W7 and W8 in either order; then W6 to W8 in any.
    holds(&Scenario { name: "W7 beside W8", before_lease: DUE_PACK, ..base }, 85_000);
    holds(&Scenario { name: "W6 and W7 beside W8", before_lease: 0, ..base }, 90_000);
    // The ref that is pushed to, read before the handshake: if it moves, W9 fails; if not, it names its packs
    // without a gap, and protects them.
    holds(&Scenario { name: "an early read of the ref", early_ref: true, before_lease: 0, ..base }, 95_000);
    holds(&Scenario { name: "an early read and a retry", early_ref: true, ..RETRY }, 200_000);
    holds(&Scenario { name: "an early read, a base elsewhere", early_ref: true, ..OTHER_REF }, 20_000);
    // After a lost race, a lease that is still held goes from `committing` to `committing`.
    holds(&Scenario { name: "a kept lease", keep_lease: true, before_lease: 0, ..base }, 130_000);
}

/// ... but not these two together: what the ref named before the handshake is unproven once the ref has moved.
#[test]
fn i1_breaks_when_an_early_read_outlives_its_attempt() {
    let scenario = Scenario { early_ref: true, keep_lease: true, ..TWO_COLLECTORS };
    breaks(&Scenario { name: "an early read and a kept lease", ..scenario }, "i1", 23);
}

/// Every rule of the writer, left out alone.
#[test]
fn i1_i2_break_without_any_rule_of_the_writer() {
    let mutants = [
        (Rule::ReadStateAfterLease, CORE, "i1", 15),
        (Rule::ReadRefAfterHandshake, OTHER_REF, "i1", 18),
        (Rule::CheckCondemned, CORE, "i1", 15),
        (Rule::RequestExistence, TWO_COLLECTORS, "i1", 18),
        (Rule::PacksBeforeRef, CORE, "i1", 6),
        (Rule::SnapshotBeforeRef, CORE, "i1", 6),
        (Rule::CommittingBeforeRef, CORE, "i1", 14),
        (Rule::DeadIsFinal, CORE, "i1", 15),
        (Rule::MissingLeaseIsDead, CORE, "i1", 16),
        (Rule::ReadBackLease, LOST_ANSWERS, "i1", 15),
        (Rule::ReadBackRef, LOST_ANSWERS, "i2", 6),
        (Rule::RepeatUntilSettled, LOST_ANSWERS, "i2", 7),
        (Rule::FenceKeepsToken, RIVALS, "i2", 21),
        (Rule::RetryRearms, CORE, "i1", 18),
        (Rule::WriterNeedsState, VANISHES, "i1", 19),
    ];
    without_each(&mutants);
}

/// Every rule of the collector and of the mount, left out alone.
#[test]
fn i1_breaks_without_any_rule_of_the_collector() {
    let mutants = [
        (Rule::StampAboveBlocks, RESTORED, "i1", 16),
        (Rule::CondemnOnReadVersion, ORPHAN, "i1", 19),
        (Rule::CondemnedStays, LATE_PUSH, "i1", 22),
        (Rule::WaitForOlderLeases, CORE, "i1", 13),
        (Rule::FenceBeforeDead, CORE, "i1", 15),
        (Rule::FenceAbsentRef, OTHER_REF, "i1", 15),
        (Rule::EndLeaseByCas, CORE, "i1", 16),
        (Rule::MarkAfresh, CORE, "i1", 15),
        (Rule::HistoryIsRoot, HISTORY, "i1", 8),
        (Rule::ReadingLeasesAfterRefs, MOUNT, "i1", 20),
        (Rule::MountVerifies, MOUNT, "i1", 11),
    ];
    without_each(&mutants);
}

#[expect(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]
fn without_each(mutants: &[(Rule, Scenario, &str, usize)]) {
    for (rule, scenario, invariant, requests) in mutants {
        println!("without {rule:?}:");
        breaks(&Scenario { rules: Rules::ALL.without(*rule), ..*scenario }, invariant, *requests);
    }
}

/// A collector that takes a missing `gc/state` for generation 0 is caught by C2: every lease is then stamped above.
/// The rule is a second line, and there because it costs nothing; without both lines data is lost.
#[test]
fn i1_needs_one_of_two_rules_where_the_state_is_missing() {
    let one = Rules::ALL.without(Rule::CollectorNeedsState);
    holds(&Scenario { name: "a missing state, C2 kept", rules: one, ..VANISHES }, 50_000);
    let none = one.without(Rule::StampAboveBlocks);
    breaks(&Scenario { name: "a missing state, no C2", rules: none, ..VANISHES }, "i1", 16);
}

/// Two orders that no ref depends on: packs before the snapshot object that lists them, and the reverse when
/// deleting. What they are for is a snapshot object that no ref names, found by its id; and even they do not make
/// one whole: a snapshot whose push never moved the ref can outlive the packs that it shares with condemned ones,
/// because it was published after the collector's list. So who uses a snapshot object that no ref names (a tag of
/// an id, a pull of one) asks for every pack, as W5 does, and is told that they are gone.
#[test]
fn a_snapshot_object_alone_proves_nothing() {
    for rule in [Rule::PacksBeforeSnapshot, Rule::SnapshotsDeletedFirst] {
        for scenario in [TWO_COLLECTORS, HISTORY] {
            let name = "an order that no ref depends on";
            holds(&Scenario { name, rules: Rules::ALL.without(rule), ..scenario }, 5_000);
        }
    }
    assert!(holds(&CORE, 1_000).witnessed.dangling);
}
