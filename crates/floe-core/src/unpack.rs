//! Reading a snapshot's data: frames are fetched ahead, and decompressed, verified and compared with their segments by
//! several threads.
//!
//! A planner, one thread, goes through the segments in order and says which runs of which segment are wanted
//! ([`Planner`]). What it wants is collected into batches of a few MiB, each fetched by as few ranged requests as there are gaps,
//! several batches ahead. Workers take [`Unit`]s, consecutive runs of one segment, in the planner's order. For each frame
//! they make everything but files' contents anew from the segment's entries and compare (invariant 11), and hand the
//! contents to an [`Output`].
//!
//! # Invariants
//!
//! - An output sees no byte that was not checked against its frame's id, and no whole file before its hash was right
//!   (invariant 3); of a file in several frames it sees parts first, and is told when all were right.
//! - Units are taken in order, and of a file in several frames whoever has a later part waits for earlier ones when too
//!   much waits already; the thread with the earliest unit never waits. So there is always one that goes on.
//! - Stored bytes in flight, and parts that wait for their turn to be hashed, are bounded.
//! - The first error stops everything; it is the one returned.

mod batch;
mod big_file;
mod canonical;
mod engine;
mod frames;
mod named;
mod planner;
mod unit;
mod whole;

pub(crate) use big_file::BigFile;
pub(crate) use engine::{Output, Stop, run};
pub(crate) use named::plan_entries;
pub(crate) use planner::Planner;
pub(crate) use unit::{FrameOfUnit, Unit};
