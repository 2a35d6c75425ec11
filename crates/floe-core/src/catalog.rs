//! Where frames are: the indexes of some packs, searched by frame id.

use std::collections::HashMap;
use std::path::Path;

use floe_format::{Codec, FrameId, FrameRecord, LayoutPack, PackFrame, PackId, Run, StoredOffset, Sum128};

use crate::scratch::damaged;
use crate::spilled_table::SpilledTable;
use crate::{Error, ErrorKind, Result};

/// A map keyed by frame ids. Whoever wrote an index chose the ids in it, so they are hashed with a secret.
pub(crate) type FrameMap<V> = HashMap<FrameId, V>;

/// A frame and the pack it is in, by its position in the catalog.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located {
    pub(crate) pack: usize,
    pub(crate) frame: PackFrame,
}

/// A pack as a layout lists it, without what it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackShape {
    pub(crate) id: PackId,
    pub(crate) pack_len: u64,
    pub(crate) directory_len: u64,
    pub(crate) tail_len: u64,
}

impl From<&LayoutPack> for PackShape {
    fn from(pack: &LayoutPack) -> Self {
        Self { id: pack.id, pack_len: pack.len, directory_len: pack.directory_len, tail_len: pack.tail_len }
    }
}

/// Packs in an order, and their frames. A frame that is in several is found in the first.
///
/// Few of the frames stay in memory, however many there are.
#[derive(Debug)]
pub(crate) struct Catalog {
    packs: Vec<PackShape>,
    /// For each pack, how many frames are in it and those before it, each counted once.
    ends: Vec<u32>,
    frames: SpilledTable<FRAME_LEN>,
}

/// Bytes of a frame as it is kept.
const FRAME_LEN: usize = 65;

impl Catalog {
    /// No packs yet; a temporary file is made in this directory, if it can be.
    pub(crate) fn new(directory: Option<&Path>) -> Self {
        Self { packs: Vec::new(), ends: Vec::new(), frames: SpilledTable::new(directory) }
    }

    /// Adds a pack behind the others; returns its position.
    ///
    /// # Errors
    /// Those of reading a temporary file; the catalog is of no more use then.
    pub(crate) fn add_pack<'f>(
        &mut self,
        shape: PackShape,
        frames: impl IntoIterator<Item = &'f PackFrame>,
    ) -> Result<usize> {
        for frame in frames {
            self.frames.insert(&to_bytes(frame))?;
        }
        self.packs.push(shape);
        self.ends.push(self.frames.len());
        Ok(self.packs.len() - 1)
    }

    /// The packs, in their order.
    pub(crate) fn packs(&self) -> &[PackShape] {
        &self.packs
    }

    /// Where a frame is.
    ///
    /// # Errors
    /// Those of reading a temporary file.
    pub(crate) fn find(&self, id: &FrameId) -> Result<Option<Located>> {
        let Some((number, bytes)) = self.frames.find(id.as_bytes())? else { return Ok(None) };
        let pack = self.ends.partition_point(|end| *end <= number);
        Ok(Some(Located { pack, frame: from_bytes(&bytes).ok_or_else(damaged)? }))
    }

    /// Where the frame of a tree's run is, these being all packs that the tree's frames may be in.
    ///
    /// # Errors
    /// `Corrupt` where it is in none of them, or the first that has it says another length than the tree or another codec
    /// than those of trees; those of [`Catalog::find`].
    pub(crate) fn find_run(&self, run: &Run) -> Result<Located> {
        let id = &run.id;
        let corrupt = |message| Err(Error::new(ErrorKind::Corrupt, message));
        let Some(located) = self.find(id)? else {
            return corrupt(format!("the data frame {id} is in none of the layout's packs"));
        };
        let record = &located.frame.record;
        if record.plain_len != run.plain_len {
            return corrupt(format!("frame {id}: its pack and its segment say different lengths"));
        }
        if record.codec != Codec::Zstd {
            return corrupt(format!("frame {id}: it is compressed with LZ4, as none of a tree is"));
        }
        Ok(located)
    }

    /// The pack that [`Catalog::find_run`] finds the frame in.
    ///
    /// # Errors
    /// Those of [`Catalog::find_run`].
    pub(crate) fn pack_of_run(&self, run: &Run) -> Result<PackId> {
        Ok(self.packs[self.find_run(run)?.pack].id)
    }

    /// The ids of all frames.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Result<FrameId>> {
        self.frames.all().map(|bytes| Ok(from_bytes(&bytes?).ok_or_else(damaged)?.record.id))
    }

    /// Whether a frame is in any of the packs.
    ///
    /// # Errors
    /// As [`Catalog::find`].
    pub(crate) fn contains(&self, id: &FrameId) -> Result<bool> {
        self.frames.contains(id.as_bytes())
    }
}

