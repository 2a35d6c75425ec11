//! What a push has made of its source, so that where all is planned again, nothing is read again that is still as it was.
//!
//! Only what the stat cache knows is found here: that is what tells that a file is as it was. A group is known by its
//! headers and hashes, which its bytes follow from, and the content of a big file by its hash. Both may name frames that
//! were claimed by somebody who then did not come to store them, so whoever finds them asks for them first.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use floe_format::{FrameId, Run};

use super::known::KnownFrames;
use super::run_log::{LoggedRuns, PLACE_LEN, RunLog};
use crate::Result;
use crate::spilled_table::{KEY_LEN, SpilledTable};

/// How many runs of one file are kept.
const MOST_RUNS: usize = 1 << 16;

/// Bytes of a group as it is kept: its key, its frame's id and length.
const GROUP_LEN: usize = KEY_LEN + 36;

/// Bytes of a big file as it is kept: its hash, and where its runs are.
const FILE_LEN: usize = KEY_LEN + PLACE_LEN;

/// What the bytes of a group follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct GroupKey([u8; 32]);

/// Makes the key of a group, entry by entry.
#[derive(Debug, Default)]
pub(super) struct GroupKeyBuilder(blake3::Hasher);

impl GroupKeyBuilder {
    /// Adds the header of an entry.
    pub(super) fn header(&mut self, header: &[u8]) {
        self.0.update(header);
    }

    /// Adds the hash of the content that follows the header.
    pub(super) fn content(&mut self, hash: &[u8; 32]) {
        self.0.update(hash);
    }

    pub(super) fn finish(&self) -> GroupKey {
        GroupKey(*self.0.finalize().as_bytes())
    }
}

/// The groups and the contents of big files that were put together so far.
#[derive(Debug)]
pub(super) struct Made {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    groups: SpilledTable<GROUP_LEN>,
    /// Of big files, by their hashes.
    files: SpilledTable<FILE_LEN>,
    runs: RunLog,
}

impl Made {
    /// Nothing yet; temporary files are made in this directory, if they can be.
    pub(super) fn new(directory: Option<&Path>) -> Self {
        let (groups, files) = (SpilledTable::new(directory), SpilledTable::new(directory));
        Self { inner: Mutex::new(Inner { groups, files, runs: RunLog::new(directory) }) }
    }

    /// Notes a group that was made, by its frame and the length of that.
    pub(super) fn add_group(&self, key: GroupKey, id: FrameId, plain_len: u32) {
        let mut record = [0; GROUP_LEN];
        record[..KEY_LEN].copy_from_slice(&key.0);
        record[KEY_LEN..KEY_LEN + 32].copy_from_slice(id.as_bytes());
        record[KEY_LEN + 32..].copy_from_slice(&plain_len.to_le_bytes());
        if let Err(error) = self.lock().groups.insert(&record) {
            // It is made again where it is wanted again.
            tracing::debug!(%error, "a group is not noted");
        }
    }

    /// Notes the runs of a big file's content.
    pub(super) fn add_file(&self, hash: &[u8; 32], runs: &[Run]) {
        let mut inner = self.lock();
        if inner.files.contains(hash).is_ok_and(|is_noted| is_noted) {
            return;
        }
        let mut record = [0; FILE_LEN];
        record[..KEY_LEN].copy_from_slice(hash);
        record[KEY_LEN..].copy_from_slice(&inner.runs.add(runs).to_bytes());
        if let Err(error) = inner.files.insert(&record) {
            // It is read again where it is wanted again.
            tracing::debug!(%error, "a file is not noted");
        }
    }

    /// The frame of a group and the length of that, where it is made and need not be stored.
    ///
    /// # Errors
    /// Those of [`KnownFrames::has`].
    pub(super) fn group(&self, key: &GroupKey, known: &KnownFrames) -> Result<Option<(FrameId, u32)>> {
        let found = self.lock().groups.find(&key.0);
        // What is lost of a temporary file is read from the source again.
        let Ok(Some((_, record))) = found else { return Ok(None) };
        let Some((id, plain_len)) = read_group(&record) else { return Ok(None) };
        Ok(known.has(&id)?.then_some((id, plain_len)))
    }

    /// The runs of a big file with this hash, where they are made and need not be stored.
    ///
    /// # Errors
    /// Those of [`KnownFrames::has`].
    pub(super) fn file(&self, hash: &[u8; 32], known: &KnownFrames) -> Result<Option<Vec<Run>>> {
        let runs = {
            let inner = self.lock();
            // What is lost of a temporary file is read from the source again.
            let Ok(Some((_, record))) = inner.files.find(hash) else { return Ok(None) };
            let Some(place) = LoggedRuns::from_bytes(&record[KEY_LEN..]) else { return Ok(None) };
            let Ok(runs) = inner.runs.read(&place) else { return Ok(None) };
            runs
        };
        for run in &runs {
            if !known.has(&run.id)? {
                return Ok(None);
            }
        }
        Ok(Some(runs))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runs of one big file's content, as they come.
#[derive(Debug, Default)]
pub(super) struct MadeRuns {
    runs: Vec<Run>,
    is_too_long: bool,
}

impl MadeRuns {
    /// The next one.
    pub(super) fn push(&mut self, run: Run) {
        let is_full = self.runs.len() == MOST_RUNS;
        match self.runs.last_mut() {
            Some(last) if last.id == run.id => last.count += run.count,
            _ if is_full => self.is_too_long = true,
            _ => self.runs.push(run),
        }
    }

    /// The last one once more.
    pub(super) fn repeat(&mut self) {
        if let Some(last) = self.runs.last_mut() {
            last.count += 1;
        }
    }

    /// All of them, unless they are more than are kept: such a file is read again.
    pub(super) fn into_all(self) -> Option<Vec<Run>> {
        (!self.is_too_long).then_some(self.runs)
    }
}

fn read_group(record: &[u8; GROUP_LEN]) -> Option<(FrameId, u32)> {
    let (id, plain_len) = record[KEY_LEN..].split_first_chunk()?;
    Some((FrameId::from_bytes(*id), u32::from_le_bytes(plain_len.try_into().ok()?)))
}
