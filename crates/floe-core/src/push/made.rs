//! What a push has made of its source, so that where all is planned again, nothing is read again that is still as it was.
//!
//! Only what the stat cache knows is found here: that is what tells that a file is as it was. A group is known by its
//! headers and hashes, which its bytes follow from, and the content of a big file by its hash. Both may name frames that
//! were claimed by somebody who then did not come to store them, so whoever finds them asks for them first.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use floe_format::{FrameId, Run};

use super::known::KnownFrames;
use crate::Result;
use crate::scratch::Spill;

/// A run as it is kept.
const RUN_BYTES: usize = 44;

/// How many runs of one file are kept.
const MOST_RUNS: usize = 1 << 16;

/// Runs of big files are kept in memory up to this many bytes, and then in a temporary file.
const MOST_IN_MEMORY: usize = 1 << 20;

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
    groups: HashMap<GroupKey, (FrameId, u32)>,
    /// Of big files, by their hashes.
    files: HashMap<[u8; 32], Runs>,
    spill: Spill,
}

/// Where the runs of a big file are.
#[derive(Clone, Copy, Debug)]
struct Runs {
    start: u64,
    length: usize,
    /// They may be on a disk meanwhile.
    sum: blake3::Hash,
}

impl Made {
    /// Nothing yet; a temporary file is made in this directory, if it can be.
    pub(super) fn new(directory: Option<&Path>) -> Self {
        let spill = Spill::new(directory, MOST_IN_MEMORY);
        Self { inner: Mutex::new(Inner { groups: HashMap::new(), files: HashMap::new(), spill }) }
    }

    /// Notes a group that was made, by its frame and the length of that.
    pub(super) fn add_group(&self, key: GroupKey, id: FrameId, plain_len: u32) {
        self.lock().groups.insert(key, (id, plain_len));
    }

    /// Notes the runs of a big file's content.
    pub(super) fn add_file(&self, hash: &[u8; 32], runs: &[Run]) {
        let mut bytes = Vec::with_capacity(runs.len() * RUN_BYTES);
        for run in runs {
            bytes.extend_from_slice(&run.count.to_le_bytes());
            bytes.extend_from_slice(&run.plain_len.to_le_bytes());
            bytes.extend_from_slice(run.id.as_bytes());
        }
        let (length, sum) = (bytes.len(), blake3::hash(&bytes));
        let mut inner = self.lock();
        let start = inner.spill.append(&bytes);
        inner.files.insert(*hash, Runs { start, length, sum });
    }

    /// The frame of a group and the length of that, where it is made and need not be stored.
    ///
    /// # Errors
    /// Those of [`KnownFrames::has`].
    pub(super) fn group(&self, key: &GroupKey, known: &KnownFrames) -> Result<Option<(FrameId, u32)>> {
        let found = self.lock().groups.get(key).copied();
        match found {
            Some((id, _)) if known.has(&id)? => Ok(found),
            _ => Ok(None),
        }
    }

    /// The runs of a big file with this hash, where they are made and need not be stored.
    ///
    /// # Errors
    /// Those of [`KnownFrames::has`].
    pub(super) fn file(&self, hash: &[u8; 32], known: &KnownFrames) -> Result<Option<Vec<Run>>> {
        let mut bytes = Vec::new();
        {
            let inner = self.lock();
            let Some(found) = inner.files.get(hash) else { return Ok(None) };
            let read = inner.spill.read(found.start, found.length, &mut bytes);
            // What is lost of a temporary file is read from the source again.
            if read.is_err() || blake3::hash(&bytes) != found.sum {
                return Ok(None);
            }
        }
        let runs: Vec<Run> = bytes.chunks_exact(RUN_BYTES).filter_map(read_run).collect();
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

fn read_run(bytes: &[u8]) -> Option<Run> {
    let (count, rest) = bytes.split_first_chunk()?;
    let (plain_len, id) = rest.split_first_chunk()?;
    Some(Run {
        count: u64::from_le_bytes(*count),
        plain_len: u32::from_le_bytes(*plain_len),
        id: FrameId::from_bytes(id.try_into().ok()?),
    })
}
