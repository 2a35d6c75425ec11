//! Where frames are: the indexes of some packs, searched by frame id.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use floe_format::{FrameId, LayoutPack, PackFrame, PackId};

/// A map keyed by frame ids, which are as good as random already.
pub(crate) type FrameMap<V> = HashMap<FrameId, V, BuildHasherDefault<IdHasher>>;

/// Takes the first bytes of an id for its hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks_exact(8).take(1) {
            let mut first = [0; 8];
            first.copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

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
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    packs: Vec<PackShape>,
    frames: FrameMap<Located>,
}

impl Catalog {
    /// Room for so many frames.
    pub(crate) fn with_capacity(frames: usize) -> Self {
        Self {
            packs: Vec::new(),
            frames: FrameMap::with_capacity_and_hasher(frames, BuildHasherDefault::new()),
        }
    }

    /// Adds a pack behind the others; returns its position.
    pub(crate) fn add_pack(
        &mut self,
        shape: PackShape,
        frames: impl IntoIterator<Item = PackFrame>,
    ) -> usize {
        let pack = self.packs.len();
        self.packs.push(shape);
        let frames = frames.into_iter();
        self.frames.reserve(frames.size_hint().0);
        for frame in frames {
            self.frames.entry(frame.record.id).or_insert(Located { pack, frame });
        }
        pack
    }

    /// The packs, in their order.
    pub(crate) fn packs(&self) -> &[PackShape] {
        &self.packs
    }

    /// Where a frame is.
    pub(crate) fn find(&self, id: &FrameId) -> Option<&Located> {
        self.frames.get(id)
    }

    /// The ids of all frames.
    pub(crate) fn ids(&self) -> impl Iterator<Item = FrameId> {
        self.frames.keys().copied()
    }

    /// Whether a frame is in any of the packs.
    pub(crate) fn contains(&self, id: &FrameId) -> bool {
        self.frames.contains_key(id)
    }
}
