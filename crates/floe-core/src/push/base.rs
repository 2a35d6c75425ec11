//! The base of a push: the snapshot that is pushed against, read in order.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use floe_format::{
    Decompressor, EntryRef, FrameId, FrameRecord, IndexSegment, Item, Kept, MAX_SEGMENT_ENTRIES, Parameters,
    Root, Run, Segment, compare_paths, tar_header_len, tar_len, tar_padding,
};
use futures::{StreamExt, TryStreamExt};

use super::entry_table::EntryTable;
use crate::catalog::{Catalog, PackShape};
use crate::offload::Offloaded;
use crate::pack_tails::{LoadedTail, MetadataFrames, PackTails};
use crate::snapshot::Snapshot;
use crate::{Error, ErrorKind, Result};

/// How many tails are on their way at once.
const TAILS_IN_FLIGHT: usize = 8;

/// The packs of a base and the frames in them.
#[derive(Debug, Default)]
pub(super) struct BasePacks {
    /// The data frames, those of packs that must not be used left out.
    pub(super) data: Catalog,
    /// The segments and index segments, likewise; its packs are those of `data`.
    pub(super) metadata: Catalog,
    /// The metadata frames of all packs, to be read.
    frames: MetadataFrames,
}

impl BasePacks {
    /// Reads the tails of a snapshot's packs. Nothing in a pack that must not be used counts as known.
    pub(super) async fn load(
        tails: &PackTails,
        work: &Offloaded,
        snapshot: &Snapshot,
        is_unusable: impl Fn(&PackShape) -> bool,
    ) -> Result<Self> {
        let packs = &snapshot.layout().packs;
        let mut loads = Vec::new();
        for pack in packs {
            loads.push(tails.load(PackShape::from(pack)));
        }
        let mut base = Self::new(tails, work);
        let mut loaded = futures::stream::iter(loads).buffered(TAILS_IN_FLIGHT);
        for pack in packs {
            let Some(loaded) = loaded.try_next().await? else { break };
            base.add(loaded, pack.has_metadata, &is_unusable)?;
        }
        Ok(base)
    }

    /// The same, where all tails are cached and all packs may be used.
    pub(super) fn load_cached(tails: &PackTails, work: &Offloaded, snapshot: &Snapshot) -> Option<Self> {
        let mut base = Self::new(tails, work);
        for pack in &snapshot.layout().packs {
            let loaded = tails.load_cached(PackShape::from(pack))?;
            base.add(loaded, pack.has_metadata, |_| false).ok()?;
        }
        Some(base)
    }

    fn new(tails: &PackTails, work: &Offloaded) -> Self {
        let catalog = || Catalog::new(tails.scratch());
        Self { data: catalog(), metadata: catalog(), frames: MetadataFrames::new(tails, work) }
    }

    fn add(
        &mut self,
        LoadedTail { shape, tail, end }: LoadedTail,
        has_metadata: bool,
        is_unusable: impl Fn(&PackShape) -> bool,
    ) -> Result<()> {
        if !is_unusable(&shape) {
            self.data.add_pack(shape, tail.data())?;
            self.metadata.add_pack(shape, tail.directory().frames())?;
        }
        if has_metadata {
            self.frames.add(shape, tail.directory(), end)?;
        }
        Ok(())
    }

    /// A segment or index segment as it is stored, which is checked.
    pub(super) fn stored_metadata(
        &self,
        id: &FrameId,
        decompressor: &mut Decompressor,
    ) -> Result<(FrameRecord, Vec<u8>)> {
        self.frames.read_stored(id, decompressor)
    }

    /// The segments of the snapshot, in order.
    fn segments(&self, root: &Root, decompressor: &mut Decompressor) -> Result<Vec<Item>> {
        let mut items = root.items.clone();
        for level in (1..=root.level).rev() {
            let mut below = Vec::new();
            for item in &items {
                let plain = self.frames.read(&item.id, decompressor)?;
                let index = IndexSegment::parse(&plain)?;
                index.check_listed(item, level)?;
                below.extend(index.items);
            }
            items = below;
        }
        Ok(items)
    }
}