impl Default for Catalog {
    fn default() -> Self {
        Self::new(None)
    }
}

fn to_bytes(PackFrame { record, offset }: &PackFrame) -> [u8; FRAME_LEN] {
    let mut bytes = [0; FRAME_LEN];
    bytes[..32].copy_from_slice(record.id.as_bytes());
    bytes[32..48].copy_from_slice(record.stored_sum.as_bytes());
    bytes[48..52].copy_from_slice(&record.stored_len.to_le_bytes());
    bytes[52..56].copy_from_slice(&record.plain_len.to_le_bytes());
    bytes[56..64].copy_from_slice(&offset.get().to_le_bytes());
    bytes[64] = record.codec as u8;
    bytes
}

fn from_bytes(bytes: &[u8; FRAME_LEN]) -> Option<PackFrame> {
    let (id, rest) = bytes.split_first_chunk()?;
    let (stored_sum, rest) = rest.split_first_chunk()?;
    let (stored_len, rest) = rest.split_first_chunk()?;
    let (plain_len, rest) = rest.split_first_chunk()?;
    let (offset, rest) = rest.split_first_chunk()?;
    let record = FrameRecord {
        id: FrameId::from_bytes(*id),
        stored_sum: Sum128::from_bytes(*stored_sum),
        stored_len: u32::from_le_bytes(*stored_len),
        plain_len: u32::from_le_bytes(*plain_len),
        codec: Codec::from_u8(*rest.first()?)?,
    };
    Some(PackFrame { record, offset: StoredOffset::new(u64::from_le_bytes(*offset)) })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn shape(number: u8) -> PackShape {
        let id = PackId::from_bytes([number; 16]);
        PackShape { id, pack_len: 1 << 20, directory_len: 200, tail_len: 300 }
    }

    fn frame_of(content: u32, offset: u64) -> PackFrame {
        let id = FrameId::of(&content.to_le_bytes());
        let record = FrameRecord::new(id, 4, Codec::Zstd, &content.to_le_bytes()).unwrap();
        PackFrame { record, offset: StoredOffset::new(offset) }
    }

    #[test]
    fn every_frame_is_found_in_the_first_pack_that_has_it() {
        let mut catalog = Catalog::default();
        // Each pack has a third of the one before; the second and the last have nothing.
        let packs = [0..3000, 0..0, 2000..5000, 4000..7000, 0..0].map(|contents: std::ops::Range<u32>| {
            contents.map(|content| frame_of(content, u64::from(content) * 100)).collect::<Vec<_>>()
        });
        for (number, frames) in (0u8..).zip(packs) {
            assert_eq!(catalog.add_pack(shape(number), &frames).unwrap(), usize::from(number));
        }
        for content in 0..7000u32 {
            let pack = match content {
                0..3000 => 0,
                3000..5000 => 2,
                _ => 3,
            };
            let located = catalog.find(&FrameId::of(&content.to_le_bytes())).unwrap().unwrap();
            assert_eq!((located.pack, located.frame), (pack, frame_of(content, u64::from(content) * 100)));
        }
        assert!(catalog.find(&FrameId::of(&7000u32.to_le_bytes())).unwrap().is_none());
        assert!(!catalog.contains(&FrameId::of(b"none")).unwrap());
        assert_eq!(catalog.packs().len(), 5);
        let ids: Vec<FrameId> = catalog.ids().map(Result::unwrap).collect();
        assert_eq!((ids.len(), ids.iter().collect::<HashSet<_>>().len()), (7000, 7000));
    }

    #[test]
    fn a_frame_is_kept_as_it_is() {
        let id = FrameId::from_bytes(std::array::from_fn(|number| number as u8));
        let stored_sum = Sum128::from_bytes(std::array::from_fn(|number| number as u8 + 100));
        for codec in [Codec::Zstd, Codec::Lz4] {
            let record = FrameRecord { id, stored_sum, stored_len: 0x0302_0104, plain_len: 0x10_0000, codec };
            let frame = PackFrame { record, offset: StoredOffset::new(0x0123_4567_89ab) };
            assert_eq!(from_bytes(&to_bytes(&frame)), Some(frame));
        }
    }
}
