//! What a pull is asked, and what it answers.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

use tokio_util::sync::CancellationToken;

use crate::destination::Complaints;
use crate::diff::ChangeKind;
use crate::source::OwnDirectory;

/// How a snapshot is pulled.
#[derive(Clone, Debug, Default)]
pub struct PullOptions {
    /// What of the snapshot: the path of an entry, without `/` at either end; empty for all.
    pub path: Vec<u8>,
    /// Only what matches one of these globs, or is below a directory that does; all where there are none.
    ///
    /// A glob with a `/` that is not its last character is matched against whole paths below what is pulled, others against names;
    /// a `./` in front says the former. One that ends in `/` matches directories only. Of a single entry the path is its
    /// name, and one that they leave out is refused.
    pub include: Vec<String>,
    /// Not what matches one of these globs, nor what is below it.
    ///
    /// In place, with [`delete`](Self::delete), what they match is left alone; where case is ignored, in whatever case. It is not
    /// written over either, under whatever other spelling the snapshot has it; what that has under the very name that is there
    /// is theirs only as they are spelled.
    pub exclude: Vec<String>,
    /// In place: remove what the snapshot does not have, as far as the globs say that it is pulled.
    pub delete: bool,
    /// Restore owners, where the snapshot keeps them.
    pub owner: bool,
    /// Restore extended attributes, where the snapshot keeps them.
    pub xattrs: bool,
    /// Make device nodes.
    pub devices: bool,
    /// Restore setuid, setgid and sticky bits of what is not a directory, the first two not where the snapshot says that it
    /// has another owner or group than it gets. On directories they lend nobody any rights:
    /// they say whose group new entries have and who may remove them, and are restored as all of the mode is.
    pub special_bits: bool,
    /// Return only when what was written survives a loss of power.
    pub sync: bool,
    /// In place: read every file, whatever the stat cache knows.
    pub by_hash: bool,
    /// Directories of Floe's own: nothing is pulled into a store or over caches, and none is removed.
    pub own: Vec<OwnDirectory>,
    /// Where caches are.
    pub cache_dir: Option<PathBuf>,
    /// How many threads write; as many as the machine has cores when none are given.
    pub threads: Option<usize>,
    /// Asks the pull to stop.
    pub cancel: CancellationToken,
}

/// How far a pull is.
#[derive(Debug, Default)]
pub struct PullProgress {
    /// Entries of what is pulled; 0 as long as that is not known.
    pub entries_total: AtomicU64,
    /// Bytes of files of what is pulled; 0 as long as that is not known.
    pub file_bytes_total: AtomicU64,
    /// Entries dealt with.
    pub entries: AtomicU64,
    /// Files dealt with: written, or found equal.
    pub files: AtomicU64,
    /// Their bytes, and what is written of files that are not whole yet.
    pub file_bytes: AtomicU64,
    /// Bytes of files found equal.
    pub reused_file_bytes: AtomicU64,
    /// Stored bytes of data asked of the store.
    pub fetched_bytes: AtomicU64,
}

/// How a pull ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullOutcome {
    /// A destination that was not there was made.
    Created,
    /// An existing directory was brought up to date.
    Updated,
    /// Nothing was to be done, or would be: the destination was as the snapshot is.
    Unchanged,
    /// Something would be written, and was not: it was only asked for what.
    DryRun,
}

/// What a pull did, or would do.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// How it ended.
    pub outcome: PullOutcome,
    /// Entries of what was pulled, after inclusions and exclusions.
    pub entries: u64,
    /// How many of them are files.
    pub files: u64,
    /// Bytes of those.
    pub file_bytes: u64,
    /// Files written.
    pub written_files: u64,
    /// Bytes of those.
    pub written_bytes: u64,
    /// Names removed because the snapshot does not have them; what was below them is not counted.
    pub removed: u64,
    /// Globs of what was to be included that matched nothing.
    pub unmatched: Vec<String>,
    /// Device nodes that were not made because nobody asked for them.
    pub skipped_devices: u64,
    /// Stored bytes of data asked of the store.
    pub fetched_bytes: u64,
    /// What could not be restored.
    pub complaints: Complaints,
}

/// Something that a pull would do to the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// What: `Content` is what is written over something else, be it for other attributes that cannot be set alone.
    pub kind: ChangeKind,
    /// The path below the destination; of the directory that is pulled itself it is empty. The name of what is removed is
    /// that in the destination, and of a directory it stands for all that is in it.
    pub path: Vec<u8>,
}

impl Foreseen {
    pub(super) fn new(kind: ChangeKind, path: &[u8]) -> Self {
        Self { kind, path: path.to_vec() }
    }
}
