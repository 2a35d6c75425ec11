//! What a client remembers of a namespace between pushes: disposable, never believed without a check.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use floe_format::MAX_SNAPSHOT_OBJECT_LEN;

use crate::Result;
use crate::aside::{read_line, read_within, write_aside};
use crate::cache_room::{Room, evict_now_and_then, note_used};
use crate::namespace::Namespace;
use crate::reference::SnapshotAt;
use crate::sealed::MAX_COUNT;
use crate::snapshot::Snapshot;

/// For a thousand sources in one namespace, of each three files.
const ROOM: Room = Room { bytes: 1 << 30, files: 4096 };

/// A namespace's directory of the cache, if there is a cache.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    directory: Option<PathBuf>,
}

impl Memory {
    pub(super) fn new(namespace: &Namespace, cache_dir: Option<&Path>) -> Self {
        let directory = cache_dir.map(|cache| cache.join("namespaces").join(namespace.id().to_string()));
        Self { directory }
    }

    /// The directory.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// The collector's generation as last seen.
    pub(super) fn collector_generation(&self) -> Option<u64> {
        let line = read_line(&self.directory.as_ref()?.join("collector"))?;
        line.trim().parse().ok().filter(|generation| *generation <= MAX_COUNT)
    }

    pub(super) fn set_collector_generation(&self, generation: u64) {
        if generation > 0 && self.collector_generation() != Some(generation) {
            self.write("collector", format!("{generation}\n").as_bytes());
        }
    }

    /// The snapshot that was pushed last from this source.
    pub(super) fn last_pushed(&self, source: &Path) -> Option<SnapshotAt> {
        let text = read_line(&self.directory.as_ref()?.join(source_name(source)))?;
        let (snapshot, layout) = text.trim().split_once('/')?;
        Some(SnapshotAt { snapshot: snapshot.parse().ok()?, layout: layout.parse().ok()? })
    }

    /// A snapshot, from the store unless its object was kept.
    pub(super) async fn snapshot(&self, namespace: &Namespace, at: SnapshotAt) -> Result<Snapshot> {
        match self.kept_snapshot(at) {
            Some(snapshot) => Ok(snapshot),
            None => Snapshot::open(namespace, at).await,
        }
    }

    /// A snapshot whose object was kept.
    pub(super) fn kept_snapshot(&self, at: SnapshotAt) -> Option<Snapshot> {
        let path = self.directory.as_ref()?.join(object_name(&at));
        let (file, bytes) = read_within(&path, MAX_SNAPSHOT_OBJECT_LEN as u64)?;
        note_used(&file);
        Snapshot::parse(at, &Bytes::from(bytes)).ok()
    }

    /// Keeps a snapshot object that was just pushed from this source.
    pub(super) fn remember(&self, source: &Path, at: SnapshotAt, object: &[u8]) {
        let former = self.last_pushed(source);
        self.write(&object_name(&at), object);
        self.write(&source_name(source), format!("{}/{}\n", at.snapshot, at.layout).as_bytes());
        if let (Some(former), Some(directory)) = (former.filter(|former| *former != at), &self.directory) {
            let _ = fs::remove_file(directory.join(object_name(&former)));
        }
    }

    /// Removes now and then what was used least recently, and has no room.
    pub(super) fn evict(&self, namespace: &Namespace) {
        if let Some(directory) = &self.directory {
            evict_now_and_then(namespace.ambient(), directory, ROOM);
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let Some(directory) = &self.directory else { return };
        if let Err(error) = write_aside(directory, name, bytes) {
            tracing::debug!(name, %error, "what would make the next push faster could not be kept");
        }
    }
}

fn object_name(at: &SnapshotAt) -> String {
    format!("snapshot-{}", at.layout)
}

fn source_name(source: &Path) -> String {
    format!("source-{}", &blake3::hash(source.as_os_str().as_bytes()).to_hex()[..32])
}