/// A segment of the base.
#[derive(Debug)]
pub(super) struct BaseSegment {
    ordinal: usize,
    item: Item,
    kept: Kept,
    has_end: bool,
    runs: Vec<Run>,
    entries: EntryTable,
    /// For each run: the entries whose group it is, if it is exactly that.
    groups: Vec<Option<Range<usize>>>,
    /// For each run: how many bytes the entries that begin in it take in a segment, as segments are cut by it.
    metadata_lens: Vec<u64>,
    /// For each entry, the run that its headers are in.
    run_of_entry: Vec<usize>,
}

impl BaseSegment {
    fn parse(ordinal: usize, item: Item, plain: &[u8], parameters: &Parameters) -> Result<Self> {
        // Room for no more than a segment may have, whatever is listed of it.
        let listed = usize::try_from(item.entries).map_or(0, |listed| listed.min(MAX_SEGMENT_ENTRIES));
        let mut entries = EntryTable::with_capacity(listed, plain.len());
        let segment = Segment::parse_with(plain, |entry| entries.push(entry))?;
        let mut groups = vec![None; segment.runs().len()];
        let mut metadata_lens = vec![0; segment.runs().len()];
        let mut run_of_entry = vec![usize::MAX; entries.len()];
        let mut run_start = 0u64;
        let mut entry_start = segment.lead();
        let mut next = 0;
        for (position, run) in segment.runs().iter().enumerate() {
            let run_end =
                run.content_len().and_then(|length| run_start.checked_add(length)).ok_or_else(|| {
                    Error::new(ErrorKind::Corrupt, format!("segment {} has more than 2^64 bytes", item.id))
                })?;
            let first = next;
            let begins = entry_start == run_start;
            let mut group_end = entry_start;
            while next < entries.len() && entry_start < run_end {
                let entry = entries.get(next);
                let entry_end = entry_start + tar_len(&entry);
                group_end = if parameters.is_big(entry.body.size()) {
                    entry_start + tar_header_len(&entry) as u64
                } else {
                    entry_end
                };
                entry_start = entry_end;
                metadata_lens[position] += entry.metadata_len() as u64;
                run_of_entry[next] = position;
                next += 1;
            }
            if next > first && begins && group_end == run_end && run.count == 1 {
                groups[position] = Some(first..next);
            }
            run_start = run_end;
        }
        Ok(Self {
            ordinal,
            item,
            kept: segment.kept(),
            has_end: segment.has_end(),
            runs: segment.runs().to_vec(),
            entries,
            groups,
            metadata_lens,
            run_of_entry,
        })
    }

    /// Its place among the segments of the base.
    pub(super) fn ordinal(&self) -> usize {
        self.ordinal
    }

    /// What the base lists of it.
    pub(super) fn item(&self) -> &Item {
        &self.item
    }

    /// What it keeps of its entries; it says so also where it has none.
    pub(super) fn kept(&self) -> Kept {
        self.kept
    }

    pub(super) fn has_end(&self) -> bool {
        self.has_end
    }

    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(super) fn entries(&self) -> &EntryTable {
        &self.entries
    }

    /// How many bytes the entries that begin in a run take in a segment, as segments are cut by it.
    pub(super) fn metadata_len(&self, run: usize) -> u64 {
        self.metadata_lens[run]
    }

    /// The run that is exactly the group of these entries, if there is one.
    pub(super) fn group(&self, entries: &Range<usize>) -> Option<usize> {
        let run = *self.run_of_entry.get(entries.start)?;
        (self.groups.get(run)?.as_ref() == Some(entries)).then_some(run)
    }
}

/// A run of a base segment, by its position.
#[derive(Clone, Debug)]
pub(super) struct BaseRun {
    pub(super) segment: Arc<BaseSegment>,
    pub(super) run: usize,
}

/// An entry of a base segment, by its position.
#[derive(Clone, Debug)]
pub(super) struct BaseEntry {
    pub(super) segment: Arc<BaseSegment>,
    pub(super) index: usize,
}

impl BaseEntry {
    pub(super) fn entry(&self) -> EntryRef<'_> {
        self.segment.entries.get(self.index)
    }
}

