//! What is known of whether a server keeps the conditions of conditional writes.
//!
//! Servers that take conditions and ignore them look like honest ones until a race is lost. So each writer has its
//! server refuse something that must be refused before it relies on it, and remembers a good answer, so that not every
//! run asks. A file that remembers is disposable; a damaged one is no answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::aside::{read_line, write_aside};

/// How long an answer is remembered: another server may come to stand at the same address.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);

/// Whether a store is known to keep the conditions of conditional writes; clones know the same.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: AtomicBool,
    memo: Option<Memo>,
}

/// The file that remembers.
#[derive(Debug)]
struct Memo {
    directory: PathBuf,
    name: String,
}

impl Conditions {
    /// Nothing is known; a good answer is remembered as long as this value lives.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// They are kept, as by a store that needs no server.
    pub fn kept() -> Self {
        Self { state: Arc::new(State { kept: AtomicBool::new(true), memo: None }) }
    }

    /// What was found out of this server before, in a directory that may be removed at any time.
    ///
    /// `server` tells the server and the bucket from all others.
    pub fn remembered(cache_dir: &Path, server: &str) -> Self {
        let memo = Memo {
            directory: cache_dir.join("conditions"),
            name: blake3::hash(server.as_bytes()).to_hex()[..32].to_owned(),
        };
        Self { state: Arc::new(State { kept: AtomicBool::new(false), memo: Some(memo) }) }
    }

    /// Whether they are known to be kept.
    pub(crate) fn are_kept(&self, now: Timestamp) -> bool {
        if self.state.kept.load(Ordering::Relaxed) {
            return true;
        }
        let kept = self.state.memo.as_ref().is_some_and(|memo| memo.holds(now));
        if kept {
            self.state.kept.store(true, Ordering::Relaxed);
        }
        kept
    }

    /// Remembers that they are kept.
    pub(crate) fn found_kept(&self, now: Timestamp) {
        if self.are_kept(now) {
            return;
        }
        self.state.kept.store(true, Ordering::Relaxed);
        let Some(memo) = &self.state.memo else { return };
        if let Err(error) = write_aside(&memo.directory, &memo.name, format!("{now}\n").as_bytes()) {
            tracing::debug!(%error, "that the store keeps its conditions could not be remembered");
        }
    }
}

impl Memo {
    fn holds(&self, now: Timestamp) -> bool {
        let text = read_line(&self.directory.join(&self.name)).unwrap_or_default();
        let Ok(found) = text.trim().parse::<Timestamp>() else { return false };
        let age = now.duration_since(found);
        !age.is_negative() && age.unsigned_abs() < REMEMBERED
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn after_days(days: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + days * 24 * 3600).unwrap()
    }

    #[test]
    fn an_answer_is_remembered_for_a_week_and_for_its_server_alone() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Conditions::remembered(dir.path(), "s3://bucket at http://a");
        assert!(!open().are_kept(after_days(0)));
        open().found_kept(after_days(0));
        assert!(open().are_kept(after_days(0)) && open().are_kept(after_days(6)));
        assert!(!open().are_kept(after_days(7)) && !open().are_kept(after_days(-1)));
        assert!(!Conditions::remembered(dir.path(), "s3://bucket at http://b").are_kept(after_days(0)));
        open().found_kept(after_days(8));
        assert!(open().are_kept(after_days(9)));
    }

    #[test]
    fn a_damaged_memory_is_no_answer() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Conditions::remembered(dir.path(), "server");
        open().found_kept(after_days(0));
        for entry in fs::read_dir(dir.path().join("conditions")).unwrap() {
            fs::write(entry.unwrap().path(), [0xff, 0]).unwrap();
        }
        assert!(!open().are_kept(after_days(0)));
    }

    #[test]
    fn what_one_clone_finds_out_the_others_know() {
        let one = Conditions::unknown();
        let other = one.clone();
        assert!(!other.are_kept(after_days(0)));
        one.found_kept(after_days(0));
        assert!(other.are_kept(after_days(0)) && Conditions::kept().are_kept(after_days(0)));
    }
}
