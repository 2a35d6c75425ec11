//! The collector: one round, step by step, as `docs/protocol.md` numbers them (C1 to C9).
//!
//! Every function here is one request to the store, executed atomically. A crash is a collector that is never
//! scheduled again. A CAS on `gc/state` whose answer is lost ends the round like a crash: the collector stops.

use super::explorer::Successors;
use super::rules::Rule;
use super::scenario::Scenario;
use super::state::{Collector, CollectorStep as Step, GcState, Lease, Objects, Ref, SLOTS, SNAPSHOTS, State};

/// Adds every state that the next request of collector `index` can lead to.
pub(super) fn steps(scenario: &Scenario, state: &State, index: usize, out: &mut Successors) {
    let turn = Turn { scenario, state, index, collector: state.collectors[index] };
    match turn.collector.step {
        Step::ReadState => turn.read_state(out),
        Step::ClearAbove => turn.wait(out, turn.first()),
        Step::Mark => turn.mark(out),
        Step::List => turn.list(out),
        Step::Condemn => turn.condemn(out),
        Step::ListLeases => turn.list_leases(out),
        Step::Wait => turn.wait(out, Step::MarkAfresh),
        Step::MarkAfresh => turn.mark_afresh(out),
        Step::Seal => turn.seal(out),
        Step::Delete => turn.delete(out),
        Step::Done => {}
    }
}

/// One collector about to make a request in one state.
struct Turn<'a> {
    scenario: &'a Scenario,
    state: &'a State,
    index: usize,
    collector: Collector,
}

