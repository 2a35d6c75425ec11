//! Comparing existing files with the snapshot's by their content.

use std::io::Read;

use floe_format::ContentHash;

use crate::destination::ExistingFile;
use crate::offload::Offloaded;
use crate::source::{HashClock, HashClocks, Stat};
use crate::{Error, ErrorKind, Result};

const BUFFER_BYTES: usize = 128 << 10;

/// What a thread needs to hash files.
#[derive(Debug, Default)]
pub(super) struct Hashing {
    buffer: Vec<u8>,
    clocks: HashClocks,
}

impl Hashing {
    /// The moment its hashing began, if a file has the content of that hash. What cannot be read has not: it is written anew.
    pub(super) fn has_content(
        &mut self,
        file: &ExistingFile<'_>,
        stat: &Stat,
        hash: &ContentHash,
        work: &Offloaded,
    ) -> Result<Option<HashClock>> {
        let mut open = match file.open() {
            Err(error) if error.kind() == ErrorKind::Denied => return Ok(None),
            other => other?,
        };
        let Ok(began) = self.clocks.read(&open, stat) else { return Ok(None) };
        self.buffer.resize(BUFFER_BYTES, 0);
        let mut hasher = blake3::Hasher::new();
        let mut total = 0;
        loop {
            let count = match open.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::io("cannot read a file of the destination", e)),
            };
            hasher.update(&self.buffer[..count]);
            work.check()?;
            total += count as u64;
            if total > file.stat().size {
                // It grows, perhaps as fast as it is read.
                return Ok(None);
            }
            // Less than there is room for, of all that there was to be: the end, unless it became longer just now.
            if count < self.buffer.len() && total == file.stat().size {
                break;
            }
        }
        Ok((hasher.finalize() == *hash.as_bytes()).then_some(began))
    }
}
