//! Stores: the places that hold namespaces, behind one small trait.
//!
//! [`Store`] is what Floe asks of a place: read-after-write, strongly consistent listing, create-if-absent and
//! compare-and-swap of small objects. [`open`] makes one from a location. Everything else wraps a store in a store:
//! [`Retry`] repeats what may be repeated, [`Limit`] bounds requests in flight and bytes a second.
//!
//! A store knows nothing of what it holds. It never fetches ahead, never caches, and never reports as done what a
//! power loss could still undo.

mod conditions;
mod environment;
mod key;
mod limit;
pub mod local;
mod location;
mod probe;
mod remote;
mod retry;
mod settings;
mod settle;
mod timer;
mod upload;

use std::fmt;
use std::ops::Range;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, ErrorKind, Result};

pub use conditions::Conditions;
pub use environment::Environment;
pub use key::{Key, KeyPrefix};
pub use limit::Limit;
pub use local::LocalStore;
pub use location::{ShownEndpoint, conditions_of, local_directory, open, shown_endpoints};
pub use probe::probe_conditions;
pub(crate) use probe::{must_refuse_create, must_refuse_swap};
pub use remote::RemoteStore;
pub use retry::{Retry, RetrySettings};
pub use settings::StoreSettings;
pub use settle::{Settled, put_settled};
pub use timer::{SystemTimer, Timer};
pub use upload::{OpenUploads, PART_BYTES, Upload};

/// A place that holds objects under keys; every method is one request.
///
/// **Durability.** When a method that writes answers `Ok`, the object survives power loss and is seen by every
/// later `get`, `head` and `list` of any client. Until then others may or may not see it, but never a part of it.
///
/// **Failures.** Kinds mean the same everywhere: `NotFound` (no such object), `Conflict` (the condition of a put
/// did not hold), `Denied`, `Unavailable` (may be repeated; *the request may have been done*), `Corrupt` (the
/// object is shorter or longer than whoever wrote it said), `Unsupported`, `Internal` (a full disk, say).
///
/// **Lost answers.** After `Unavailable` from a write, and after a `Conflict` from a write that a wrapper repeated,
/// the write may have been done by the caller's own hand. [`put_settled`] reads back and tells.
///
/// **Cancel safety.** A method whose future is dropped may or may not have been done, as after `Unavailable`.
///
/// **Keys** are never a prefix of one another at a `/`: where `a/b` is an object, `a` and `a/b/c` are not.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Writes a whole object, and answers the version written.
    ///
    /// # Errors
    /// `Conflict` where the mode's condition does not hold: a [`PutMode::Create`] on a key that exists, a
    /// [`PutMode::Swap`] on one that is absent or has another version.
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version>;

    /// Reads a whole object of at most `max_bytes`.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt` for an object of more than `max_bytes`, which is not read.
    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)>;

    /// Reads exactly these bytes of an object; an empty range is answered without asking.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt` where the object ends before the range does; `Invalid` for a range that ends before
    /// it starts.
    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes>;

    /// How many bytes a reader should have asked for beyond those it is working on: enough to keep the way to the store
    /// busy.
    fn read_ahead_bytes(&self) -> u64 {
        64 << 20
    }

    /// The size in bytes of an object, `None` where there is no such object.
    async fn head(&self, key: &Key) -> Result<Option<u64>>;

    /// One page of the objects whose keys begin with `prefix`, in no promised order.
    ///
    /// The first page is asked for without a cursor, the next with the one that [`Page::next`] holds. An object
    /// that exists from before the first page until after the last is listed exactly once.
    async fn list(&self, prefix: &KeyPrefix, after: Option<&Cursor>) -> Result<Page>;

    /// Removes an object; one that is absent is removed already.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// Begins an object that is written in parts and visible only when finished; see [`Upload`].
    async fn start_parts(&self, key: &Key) -> Result<PartsId>;

    /// Writes one part; parts come in any order, the same one perhaps twice.
    ///
    /// All but the last are of [`PART_BYTES`].
    async fn put_part(&self, key: &Key, id: &PartsId, part: Part, body: Bytes) -> Result<PartTag>;

    /// Makes the object visible, whatever was there before; `tags` are those of all parts in order.
    ///
    /// # Errors
    /// `NotFound` where `id` is not under way: never begun, aborted, or finished already.
    async fn finish_parts(&self, key: &Key, id: &PartsId, tags: Vec<PartTag>) -> Result<()>;

    /// Gives up an object begun; one that is not under way is given up already.
    async fn abort_parts(&self, key: &Key, id: &PartsId) -> Result<()>;
}

/// On what condition [`Store::put`] writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutMode {
    /// Only where there is no such object.
    Create,
    /// Always; for keys that one writer owns.
    Overwrite,
    /// Only where the object has this version.
    Swap(Version),
}

/// A token for the content of an object at one time.
///
/// Another content has another version. Equal contents may have equal ones, so whoever swaps puts something fresh
/// (a random token) into every body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// The version that a store calls so.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// What the store calls it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Key,
    /// Its size.
    pub size_bytes: u64,
    /// When it was written, by the store's clock.
    pub modified: SystemTime,
}

/// A part of a listing.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The objects of this page; a page may be empty and not be the last.
    pub entries: Vec<Entry>,
    /// Where the next page begins, `None` after the last.
    pub next: Option<Cursor>,
}

/// A place in a listing, understood only by the store that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub(crate) String);

impl Cursor {
    /// The cursor that a store calls so.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// What the store calls it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of an object under way, understood only by the store that made it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartsId(String);

impl PartsId {
    /// The id that a store calls so.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// What the store calls it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which part of an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 0.
    pub index: u32,
    /// Where it begins in the object.
    pub offset_bytes: u64,
}

/// A receipt for a part, understood only by the store that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartTag(String);

impl PartTag {
    /// The receipt that a store calls so.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// What the store calls it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// All objects whose keys begin with `prefix`; for listings that are known to be short.
///
/// # Errors
/// `Corrupt` where there are more than `max_entries`.
pub async fn list_all(store: &dyn Store, prefix: &KeyPrefix, max_entries: usize) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.list(prefix, cursor.as_ref()).await?;
        entries.extend(page.entries);
        if entries.len() > max_entries {
            let message = format!("more than {max_entries} objects under `{prefix}`");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(entries),
        }
    }
}

/// How many bytes a range asks for, `None` for none.
///
/// # Errors
/// `Invalid` for a range that ends before it starts or fits no memory.
pub fn range_length(key: &Key, range: &Range<u64>) -> Result<Option<usize>> {
    let length = range.end.checked_sub(range.start).and_then(|length| usize::try_from(length).ok());
    match length {
        Some(0) => Ok(None),
        Some(length) => Ok(Some(length)),
        None => {
            let message = format!("no range {}..{} of `{key}` can be read", range.start, range.end);
            Err(Error::new(ErrorKind::Invalid, message))
        }
    }
}

/// The error for an object that ends before a range of it does.
pub fn too_short(key: &Key, range: &Range<u64>) -> Error {
    let message = format!("`{key}` ends before byte {}, which it should have", range.end);
    Error::new(ErrorKind::Corrupt, message)
}
