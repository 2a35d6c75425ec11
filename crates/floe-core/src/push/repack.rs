//! Keeps the packs of a snapshot few, however many small pushes made it.
//!
//! Each push adds a pack, and whoever reads the snapshot asks for all that serve it. Where they have become too many,
//! what is still used of the smallest is copied, as it is stored, into the pack that the push writes anyway. Nothing of
//! the source is read again for it, and a push that changes nothing never comes here.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use floe_format::{Decompressor, FrameId, FrameRecord, PackFrame, StoredOffset};
use futures::StreamExt;
use tokio::runtime::Handle;

use super::base::BasePacks;
use super::draft::MadeTree;
use super::packs::PackOutput;
use crate::catalog::{Catalog, Located, PackShape};
use crate::namespace::Namespace;
use crate::ranges::coalesce;
use crate::spilled_table::{KEY_LEN, SpilledTable};
use crate::{ErrorKind, Result};

/// How many packs a snapshot may have, however small they are.
const PACKS_AT_LEAST: usize = 32;

/// For each so many bytes of packs, a snapshot may have one pack more.
const BYTES_PER_PACK: u64 = 16 << 20;

/// How many packs a snapshot may have, however long they are: half of what a layout holds.
const PACKS_AT_MOST: usize = 2048;

/// Packs of which more is used are left as they are.
const MAX_COPIED_BYTES: u64 = 4 << 20;

/// But of a large snapshot those are copied, too, of which less than such a part of it is used.
const MAX_COPIED_SHARE: u64 = 1024;

/// How many pieces of packs, of up to 8 MiB, are read and held at once.
const READS_IN_FLIGHT: usize = 4;

/// Copies out of packs that the new snapshot would use.
pub(super) struct Repacking<'a> {
    pub(super) namespace: &'a Namespace,
    pub(super) base: &'a BasePacks,
    pub(super) elsewhere: Option<&'a Catalog>,
    /// Temporary files are made there, if they can be.
    pub(super) directory: Option<&'a Path>,
}

/// What a frame holds.
#[derive(Clone, Copy)]
enum Part {
    Data,
    Segment,
    IndexSegment,
}

/// A pack and how many stored bytes of it the snapshot uses.
struct Candidate {
    /// Among all packs that are there.
    position: usize,
    shape: PackShape,
    bytes: u64,
}

/// What the snapshot uses of a pack.
#[derive(Default)]
struct Used {
    data: Vec<PackFrame>,
    segments: Vec<FrameId>,
    index_segments: Vec<FrameId>,
}

/// A frame's record and stored bytes.
type StoredFrame = (FrameRecord, Vec<u8>);

/// A pack to be copied out of.
struct Source {
    shape: PackShape,
    used: Used,
}

/// A part of a pack that is read at once.
struct Piece {
    /// The pack's position among the sources.
    source: usize,
    range: Range<u64>,
    /// The data frames in it, of those that the source has in the order of the pack.
    frames: Range<usize>,
}

