//! The last bytes of a pack, which say where its parts lie.

use std::ops::Range;

use super::record::RECORD_LEN;
use super::{
    MAX_PACK_LEN, MIN_DIRECTORY_LEN, MIN_PACK_LEN, PACK_FOOTER_LEN, PACK_HEAD_LEN, SKIPPABLE_LEN, VERSION,
};
use crate::ids::leading_u64;
use crate::wire::WireReader;
use crate::{Error, PackId, Result, StoredOffset, Sum128};

const FOOTER_MAGIC: &[u8; 8] = b"FLOEPEND";

/// Bytes of a footer that its own sum is of.
const SUMMED_LEN: usize = 112;

/// The parts of a pack: their lengths, which add up to the pack's, and the sums of its indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackFooter {
    pub(super) pack_id: PackId,
    pub(super) data_len: u64,
    pub(super) data_index_len: u64,
    pub(super) segments_len: u64,
    pub(super) index_segments_len: u64,
    pub(super) segments: u32,
    pub(super) index_segments: u32,
    pub(super) data_index_sum: Sum128,
    pub(super) metadata_index_sum: Sum128,
}

impl PackFooter {
    /// The pack's id.
    pub fn pack_id(&self) -> PackId {
        self.pack_id
    }

    /// Bytes of the pack.
    pub fn pack_len(&self) -> u64 {
        PACK_HEAD_LEN as u64 + self.data_len + self.tail_len()
    }

    /// Bytes of the directory: index segments and metadata index.
    pub fn directory_len(&self) -> u64 {
        self.index_segments_len + self.metadata_index_len()
    }

    /// Bytes of the tail: all from the data index on.
    pub fn tail_len(&self) -> u64 {
        self.data_index_len + self.segments_len + self.directory_len()
    }

    /// Bytes of the data index, the first ones of the tail.
    pub fn data_index_len(&self) -> u64 {
        self.data_index_len
    }

    /// Where the data frames lie.
    pub fn data_range(&self) -> Range<StoredOffset> {
        let start = PACK_HEAD_LEN as u64;
        StoredOffset::new(start)..StoredOffset::new(start + self.data_len)
    }

    /// Where the tail begins.
    pub fn tail_start(&self) -> StoredOffset {
        self.data_range().end
    }

    /// Where the directory begins.
    pub fn directory_start(&self) -> StoredOffset {
        StoredOffset::new(self.pack_len() - self.directory_len())
    }

    /// Where the segments lie, as plain numbers.
    pub(super) fn segments_range(&self) -> Range<u64> {
        let end = self.directory_start().get();
        end - self.segments_len..end
    }

    /// Where the index segments lie, as plain numbers.
    pub(super) fn index_segments_range(&self) -> Range<u64> {
        let start = self.directory_start().get();
        start..start + self.index_segments_len
    }

    /// Bytes of the metadata index with its header and this footer.
    pub fn metadata_index_len(&self) -> u64 {
        let records = u64::from(self.segments) + u64::from(self.index_segments);
        MIN_DIRECTORY_LEN + records * RECORD_LEN as u64
    }

    pub(super) fn encode(&self) -> [u8; PACK_FOOTER_LEN] {
        let mut footer = Vec::with_capacity(PACK_FOOTER_LEN);
        for length in [
            self.pack_len(),
            self.data_len,
            self.data_index_len,
            self.segments_len,
            self.index_segments_len,
            self.metadata_index_len(),
        ] {
            footer.extend_from_slice(&length.to_le_bytes());
        }
        footer.extend_from_slice(&self.segments.to_le_bytes());
        footer.extend_from_slice(&self.index_segments.to_le_bytes());
        footer.extend_from_slice(self.data_index_sum.as_bytes());
        footer.extend_from_slice(self.metadata_index_sum.as_bytes());
        footer.extend_from_slice(self.pack_id.as_bytes());
        footer.extend_from_slice(&VERSION.to_le_bytes());
        footer.extend_from_slice(&[0; 6]);
        let sum = own_sum(&footer);
        footer.extend_from_slice(&sum.to_le_bytes());
        footer.extend_from_slice(FOOTER_MAGIC);
        footer.try_into().expect("the fields above are 128 bytes")
    }

    /// The footer with these bytes, which are the last [`PACK_FOOTER_LEN`] of the `pack_len` bytes stored as pack
    /// `pack_id`.
    ///
    /// # Errors
    /// `Corrupt` for bytes that are no footer, or that of another pack; `Unsupported` for a version that is not known.
    pub fn decode(pack_id: PackId, pack_len: u64, bytes: &[u8]) -> Result<Self> {
        if bytes.len() != PACK_FOOTER_LEN || bytes[PACK_FOOTER_LEN - FOOTER_MAGIC.len()..] != *FOOTER_MAGIC {
            return Err(Error::corrupt(format!("pack {pack_id}: does not end with a footer")));
        }
        let mut reader = WireReader::new("pack footer", bytes);
        let [stated_len, data_len, data_index_len, segments_len, index_segments_len, metadata_index_len] =
            [reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?];
        let footer = Self {
            data_len,
            data_index_len,
            segments_len,
            index_segments_len,
            segments: reader.u32()?,
            index_segments: reader.u32()?,
            data_index_sum: Sum128::from_bytes(reader.array()?),
            metadata_index_sum: Sum128::from_bytes(reader.array()?),
            pack_id: PackId::from_bytes(reader.array()?),
        };
        // Of a newer version the sum is the same; of a damaged footer it is not.
        let version = reader.u16()?;
        let reserved = reader.take(6)?;
        if reader.u64()? != own_sum(&bytes[..SUMMED_LEN]) {
            return Err(reader.corrupt("its sum is wrong"));
        }
        if version != VERSION || reserved != [0; 6] {
            return Err(reader.unsupported(format_args!("version {version}")));
        }
        if footer.pack_id != pack_id {
            return Err(Error::corrupt(format!(
                "pack {pack_id}: its footer is that of pack {}",
                footer.pack_id
            )));
        }
        if stated_len != pack_len {
            return Err(reader.corrupt(format_args!("is of a pack of {stated_len} bytes, not {pack_len}")));
        }
        if !(MIN_PACK_LEN..=MAX_PACK_LEN).contains(&pack_len) {
            return Err(reader.corrupt(format_args!("a pack of {pack_len} bytes")));
        }
        // Each length is checked before any are added: no sum below can overflow.
        let lengths = [data_len, data_index_len, segments_len, index_segments_len, metadata_index_len];
        if lengths.iter().any(|&length| length > pack_len) {
            return Err(reader.corrupt("a part is longer than the pack"));
        }
        let header = SKIPPABLE_LEN as u64;
        if data_index_len < header || !(data_index_len - header).is_multiple_of(RECORD_LEN as u64) {
            return Err(reader.corrupt(format_args!("a data index of {data_index_len} bytes")));
        }
        if metadata_index_len != footer.metadata_index_len() {
            return Err(reader.corrupt(format_args!("a metadata index of {metadata_index_len} bytes")));
        }
        if footer.pack_len() != pack_len {
            return Err(reader.corrupt("the lengths of the parts do not add up"));
        }
        Ok(footer)
    }
}

/// The sum of a footer's first bytes.
fn own_sum(summed: &[u8]) -> u64 {
    leading_u64(blake3::hash(summed).as_bytes())
}
