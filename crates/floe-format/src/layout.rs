//! Layouts: in which packs the frames of a snapshot are found, and what its archive is (`docs/format.md` §9).

use std::ops::Range;

use crate::wire::{WireReader, WireWrite};
use crate::{
    Error, MAX_LAYOUT_LEN, MAX_PACK_LEN, MIN_DIRECTORY_LEN, MIN_PACK_LEN, MIN_TAIL_LEN, PACK_HEAD_LEN,
    PackId, PackSummary, Result, Sum128,
};

/// Most packs of a layout.
pub const MAX_LAYOUT_PACKS: usize = 4096;

/// Set for a pack that serves segments or index segments.
const METADATA_FLAG: u8 = 1;

/// Most items of a root.
pub const MAX_ROOT_ITEMS: usize = crate::MAX_ITEMS;

/// Where the frames of one snapshot are found.
///
/// A frame that is in several packs is read from the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The packs, each once.
    pub packs: Vec<LayoutPack>,
    /// What the archive has of each root item, in the root's order.
    pub items: Vec<LayoutItem>,
}

/// A pack of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutPack {
    /// The pack's id.
    pub id: PackId,
    /// Whether it serves segments or index segments of the snapshot.
    pub has_metadata: bool,
    /// Bytes of the pack.
    pub len: u64,
    /// Bytes of its directory.
    pub directory_len: u64,
    /// Bytes of its tail.
    pub tail_len: u64,
    /// The root items it serves: ranges in ascending order, none empty, none reaching into the next.
    pub item_runs: Vec<Range<u32>>,
}

/// The data frames that are reached from one root item, as they stand in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutItem {
    /// Their stored bytes, added up.
    pub stored_len: u64,
    /// The BLAKE3-256 of their stored lengths and stored sums; [`ItemHasher`] makes it.
    pub hash: [u8; 32],
}

impl LayoutPack {
    /// A pack that was written, serving these root items.
    pub fn new(summary: &PackSummary, has_metadata: bool, item_runs: Vec<Range<u32>>) -> Self {
        Self {
            id: summary.pack_id,
            has_metadata,
            len: summary.pack_len,
            directory_len: summary.directory_len,
            tail_len: summary.tail_len,
            item_runs,
        }
    }

    /// Whether it serves this root item.
    pub fn serves(&self, item: u32) -> bool {
        let next = self.item_runs.partition_point(|run| run.end <= item);
        self.item_runs.get(next).is_some_and(|run| run.contains(&item))
    }

    /// What of this pack breaks the format, in a layout of `items` root items.
    fn check(&self, items: usize) -> Result<(), String> {
        let Self { id, has_metadata: _, len, directory_len, tail_len, item_runs } = self;
        if !(MIN_PACK_LEN..=MAX_PACK_LEN).contains(len)
            || !(MIN_TAIL_LEN..=len - PACK_HEAD_LEN as u64).contains(tail_len)
            || !(MIN_DIRECTORY_LEN..=tail_len - (MIN_TAIL_LEN - MIN_DIRECTORY_LEN)).contains(directory_len)
        {
            return Err(format!(
                "pack {id}: {len} bytes with a directory of {directory_len} and a tail of {tail_len}"
            ));
        }
        let mut end = 0;
        for run in item_runs {
            if run.is_empty() || run.start < end || run.end as usize > items {
                return Err(format!("pack {id}: root items {run:?} after {end} of {items}"));
            }
            end = run.end;
        }
        Ok(())
    }
}

impl Layout {
    /// The bytes of this layout.
    ///
    /// # Errors
    /// `Invalid` where it breaks the format.
    pub fn encode(&self) -> Result<Vec<u8>> {
        self.check().map_err(Error::invalid)?;
        let mut out = Vec::new();
        out.put_uv(self.packs.len() as u64);
        for pack in &self.packs {
            out.extend_from_slice(pack.id.as_bytes());
            out.push(u8::from(pack.has_metadata) * METADATA_FLAG);
            out.put_uv(pack.len);
            out.put_uv(pack.directory_len);
            out.put_uv(pack.tail_len);
            out.put_uv(pack.item_runs.len() as u64);
            let mut end = 0;
            for run in &pack.item_runs {
                out.put_uv(u64::from(run.start - end));
                out.put_uv(u64::from(run.end - run.start));
                end = run.end;
            }
        }
        for item in &self.items {
            out.put_uv(item.stored_len);
            out.extend_from_slice(&item.hash);
        }
        if out.len() > MAX_LAYOUT_LEN {
            return Err(Error::invalid(format!(
                "a layout of {} bytes, over the limit of {MAX_LAYOUT_LEN}",
                out.len()
            )));
        }
        Ok(out)
    }

