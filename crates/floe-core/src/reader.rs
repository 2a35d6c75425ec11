//! Reading a snapshot's metadata: its segments, in order, checked, in little memory.
//!
//! [`Sources`] knows where frames are: it reads the directories or tails of the packs that serve the wanted root items.
//! [`SegmentWalk`] goes through root and index segments and hands out the segments that a [`Span`] of paths touches;
//! [`TreeCheck`] is shown every segment and entry of a walk and refuses what no tree can be.
//!
//! Nothing here is trusted: packs' tails are checked by their sums, segments by their ids, and what lists of segments say
//! by the segments.

mod asked_for;
mod check;
mod glance;
mod items;
mod metadata;
mod named;
mod shape;
mod sources;
mod span;

pub(crate) use asked_for::find_entry_asked_for;
pub(crate) use check::{Links, TreeCheck};
pub(crate) use glance::{find_entry, walk_span};
pub(crate) use items::{ListedSegment, SegmentWalk};
pub(crate) use named::{NamedWalk, find_entries};
pub(crate) use sources::{Reach, Sources};
pub(crate) use span::{Span, shown};
