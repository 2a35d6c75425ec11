//! What a walk still has to do and what it has done but not handed out, in canonical order.
//!
//! One list of slots stands in the order in which listings are handed out; a second one threads through those of
//! them on which nobody has finished. A job becomes a running slot before the group it was taken from; a finished one
//! becomes a listing, followed by the group of its subdirectories. So the first group is always the work that comes
//! soonest, and it is behind at most as many unfinished slots as there are threads and huge directories.
//!
//! Invariant: whenever nothing is running and the agenda is not empty, either its head is a listing or a job can be
//! taken, whatever the look-ahead.

use std::sync::Arc;

use super::directory::Directory;
use super::huge::HugeDirectory;
use super::listing::Listing;
use super::names::FoundDirectories;
use crate::error::Result;
use crate::source::ignore::Rules;

/// The subdirectories of one directory, which is kept open for them as long as may be.
#[derive(Debug)]
pub(super) struct Subdirectories {
    pub(super) parent: Arc<Directory>,
    pub(super) found: FoundDirectories,
    pub(super) rules: Option<Arc<Rules>>,
}

/// A slot's place in the agenda.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotId(u32);

/// Something one thread can do.
#[derive(Debug)]
pub(super) enum Job {
    /// List the root.
    Root(Arc<Directory>),
    /// List one of these; whether it is the last.
    Subdirectory(Arc<Subdirectories>, usize),
    /// Stat a run of the names in a huge directory, whose subdirectories will stand in that slot.
    Chunk(Arc<HugeDirectory>, usize, SlotId),
}

/// What became of a job.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A whole directory.
    Listed(Listing, Option<Subdirectories>),
    /// A directory too large to be listed at once.
    Huge(HugeDirectory),
    /// A part of one; with the last part to be finished come the subdirectories of all.
    Part(Listing, SlotId, Option<Subdirectories>, bool),
    /// The walk cannot go on.
    Failed(crate::Error),
}

#[derive(Debug)]
enum Slot {
    Free,
    Root(Arc<Directory>),
    Subdirectories(Arc<Subdirectories>, usize),
    Chunks(Arc<HugeDirectory>, usize),
    /// Where the subdirectories of a huge directory will stand.
    Reserved,
    Running,
    Ready(Box<Result<Listing>>),
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    before: u32,
    after: u32,
}

#[derive(Debug)]
struct Node {
    order: Link,
    unfinished: Link,
    slot: Slot,
}

/// Slot 0 is the end of both rings and never anything else.
const END: u32 = 0;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Agenda {
    nodes: Vec<Node>,
    free: Vec<u32>,
    ready_bytes: usize,
    look_ahead_bytes: usize,
}

impl Agenda {
    pub(super) fn new(root: Arc<Directory>, look_ahead_bytes: usize) -> Self {
        let end = Node { order: Link::default(), unfinished: Link::default(), slot: Slot::Free };
        let mut agenda = Self { nodes: vec![end], free: Vec::new(), ready_bytes: 0, look_ahead_bytes };
        agenda.insert_before(END, Slot::Root(root));
        agenda
    }

    /// Whether everything was done and handed out.
    pub(super) fn is_empty(&self) -> bool {
        self.node(END).order.after == END
    }

