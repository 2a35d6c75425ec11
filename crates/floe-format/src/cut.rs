//! Where a tree is cut: into groups and chunks, those into segments, and lists of these into index segments
//! (`docs/format.md` §5.3, §5.4, §7). All of it depends on the sorted entries and their content alone, never on how
//! they are fed.

mod chunk;
mod group;
mod items;
mod parameters;
mod segments;

pub use chunk::Chunker;
pub use group::{GroupCut, GroupEntry, Grouper};
pub(crate) use items::{cut_items, needs_cut};
pub use parameters::Parameters;
pub use segments::SegmentCutter;
