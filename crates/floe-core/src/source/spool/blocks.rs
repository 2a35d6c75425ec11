//! The tar as a stream of blocks, none of which may be missing.

use std::io::{BufReader, ErrorKind as Io, Read};

use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::offload::cancelled;

/// Every part of a tar is padded to a whole number of these bytes.
pub(super) const BLOCK_BYTES: usize = 512;

/// Bytes asked of the reader at once.
const READ_BYTES: usize = 256 << 10;

/// Reads blocks and what is padded to blocks.
pub(super) struct Blocks<R> {
    reader: BufReader<R>,
    buffer: Vec<u8>,
    /// Bytes read so far.
    at: u64,
    cancel: CancellationToken,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(reader: R, cancel: CancellationToken) -> Self {
        let reader = BufReader::with_capacity(READ_BYTES, reader);
        Self { reader, buffer: vec![0; READ_BYTES], at: 0, cancel }
    }

    /// How many bytes were read so far.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Reads one block.
    pub(super) fn read_block(&mut self, block: &mut [u8; BLOCK_BYTES]) -> Result<()> {
        let read = fill(&mut self.reader, block, &self.cancel)?;
        self.at += read as u64;
        if read == BLOCK_BYTES { Ok(()) } else { Err(self.cut_short()) }
    }

    /// Hands over the next `length` bytes, a piece at a time.
    pub(super) fn read_bytes(
        &mut self,
        mut length: u64,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        while length > 0 {
            let wanted = usize::try_from(length).map_or(READ_BYTES, |length| length.min(READ_BYTES));
            let read = fill(&mut self.reader, &mut self.buffer[..wanted], &self.cancel)?;
            self.at += read as u64;
            if read < wanted {
                return Err(self.cut_short());
            }
            take(&self.buffer[..wanted])?;
            length -= wanted as u64;
        }
        Ok(())
    }

    /// Reads up to the next block, after something that may have ended within one.
    pub(super) fn skip_padding(&mut self) -> Result<()> {
        let block = BLOCK_BYTES as u64;
        self.read_bytes(self.at.next_multiple_of(block) - self.at, |_| Ok(()))
    }

    /// Reads all that is left and tells whether it was nothing but zeros.
    pub(super) fn rest_is_zero(&mut self) -> Result<bool> {
        loop {
            let read = fill(&mut self.reader, &mut self.buffer, &self.cancel)?;
            self.at += read as u64;
            if self.buffer[..read].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if read < self.buffer.len() {
                return Ok(true);
            }
        }
    }

    /// An error about what was read last.
    pub(super) fn invalid(&self, message: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Invalid, format!("the tar, before byte {}: {message}", self.at))
    }

    fn cut_short(&self) -> Error {
        if self.at == 0 {
            return Error::new(ErrorKind::Invalid, "there is no tar to read: the input is empty");
        }
        let message = format!("the tar is cut short: it ends at byte {}, before its end is marked", self.at);
        Error::new(ErrorKind::Invalid, message)
    }
}

/// Reads until the buffer is full or the input ends.
fn fill(reader: &mut impl Read, buffer: &mut [u8], cancel: &CancellationToken) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == Io::Interrupted => {}
            Err(e) => return Err(Error::io("cannot read the tar", e)),
        }
    }
    Ok(filled)
}
