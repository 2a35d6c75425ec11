//! Runs of equal frames.

use crate::wire::{WireReader, WireWrite};
use crate::{FrameId, Result};

/// The most plain bytes of a frame.
const MAX_FRAME: u64 = 1 << 20;

/// Frames that follow each other and are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// How many there are, at least one.
    pub count: u64,
    /// Plain length of each, 1 byte to 1 MiB.
    pub plain_len: u32,
    /// Their id.
    pub id: FrameId,
}

impl Run {
    /// Plain length of all frames together; none if it is over 64 bits.
    pub fn content_len(&self) -> Option<u64> {
        self.count.checked_mul(u64::from(self.plain_len))
    }

    pub(super) fn is_valid(&self) -> bool {
        self.count > 0 && (1..=MAX_FRAME).contains(&u64::from(self.plain_len))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_uv(self.count);
        out.put_uv(u64::from(self.plain_len));
        out.extend_from_slice(self.id.as_bytes());
    }
}

/// Reads `count` runs, whose number is bounded.
pub(super) fn read(reader: &mut WireReader<'_>, count: usize) -> Result<Vec<Run>> {
    if count == 0 {
        return Err(reader.corrupt("it has no runs"));
    }
    let mut runs: Vec<Run> = Vec::with_capacity(count);
    for _ in 0..count {
        let count = reader.uv()?;
        let plain_len = (reader.uv_max(MAX_FRAME, "plain length")? & 0xffff_ffff) as u32;
        let id = FrameId::from_bytes(reader.array()?);
        let run = Run { count, plain_len, id };
        if !run.is_valid() {
            return Err(reader.corrupt("a run without frames, or of empty ones"));
        }
        if runs.last().is_some_and(|last| last.id == id) {
            return Err(reader.corrupt("two runs of one frame follow each other"));
        }
        runs.push(run);
    }
    Ok(runs)
}
