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

use crate::aside::{create_private, read_within};
use crate::names::RefName;

/// The most bytes of a journal that is read: thirty thousand packs.
const MAX_JOURNAL_BYTES: u64 = 1 << 20;

/// The journal of one push; it may have no file.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    file: Option<Arc<PathBuf>>,
}

impl Journal {
    /// The journal in a namespace's directory of the cache.
    pub(crate) fn new(directory: Option<&Path>, source: &Path, target: &RefName) -> Self {
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
    pub(crate) fn packs(&self) -> Vec<PackId> {
        let Some(file) = &self.file else { return Vec::new() };
        let Some((_, bytes)) = read_within(file, MAX_JOURNAL_BYTES) else { return Vec::new() };
        // A crash may have left anything on a line.
        let lines = bytes.split(|byte| *byte == b'\n');
        lines.filter_map(|line| std::str::from_utf8(line).ok()?.parse().ok()).collect()
    }

    /// Notes a pack that was published.
    pub(crate) fn add(&self, pack: &PackId) {
        let Some(file) = &self.file else { return };
        let open = || OpenOptions::new().create(true).append(true).open(file.as_path());
        let opened = open().or_else(|_| {
            file.parent().map_or(Ok(()), create_private)?;
            open()
        });
        // Begins a line: the last one may have been cut short.
        let written = opened.and_then(|mut opened| opened.write_all(format!("\n{pack}\n").as_bytes()));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(number: u8) -> PackId {
        PackId::from_bytes([number; 16])
    }

    #[test]
    fn damaged_lines_cost_nothing_but_themselves() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(Some(directory.path()), Path::new("/source"), &"main".parse().unwrap());
        let write = |bytes: &[u8]| fs::write(journal.file.as_ref().unwrap().as_path(), bytes).unwrap();
        let (one, two) = (pack(1).to_string(), pack(2).to_string());
        for damage in [&b""[..], b"\n", b"\0\0\0", b"\xff", &one.as_bytes()[..9]] {
            write(&[one.as_bytes(), b"\n", damage, b"\n", two.as_bytes(), b"\n", damage].concat());
            assert_eq!(journal.packs(), [pack(1), pack(2)], "{}", damage.escape_ascii());
            journal.add(&pack(3));
            journal.add(&pack(4));
            assert_eq!(journal.packs(), [1, 2, 3, 4].map(pack), "{}", damage.escape_ascii());
        }
    }

    #[test]
    fn a_journal_that_nobody_writes_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(Some(directory.path()), Path::new("/source"), &"main".parse().unwrap());
        assert_eq!(journal.packs(), []);
        journal.add(&pack(1));
        let file = OpenOptions::new().write(true).open(journal.file.as_ref().unwrap().as_path()).unwrap();
        file.set_len(MAX_JOURNAL_BYTES).unwrap();
        assert_eq!(journal.packs(), [pack(1)]);
        file.set_len(MAX_JOURNAL_BYTES + 1).unwrap();
        assert_eq!(journal.packs(), []);
    }
}
