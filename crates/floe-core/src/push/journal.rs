//! The packs that a push has published so far, kept on disk until it commits.
//!
//! One file for each (namespace, source, ref). A push that was killed leaves it, and the next one looks for frames in
//! the packs it names; whether they still exist is asked of the store. A crash may lose its last lines, never more.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_format::PackId;

use crate::names::RefName;

/// The journal of one push; it may have no file.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    file: Option<Arc<PathBuf>>,
}

impl Journal {
    /// The journal in a namespace's directory of the cache.
    pub(super) fn new(directory: Option<&Path>, source: &Path, target: &RefName) -> Self {
        let file = directory.map(|directory| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(source.as_os_str().as_bytes());
            hasher.update(&[0]);
            hasher.update(target.to_string().as_bytes());
            Arc::new(directory.join(format!("journal-{}", &hasher.finalize().to_hex()[..32])))
        });
        Self { file }
    }

    /// The packs that were published, in order.
    pub(super) fn packs(&self) -> Vec<PackId> {
        let Some(file) = &self.file else { return Vec::new() };
        let text = fs::read_to_string(file.as_path()).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Notes a pack that was published.
    pub(super) fn add(&self, pack: &PackId) {
        let Some(file) = &self.file else { return };
        let open = || OpenOptions::new().create(true).append(true).open(file.as_path());
        let opened = open().or_else(|_| {
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
            open()
        });
        let written = opened.and_then(|mut opened| opened.write_all(format!("{pack}\n").as_bytes()));
        if let Err(error) = written {
            tracing::debug!(%pack, %error, "the journal of this push could not be written");
        }
    }

    /// Ends it: everything is committed.
    pub(super) fn remove(&self) {
        if let Some(file) = &self.file {
            let _ = fs::remove_file(file.as_path());
        }
    }
}
