//! The second half of a push, W6 to W11: publish, commit the lease, move the ref, settle, report.

use super::Turn;
use crate::protocol_model::explorer::Successors;
use crate::protocol_model::rules::Rule;
use crate::protocol_model::state::{
    DUE_LEASE, DUE_PACK, DUE_SNAPSHOT, Entry, Lease, Report, State, Writer, WriterStep as Step, pack_of,
    snapshot_of,
};

impl Turn<'_> {
    /// W6, W7, W8: whatever may be done now, in any order that the rules leave.
    pub(super) fn publish(&self, out: &mut Successors) {
        let todo = self.writer.todo;
        let open = |bit: u8| todo & bit != 0;
        let packs_first = if self.keep(Rule::PacksBeforeRef) { DUE_PACK } else { 0 };
        let snapshot_first = if self.keep(Rule::SnapshotBeforeRef) { DUE_SNAPSHOT } else { 0 };
        let before_snapshot = if self.keep(Rule::PacksBeforeSnapshot) { packs_first } else { 0 };
        let before_ref = packs_first | snapshot_first | DUE_LEASE;
        let before_lease = self.scenario.before_lease & before_ref;
        if open(DUE_PACK) {
            let slot = self.writer.slot;
            self.put(out, "writer: upload the pack", self.done(DUE_PACK), |s| {
                s.present |= pack_of(slot);
                s.uploaded |= pack_of(slot);
            });
        }
        if open(DUE_SNAPSHOT) && todo & before_snapshot == 0 {
            let (slot, needs) = (self.writer.slot, self.writer.reuse | pack_of(self.writer.slot));
            self.put(out, "writer: publish the snapshot", self.done(DUE_SNAPSHOT), |s| {
                s.present |= snapshot_of(slot);
                s.uploaded |= snapshot_of(slot);
                s.slots[usize::from(slot)].needs = needs;
            });
        }
        if open(DUE_LEASE) && todo & before_lease == 0 {
            self.commit_lease(out);
        }
        if todo & before_ref == 0 {
            self.move_ref(out);
        }
    }

    /// The writer with one thing less to do.
    fn done(&self, bit: u8) -> Writer {
        let todo = self.writer.todo & !bit;
        Writer { step: if todo == 0 { Step::MoveRef } else { Step::Publish }, todo, ..self.writer }
    }

    /// W8: CAS `active` to `committing {ref, exact version}`.
    fn commit_lease(&self, out: &mut Successors) {
        let found = self.state.slots[self.slot()].lease;
        let committing = Lease::Committing(self.version_read());
        let matches = found == self.writer.lease
            || (found == Lease::Dead && !self.keep(Rule::DeadIsFinal))
            || (found == Lease::Gone && !self.keep(Rule::MissingLeaseIsDead));
        let won = Writer { lease: committing, ..self.done(DUE_LEASE) };
        let write = |s: &mut State| s.slots[self.slot()].lease = committing;
        if matches {
            self.put(out, "writer: lease to committing", won, write);
        } else {
            self.go(out, "writer: lease to committing, it is dead", Writer::default());
        }
        if !self.scenario.lost_answers {
            return;
        }
        if self.keep(Rule::ReadBackLease) {
            // Not done and no answer: the read-back shows the old state, and the CAS is made again.
            let writer = Writer { step: Step::ReadLease, ..self.writer };
            if matches {
                self.put(out, "writer: lease to committing, answer lost", writer, write);
            }
        } else if !matches {
            self.go(out, "writer: lease to committing, answer lost, believed done", won);
        }
    }

    /// W8.
    pub(super) fn read_lease(&self, out: &mut Successors) {
        let committing = Lease::Committing(self.version_read());
        let writer = match self.state.slots[self.slot()].lease {
            found if found == committing => Writer { lease: committing, ..self.done(DUE_LEASE) },
            found if found == self.writer.lease => Writer { step: Step::Publish, ..self.writer },
            _ => Writer::default(),
        };
        self.go(out, "writer: read the lease back", writer);
    }

    fn version_read(&self) -> u8 {
        self.writer.ref_read.map_or(0, |(version, _)| version)
    }

    /// W9: CAS the ref from the version read.
    pub(super) fn move_ref(&self, out: &mut Successors) {
        let slot = self.slot();
        let expected = self.version_read();
        let (history, named) = (self.scenario.history, self.writer.target);
        let settle = Writer { step: Step::Settle, ..self.writer };
        if self.state.reference.version == expected {
            let won = Writer { step: Step::EndLease, ..self.writer };
            self.put(out, "writer: move the ref", won, |s| {
                s.move_ref(history, Entry { named, token: self.writer.slot + 1 });
                s.slots[slot].won = true;
                s.slots[slot].report = Report::Won;
            });
        } else if self.keep(Rule::ReadBackRef) {
            self.go(out, "writer: move the ref, refused", settle);
        } else {
            self.give_up(out, "writer: move the ref, refused, believed");
        }
        if self.scenario.lost_answers && self.state.slots[slot].in_flight.is_none() {
            if self.keep(Rule::ReadBackRef) {
                self.put(out, "writer: move the ref, no answer", settle, |s| {
                    s.slots[slot].in_flight = Some((expected, named));
                });
            } else {
                let writer = Writer { step: Step::EndLease, ..self.writer };
                self.put(out, "writer: move the ref, no answer, believed lost", writer, |s| {
                    s.slots[slot].in_flight = Some((expected, named));
                    s.slots[slot].report = Report::Lost;
                });
            }
        }
    }

    /// W9: read the ref back, and look for the entry that this push would have made.
    pub(super) fn settle(&self, out: &mut Successors) {
        let reference = self.state.reference;
        let Some((version, generation)) = self.writer.ref_read else {
            return;
        };
        let mine = generation + 1;
        let entry = if reference.generation == mine {
            Some(reference.current)
        } else if self.scenario.history && reference.generation == mine + 1 {
            Some(reference.previous)
        } else {
            None
        };
        if entry.is_some_and(|e| e.token == self.writer.slot + 1) {
            let writer = Writer { step: Step::EndLease, ..self.writer };
            self.report(out, "writer: read the ref back, won", writer, Report::Won);
        } else if reference.version == version {
            if self.keep(Rule::RepeatUntilSettled) {
                let writer = Writer { step: Step::MoveRef, ..self.writer };
                self.go(out, "writer: read the ref back, unchanged", writer);
            } else {
                self.give_up(out, "writer: read the ref back, unchanged, believed lost");
            }
        } else if entry.is_some() || reference.generation == generation {
            // Another entry stands where this push's would be, or a fence: this CAS can never be executed now.
            self.give_up(out, "writer: read the ref back, lost");
        } else {
            let writer = Writer { step: Step::EndLease, ..self.writer };
            self.report(out, "writer: read the ref back, cannot tell", writer, Report::Unknown);
        }
    }

    fn report(&self, out: &mut Successors, label: &'static str, writer: Writer, report: Report) {
        self.put(out, label, writer, |s| s.slots[self.slot()].report = report);
    }

    /// W10 or W11: the attempt failed; it is reported, or made again, under this lease or another.
    fn give_up(&self, out: &mut Successors, label: &'static str) {
        let writer = Writer { step: Step::EndLease, ..self.writer };
        self.report(out, label, writer, Report::Lost);
        let rearm = self.keep(Rule::RetryRearms);
        if self.scenario.keep_lease || !rearm {
            let writer = Writer { step: Step::ReadRef, ref_read: None, ..self.writer };
            self.go(out, label, writer);
        }
    }

    /// W10. Whether the lease is still there does not matter. A failure here is a lease left to the collector.
    pub(super) fn end_lease(&self, out: &mut Successors) {
        self.put(out, "writer: delete the lease", Writer::default(), |s| {
            s.slots[self.slot()].lease = Lease::Gone;
        });
    }
}
