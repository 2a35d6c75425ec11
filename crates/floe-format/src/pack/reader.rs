//! What the last bytes of a pack say of its frames.

use super::record::{RECORD_LEN, read_frames};
use super::{PACK_FOOTER_LEN, PackFooter, PackFrame, SKIPPABLE_LEN, skippable_header};
use crate::wire::WireReader;
use crate::{Codec, Error, PackId, Result, Sum128};

/// The metadata frames of a pack, from its last [`directory_len`](PackFooter::directory_len) bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackDirectory {
    footer: PackFooter,
    segments: Vec<PackFrame>,
    index_segments: Vec<PackFrame>,
}

impl PackDirectory {
    /// Parses the directory of the `pack_len` bytes stored as pack `pack_id`; `bytes` is exactly the directory.
    ///
    /// The stored bytes of the index segments are in `bytes` too ([`PackFrame::stored`] from
    /// [`PackFooter::directory_start`]) and not checked here.
    ///
    /// # Errors
    /// `Corrupt` where lengths, sums or records are wrong; `Unsupported` for a version or codec that is not known.
    pub fn parse(pack_id: PackId, pack_len: u64, bytes: &[u8]) -> Result<Self> {
        let footer = footer_at_end(pack_id, pack_len, bytes)?;
        check_len(&footer, "directory", footer.directory_len(), bytes)?;
        Self::parse_index(footer, last(bytes, footer.metadata_index_len())?)
    }

    /// Parses the metadata index, as it lies: the last [`metadata_index_len`](PackFooter::metadata_index_len) bytes of
    /// the directory. Nothing else of it is needed.
    ///
    /// # Errors
    /// As [`PackDirectory::parse`].
    pub fn parse_index(footer: PackFooter, index: &[u8]) -> Result<Self> {
        check_len(&footer, "metadata index", footer.metadata_index_len(), index)?;
        let (index, _) = index.split_at(index.len() - PACK_FOOTER_LEN);
        if Sum128::of(index) != footer.metadata_index_sum {
            return Err(wrong_sum(&footer, "metadata index"));
        }
        let mut reader = WireReader::new("pack metadata index", index);
        skippable_header(&mut reader, index.len() + PACK_FOOTER_LEN)?;
        let mut frames = |count: u32, part| read_frames(&mut reader, count as usize, part);
        let directory = Self {
            segments: frames(footer.segments, footer.segments_range())?,
            index_segments: frames(footer.index_segments, footer.index_segments_range())?,
            footer,
        };
        reader.end()?;
        if let Some(frame) = directory.frames().find(|frame| frame.record.codec != Codec::Zstd) {
            return Err(Error::corrupt(format!(
                "pack {}: metadata frame {} is not a zstd frame",
                directory.footer.pack_id, frame.record.id
            )));
        }
        Ok(directory)
    }

    /// The lengths of the pack's parts.
    pub fn footer(&self) -> &PackFooter {
        &self.footer
    }

    /// All of them: the segments, then the index segments.
    pub fn frames(&self) -> impl Iterator<Item = &PackFrame> {
        self.segments.iter().chain(&self.index_segments)
    }

    /// The segments, in the order they lie in.
    pub fn segments(&self) -> &[PackFrame] {
        &self.segments
    }

    /// The index segments, in the order they lie in.
    pub fn index_segments(&self) -> &[PackFrame] {
        &self.index_segments
    }
}

/// All frames of a pack, from its last [`tail_len`](PackFooter::tail_len) bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackTail {
    directory: PackDirectory,
    data: Vec<PackFrame>,
}

impl PackTail {
    /// Parses the tail of the `pack_len` bytes stored as pack `pack_id`; `bytes` is exactly the tail.
    ///
    /// The stored bytes of segments and index segments are in `bytes` too ([`PackFrame::stored`] from
    /// [`PackFooter::tail_start`]) and not checked here. What is returned takes some 1.3 times the memory of `bytes`
    /// at most.
    ///
    /// # Errors
    /// `Corrupt` where lengths, sums or records are wrong; `Unsupported` for a version or codec that is not known.
    pub fn parse(pack_id: PackId, pack_len: u64, bytes: &[u8]) -> Result<Self> {
        let footer = footer_at_end(pack_id, pack_len, bytes)?;
        check_len(&footer, "tail", footer.tail_len(), bytes)?;
        let data_index =
            &bytes[..bytes.len() - last(bytes, footer.tail_len() - footer.data_index_len)?.len()];
        Self::parse_indexes(footer, data_index, last(bytes, footer.metadata_index_len())?)
    }

    /// Parses its two indexes, as they lie: the first [`data_index_len`](PackFooter::data_index_len) and the last
    /// [`metadata_index_len`](PackFooter::metadata_index_len) bytes of the tail. Nothing else of it is needed.
    ///
    /// # Errors
    /// As [`PackTail::parse`].
    pub fn parse_indexes(footer: PackFooter, data_index: &[u8], metadata_index: &[u8]) -> Result<Self> {
        check_len(&footer, "data index", footer.data_index_len, data_index)?;
        let directory = PackDirectory::parse_index(footer, metadata_index)?;
        if Sum128::of(data_index) != footer.data_index_sum {
            return Err(wrong_sum(&footer, "data index"));
        }
        let mut reader = WireReader::new("pack data index", data_index);
        skippable_header(&mut reader, data_index.len())?;
        let part = footer.data_range();
        let count = (data_index.len() - SKIPPABLE_LEN) / RECORD_LEN;
        let data = read_frames(&mut reader, count, part.start.get()..part.end.get())?;
        reader.end()?;
        Ok(Self { directory, data })
    }

    /// The lengths of the pack's parts.
    pub fn footer(&self) -> &PackFooter {
        &self.directory.footer
    }

    /// What it says of the metadata frames.
    pub fn directory(&self) -> &PackDirectory {
        &self.directory
    }

    /// The data frames, in the order they lie in.
    pub fn data(&self) -> &[PackFrame] {
        &self.data
    }

    /// The segments, in the order they lie in.
    pub fn segments(&self) -> &[PackFrame] {
        &self.directory.segments
    }

    /// The index segments, in the order they lie in.
    pub fn index_segments(&self) -> &[PackFrame] {
        &self.directory.index_segments
    }
}

fn footer_at_end(pack_id: PackId, pack_len: u64, bytes: &[u8]) -> Result<PackFooter> {
    let start = bytes.len().saturating_sub(PACK_FOOTER_LEN);
    PackFooter::decode(pack_id, pack_len, &bytes[start..])
}

fn check_len(footer: &PackFooter, part: &str, len: u64, bytes: &[u8]) -> Result<()> {
    if bytes.len() as u64 == len {
        Ok(())
    } else {
        Err(Error::corrupt(format!(
            "pack {}: its {part} has {len} bytes, not {}",
            footer.pack_id,
            bytes.len()
        )))
    }
}

/// The last `len` bytes.
fn last(bytes: &[u8], len: u64) -> Result<&[u8]> {
    usize::try_from(len)
        .ok()
        .and_then(|len| bytes.len().checked_sub(len))
        .map(|start| &bytes[start..])
        .ok_or_else(|| Error::corrupt(format!("{} bytes of a pack, where {len} were needed", bytes.len())))
}

fn wrong_sum(footer: &PackFooter, part: &str) -> Error {
    Error::corrupt(format!("pack {}: the sum of its {part} is wrong", footer.pack_id))
}
