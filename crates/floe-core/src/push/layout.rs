//! The layout of a snapshot that was put together.

use std::ops::Range;

use floe_format::{BuiltIndexSegment, FrameId, ItemHasher, Layout, LayoutPack};

use super::base::BasePacks;
use super::draft::MadeTree;
use super::packs::WrittenPacks;
use crate::catalog::{Catalog, FrameMap, Located, PackShape};
use crate::{Error, ErrorKind, Result};

/// Packs in the order of the layout: those written, the base's, others.
struct Places<'a> {
    written: &'a WrittenPacks,
    base: &'a BasePacks,
    elsewhere: &'a Catalog,
    /// For each pack, the runs of root items that it serves, and whether it does so with metadata.
    serves: Vec<Vec<Range<u32>>>,
    has_metadata: Vec<bool>,
}

impl Places<'_> {
    fn serve_data(&mut self, id: &FrameId, item: u32) -> Result<Located> {
        let found = find([&self.written.data, &self.base.data, self.elsewhere], id)?;
        self.add_item(found.pack, item);
        Ok(found)
    }

    fn serve_metadata(&mut self, id: &FrameId, item: u32) -> Result<()> {
        let found = find([&self.written.metadata, &self.base.metadata], id)?;
        self.add_item(found.pack, item);
        self.has_metadata[found.pack] = true;
        Ok(())
    }

    /// Notes that a pack serves an item, which is never before one that was noted.
    fn add_item(&mut self, pack: usize, item: u32) {
        match self.serves[pack].last_mut() {
            Some(last) if item < last.end => {}
            Some(last) if item == last.end => last.end += 1,
            _ => self.serves[pack].push(item..item + 1),
        }
    }
}

/// The first of these catalogs' packs, numbered through, that has a frame.
fn find<const N: usize>(catalogs: [&Catalog; N], id: &FrameId) -> Result<Located> {
    let mut before = 0;
    for catalog in catalogs {
        if let Some(found) = catalog.find(id)? {
            return Ok(Located { pack: before + found.pack, frame: found.frame });
        }
        before += catalog.packs().len();
    }
    Err(Error::new(ErrorKind::Internal, format!("the frame {id} was planned on, and is in no pack")))
}

/// The layout of the tree with this index and these segments, found in these packs.
pub(super) fn layout_of(
    made: &MadeTree<'_>,
    written: &WrittenPacks,
    base: &BasePacks,
    elsewhere: Option<&Catalog>,
) -> Result<Layout> {
    let MadeTree { segments, runs, index } = *made;
    let none = Catalog::default();
    let elsewhere = elsewhere.unwrap_or(&none);
    let shapes: Vec<PackShape> =
        [&written.data, &base.data, elsewhere].into_iter().flat_map(Catalog::packs).copied().collect();
    let mut places = Places {
        written,
        base,
        elsewhere,
        serves: vec![Vec::new(); shapes.len()],
        has_metadata: vec![false; shapes.len()],
    };
    let built: FrameMap<&BuiltIndexSegment> =
        index.segments.iter().map(|segment| (segment.id, segment)).collect();
    let mut left = segments.iter();
    let mut items = Vec::with_capacity(index.items.len());
    for (item, root_item) in (0u32..).zip(&index.items) {
        let mut hasher = ItemHasher::new();
        let mut below = vec![(root_item.id, index.level)];
        // Depth first, in order.
        while let Some((id, level)) = below.pop() {
            places.serve_metadata(&id, item)?;
            if level > 0 {
                let segment = built.get(&id).ok_or_else(|| {
                    Error::new(ErrorKind::Internal, format!("the index segment {id} was not made"))
                })?;
                below.extend(segment.content.items.iter().rev().map(|item| (item.id, level - 1)));
                continue;
            }
            let segment = left.next().ok_or_else(|| {
                Error::new(ErrorKind::Internal, "the index lists more segments than there are")
            })?;
            for run in runs.read(&segment.runs)? {
                let record = places.serve_data(&run.id, item)?.frame.record;
                for _ in 0..run.count {
                    hasher.add(record.stored_len, &record.stored_sum);
                }
            }
        }
        items.push(hasher.finish());
    }
    let packs = shapes
        .iter()
        .zip(places.serves.into_iter().zip(places.has_metadata))
        .filter(|(_, (serves, _))| !serves.is_empty())
        .map(|(shape, (item_runs, has_metadata))| LayoutPack {
            id: shape.id,
            has_metadata,
            len: shape.pack_len,
            directory_len: shape.directory_len,
            tail_len: shape.tail_len,
            item_runs,
        })
        .collect();
    Ok(Layout { packs, items })
}
