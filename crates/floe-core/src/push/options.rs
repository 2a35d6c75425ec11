//! What a push is told, how far it is, and what came of it.

use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use floe_format::Kept;
use tokio_util::sync::CancellationToken;

use super::work::Unread;
use crate::keeping::Keeping;
use crate::reference::{Annotation, RefRecord, SnapshotAt};
use crate::source::{Exclusions, OwnFound};

/// What is pushed.
pub enum PushSource {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A tar, read to its end: entries in any order, a repeated name's last one wins, a missing root or parent has mode
    /// 0755 and time 0. Of the exclusions it knows patterns and size; ignore files in it are entries like all others.
    /// It is a faithful copy of a directory: pushed, both are the same snapshot where times are kept by both or none.
    Tar(Box<dyn Read + Send>),
}

/// How a push is done.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// What is left out.
    pub exclusions: Exclusions,
    /// What is kept of each entry beyond path, kind, mode, link and content.
    pub kept: Kept,
    /// Whether nothing but these is kept, hard links become files and modes are 0755 or 0644.
    pub reproducible: bool,
    /// The level of zstd.
    pub level: i32,
    /// What the new generation says of itself.
    pub annotation: Annotation,
    /// The snapshot to push against, instead of what the ref names.
    pub base: Option<SnapshotAt>,
    /// Whether everything is stored anew, whatever the store has: where that is damaged or lost.
    pub full: bool,
    /// Whether every file is read, whatever the stat cache knows.
    pub by_hash: bool,
    /// Whether nothing is written to the store, not even a lease.
    pub dry_run: bool,
    /// Whether what cannot be read is left out, and told in the ref, instead of failing the push.
    pub skip_unreadable: bool,
    /// Who pushes, for people who look at leases.
    pub holder: String,
    /// A directory for what makes the next push faster; all of it may be removed at any time.
    pub cache_dir: Option<PathBuf>,
    /// How many threads compress; as many as there are processors by default.
    pub workers: usize,
    /// Stops the push.
    pub cancel: CancellationToken,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            exclusions: Exclusions::default(),
            kept: Kept::MTIME,
            reproducible: false,
            level: floe_format::DEFAULT_LEVEL,
            annotation: Annotation::default(),
            base: None,
            full: false,
            by_hash: false,
            dry_run: false,
            skip_unreadable: false,
            holder: String::new(),
            cache_dir: None,
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            cancel: CancellationToken::new(),
        }
    }
}

impl PushOptions {
    pub(super) fn keeping(&self) -> Keeping {
        Keeping::new(self.kept, self.reproducible)
    }
}

/// How far a push is; all numbers only grow, except that a source that changes may be walked again.
///
/// What is counted went into the snapshot, and what of it is new was handed on to be sent: the last of it may still be
/// on its way.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "their names say it all")]
pub struct PushProgress {
    pub entries: AtomicU64,
    pub files: AtomicU64,
    pub file_bytes: AtomicU64,
    pub reused_files: AtomicU64,
    pub reused_file_bytes: AtomicU64,
    /// Bytes of files in frames that this push stores; of what was dealt with, all others are reused.
    pub new_file_bytes: AtomicU64,
    pub read_bytes: AtomicU64,
    pub uploaded_bytes: AtomicU64,
}

impl PushProgress {
    /// Begins anew what counts the source; what was stored of it stays so.
    pub(super) fn restart(&self) {
        for counted in [&self.entries, &self.files, &self.file_bytes] {
            counted.store(0, Ordering::Relaxed);
        }
        self.reused_files.store(0, Ordering::Relaxed);
        self.reused_file_bytes.store(0, Ordering::Relaxed);
    }
}

/// What came of a push.
#[derive(Debug)]
pub struct Pushed {
    /// What became of the ref.
    pub outcome: PushOutcome,
    /// The snapshot.
    pub at: SnapshotAt,
    /// Entries of all kinds.
    pub entries: u64,
    /// Regular files.
    pub files: u64,
    /// Their sizes, added up.
    pub file_bytes: u64,
    /// Files whose content was in the base.
    pub reused_files: u64,
    /// Their sizes, added up.
    pub reused_file_bytes: u64,
    /// Bytes of the canonical tar that were not stored, since the store had them.
    pub reused_tar_bytes: u64,
    /// Bytes of the canonical tar, headers and padding included.
    pub tar_bytes: u64,
    /// Stored bytes of all data frames, repetitions included: of the archive, and what a push sends that sends all. 0 where
    /// the ref named the snapshot already.
    pub archive_bytes: u64,
    /// Bytes sent to the store.
    pub uploaded_bytes: u64,
    /// Packs written.
    pub packs: u64,
    /// What could not be read and was left out.
    pub skipped: Vec<Unread>,
    /// Sockets, which no snapshot holds.
    pub sockets: u64,
    /// Directories of Floe's own that were left out.
    pub own: Vec<OwnFound>,
}

/// What became of the ref.
#[derive(Debug)]
pub enum PushOutcome {
    /// It names the snapshot now.
    Committed(RefRecord),
    /// It named it already.
    Unchanged(RefRecord),
    /// Nothing, since nothing was to be written.
    DryRun,
}
