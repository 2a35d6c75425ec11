//! Everybody else: removals of the ref, requests that arrive late, the mount, accidents.

use super::explorer::Successors;
use super::rules::Rule;
use super::scenario::{Accident, Scenario};
use super::state::{CollectorStep, Entry, Lease, Mount, MountStep, Named, SLOTS, State};

/// Adds every state that somebody else's next request can lead to.
pub(super) fn steps(scenario: &Scenario, state: &State, out: &mut Successors) {
    // `rm`, or a push of something else whose entry is of no interest here: it reads the ref and CASes it, and
    // where the CAS fails nothing happened, so one atomic step is all there is to see.
    if state.removals_left > 0 && state.reference.version > 0 {
        out.push("somebody: move the ref to a tombstone", state, |s| {
            s.removals_left -= 1;
            s.move_ref(scenario.history, Entry::default());
        });
    }
    if state.removals_left > 0 && state.other_ref != Named::Nothing {
        out.push("somebody: move the other ref to a tombstone", state, |s| {
            s.removals_left -= 1;
            s.other_ref = Named::Nothing;
        });
    }
    for index in 0..SLOTS {
        late_move(scenario, state, index, out);
        if scenario.accident == Accident::Nothing && state.slots[index].lease == Lease::Dead {
            out.push("somebody: sweep a dead lease", state, |s| {
                s.slots[index].lease = Lease::Gone;
            });
        }
    }
    mount(scenario, state, out);
    accident(scenario, state, out);
}

/// A ref CAS that nobody waits for any more is executed after all, or is lost on the way.
fn late_move(scenario: &Scenario, state: &State, index: usize, out: &mut Successors) {
    let Some((expected, named)) = state.slots[index].in_flight else {
        return;
    };
    if state.reference.version != expected {
        return out.push("network: a late ref CAS is refused", state, |s| {
            s.slots[index].in_flight = None;
        });
    }
    out.push("network: a late ref CAS is executed", state, |s| {
        let token = u8::try_from(index + 1).expect("there are three slots");
        s.slots[index].in_flight = None;
        s.slots[index].won = true;
        s.move_ref(scenario.history, Entry { named, token });
    });
}

/// R1 to R3: read the ref, create the lease, read the ref again; and unmounting.
fn mount(scenario: &Scenario, state: &State, out: &mut Successors) {
    let reference = state.reference;
    let mount = state.mount;
    let names = |named: Named| reference.current.named == named || reference.previous.named == named;
    match mount.step {
        MountStep::Off => {}
        MountStep::ReadRef => {
            let named = reference.current.named;
            if named != Named::Nothing {
                out.push("mount: read the ref", state, |s| {
                    s.mount = Mount { step: MountStep::CreateLease, named, lease: false };
                });
            }
        }
        MountStep::CreateLease => out.push("mount: create the reading lease", state, |s| {
            let verify = scenario.rules.keep(Rule::MountVerifies);
            s.mount.step = if verify { MountStep::Verify } else { MountStep::Serving };
            s.mount.lease = true;
        }),
        MountStep::Verify if names(mount.named) => {
            out.push("mount: the ref still names it", state, |s| {
                s.mount.step = MountStep::Serving;
            });
        }
        MountStep::Verify | MountStep::Serving => {
            out.push("mount: delete the reading lease", state, |s| {
                s.mount = Mount::default();
            });
        }
    }
}

fn accident(scenario: &Scenario, state: &State, out: &mut Successors) {
    if state.accidents_left == 0 || !state.gc.present {
        return;
    }
    let resting =
        state.collectors.iter().all(|c| matches!(c.step, CollectorStep::ReadState | CollectorStep::Done));
    match scenario.accident {
        Accident::Nothing => {}
        Accident::StateVanishes => out.push("operator: gc/state is deleted", state, |s| {
            s.accidents_left = 0;
            s.gc.present = false;
        }),
        Accident::StateRestored if resting && state.gc.generation > 0 => {
            out.push("operator: gc/state is put back as it was", state, |s| {
                s.accidents_left = 0;
                s.gc.generation -= 1;
                s.gc.version += 1;
                s.gc.condemned = 0;
            });
        }
        Accident::StateRestored => {}
    }
}
