//! The source of a push: a directory on this machine, as it is just now.
//!
//! [`Walk`] lists it in the canonical order of a tree, leaving out what [`Exclusions`] name. [`StatCache`] knows the
//! content hash of what has not changed since the last push. [`SourceFiles`] reads the rest, one file at a time, and
//! notices when a file changes meanwhile. [`Spool`] is another source: a tar, read to its end.
//!
//! Nothing here follows a symbolic link below the root: every directory is opened from its parent's descriptor by one
//! component, and is entered or read from only if it is the one that was listed. All of it is synchronous and belongs on plain threads.

mod directory_id;
mod ignore;
mod leased;
mod least_missed;
mod name_cache;
mod own;
mod path_order;
mod read;
mod replacement;
mod spelled;
mod spool;
mod stat;
mod stat_cache;
mod trust;
mod walk;
mod xattrs;

pub use directory_id::{DirectoryId, ListedDirectory};
pub use ignore::{ExcludeFile, Exclusions};
pub(crate) use ignore::{is_cache_tag, may_have_rules, rewrite_time};
pub(crate) use name_cache::NameCache;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use name_cache::fuzzing as fuzzed_names;
pub(crate) use own::refuse_source_below;
pub use own::{OwnDirectory, OwnFound, Purpose, refuse_in_own};
pub use path_order::{compare_directories, compare_names};
pub use read::{ContentSink, OpenFile, ReadLink, ReadOutcome, SourceFiles};
pub(crate) use read::{is_zeros, unreadable};
pub use spool::{Spool, SpoolListings, SpoolOptions, SpooledFile};
pub use stat::{FileKind, FileTime, Stat};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use stat_cache::fuzzing as fuzzed_stats;
pub use stat_cache::{
    CacheCursor, CacheHit, CacheSection, CacheSections, CacheWriter, ContentHash, StatCache,
};
pub use trust::{HashClock, HashClocks, is_trusted};
pub(crate) use trust::{Recency, WalkBegan};
pub(crate) use walk::join;
pub use walk::{Child, Listing, Problem, Walk, WalkOptions};
