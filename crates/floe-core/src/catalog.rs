//! Where frames are: the indexes of some packs, searched by frame id.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use floe_format::{Codec, FrameId, LayoutPack, PackFrame, PackId, Run};
use hashbrown::HashTable;

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
/// What is known of a frame stands once, in the table of its pack; ids are searched by the numbers of frames, counted
/// through all tables. So a frame takes some 80 bytes.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    packs: Vec<PackShape>,
    tables: Vec<Table>,
    numbers: HashTable<u32>,
    secret: RandomState,
}

#[derive(Debug)]
struct Table {
    /// The number of its first frame.
    first: u32,
    frames: Vec<PackFrame>,
}

impl Catalog {
    /// Adds a pack behind the others; returns its position.
    pub(crate) fn add_pack(&mut self, shape: PackShape, mut frames: Vec<PackFrame>) -> usize {
        let pack = self.packs.len();
        let first = self.tables.last().map_or(0, Table::end);
        // What is beyond four thousand million frames is in none of the packs.
        frames.truncate((u32::MAX - first) as usize);
        frames.shrink_to_fit();
        self.packs.push(shape);
        self.tables.push(Table { first, frames });
        let Self { tables, numbers, secret, .. } = self;
        let hash = |number: &u32| hash_of(secret, &frame(tables, *number).1.record.id);
        numbers.reserve(tables[pack].frames.len(), hash);
        for (number, added) in (first..).zip(&tables[pack].frames) {
            let id = &added.record.id;
            let is_it = |other: &u32| frame(tables, *other).1.record.id == *id;
            numbers.entry(hash_of(secret, id), is_it, hash).or_insert(number);
        }
        pack
    }

    /// The packs, in their order.
    pub(crate) fn packs(&self) -> &[PackShape] {
        &self.packs
    }

    /// Where a frame is.
    pub(crate) fn find(&self, id: &FrameId) -> Option<Located> {
        let is_it = |number: &u32| frame(&self.tables, *number).1.record.id == *id;
        let number = self.numbers.find(hash_of(&self.secret, id), is_it)?;
        let (pack, frame) = frame(&self.tables, *number);
        Some(Located { pack, frame: *frame })
    }

    /// Where the frame of a tree's run is, these being all packs that the tree's frames may be in.
    ///
    /// # Errors
    /// `Corrupt` where it is in none of them, or the first that has it says another length than the tree or another codec
    /// than those of trees.
    pub(crate) fn find_run(&self, run: &Run) -> Result<Located> {
        let id = &run.id;
        let corrupt = |message| Err(Error::new(ErrorKind::Corrupt, message));
        let Some(located) = self.find(id) else {
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

    /// The ids of all frames.
    pub(crate) fn ids(&self) -> impl Iterator<Item = FrameId> {
        self.tables.iter().flat_map(|table| &table.frames).map(|frame| frame.record.id)
    }

    /// Whether a frame is in any of the packs.
    pub(crate) fn contains(&self, id: &FrameId) -> bool {
        self.find(id).is_some()
    }
}

impl Table {
    fn end(&self) -> u32 {
        // `add_pack` sees to it.
        self.first.saturating_add(u32::try_from(self.frames.len()).unwrap_or(u32::MAX))
    }
}

/// What an id is searched by. Whoever chose the ids has no say in it.
fn hash_of(secret: &RandomState, id: &FrameId) -> u64 {
    secret.hash_one(id)
}

/// The frame of a number, and its pack's position.
fn frame(tables: &[Table], number: u32) -> (usize, &PackFrame) {
    let pack = tables.partition_point(|table| table.end() <= number);
    let table = &tables[pack];
    (pack, &table.frames[(number - table.first) as usize])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use floe_format::{Codec, FrameRecord, StoredOffset};

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
            assert_eq!(catalog.add_pack(shape(number), frames), usize::from(number));
        }
        for content in 0..7000u32 {
            let pack = match content {
                0..3000 => 0,
                3000..5000 => 2,
                _ => 3,
            };
            let located = catalog.find(&FrameId::of(&content.to_le_bytes())).unwrap();
            assert_eq!((located.pack, located.frame), (pack, frame_of(content, u64::from(content) * 100)));
        }
        assert!(catalog.find(&FrameId::of(&7000u32.to_le_bytes())).is_none());
        assert!(!catalog.contains(&FrameId::of(b"none")));
        assert_eq!(catalog.packs().len(), 5);
        assert_eq!(catalog.ids().count(), 9000);
    }

    /// Were they searched by what they begin with, each would be compared with all before it.
    #[test]
    fn ids_that_begin_alike_are_searched_apart() {
        let PackFrame { record, offset } = frame_of(0, 40);
        let frames = (0..10_000u64).map(|number| {
            let mut id = [7; 32];
            id[8..16].copy_from_slice(&number.to_le_bytes());
            PackFrame { record: FrameRecord { id: FrameId::from_bytes(id), ..record }, offset }
        });
        let mut catalog = Catalog::default();
        catalog.add_pack(shape(0), frames.collect());
        assert_eq!(catalog.numbers.len(), 10_000);
        let hashes: HashSet<u64> = catalog.ids().map(|id| hash_of(&catalog.secret, &id)).collect();
        assert_eq!(hashes.len(), 10_000);
    }
}