/// A place in the base that moves forward with a walk. One segment is in memory.
pub(super) struct BaseCursor {
    packs: Arc<BasePacks>,
    items: Vec<Item>,
    parameters: Parameters,
    decompressor: Decompressor,
    next_segment: usize,
    current: Option<Arc<BaseSegment>>,
    next_entry: usize,
    /// The first bytes of the hashes of the files passed.
    contents: Vec<u64>,
}

impl BaseCursor {
    /// A cursor at the beginning of a snapshot whose packs these are.
    pub(super) fn new(packs: Arc<BasePacks>, root: &Root) -> Result<Self> {
        let mut decompressor = Decompressor::new();
        let items = packs.segments(root, &mut decompressor)?;
        Ok(Self {
            packs,
            items,
            parameters: root.parameters,
            decompressor,
            next_segment: 0,
            current: None,
            next_entry: 0,
            contents: Vec::new(),
        })
    }

    /// The base's entry at this path; paths are asked for in ascending order.
    pub(super) fn find(&mut self, path: &[u8]) -> Result<Option<BaseEntry>> {
        loop {
            let Some(segment) = &self.current else {
                if !self.read_segment()? {
                    return Ok(None);
                }
                continue;
            };
            if self.next_entry == segment.entries.len() {
                if !self.read_segment()? {
                    return Ok(None);
                }
                continue;
            }
            let next = segment.entries.path(self.next_entry);
            // Most often it is the next one, and equality is cheaper than order.
            let order = if next == path { Ordering::Equal } else { compare_paths(next, path) };
            match order {
                Ordering::Less => {
                    self.pass();
                }
                Ordering::Greater => return Ok(None),
                Ordering::Equal => {
                    let found = BaseEntry { segment: Arc::clone(segment), index: self.next_entry };
                    self.pass();
                    return Ok(Some(found));
                }
            }
        }
    }

    /// The runs that are the content of the big file that was found last, if exactly some are.
    pub(super) fn content_runs(&mut self, found: &BaseEntry) -> Result<Option<Vec<BaseRun>>> {
        let size = found.entry().body.size();
        let Some(mut left) = size.checked_add(tar_padding(size) as u64) else { return Ok(None) };
        let Some(&group) = found.segment.run_of_entry.get(found.index) else { return Ok(None) };
        if found.segment.groups.get(group).is_none_or(Option::is_none) {
            return Ok(None);
        }
        let mut runs = Vec::new();
        let mut segment = Arc::clone(&found.segment);
        let mut run = group + 1;
        while left > 0 {
            let Some(next) = segment.runs.get(run) else {
                if !self.read_segment()? {
                    return Ok(None);
                }
                let Some(current) = &self.current else { return Ok(None) };
                segment = Arc::clone(current);
                run = 0;
                continue;
            };
            match next.content_len().and_then(|length| left.checked_sub(length)) {
                Some(rest) => left = rest,
                None => return Ok(None),
            }
            runs.push(BaseRun { segment: Arc::clone(&segment), run });
            run += 1;
        }
        Ok(Some(runs))
    }

    /// The first bytes of the hashes of all files of the base, in no order; reads the rest of it.
    pub(super) fn into_contents(mut self) -> Result<Vec<u64>> {
        while self.current.is_some() || self.next_segment < self.items.len() {
            let entries = self.current.as_ref().map_or(0, |segment| segment.entries.len());
            while self.next_entry < entries {
                self.pass();
            }
            if !self.read_segment()? {
                break;
            }
        }
        Ok(self.contents)
    }

    fn pass(&mut self) {
        if let Some(segment) = &self.current
            && let Some(hash) = segment.entries.content_hash(self.next_entry)
        {
            self.contents.push(super::leading_u64(hash));
        }
        self.next_entry += 1;
    }

    fn read_segment(&mut self) -> Result<bool> {
        let Some(item) = self.items.get(self.next_segment) else {
            self.current = None;
            return Ok(false);
        };
        let plain = self.packs.frames.read(&item.id, &mut self.decompressor)?;
        let segment = BaseSegment::parse(self.next_segment, item.clone(), &plain, &self.parameters)?;
        self.current = Some(Arc::new(segment));
        self.next_entry = 0;
        self.next_segment += 1;
        Ok(true)
    }
}
