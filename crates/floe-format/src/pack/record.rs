//! What an index says of a frame.

use std::ops::Range;

use crate::wire::WireReader;
use crate::{Codec, Error, FrameId, MAX_FRAME_PLAIN, MAX_FRAME_STORED, Result, StoredOffset, Sum128};

/// Bytes of a record in an index.
pub(super) const RECORD_LEN: usize = 56;

/// What a pack's index says of one frame. Its place follows from the records before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameRecord {
    /// The BLAKE3-256 of its plain bytes.
    pub id: FrameId,
    /// The BLAKE3-128 of its stored bytes.
    pub stored_sum: Sum128,
    /// Number of its stored bytes, 1 to [`MAX_FRAME_STORED`].
    pub stored_len: u32,
    /// Number of its plain bytes, 1 to [`MAX_FRAME_PLAIN`].
    pub plain_len: u32,
    /// How it is compressed.
    pub codec: Codec,
}

impl FrameRecord {
    /// The record of frame `id` with these stored bytes.
    ///
    /// # Errors
    /// `Invalid` where a frame may not have these lengths.
    pub fn new(id: FrameId, plain_len: u32, codec: Codec, stored: &[u8]) -> Result<Self> {
        let record = Self {
            id,
            stored_sum: Sum128::of(stored),
            stored_len: u32::try_from(stored.len()).unwrap_or(u32::MAX),
            plain_len,
            codec,
        };
        record.check_limits().map_err(Error::invalid)?;
        Ok(record)
    }

    /// Checks that these are the stored bytes the index means: what has to be done before they are sent on as they are.
    ///
    /// # Errors
    /// `Corrupt` where they are not.
    pub fn check_stored(&self, stored: &[u8]) -> Result<()> {
        if stored.len() == self.stored_len as usize && Sum128::of(stored) == self.stored_sum {
            Ok(())
        } else {
            Err(Error::corrupt(format!(
                "frame {}: its stored bytes are not those of the pack's index",
                self.id
            )))
        }
    }

    /// What limit of the format this record breaks.
    pub(super) fn check_limits(&self) -> Result<(), String> {
        let within = |len: u32, limit: usize| len > 0 && len as usize <= limit;
        if !within(self.stored_len, MAX_FRAME_STORED) {
            Err(format!("frame {}: {} stored bytes", self.id, self.stored_len))
        } else if !within(self.plain_len, MAX_FRAME_PLAIN) {
            Err(format!("frame {}: {} plain bytes", self.id, self.plain_len))
        } else {
            Ok(())
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(self.stored_sum.as_bytes());
        out.extend_from_slice(&self.stored_len.to_le_bytes());
        out.extend_from_slice(&self.plain_len.to_le_bytes()[..3]);
        out.push(self.codec as u8);
    }

    pub(super) fn decode(reader: &mut WireReader<'_>) -> Result<Self> {
        let id = FrameId::from_bytes(reader.array()?);
        let stored_sum = Sum128::from_bytes(reader.array()?);
        let stored_len = reader.u32()?;
        let [low, middle, high] = reader.array()?;
        let codec = reader.u8()?;
        let codec = Codec::from_u8(codec)
            .ok_or_else(|| reader.unsupported(format_args!("frame {id}: codec {codec}")))?;
        let record =
            Self { id, stored_sum, stored_len, plain_len: u32::from_le_bytes([low, middle, high, 0]), codec };
        record.check_limits().map_err(|broken| reader.corrupt(broken))?;
        Ok(record)
    }
}

/// A frame and its place in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackFrame {
    /// What the index says of it.
    pub record: FrameRecord,
    /// Where its stored bytes begin.
    pub offset: StoredOffset,
}

impl PackFrame {
    /// Where its stored bytes lie.
    pub fn range(&self) -> Range<StoredOffset> {
        let end = self.offset.checked_add(u64::from(self.record.stored_len));
        self.offset..end.expect("a frame lies inside a pack, which is at most 128 MiB")
    }

    /// Its stored bytes, unchecked, out of bytes of the pack that begin at `from`.
    ///
    /// # Errors
    /// `Corrupt` where they lie outside of `bytes`.
    pub fn stored<'a>(&self, from: StoredOffset, bytes: &'a [u8]) -> Result<&'a [u8]> {
        self.offset
            .checked_distance(from)
            .and_then(|start| usize::try_from(start).ok())
            .and_then(|start| bytes.get(start..)?.get(..self.record.stored_len as usize))
            .ok_or_else(|| {
                Error::corrupt(format!(
                    "frame {}: {} stored bytes at {} are not among the {} read at {from}",
                    self.record.id,
                    self.record.stored_len,
                    self.offset,
                    bytes.len()
                ))
            })
    }
}

/// Reads the records of the `count` frames that fill the part of a pack from `start` to `end`.
pub(super) fn read_frames(
    reader: &mut WireReader<'_>,
    count: usize,
    part: Range<u64>,
) -> Result<Vec<PackFrame>> {
    let mut frames = Vec::with_capacity(count.min(reader.remaining() / RECORD_LEN));
    let mut offset = part.start;
    for _ in 0..count {
        let record = FrameRecord::decode(reader)?;
        frames.push(PackFrame { record, offset: StoredOffset::new(offset) });
        offset += u64::from(record.stored_len);
        if offset > part.end {
            return Err(reader.corrupt(format_args!("frame {}: lies past its part of the pack", record.id)));
        }
    }
    if offset == part.end {
        Ok(frames)
    } else {
        Err(reader.corrupt(format_args!("its records leave out {} bytes", part.end - offset)))
    }
}
