//! The writer: one push, step by step, as `docs/protocol.md` numbers them (W1 to W11).
//!
//! Every function here is one request to the store, executed atomically, and what the writer makes of the answer.
//! The first half, W1 to W5, is here, the second in `writer/commit.rs`.
//! A crash is a writer that is never scheduled again, or one that begins anew and remembers nothing but what the
//! store and its caches hold; both are possible before and after every request.

mod commit;

use super::explorer::Successors;
use super::rules::Rule;
use super::scenario::Scenario;
use super::state::{
    BASE_PACK, BASE_SNAPSHOT, DUE_LEASE, DUE_PACK, DUE_SNAPSHOT, GcState, Lease, Named, Objects, State,
    Writer, WriterStep as Step, pack_of,
};

/// Adds every state that the next request of writer `index` can lead to.
pub(super) fn steps(scenario: &Scenario, state: &State, index: usize, out: &mut Successors) {
    let turn = Turn { scenario, state, index, writer: state.writers[index] };
    if turn.writer.step != Step::Idle && turn.may_begin() {
        out.push("writer: crash, begin anew", state, |s| {
            s.writers[index] = Writer::default();
        });
    }
    match turn.writer.step {
        Step::Idle => turn.begin(out),
        Step::CreateLease => turn.create_lease(out),
        Step::ReadState => turn.read_state(out),
        Step::Restamp => turn.restamp(out),
        Step::ReadRef => turn.read_ref(out),
        Step::Request => turn.request(out),
        Step::Publish => turn.publish(out),
        Step::ReadLease => turn.read_lease(out),
        Step::MoveRef => turn.move_ref(out),
        Step::Settle => turn.settle(out),
        Step::EndLease => turn.end_lease(out),
    }
}

/// One writer about to make a request in one state.
struct Turn<'a> {
    scenario: &'a Scenario,
    state: &'a State,
    index: usize,
    writer: Writer,
}

