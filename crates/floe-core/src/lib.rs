//! The engine of Floe: stores, namespaces, refs and leases; walking a source and writing a destination.
//!
//! It prints nothing, reads no environment and never exits the process. `docs/architecture.md` tells how its
//! modules fit together.

#![cfg_attr(
    test,
    allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test may panic")
)]

mod alike;
mod ambient;
mod archive;
mod aside;
mod attempt;
mod beneath;
mod cache_room;
mod catalog;
mod collector_state;
mod destination;
mod diff;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod glob;
mod keeping;
mod keys;
mod lease;
mod listing;
mod names;
mod namespace;
mod offload;
mod pack_tails;
mod pull;
mod push;
mod ranges;
mod reader;
mod reference;
mod removal;
mod resolve;
mod scratch;
mod sealed;
mod snapshot;
pub mod source;
mod spilled_table;
pub mod store;
mod tag;
mod unpack;
mod verify;
mod whole;
mod write_error;

pub use ambient::{Ambient, Clock, Entropy, SystemClock, SystemEntropy};
pub use archive::{ArchiveFormat, ArchiveOptions, archive};
pub use destination::{Complaints, close};
pub use diff::{Change, ChangeKind, DiffOptions, diff, diff_directory};
pub use error::{Error, ErrorKind, Remedy, Result};
pub use listing::{CatOptions, Depth, cat, entry_at, list};
pub use names::{NamespaceName, RefName, Reference};
pub use namespace::{Namespace, NamespaceSettings, RefNames, Writers};
pub use pull::{Foreseen, PullOptions, PullOutcome, PullProgress, Pulled, foresee_pull, pull};
pub use push::{PushOptions, PushOutcome, PushProgress, PushSource, Pushed, Unread, directory_bytes, push};
pub use reference::{
    Annotation, Generation, MAX_HISTORY, MAX_LABELS_BYTES, MAX_MESSAGE_BYTES, RefRecord, SnapshotAt,
};
pub use resolve::Resolved;
pub use snapshot::Snapshot;
pub use tag::Tagged;
pub use verify::{Damage, Verified, VerifyOptions, verify};