impl Turn<'_> {
    fn keep(&self, rule: Rule) -> bool {
        self.scenario.rules.keep(rule)
    }

    fn go(&self, out: &mut Successors, label: &'static str, collector: Collector) {
        out.push(label, self.state, |s| s.collectors[self.index] = collector);
    }

    fn put(
        &self,
        out: &mut Successors,
        label: &'static str,
        collector: Collector,
        change: impl FnOnce(&mut State),
    ) {
        out.push(label, self.state, |s| {
            s.collectors[self.index] = collector;
            change(s);
        });
    }

    fn stopped() -> Collector {
        Collector { step: Step::Done, ..Collector::default() }
    }

    /// Of marking and listing, the one that this scenario does first.
    fn first(&self) -> Step {
        if self.scenario.list_first { Step::List } else { Step::Mark }
    }

    /// C1, and C2's list of leases where a stamp can be above.
    fn read_state(&self, out: &mut Successors) {
        let mut gc = self.state.gc;
        if !gc.present {
            if self.keep(Rule::CollectorNeedsState) {
                return self.go(out, "collector: read gc/state, missing", Self::stopped());
            }
            gc = GcState { version: gc.version, ..GcState::default() };
        }
        let carried = if self.scenario.seal { gc.doomed } else { gc.condemned };
        let mut collector = Collector {
            step: self.first(),
            version: gc.version,
            generation: gc.generation,
            carried,
            ..self.collector
        };
        // C2 is a second request, but one whose place between C1 and C5 does not matter: a lease that is made
        // after it reads `gc/state` after it, too.
        if self.keep(Rule::StampAboveBlocks) {
            collector.leases = self.leases_where(|stamp| stamp > gc.generation);
            if collector.leases != 0 {
                collector.step = Step::ClearAbove;
            }
        }
        self.go(out, "collector: read gc/state", collector);
    }

    fn leases_where(&self, concerned: impl Fn(u8) -> bool) -> u8 {
        (0..SLOTS)
            .filter(|&i| self.state.slots[i].lease.is_held() && concerned(self.state.slots[i].stamp))
            .fold(0, |set, i| set | 1 << i)
    }

    /// C3 and C7: refs with their histories, then `reading` leases.
    fn roots(&self) -> Objects {
        let mut roots = self.state.closure(self.state.reference.current.named);
        if self.keep(Rule::HistoryIsRoot) {
            roots |= self.state.closure(self.state.reference.previous.named);
        }
        roots | self.state.closure(self.state.other_ref)
    }

    fn reading_leases(&self) -> Objects {
        let mount = self.state.mount;
        if mount.lease { self.state.closure(mount.named) } else { 0 }
    }

    /// C3. What this mark sees decides only what is condemned, never what is deleted.
    fn mark(&self, out: &mut Successors) {
        let marked = self.roots() | self.reading_leases();
        let step = if self.scenario.list_first { Step::Condemn } else { Step::List };
        self.condemnable(out, "collector: mark", Collector { step, marked, ..self.collector });
    }

    /// C4.
    fn list(&self, out: &mut Successors) {
        let step = if self.scenario.list_first { Step::Mark } else { Step::Condemn };
        let garbage = self.state.present;
        self.condemnable(out, "collector: list", Collector { step, garbage, ..self.collector });
    }

    /// Both of C3 and C4 done, it is known whether there is something to do.
    fn condemnable(&self, out: &mut Successors, label: &'static str, mut collector: Collector) {
        if collector.step == Step::Condemn {
            collector.garbage &= !collector.marked;
            collector.marked = if self.keep(Rule::MarkAfresh) { 0 } else { collector.marked };
            if collector.garbage | collector.carried == 0 {
                collector = Self::stopped();
            }
        }
        self.go(out, label, collector);
    }

    /// C5: the new state is `{generation + 1, condemned}`.
    fn condemn(&self, out: &mut Successors) {
        let gc = self.state.gc;
        if gc.version != self.collector.version && self.keep(Rule::CondemnOnReadVersion) {
            return self.go(out, "collector: condemn, somebody was first", Self::stopped());
        }
        let generation =
            if self.keep(Rule::CondemnOnReadVersion) { self.collector.generation } else { gc.generation } + 1;
        // What is gone may be forgotten: its key is never used again.
        let carried =
            if self.keep(Rule::CondemnedStays) { self.collector.carried & self.state.present } else { 0 };
        let condemned = self.collector.garbage | carried;
        let version = gc.version + 1;
        let step = if self.keep(Rule::WaitForOlderLeases) { Step::ListLeases } else { Step::MarkAfresh };
        let collector =
            Collector { step, version, generation, carried: 0, garbage: condemned, ..self.collector };
        let doomed = if self.scenario.seal { carried } else { 0 };
        self.put(out, "collector: condemn", collector, |s| {
            s.gc = GcState { present: true, version, generation, condemned, doomed };
        });
    }

    /// C6. Leases that are made after this LIST read `gc/state` after C5.
    fn list_leases(&self, out: &mut Successors) {
        let leases = self.leases_where(|_| true);
        let step = if leases == 0 { Step::MarkAfresh } else { Step::Wait };
        self.go(out, "collector: list the leases", Collector { step, leases, ..self.collector });
    }

    /// C6, and C2: one lease after another. Waiting is not to be scheduled.
    fn wait(&self, out: &mut Successors, then: Step) {
        if self.collector.leases == 0 {
            let collector = Collector { step: then, ..self.collector };
            return self.go(out, "collector: the leases have ended", collector);
        }
        let index = self.collector.leases.trailing_zeros() as usize;
        let slot = self.state.slots[index];
        let concerned = match self.collector.step {
            Step::ClearAbove => slot.stamp > self.collector.generation,
            _ => slot.stamp < self.collector.generation,
        };
        let leases = self.collector.leases & !(1 << index);
        let step = if leases == 0 { then } else { self.collector.step };
        let next = Collector { step, leases, fenced: None, ..self.collector };
        let kill = |s: &mut State| s.slots[index].lease = Lease::Dead;
        match slot.lease {
            held if held.is_held() && !concerned => self.go(out, "collector: the lease is young", next),
            // The mutant remembers that it read the lease, not what; any version serves for that.
            Lease::Active if !self.keep(Rule::EndLeaseByCas) && self.collector.fenced.is_none() => {
                let collector = Collector { fenced: Some(0), ..self.collector };
                self.go(out, "collector: read an active lease", collector);
            }
            Lease::Active => self.put(out, "collector: end an active lease", next, kill),
            Lease::Committing(version) => {
                if self.collector.fenced == Some(version) || !self.keep(Rule::FenceBeforeDead) {
                    self.put(out, "collector: end a committing lease", next, kill);
                } else {
                    self.fence(out, version);
                }
                if self.collector.fenced.is_some() && !self.keep(Rule::EndLeaseByCas) {
                    self.put(out, "collector: end whatever the lease is now", next, kill);
                }
            }
            Lease::Unborn | Lease::Dead | Lease::Gone => self.go(out, "collector: the lease has ended", next),
        }
    }

    /// C6: a rewrite of the ref by CAS from the version that the lease names. Where the ref has another version
    /// already, the writer's CAS is bound to fail, and the rewrite is not needed.
    fn fence(&self, out: &mut Successors, version: u8) {
        let collector = Collector { fenced: Some(version), ..self.collector };
        let reference = self.state.reference;
        if reference.version != version || (version == 0 && !self.keep(Rule::FenceAbsentRef)) {
            return self.go(out, "collector: the ref needs no fence", collector);
        }
        self.put(out, "collector: fence the ref", collector, |s| {
            s.reference = Ref { version: version + 1, ..reference };
            if !self.keep(Rule::FenceKeepsToken) {
                s.reference.current.token = 0;
            }
        });
    }

    /// C7.
    fn mark_afresh(&self, out: &mut Successors) {
        let mut marked = self.roots();
        let mut step = if self.scenario.seal { Step::Seal } else { Step::Delete };
        if !self.keep(Rule::MarkAfresh) {
            marked = self.collector.marked;
        } else if self.scenario.mount && !self.collector.half_marked {
            // Refs and `reading` leases are two requests; which one is first matters.
            let early = !self.keep(Rule::ReadingLeasesAfterRefs);
            let marked = if early { self.reading_leases() } else { marked };

            return self.go(
                out,
                "collector: mark afresh, first half",
                Collector { marked, half_marked: true, ..self.collector },
            );
        } else if self.scenario.mount {
            let late = self.keep(Rule::ReadingLeasesAfterRefs);
            marked = self.collector.marked | if late { self.reading_leases() } else { marked };
        }
        let garbage = self.collector.garbage & !marked;
        if garbage == 0 && !self.scenario.seal {
            step = Step::Done;
        }
        let collector = Collector { step, garbage, marked: 0, half_marked: false, ..self.collector };
        self.go(out, "collector: mark afresh", collector);
    }

    /// C8: the decision becomes final before it is carried out; what survived is free again.
    fn seal(&self, out: &mut Successors) {
        let gc = self.state.gc;
        if gc.version != self.collector.version {
            return self.go(out, "collector: seal, somebody was first", Self::stopped());
        }
        let doomed = gc.doomed | self.collector.garbage;
        let step = if doomed == 0 { Step::Done } else { Step::Delete };
        let collector = Collector { step, garbage: doomed, ..self.collector };
        self.put(out, "collector: seal", collector, |s| {
            s.gc = GcState { version: gc.version + 1, condemned: doomed, doomed, ..gc };
        });
    }

    /// C9: one object a request.
    fn delete(&self, out: &mut Successors) {
        let garbage = self.collector.garbage;
        let snapshots = garbage & SNAPSHOTS;
        let packs = garbage & !SNAPSHOTS;
        let snapshots_first = self.keep(Rule::SnapshotsDeletedFirst);
        let from = if (snapshots_first && snapshots != 0) || packs == 0 { snapshots } else { packs };
        let object = from & from.wrapping_neg();
        let mut collector = Collector { garbage: garbage & !object, ..self.collector };
        if collector.garbage == 0 {
            collector = Self::stopped();
        }
        self.put(out, "collector: delete", collector, |s| s.present &= !object);
    }
}
