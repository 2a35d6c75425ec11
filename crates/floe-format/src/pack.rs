//! Packs: immutable objects of many frames, found by two indexes and a footer (`docs/format.md` §4).
//!
//! A [`PackWriter`] says which bytes stand around the frames; the caller puts them where the pack goes, so that no pack is
//! ever whole in memory. A [`PackDirectory`] or a [`PackTail`] is read from the last bytes of a pack: when one parses,
//! its footer and indexes are checked against their sums, and every frame it names lies inside its part of the pack.
//! The frames themselves are checked by [`Decompressor`](crate::Decompressor), or by
//! [`FrameRecord::check_stored`] where they are sent on as they are.

mod footer;
mod reader;
mod record;
mod writer;

pub use footer::PackFooter;
pub use reader::{PackDirectory, PackTail};
pub use record::{FrameRecord, PackFrame};
pub use writer::{PackMetadataWriter, PackSummary, PackWriter};

use crate::wire::WireReader;
use crate::{PackId, Result};

/// Most bytes of a pack that a reader takes.
pub const MAX_PACK_LEN: u64 = 128 << 20;

/// Most bytes of a pack that a writer makes.
pub const MAX_WRITTEN_PACK_LEN: u64 = 64 << 20;

/// Bytes of a pack's head.
pub const PACK_HEAD_LEN: usize = 40;

/// Bytes of a pack's footer.
pub const PACK_FOOTER_LEN: usize = 128;

/// Bytes of the smallest pack: head, two empty indexes and footer.
pub const MIN_PACK_LEN: u64 = (PACK_HEAD_LEN + 2 * SKIPPABLE_LEN + PACK_FOOTER_LEN) as u64;

/// Bytes of the smallest directory: an empty metadata index with its footer.
pub const MIN_DIRECTORY_LEN: u64 = (SKIPPABLE_LEN + PACK_FOOTER_LEN) as u64;

/// Bytes of the smallest tail: an empty data index and the smallest directory.
pub const MIN_TAIL_LEN: u64 = SKIPPABLE_LEN as u64 + MIN_DIRECTORY_LEN;

/// Bytes before a skippable frame's content.
const SKIPPABLE_LEN: usize = 8;

const SKIPPABLE_MAGIC: [u8; 4] = 0x184d_2a57_u32.to_le_bytes();

const HEAD_MAGIC: &[u8; 8] = b"FLOEPACK";

const VERSION: u16 = 1;

/// The first bytes of a pack: a skippable frame with its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackHead {
    /// The pack's id.
    pub pack_id: PackId,
}

impl PackHead {
    /// The bytes of this head.
    pub fn encode(&self) -> [u8; PACK_HEAD_LEN] {
        let mut head = [0; PACK_HEAD_LEN];
        head[..4].copy_from_slice(&SKIPPABLE_MAGIC);
        head[4] = 32;
        head[8..16].copy_from_slice(HEAD_MAGIC);
        head[16..18].copy_from_slice(&VERSION.to_le_bytes());
        head[24..].copy_from_slice(self.pack_id.as_bytes());
        head
    }

    /// The head with these bytes, which are the first [`PACK_HEAD_LEN`] of a pack.
    ///
    /// # Errors
    /// `Corrupt` for bytes that are no head; `Unsupported` for a version that is not known.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = WireReader::new("pack head", bytes);
        skippable_header(&mut reader, PACK_HEAD_LEN)?;
        reader.magic(HEAD_MAGIC)?;
        let version = reader.u16()?;
        if version != VERSION {
            return Err(reader.unsupported(format_args!("version {version}")));
        }
        reader.reserved(6)?;
        let pack_id = PackId::from_bytes(reader.array()?);
        reader.end()?;
        Ok(Self { pack_id })
    }

    /// Checks that a pack's first [`PACK_HEAD_LEN`] bytes are the head of pack `pack_id`, whose footer is of this version.
    ///
    /// # Errors
    /// `Corrupt` where they are not.
    pub fn check(pack_id: PackId, bytes: &[u8]) -> Result<()> {
        if bytes == (Self { pack_id }).encode() {
            return Ok(());
        }
        let what = match Self::decode(bytes) {
            Ok(head) => format!("its head is that of pack {}", head.pack_id),
            Err(e) => format!("its head is damaged: {e}"),
        };
        Err(crate::Error::corrupt(format!("pack {pack_id}: {what}")))
    }
}

fn skippable_header(reader: &mut WireReader<'_>, frame_len: usize) -> Result<()> {
    reader.magic(&SKIPPABLE_MAGIC)?;
    let length = reader.u32()?;
    if length as usize + SKIPPABLE_LEN == frame_len {
        Ok(())
    } else {
        Err(reader.corrupt(format_args!(
            "a skippable frame of {length} bytes, not {}",
            frame_len.saturating_sub(SKIPPABLE_LEN)
        )))
    }
}

#[cfg(test)]
mod tests;