impl Turn<'_> {
    fn keep(&self, rule: Rule) -> bool {
        self.scenario.rules.keep(rule)
    }

    fn may_begin(&self) -> bool {
        self.state.used_slots < self.scenario.attempts
    }

    fn slot(&self) -> usize {
        usize::from(self.writer.slot)
    }

    /// A request that changes nothing in the store but lets the writer go on as `writer`.
    fn go(&self, out: &mut Successors, label: &'static str, writer: Writer) {
        out.push(label, self.state, |s| s.writers[self.index] = writer);
    }

    /// A request that changes the store, and lets the writer go on as `writer`.
    fn put(
        &self,
        out: &mut Successors,
        label: &'static str,
        writer: Writer,
        change: impl FnOnce(&mut State),
    ) {
        out.push(label, self.state, |s| {
            s.writers[self.index] = writer;
            change(s);
        });
    }

    /// The mutants read too early here; a correct writer's first request is the lease.
    fn begin(&self, out: &mut Successors) {
        if !self.may_begin() {
            return;
        }
        if !self.keep(Rule::ReadRefAfterHandshake) {
            let writer = Writer { step: Step::CreateLease, ..self.with_ref(self.with_others(self.writer)) };
            self.go(out, "writer: read the refs (too early)", writer);
        } else if self.scenario.early_ref {
            let writer = Writer { step: Step::CreateLease, ..self.with_ref(self.writer) };
            self.go(out, "writer: read the ref (early)", writer);
        } else if !self.keep(Rule::ReadStateAfterLease) {
            let gc = self.state.gc;
            let writer = Writer {
                step: Step::CreateLease,
                seen: gc.generation,
                condemned: gc.condemned | gc.doomed,
                ..self.writer
            };
            self.go(out, "writer: read gc/state (too early)", writer);
        } else {
            self.create_lease(out);
        }
    }

    /// W1. The stamp is a guess: a generation read before, however long ago, or remembered from a state that is
    /// no more.
    fn create_lease(&self, out: &mut Successors) {
        let generation = self.state.gc.generation;
        let guesses = if !self.keep(Rule::ReadStateAfterLease) {
            self.writer.seen..=self.writer.seen
        } else if self.scenario.guesses {
            generation.saturating_sub(1)..=generation + 1
        } else {
            generation..=generation
        };
        for stamp in guesses {
            let step = if self.keep(Rule::ReadStateAfterLease) { Step::ReadState } else { Step::ReadRef };
            let slot = self.state.used_slots;
            let writer = Writer { step, slot, seen: 0, lease: Lease::Active, ..self.writer };
            self.put(out, "writer: create the lease", writer, |s| {
                s.used_slots += 1;
                s.slots[usize::from(slot)].lease = Lease::Active;
                s.slots[usize::from(slot)].stamp = stamp;
            });
        }
    }

    /// W2. Done when the state shows the generation that the lease in the store already bears.
    fn read_state(&self, out: &mut Successors) {
        let gc = self.state.gc;
        if !gc.present {
            if !self.keep(Rule::WriterNeedsState) {
                self.put(out, "writer: make gc/state anew", self.writer, |s| {
                    s.gc = GcState { present: true, version: gc.version + 1, ..GcState::default() };
                });
            }
            return;
        }
        // Nobody but the writer changes a stamp, so the slot's is what the writer remembers.
        if gc.generation != self.state.slots[self.slot()].stamp {
            let writer = Writer { step: Step::Restamp, seen: gc.generation, ..self.writer };
            return self.go(out, "writer: read gc/state, it moved", writer);
        }
        let writer = Writer { condemned: gc.condemned | gc.doomed, ..self.writer };
        if self.keep(Rule::ReadRefAfterHandshake) {
            let writer = Writer { step: Step::ReadRef, ..writer };
            self.go(out, "writer: read gc/state, the stamp holds", writer);
        } else {
            self.plan(out, writer);
        }
    }

    /// W2.
    fn restamp(&self, out: &mut Successors) {
        if self.state.slots[self.slot()].lease != Lease::Active {
            return self.go(out, "writer: stamp, the lease is dead", Writer::default());
        }
        let stamp = self.writer.seen;
        let writer = Writer { step: Step::ReadState, seen: 0, ..self.writer };
        self.put(out, "writer: stamp the lease", writer, |s| {
            s.slots[self.slot()].stamp = stamp;
        });
    }

    fn with_ref(&self, writer: Writer) -> Writer {
        let reference = self.state.reference;
        let ref_read = Some((reference.version, reference.generation));
        Writer { ref_read, known: writer.known | self.state.named_by_ref(), ..writer }
    }

    fn with_others(&self, writer: Writer) -> Writer {
        Writer { known: writer.known | self.state.closure(self.state.other_ref), ..writer }
    }

    /// W3: the ref that is pushed to, and where the base is named elsewhere, that ref. Two requests, but what the
    /// second finds is all that is used of the second.
    fn read_ref(&self, out: &mut Successors) {
        let mut writer = self.with_others(self.writer);
        if writer.ref_read.is_none() {
            writer = self.with_ref(writer);
        }
        if writer.target == Named::Nothing {
            return self.plan(out, writer);
        }
        // W11: a retry under a lease that is still held. What was published stays published.
        let rearm = self.keep(Rule::RetryRearms);
        let step = if rearm { Step::Publish } else { Step::MoveRef };
        let todo = if rearm { DUE_LEASE } else { 0 };
        let writer = Writer { step, todo, condemned: 0, known: 0, ..writer };
        self.go(out, "writer: read the ref again, same lease", writer);
    }

    /// W4. Local: every choice is another successor of the read before it.
    fn plan(&self, out: &mut Successors, writer: Writer) {
        self.choose(out, writer, Named::Slot(writer.slot), BASE_PACK);
        for earlier in 0..writer.slot {
            // A journal or a cache knows the pack of an earlier attempt.
            if self.state.uploaded & pack_of(earlier) != 0 {
                self.choose(out, writer, Named::Slot(writer.slot), pack_of(earlier));
            }
        }
        if self.scenario.tags {
            self.choose(out, writer, Named::Base, BASE_PACK | BASE_SNAPSHOT);
        }
    }

    fn choose(&self, out: &mut Successors, writer: Writer, target: Named, wanted: Objects) {
        let mut reuse = wanted;
        if self.keep(Rule::CheckCondemned) {
            reuse &= !writer.condemned;
        }
        if target == Named::Base && reuse != wanted {
            return; // A tag cannot do without: it is refused.
        }
        let unchecked = if self.keep(Rule::RequestExistence) { reuse & !writer.known } else { 0 };
        let label = match (target, unchecked) {
            (Named::Base, 0) => "writer: plan a tag of what the ref named",
            (Named::Base, _) => "writer: plan a tag of a cached layout",
            (_, 0) => "writer: plan with what the ref named",
            _ => "writer: plan with a cached layout",
        };
        let step = if unchecked == 0 { Step::Publish } else { Step::Request };
        let planned = Writer { step, target, reuse, unchecked, known: 0, condemned: 0, ..writer };
        self.go(out, label, self.ready(planned));
    }

    fn ready(&self, writer: Writer) -> Writer {
        let mut todo = if writer.target == Named::Base { 0 } else { DUE_PACK | DUE_SNAPSHOT };
        if self.keep(Rule::CommittingBeforeRef) {
            todo |= DUE_LEASE;
        }
        Writer { todo, ..writer }
    }

    /// W5. One object a request.
    fn request(&self, out: &mut Successors) {
        let object = self.writer.unchecked & self.writer.unchecked.wrapping_neg();
        let mut writer = Writer { unchecked: self.writer.unchecked & !object, ..self.writer };
        if self.state.present & object == 0 {
            if writer.target == Named::Base {
                let writer = Writer { step: Step::EndLease, ..self.writer };
                return self.go(out, "writer: request, missing, the tag fails", writer);
            }
            writer.reuse &= !object;
        }
        if writer.unchecked == 0 {
            writer.step = Step::Publish;
        }
        self.go(out, "writer: request existence", writer);
    }
}
