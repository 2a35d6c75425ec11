//! Keeps the packs of a snapshot few, however many small pushes made it.
//!
//! Each push adds a pack, and whoever reads the snapshot asks for all that serve it. Where they have become too many,
//! what is still used of the smallest is copied, as it is stored, into the pack that the push writes anyway. Nothing of
//! the source is read again for it, and a push that changes nothing never comes here.

use std::ops::Range;

use bytes::Bytes;
use floe_format::{Decompressor, FrameId, FrameRecord, Index, PackFrame, StoredOffset};
use futures::StreamExt;
use tokio::runtime::Handle;

use super::base::BasePacks;
use super::draft::MadeSegment;
use super::packs::PackOutput;
use super::run_log::RunLog;
use crate::catalog::{Catalog, FrameMap, Located, PackShape};
use crate::namespace::Namespace;
use crate::ranges::coalesce;
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
}

/// What the snapshot uses of a pack.
#[derive(Default)]
struct Used {
    data: Vec<PackFrame>,
    segments: Vec<FrameId>,
    index_segments: Vec<FrameId>,
    bytes: u64,
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
    pub(super) fn run(
        &self,
        segments: (&[MadeSegment], &RunLog),
        index: &Index,
        packs: &mut PackOutput,
    ) -> Result<Vec<StoredFrame>> {
        let mut index_segments = Vec::new();
        // The push adds one.
        if self.shapes().count() < PACKS_AT_LEAST {
            return Ok(index_segments);
        }
        let mut sources = chosen(self.used(segments, index, packs)?);
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

    /// What the snapshot uses of each pack that is there already.
    fn used(
        &self,
        (segments, runs): (&[MadeSegment], &RunLog),
        index: &Index,
        packs: &PackOutput,
    ) -> Result<Vec<Source>> {
        let mut sources: Vec<_> =
            self.shapes().map(|shape| Source { shape: *shape, used: Used::default() }).collect();
        let mut seen: FrameMap<()> = packs.stored_ids().map(|id| Ok((id?, ()))).collect::<Result<_>>()?;
        for segment in segments {
            for run in runs.read(&segment.runs)? {
                if seen.insert(run.id, ()).is_none()
                    && let Some(Located { pack, frame }) = self.find_data(&run.id)?
                {
                    let used = &mut sources[pack].used;
                    used.bytes += u64::from(frame.record.stored_len);
                    used.data.push(frame);
                }
            }
        }
        let mut seen = FrameMap::default();
        let segments = segments.iter().map(|segment| (segment.item.id, false));
        for (id, is_index) in segments.chain(index.segments.iter().map(|segment| (segment.id, true))) {
            if !packs.has_metadata(&id)
                && seen.insert(id, ()).is_none()
                && let Some(Located { pack, frame }) = self.base.metadata.find(&id)?
            {
                let used = &mut sources[pack].used;
                used.bytes += u64::from(frame.record.stored_len);
                if is_index { &mut used.index_segments } else { &mut used.segments }.push(id);
            }
        }
        sources.retain(|source| source.used.bytes > 0);
        Ok(sources)
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
fn chosen(mut sources: Vec<Source>) -> Vec<Source> {
    let total_bytes: u64 = sources.iter().map(|source| source.shape.pack_len).sum();
    let by_length = usize::try_from(total_bytes / BYTES_PER_PACK).unwrap_or(usize::MAX);
    let most = PACKS_AT_LEAST.saturating_add(by_length).min(PACKS_AT_MOST);
    if sources.len() < most {
        return Vec::new();
    }
    sources.sort_unstable_by_key(|source| (source.used.bytes, source.shape.id));
    // Many more than must be: few pushes have to, and what is copied is copied few times.
    sources.truncate(sources.len() - most / 4);
    let max_copied = MAX_COPIED_BYTES.max(total_bytes / MAX_COPIED_SHARE);
    sources.retain(|source| source.used.bytes <= max_copied);
    sources
}