impl Repacking<'_> {
    /// Copies into `packs` what makes the packs of the snapshot few again; returns the index segments to be stored with
    /// those that are new.
    ///
    /// # Errors
    /// Those of the store. A pack that is damaged is left in its place: what it holds is for `verify` to name.
    pub(super) fn run(&self, made: &MadeTree<'_>, packs: &mut PackOutput) -> Result<Vec<StoredFrame>> {
        let mut index_segments = Vec::new();
        // The push adds one.
        if self.shapes().count() < PACKS_AT_LEAST {
            return Ok(index_segments);
        }
        let mut sources = self.sources(made, packs)?;
        let pieces = pieces(&mut sources);
        let reads: Vec<_> = pieces.iter().map(|piece| self.read(&sources[piece.source], piece)).collect();
        let mut reads = futures::stream::iter(reads).buffered(READS_IN_FLIGHT);
        let mut decompressor = Decompressor::new();
        let mut pieces = pieces.iter().peekable();
        for (number, Source { shape, used }) in sources.iter().enumerate() {
            let sound = |done: Result<()>| match done {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let told = error.with_causes();
                    tracing::warn!("pack {} of the base is damaged, and left in its place: {told}", shape.id);
                    Ok(false)
                }
                Err(error) => Err(error),
            };
            let mut is_sound = true;
            while let Some(piece) = pieces.next_if(|piece| piece.source == number) {
                let Some(read) = Handle::current().block_on(reads.next()) else { break };
                let frames = &used.data[piece.frames.clone()];
                let copied =
                    read.and_then(|bytes| copy_data(frames, piece, &bytes, &mut decompressor, packs));
                is_sound &= sound(copied)?;
            }
            // What else a damaged pack holds stays there with what cannot be copied.
            if is_sound {
                sound(self.copy_metadata(used, &mut decompressor, packs, &mut index_segments))?;
            }
        }
        Ok(index_segments)
    }

    /// Reads a piece of a pack.
    fn read(&self, source: &Source, piece: &Piece) -> impl Future<Output = Result<Bytes>> + Send + use<> {
        let (namespace, id, range) = (self.namespace.clone(), source.shape.id, piece.range.clone());
        async move { namespace.read_pack(&namespace.keys().pack(&id), range).await }
    }

    /// The packs of the base, then those found elsewhere.
    fn shapes(&self) -> impl Iterator<Item = &PackShape> {
        let elsewhere = self.elsewhere.into_iter().flat_map(Catalog::packs);
        self.base.data.packs().iter().chain(elsewhere)
    }

    fn find_data(&self, id: &FrameId) -> Result<Option<Located>> {
        let found = self.base.data.find(id)?;
        let Some(elsewhere) = self.elsewhere.filter(|_| found.is_none()) else { return Ok(found) };
        let before = self.base.data.packs().len();
        Ok(elsewhere.find(id)?.map(|found| Located { pack: before + found.pack, ..found }))
    }

    /// The packs to copy out of, and what the snapshot uses of them. All is looked through twice, so that only what is to be
    /// copied is in memory.
    fn sources(&self, made: &MadeTree<'_>, packs: &PackOutput) -> Result<Vec<Source>> {
        let mut bytes = vec![0; self.shapes().count()];
        self.each_used(made, packs, &mut |pack, _, frame| {
            bytes[pack] += u64::from(frame.record.stored_len);
        })?;
        let all = self.shapes().zip(bytes).enumerate().filter(|(_, (_, bytes))| *bytes > 0);
        let all = all.map(|(position, (shape, bytes))| Candidate { position, shape: *shape, bytes });
        let chosen = chosen(all.collect());
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let places: HashMap<usize, usize> =
            chosen.iter().enumerate().map(|(place, pack)| (pack.position, place)).collect();
        let source = |pack: Candidate| Source { shape: pack.shape, used: Used::default() };
        let mut sources: Vec<Source> = chosen.into_iter().map(source).collect();
        self.each_used(made, packs, &mut |pack, part, frame| {
            let Some(place) = places.get(&pack) else { return };
            let used = &mut sources[*place].used;
            match part {
                Part::Data => used.data.push(frame),
                Part::Segment => used.segments.push(frame.record.id),
                Part::IndexSegment => used.index_segments.push(frame.record.id),
            }
        })?;
        Ok(sources)
    }

    /// Shows each frame, once, that the snapshot uses of packs that are there already, and the position of its pack.
    fn each_used(
        &self,
        made: &MadeTree<'_>,
        packs: &PackOutput,
        each: &mut dyn FnMut(usize, Part, PackFrame),
    ) -> Result<()> {
        let mut seen = SpilledTable::<KEY_LEN>::new(self.directory);
        for id in packs.stored_ids() {
            seen.insert(id?.as_bytes())?;
        }
        for segment in made.segments {
            for run in made.runs.read(&segment.runs)? {
                if seen.insert(run.id.as_bytes())?
                    && let Some(Located { pack, frame }) = self.find_data(&run.id)?
                {
                    each(pack, Part::Data, frame);
                }
            }
        }
        seen.clear();
        let segments = made.segments.iter().map(|segment| (segment.item.id, Part::Segment));
        let index_segments = made.index.segments.iter().map(|segment| (segment.id, Part::IndexSegment));
        for (id, part) in segments.chain(index_segments) {
            if !packs.has_metadata(&id)
                && seen.insert(id.as_bytes())?
                && let Some(Located { pack, frame }) = self.base.metadata.find(&id)?
            {
                each(pack, part, frame);
            }
        }
        Ok(())
    }

    /// Copies the segments, and collects the index segments, that are used of a pack.
    fn copy_metadata(
        &self,
        used: &Used,
        decompressor: &mut Decompressor,
        packs: &mut PackOutput,
        index_segments: &mut Vec<StoredFrame>,
    ) -> Result<()> {
        let mut stored = |ids: &[FrameId]| -> Result<Vec<StoredFrame>> {
            ids.iter().map(|id| self.base.stored_metadata(id, decompressor)).collect()
        };
        let segments = stored(&used.segments)?;
        index_segments.extend(stored(&used.index_segments)?);
        for (record, stored) in segments {
            packs.add_segment(record, &stored)?;
        }
        Ok(())
    }
}

/// Copies the data frames that lie in a piece, once all of them were checked.
fn copy_data(
    frames: &[PackFrame],
    piece: &Piece,
    bytes: &[u8],
    decompressor: &mut Decompressor,
    packs: &mut PackOutput,
) -> Result<()> {
    let from = StoredOffset::new(piece.range.start);
    let mut plain = Vec::new();
    for frame in frames {
        plain.clear();
        let (record, stored) = (&frame.record, frame.stored(from, bytes)?);
        record.check_stored(stored)?;
        decompressor.decompress(&record.id, record.codec, stored, record.plain_len, &mut plain)?;
    }
    for frame in frames {
        packs.add_data(frame.record, frame.stored(from, bytes)?)?;
    }
    Ok(())
}

/// What is read of each pack, in their order. However far apart the frames of a pack lie, little else is read.
fn pieces(sources: &mut [Source]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (source, Source { used, .. }) in sources.iter_mut().enumerate() {
        used.data.sort_unstable_by_key(|frame| frame.range().start);
        let places =
            used.data.iter().map(|frame| (source, frame.range().start.get()..frame.range().end.get()));
        let mut first = 0;
        for (_, range) in coalesce(places.collect()) {
            let after =
                first + used.data[first..].partition_point(|frame| frame.range().start.get() < range.end);
            pieces.push(Piece { source, range, frames: first..after });
            first = after;
        }
    }
    pieces
}

/// The packs to copy out of, none where they are few enough: those of which the least is used.
fn chosen(mut packs: Vec<Candidate>) -> Vec<Candidate> {
    let total_bytes: u64 = packs.iter().map(|pack| pack.shape.pack_len).sum();
    let by_length = usize::try_from(total_bytes / BYTES_PER_PACK).unwrap_or(usize::MAX);
    let most = PACKS_AT_LEAST.saturating_add(by_length).min(PACKS_AT_MOST);
    if packs.len() < most {
        return Vec::new();
    }
    packs.sort_unstable_by_key(|pack| (pack.bytes, pack.shape.id));
    // Many more than must be: few pushes have to, and what is copied is copied few times.
    packs.truncate(packs.len() - most / 4);
    let max_copied = MAX_COPIED_BYTES.max(total_bytes / MAX_COPIED_SHARE);
    packs.retain(|pack| pack.bytes <= max_copied);
    packs
}
