//! The bytes of a pack that stand around its frames.

use super::record::RECORD_LEN;
use super::{
    MAX_WRITTEN_PACK_LEN, MIN_PACK_LEN, PACK_FOOTER_LEN, PackFooter, PackHead, SKIPPABLE_LEN, SKIPPABLE_MAGIC,
};
use crate::{Codec, Error, FrameRecord, MAX_FRAME_STORED, PackId, Result, StoredOffset, Sum128};

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackSummary {
    /// The pack's id.
    pub pack_id: PackId,
    /// Bytes of the pack.
    pub pack_len: u64,
    /// Bytes of its directory.
    pub directory_len: u64,
    /// Bytes of its tail.
    pub tail_len: u64,
}

/// Keeps the book of a pack while its data frames are written.
///
/// The pack is: what [`new`](Self::new) appends; then the stored bytes of each frame right after its
/// [`add_data`](Self::add_data), written by the caller; then what [`end_data`](Self::end_data) and the
/// [`PackMetadataWriter`] append. The writer holds 56 bytes a frame.
#[derive(Debug)]
pub struct PackWriter {
    footer: PackFooter,
    index: Vec<u8>,
}

impl PackWriter {
    /// Begins pack `pack_id`: appends its head.
    pub fn new(pack_id: PackId, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(&PackHead { pack_id }.encode());
        let zero = Sum128::from_bytes([0; 16]);
        Self {
            footer: PackFooter {
                pack_id,
                data_len: 0,
                data_index_len: SKIPPABLE_LEN as u64,
                segments_len: 0,
                index_segments_len: 0,
                segments: 0,
                index_segments: 0,
                data_index_sum: zero,
                metadata_index_sum: zero,
            },
            index: index_start(),
        }
    }

    /// Bytes that the pack would have if it ended here.
    pub fn pack_len(&self) -> u64 {
        self.footer.pack_len()
    }

    /// Number of data frames so far.
    pub fn data_frames(&self) -> u64 {
        (self.footer.data_index_len - SKIPPABLE_LEN as u64) / RECORD_LEN as u64
    }

    /// Whether this many more frames, of any kind, with this many stored bytes in all still fit.
    pub fn fits(&self, frames: u64, stored_len: u64) -> bool {
        fits(&self.footer, frames, stored_len)
    }

    /// Adds a data frame, whose stored bytes the caller writes next, and returns where they lie.
    ///
    /// # Errors
    /// `Invalid` for a frame that does not fit; nothing has changed then.
    pub fn add_data(&mut self, record: &FrameRecord) -> Result<StoredOffset> {
        check(&self.footer, record)?;
        let offset = self.footer.data_range().end;
        record.encode(&mut self.index);
        self.footer.data_len += u64::from(record.stored_len);
        self.footer.data_index_len += RECORD_LEN as u64;
        Ok(offset)
    }

    /// Ends the data frames: appends their index.
    pub fn end_data(mut self, out: &mut Vec<u8>) -> PackMetadataWriter {
        finish_index(&mut self.index, 0);
        self.footer.data_index_sum = Sum128::of(&self.index);
        out.extend_from_slice(&self.index);
        PackMetadataWriter { footer: self.footer, index: index_start() }
    }
}

/// Keeps the book of a pack while its segments and then its index segments are written.
#[derive(Debug)]
pub struct PackMetadataWriter {
    footer: PackFooter,
    index: Vec<u8>,
}

impl PackMetadataWriter {
    /// Bytes that the pack would have if it ended here.
    pub fn pack_len(&self) -> u64 {
        self.footer.pack_len()
    }

    /// Whether this many more frames with this many stored bytes in all still fit.
    pub fn fits(&self, frames: u64, stored_len: u64) -> bool {
        fits(&self.footer, frames, stored_len)
    }

    /// Adds a segment, whose stored bytes the caller writes next, and returns where they lie.
    ///
    /// # Errors
    /// `Invalid` for one that does not fit, or comes after an index segment; nothing has changed then.
    pub fn add_segment(&mut self, record: &FrameRecord) -> Result<StoredOffset> {
        if self.footer.index_segments > 0 {
            return Err(Error::invalid("a segment after an index segment of its pack"));
        }
        let offset = self.add(record)?;
        self.footer.segments_len += u64::from(record.stored_len);
        self.footer.segments += 1;
        Ok(offset)
    }

    /// Adds an index segment, whose stored bytes the caller writes next, and returns where they lie.
    ///
    /// # Errors
    /// `Invalid` for one that does not fit; nothing has changed then.
    pub fn add_index_segment(&mut self, record: &FrameRecord) -> Result<StoredOffset> {
        let offset = self.add(record)?;
        self.footer.index_segments_len += u64::from(record.stored_len);
        self.footer.index_segments += 1;
        Ok(offset)
    }

    fn add(&mut self, record: &FrameRecord) -> Result<StoredOffset> {
        check(&self.footer, record)?;
        if record.codec != Codec::Zstd {
            return Err(Error::invalid(format!("metadata frame {} is not a zstd frame", record.id)));
        }
        record.encode(&mut self.index);
        Ok(StoredOffset::new(self.footer.index_segments_range().end))
    }

    /// Ends the pack: appends the metadata index with the footer.
    pub fn finish(mut self, out: &mut Vec<u8>) -> PackSummary {
        finish_index(&mut self.index, PACK_FOOTER_LEN);
        self.footer.metadata_index_sum = Sum128::of(&self.index);
        out.extend_from_slice(&self.index);
        out.extend_from_slice(&self.footer.encode());
        PackSummary {
            pack_id: self.footer.pack_id,
            pack_len: self.footer.pack_len(),
            directory_len: self.footer.directory_len(),
            tail_len: self.footer.tail_len(),
        }
    }
}

// Any frame fits into an empty pack.
const _: () = assert!(MIN_PACK_LEN + RECORD_LEN as u64 + MAX_FRAME_STORED as u64 <= MAX_WRITTEN_PACK_LEN);

fn fits(footer: &PackFooter, frames: u64, stored_len: u64) -> bool {
    frames.saturating_mul(RECORD_LEN as u64).saturating_add(stored_len).saturating_add(footer.pack_len())
        <= MAX_WRITTEN_PACK_LEN
}

fn check(footer: &PackFooter, record: &FrameRecord) -> Result<()> {
    record.check_limits().map_err(Error::invalid)?;
    if fits(footer, 1, u64::from(record.stored_len)) {
        Ok(())
    } else {
        Err(Error::invalid(format!("pack {} is full: frame {} does not fit", footer.pack_id, record.id)))
    }
}

/// The header of an index, without its length.
fn index_start() -> Vec<u8> {
    let mut index = SKIPPABLE_MAGIC.to_vec();
    index.resize(SKIPPABLE_LEN, 0);
    index
}

/// Writes the length of an index into its header; `following` bytes that belong to it are not there yet.
fn finish_index(index: &mut [u8], following: usize) {
    let length = u32::try_from(index.len() - SKIPPABLE_LEN + following).expect("a pack is at most 64 MiB");
    index[4..SKIPPABLE_LEN].copy_from_slice(&length.to_le_bytes());
}
