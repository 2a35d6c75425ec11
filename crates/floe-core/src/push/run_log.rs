//! Runs that are needed again later, few of them in memory.

use std::path::Path;

use floe_format::{FrameId, Run};

use crate::Result;
use crate::scratch::{Spill, damaged};

/// A run as it is kept.
const RUN_LEN: usize = 44;

/// Runs are kept in memory up to this many bytes, and then in a temporary file.
const MOST_IN_MEMORY: usize = 256 << 10;

/// Lists of runs, one after the other.
#[derive(Debug)]
pub(super) struct RunLog(Spill);

/// Where a list of runs is.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoggedRuns {
    start: u64,
    length: usize,
    /// They may be on a disk meanwhile.
    sum: blake3::Hash,
}

/// Bytes of such a place, as it is kept itself.
pub(super) const PLACE_LEN: usize = 48;

impl LoggedRuns {
    pub(super) fn to_bytes(self) -> [u8; PLACE_LEN] {
        let mut bytes = [0; PLACE_LEN];
        bytes[..8].copy_from_slice(&self.start.to_le_bytes());
        bytes[8..16].copy_from_slice(&(self.length as u64).to_le_bytes());
        bytes[16..].copy_from_slice(self.sum.as_bytes());
        bytes
    }

    /// The place with these bytes, `None` where they are of none.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (start, rest) = bytes.split_first_chunk()?;
        let (length, sum) = rest.split_first_chunk()?;
        Some(Self {
            start: u64::from_le_bytes(*start),
            length: u64::from_le_bytes(*length).try_into().ok()?,
            sum: blake3::Hash::from_slice(sum).ok()?,
        })
    }
}

impl Default for RunLog {
    fn default() -> Self {
        Self::new(None)
    }
}

impl RunLog {
    /// Nothing yet; a temporary file is made in this directory, if it can be.
    pub(super) fn new(directory: Option<&Path>) -> Self {
        Self(Spill::new(directory, MOST_IN_MEMORY))
    }

    /// Adds a list.
    pub(super) fn add(&mut self, runs: &[Run]) -> LoggedRuns {
        let mut bytes = Vec::with_capacity(runs.len() * RUN_LEN);
        for run in runs {
            bytes.extend_from_slice(&run.count.to_le_bytes());
            bytes.extend_from_slice(&run.plain_len.to_le_bytes());
            bytes.extend_from_slice(run.id.as_bytes());
        }
        LoggedRuns { start: self.0.append(&bytes), length: bytes.len(), sum: blake3::hash(&bytes) }
    }

    /// A list that was added.
    ///
    /// # Errors
    /// Those of reading the temporary file, `Internal` where that has other bytes than were written.
    pub(super) fn read(&self, runs: &LoggedRuns) -> Result<Vec<Run>> {
        let mut bytes = Vec::new();
        self.0.read(runs.start, runs.length, &mut bytes)?;
        if blake3::hash(&bytes) != runs.sum {
            return Err(damaged());
        }
        bytes.chunks_exact(RUN_LEN).map(|bytes| read_run(bytes).ok_or_else(damaged)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_they_were_added() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = RunLog::new(Some(directory.path()));
        let list = |number: u32| -> Vec<Run> {
            let run = |place: u32| Run {
                count: u64::from(number) << 33,
                plain_len: place + 1,
                id: FrameId::of(&[number.to_le_bytes(), place.to_le_bytes()].concat()),
            };
            (0..number % 100).map(run).collect()
        };
        let logged: Vec<LoggedRuns> = (0..300).map(|number| log.add(&list(number))).collect();
        assert!(log.0.len() > 2 * MOST_IN_MEMORY as u64);
        for (number, logged) in (0..300).zip(&logged).rev() {
            assert_eq!(log.read(logged).unwrap(), list(number));
            let again = LoggedRuns::from_bytes(&logged.to_bytes()).unwrap();
            assert_eq!(log.read(&again).unwrap(), list(number));
        }
        let other = LoggedRuns { sum: logged[298].sum, ..logged[299] };
        assert_eq!(log.read(&other).unwrap_err().kind(), crate::ErrorKind::Internal);
    }
}