    /// Whether the next listing can be handed out.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.node(self.node(END).order.after).slot, Slot::Ready(_))
    }

    /// Takes the next listing.
    pub(super) fn pop(&mut self) -> Option<Result<Listing>> {
        if !self.is_ready() {
            return None;
        }
        let head = self.node(END).order.after;
        let slot = std::mem::replace(&mut self.node_mut(head).slot, Slot::Free);
        self.unlink_order(head);
        self.free.push(head);
        let Slot::Ready(result) = slot else { return None };
        if let Ok(listing) = result.as_ref() {
            self.ready_bytes -= listing.memory_bytes();
        }
        Some(*result)
    }

    /// Takes the job that comes soonest, unless too much is waiting to be handed out already.
    pub(super) fn take(&mut self) -> Option<(SlotId, Job)> {
        let mut at = self.node(END).unfinished.after;
        while at != END && matches!(self.node(at).slot, Slot::Running | Slot::Reserved) {
            at = self.node(at).unfinished.after;
        }
        let is_next = self.node(END).order.after == at;
        if at == END || (self.ready_bytes >= self.look_ahead_bytes && !is_next) {
            return None;
        }
        let reserved = SlotId(self.node(at).unfinished.after);
        let (job, exhausted) = match &mut self.node_mut(at).slot {
            Slot::Root(root) => (Job::Root(Arc::clone(root)), true),
            Slot::Subdirectories(group, next) => {
                *next += 1;
                (Job::Subdirectory(Arc::clone(group), *next - 1), *next == group.count())
            }
            Slot::Chunks(huge, next) => {
                *next += 1;
                (Job::Chunk(Arc::clone(huge), *next - 1, reserved), *next == huge.chunk_count())
            }
            Slot::Free | Slot::Reserved | Slot::Running | Slot::Ready(_) => return None,
        };
        if exhausted {
            self.node_mut(at).slot = Slot::Running;
            return Some((SlotId(at), job));
        }
        Some((SlotId(self.insert_before(at, Slot::Running)), job))
    }

    /// Puts what became of a job in its place.
    pub(super) fn finish(&mut self, SlotId(at): SlotId, outcome: Outcome) {
        match outcome {
            Outcome::Listed(listing, subdirectories) => {
                match subdirectories {
                    Some(group) => {
                        let running = self.insert_before(at, Slot::Running);
                        self.node_mut(at).slot = Slot::Subdirectories(Arc::new(group), 0);
                        self.ready(running, Ok(listing));
                    }
                    None => self.ready(at, Ok(listing)),
                };
            }
            Outcome::Huge(huge) => {
                self.insert_before(at, Slot::Chunks(Arc::new(huge), 0));
                self.node_mut(at).slot = Slot::Reserved;
            }
            Outcome::Part(listing, SlotId(reserved), subdirectories, all_done) => {
                self.ready(at, Ok(listing));
                match subdirectories {
                    Some(group) => {
                        self.node_mut(reserved).slot = Slot::Subdirectories(Arc::new(group), 0);
                    }
                    None if all_done => self.remove(reserved),
                    None => {}
                }
            }
            Outcome::Failed(error) => self.ready(at, Err(error)),
        }
    }

    fn ready(&mut self, at: u32, result: Result<Listing>) {
        if let Ok(listing) = &result {
            self.ready_bytes += listing.memory_bytes();
        }
        self.unlink_unfinished(at);
        self.node_mut(at).slot = Slot::Ready(Box::new(result));
    }

    fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    /// Makes a slot before one that is unfinished too, or at the end.
    fn insert_before(&mut self, at: u32, slot: Slot) -> u32 {
        let (order, unfinished) = (self.node(at).order.before, self.node(at).unfinished.before);
        let node = Node {
            order: Link { before: order, after: at },
            unfinished: Link { before: unfinished, after: at },
            slot,
        };
        let new = match self.free.pop() {
            Some(new) => {
                *self.node_mut(new) = node;
                new
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).expect("slots are bounded by look-ahead and depth")
            }
        };
        self.node_mut(order).order.after = new;
        self.node_mut(at).order.before = new;
        self.node_mut(unfinished).unfinished.after = new;
        self.node_mut(at).unfinished.before = new;
        new
    }

    fn remove(&mut self, at: u32) {
        self.unlink_unfinished(at);
        self.unlink_order(at);
        self.node_mut(at).slot = Slot::Free;
        self.free.push(at);
    }

    fn unlink_order(&mut self, at: u32) {
        let Link { before, after } = self.node(at).order;
        self.node_mut(before).order.after = after;
        self.node_mut(after).order.before = before;
    }

    fn unlink_unfinished(&mut self, at: u32) {
        let Link { before, after } = self.node(at).unfinished;
        self.node_mut(before).unfinished.after = after;
        self.node_mut(after).unfinished.before = before;
    }
}

impl Subdirectories {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.found.ids.len()
    }

    /// The directory of that number, and whether it is the last.
    pub(super) fn directory(&self, index: usize) -> (Arc<Directory>, bool) {
        let FoundDirectories { names, ids } = &self.found;
        let name = names.c_str(names.spans[index]);
        let directory = self.parent.child(name, ids[index], self.rules.clone());
        (Arc::new(directory), index + 1 == self.count())
    }
}