    /// The layout with these bytes, of a snapshot whose root has `root_items` items.
    ///
    /// # Errors
    /// `Corrupt` for bytes that break the format.
    pub fn decode(root_items: usize, bytes: &[u8]) -> Result<Self> {
        let mut reader = WireReader::new("layout", bytes);
        if bytes.len() > MAX_LAYOUT_LEN {
            return Err(reader.corrupt(format_args!("has {} bytes", bytes.len())));
        }
        let packs = reader.length(MAX_LAYOUT_PACKS, "number of packs")?;
        let packs = (0..packs).map(|_| decode_pack(&mut reader, root_items)).collect::<Result<_>>()?;
        let items = (0..root_items)
            .map(|_| Ok(LayoutItem { stored_len: reader.uv()?, hash: reader.array()? }))
            .collect::<Result<_>>()?;
        let layout = Self { packs, items };
        layout.check().map_err(|broken| reader.corrupt(broken))?;
        reader.end()?;
        Ok(layout)
    }

    /// Bytes of the archive `tar.zst`: the stored bytes of all data frames, with repetitions.
    pub fn archive_len(&self) -> u64 {
        // No layout is encoded or decoded whose sum is over 64 bits; one made by hand shows its fault in `encode`.
        self.items.iter().fold(0, |len, item| len.saturating_add(item.stored_len))
    }

    /// The archive's entity tag: the BLAKE3-256 of the items.
    pub fn archive_etag(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for item in &self.items {
            hasher.update(&item.stored_len.to_le_bytes());
            hasher.update(&item.hash);
        }
        hasher.finalize().into()
    }

    /// What of this layout breaks the format.
    fn check(&self) -> Result<(), String> {
        let (packs, items) = (self.packs.len(), self.items.len());
        if packs == 0 || packs > MAX_LAYOUT_PACKS {
            return Err(format!("{packs} packs, not 1 to {MAX_LAYOUT_PACKS}"));
        }
        if items == 0 || items > MAX_ROOT_ITEMS {
            return Err(format!("{items} root items, not 1 to {MAX_ROOT_ITEMS}"));
        }
        for pack in &self.packs {
            pack.check(items)?;
        }
        let mut ids: Vec<PackId> = self.packs.iter().map(|pack| pack.id).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("pack {} stands in it twice", twice[0]));
        }
        let mut lens = self.items.iter().map(|item| item.stored_len);
        if lens.try_fold(0u64, u64::checked_add).is_none() {
            return Err("an archive of more than 2^64 bytes".to_owned());
        }
        Ok(())
    }
}

fn decode_pack(reader: &mut WireReader<'_>, root_items: usize) -> Result<LayoutPack> {
    let id = PackId::from_bytes(reader.array()?);
    let has_metadata = match reader.u8()? {
        0 => false,
        METADATA_FLAG => true,
        _ => return Err(reader.corrupt("unknown flags of a pack")),
    };
    let len = reader.uv()?;
    let directory_len = reader.uv()?;
    let tail_len = reader.uv()?;
    // Every run has an item of its own.
    let runs = reader.length(root_items.min(MAX_ROOT_ITEMS), "number of item runs")?;
    let mut item_runs = Vec::with_capacity(runs);
    let mut end = 0;
    for _ in 0..runs {
        let mut item = |from: u32, what| {
            let count = reader.uv_max(MAX_ROOT_ITEMS as u64, what)?;
            let item = u32::try_from(count).ok().and_then(|count| from.checked_add(count));
            item.ok_or_else(|| reader.corrupt(what))
        };
        let start = item(end, "number of root items skipped")?;
        end = item(start, "number of root items")?;
        item_runs.push(start..end);
    }
    Ok(LayoutPack { id, has_metadata, len, directory_len, tail_len, item_runs })
}

/// Makes a [`LayoutItem`] of the data frames of a root item, in order.
#[derive(Clone, Debug, Default)]
pub struct ItemHasher {
    stored_len: u64,
    hasher: blake3::Hasher,
}

impl ItemHasher {
    /// A hasher of no frames yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next data frame; one that is repeated is added once per repetition.
    pub fn add(&mut self, stored_len: u32, stored_sum: &Sum128) {
        self.stored_len = self.stored_len.saturating_add(u64::from(stored_len));
        self.hasher.update(&stored_len.to_le_bytes());
        self.hasher.update(stored_sum.as_bytes());
    }

    /// The item.
    pub fn finish(self) -> LayoutItem {
        LayoutItem { stored_len: self.stored_len, hash: self.hasher.finalize().into() }
    }
}

#[cfg(test)]
mod tests;
