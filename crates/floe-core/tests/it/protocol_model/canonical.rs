//! The one state that stands for all those whose futures are the same.
//!
//! Exploring only these is what keeps the model small; each reduction says why it loses nothing.

use super::state::{
    CollectorStep, GcState, Lease, Report, SLOTS, Slot, State, Writer, WriterStep, snapshot_of,
};

impl State {
    /// This state with everything taken out that no actor will ever look at.
    pub(super) fn canonical(mut self) -> State {
        self.forget_slots();
        self.forget_ended_leases();
        self.rank_versions();
        self.shift_generations();
        // A collector compares its version with the object's, never with another; what is stale stays stale.
        for collector in &mut self.collectors {
            collector.version = u8::from(collector.version == self.gc.version);
        }
        self.gc = GcState { version: 1, ..self.gc };
        // Actors of one kind differ only in what they remember; the idle ones go last, where a scenario with one
        // writer or collector has none.
        self.collectors.sort_unstable();
        self.writers.sort_unstable_by(|a, b| b.cmp(a));
        self
    }

    fn forget_slots(&mut self) {
        let busy = |writer: &Writer, index: u8| writer.step != WriterStep::Idle && writer.slot == index;
        for index in 0..3 {
            let in_use = self.writers.iter().any(|w| busy(w, index));
            let present = self.present & snapshot_of(index) != 0;
            let slot = &mut self.slots[usize::from(index)];
            if !in_use && !slot.lease.is_held() && slot.lease != Lease::Unborn {
                // Nobody but its writer asks how a lease ended, nor for the stamp of one that has.
                (slot.lease, slot.stamp) = (Lease::Gone, 0);
            }
            if !in_use && slot.in_flight.is_none() {
                // Truth and report were compared, and neither will change.
                (slot.won, slot.report) = (false, Report::Nothing);
            }
            if !present {
                // Either not yet published, or deleted: a ref that names it is caught by the missing object.
                slot.needs = 0;
            }
        }
    }

    /// A lease that has ended stays ended, so a collector need not look at it to go on.
    fn forget_ended_leases(&mut self) {
        let held = (0..3).filter(|&i| self.slots[i].lease.is_held()).fold(0, |set, i| set | 1 << i);
        for collector in &mut self.collectors {
            if collector.leases & !held != 0 {
                let before = collector.leases;
                collector.leases &= held;
                if before.trailing_zeros() != collector.leases.trailing_zeros() {
                    collector.fenced = None;
                }
            }
            if collector.leases == 0 && collector.step == CollectorStep::Wait {
                collector.step = CollectorStep::MarkAfresh;
            }
        }
    }

    /// Versions of the ref are only compared for being equal; 0, no object, is special.
    fn rank_versions(&mut self) {
        let mut used = 1_u64 | 1 << self.reference.version;
        self.each_version(|version| used |= 1 << *version);
        let rank = |version: &mut u8| {
            let below = used & ((1 << *version) - 1);
            *version = u8::try_from(below.count_ones()).expect("at most 64");
        };
        rank(&mut self.reference.version);
        self.each_version(rank);
    }

    fn each_version(&mut self, mut visit: impl FnMut(&mut u8)) {
        let in_lease = |lease: &mut Lease, visit: &mut dyn FnMut(&mut u8)| {
            if let Lease::Committing(version) = lease {
                visit(version);
            }
        };
        for Slot { lease, in_flight, .. } in &mut self.slots {
            in_lease(lease, &mut visit);
            if let Some((version, _)) = in_flight {
                visit(version);
            }
        }
        for Writer { lease, ref_read, .. } in &mut self.writers {
            in_lease(lease, &mut visit);
            if let Some((version, _)) = ref_read {
                visit(version);
            }
        }
        for fenced in self.collectors.iter_mut().filter_map(|c| c.fenced.as_mut()) {
            visit(fenced);
        }
    }

    /// Generations of the ref are only compared by their distance.
    fn shift_generations(&mut self) {
        let read = self.writers.iter().filter_map(|w| w.ref_read).map(|(_, generation)| generation);
        let least = read.chain([self.reference.generation]).min().unwrap_or_default();
        self.reference.generation -= least;
        for (_, generation) in self.writers.iter_mut().filter_map(|w| w.ref_read.as_mut()) {
            *generation -= least;
        }
    }
}

const _: () = assert!(SLOTS == 3);
