//! The explorer: every state that any interleaving reaches, breadth first, so that a counterexample is a shortest one.

use std::hash::{Hash, Hasher};

use super::scenario::Scenario;
use super::state::{BASE_PACK, CollectorStep, MountStep, Report, State, snapshot_of};
use super::{collector, environment, writer};

/// More states than any scenario has; a guard against one that does not end.
const STATES_MAX: usize = 16_000_000;

/// What one exploration found.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Distinct states seen.
    pub(super) states: usize,
    /// The first violation, if there is one.
    pub(super) violation: Option<Violation>,
    /// What happened in at least one of them.
    pub(super) witnessed: Witnessed,
}

/// A broken invariant, and the shortest way there.
#[derive(Debug)]
pub(super) struct Violation {
    /// Which invariant.
    pub(super) invariant: &'static str,
    /// The requests, in order.
    pub(super) trace: Vec<&'static str>,
}

/// Proof that the model is not vacuous.
#[derive(Debug, Default)]
pub(super) struct Witnessed {
    /// A ref was moved by a push that reports it.
    pub(super) committed: bool,
    /// The base's pack was deleted.
    pub(super) collected: bool,
    /// A push committed a snapshot that reuses a pack of the base, after a collector had ended.
    pub(super) reused: bool,
    /// A push was told that it lost.
    pub(super) lost: bool,
    /// A push cannot tell whether it won.
    pub(super) unknown: bool,
    /// A snapshot object exists of which a pack does not (no ref names it).
    pub(super) dangling: bool,
}

/// Explores a scenario until the first violation, or to its end.
pub(super) fn explore(scenario: &Scenario) -> Outcome {
    let mut seen = Seen::default();
    let mut parents = vec![u32::MAX];
    let mut witnessed = Witnessed::default();
    seen.insert(scenario.start().canonical());
    let mut out = Successors::default();
    let mut at = 0;
    while at < seen.states.len() {
        successors(scenario, &seen.states[at], &mut out);
        for (successor, label) in out.0.drain(..) {
            witnessed.note(&successor);
            if let Some(invariant) = broken(&successor) {
                let mut trace = trace(scenario, &seen.states, &parents, at);
                trace.push(label);
                let violation = Some(Violation { invariant, trace });
                return Outcome { states: seen.states.len(), violation, witnessed };
            }
            if seen.insert(successor.canonical()) {
                parents.push(u32::try_from(at).expect("fewer states than 2^32"));
            }
        }
        assert!(seen.states.len() < STATES_MAX, "{}: the model does not end", scenario.name);
        at += 1;
    }
    Outcome { states: seen.states.len(), violation: None, witnessed }
}

/// The states that one state can turn into, each with the name of the request that does it.
#[derive(Default)]
pub(super) struct Successors(Vec<(State, &'static str)>);

impl Successors {
    /// Adds one: a copy of `from`, changed.
    pub(super) fn push(&mut self, label: &'static str, from: &State, change: impl FnOnce(&mut State)) {
        let mut state = *from;
        change(&mut state);
        self.0.push((state, label));
    }
}

fn successors(scenario: &Scenario, state: &State, out: &mut Successors) {
    for index in 0..scenario.writers {
        writer::steps(scenario, state, index, out);
    }
    for index in 0..scenario.collectors {
        collector::steps(scenario, state, index, out);
    }
    environment::steps(scenario, state, out);
}

/// The invariant that this state breaks.
fn broken(state: &State) -> Option<&'static str> {
    if state.reachable() & !state.present != 0 {
        return Some("i1: the ref names what does not exist");
    }
    if state.mount.step == MountStep::Serving && state.closure(state.mount.named) & !state.present != 0 {
        return Some("i1: a mount reads what does not exist");
    }
    for slot in &state.slots {
        if slot.report == Report::Won && !slot.won {
            return Some("i2: a lost race is reported won");
        }
        if slot.report == Report::Lost && slot.won {
            return Some("i2: a won race is reported lost");
        }
    }
    None
}

impl Witnessed {
    fn note(&mut self, state: &State) {
        self.committed |= state.slots.iter().any(|s| s.report == Report::Won);
        self.collected |= state.present & BASE_PACK == 0;
        self.reused |= state.slots.iter().any(|s| s.won && s.needs & BASE_PACK != 0)
            && state.gc.generation > 1
            && state.collectors.iter().all(|c| c.step == CollectorStep::Done);
        self.lost |= state.slots.iter().any(|s| s.report == Report::Lost);
        self.unknown |= state.slots.iter().any(|s| s.report == Report::Unknown);
        for (slot, index) in state.slots.iter().zip(0..) {
            self.dangling |= state.present & snapshot_of(index) != 0 && slot.needs & !state.present != 0;
        }
    }
}

/// Goes back from a state to the start, and finds out which request led from each state to the next.
fn trace(scenario: &Scenario, states: &[State], parents: &[u32], mut at: usize) -> Vec<&'static str> {
    let mut labels = Vec::new();
    let mut out = Successors::default();
    while parents[at] != u32::MAX {
        let parent = parents[at] as usize;
        successors(scenario, &states[parent], &mut out);
        let step = out.0.drain(..).find(|(state, _)| state.canonical() == states[at]);
        labels.push(step.expect("a parent leads to its child").1);
        at = parent;
    }
    labels.reverse();
    labels
}

/// The states seen, in order, and an open-addressing table of their places.
#[derive(Default)]
struct Seen {
    states: Vec<State>,
    /// Place + 1 of a state, or 0.
    table: Vec<u32>,
}

impl Seen {
    /// Adds a state; whether it is new.
    fn insert(&mut self, state: State) -> bool {
        if self.table.len() < 2 * (self.states.len() + 1) {
            self.grow();
        }
        let Err(free) = self.find(&state) else {
            return false;
        };
        self.states.push(state);
        self.table[free] = u32::try_from(self.states.len()).expect("fewer states than 2^32");
        true
    }

    /// The table's cell that holds this state, or the free cell where it belongs.
    fn find(&self, state: &State) -> Result<usize, usize> {
        let mask = self.table.len() - 1;
        let mut cell = hash(state) & mask;
        loop {
            match self.table[cell] {
                0 => return Err(cell),
                place if self.states[place as usize - 1] == *state => return Ok(cell),
                _ => cell = (cell + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        self.table = vec![0; (4 * self.states.len()).next_power_of_two().max(1024)];
        let mask = self.table.len() - 1;
        for (state, place) in self.states.iter().zip(1..) {
            let mut cell = hash(state) & mask;
            while self.table[cell] != 0 {
                cell = (cell + 1) & mask;
            }
            self.table[cell] = place;
        }
    }
}

fn hash(state: &State) -> usize {
    let mut hasher = Mix(0);
    state.hash(&mut hasher);
    usize::try_from(hasher.finish() >> 16).expect("48 bits fit")
}

/// A fast hash of small fields: states are ours, nobody chooses them to collide.
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        (self.0 ^ (self.0 >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value.unsigned_abs() as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}
