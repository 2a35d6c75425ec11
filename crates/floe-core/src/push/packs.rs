//! The packs that a push writes.
//!
//! Data frames go into one pack after another and stream out as they come. Metadata frames are held back and stand
//! together at the end of the last pack; where they are many, they stream into packs of their own instead, so memory
//! is bounded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use floe_format::{FrameRecord, PackFrame, PackId, PackMetadataWriter, PackSummary, PackWriter};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use super::{PushOptions, PushProgress};
use crate::aside::Aside;
use crate::catalog::{Catalog, FrameMap, PackShape};
use crate::namespace::Namespace;
use crate::offload::unless_cancelled;
use crate::pack_tails::PackTails;
use crate::scratch::Spill;
use crate::store::{OpenUploads, Upload};
use crate::{Error, ErrorKind, Result};

/// Metadata frames are held back up to this many stored bytes.
const MAX_HELD_BYTES: u64 = 16 << 20;

/// And of them up to this many in memory, the others in a temporary file.
const MAX_HELD_IN_MEMORY: usize = 256 << 10;

/// How many packs are being finished while the next is filled.
const MAX_FINISHING: usize = 1;

/// Bytes that are gathered before they are handed to the upload.
const GATHERED_BYTES: usize = 1 << 20;

/// Where the packs of a push go.
pub(super) struct PackOutput {
    namespace: Namespace,
    tails: PackTails,
    journal: Journal,
    handle: Handle,
    uploads: OpenUploads,
    cancel: CancellationToken,
    progress: Arc<PushProgress>,
    is_dry_run: bool,
    data_pack: Option<DataPack>,
    /// Present once the held metadata grew too large.
    metadata_pack: Option<MetadataPack>,
    held: Vec<FrameRecord>,
    /// The stored bytes of those, one after the other.
    held_bytes: Spill,
    /// All segments, held or on their way.
    segments: FrameMap<()>,
    finishing: JoinSet<Result<()>>,
    written: WrittenPacks,
    cache_dir: Option<PathBuf>,
}

/// The packs of this push and what is in them.
#[derive(Debug, Default)]
pub(super) struct WrittenPacks {
    pub(super) data: Catalog,
    pub(super) metadata: Catalog,
    /// Plain bytes of the data frames.
    pub(super) plain_bytes: u64,
}

impl WrittenPacks {
    /// None yet; temporary files are made in this directory, if they can be.
    fn new(directory: Option<&Path>) -> Self {
        let catalog = || Catalog::new(directory);
        Self { data: catalog(), metadata: catalog(), plain_bytes: 0 }
    }
}

/// The bytes of a pack on their way.
struct Stream {
    upload: Option<Upload>,
    gathered: Vec<u8>,
}

struct DataPack {
    id: PackId,
    stream: Stream,
    writer: PackWriter,
    frames: Vec<PackFrame>,
}

struct MetadataPack {
    stream: Stream,
    writer: PackMetadataWriter,
    data: Vec<PackFrame>,
    frames: Vec<PackFrame>,
    /// All from the data index on, for the cache.
    tail: Option<Aside>,
}

impl PackOutput {
    pub(super) fn new(
        namespace: &Namespace,
        tails: &PackTails,
        journal: &Journal,
        progress: &Arc<PushProgress>,
        uploads: &OpenUploads,
        options: &PushOptions,
    ) -> Self {
        Self {
            namespace: namespace.clone(),
            tails: tails.clone(),
            journal: journal.clone(),
            handle: Handle::current(),
            uploads: uploads.clone(),
            cancel: options.cancel.clone(),
            progress: Arc::clone(progress),
            is_dry_run: options.dry_run,
            data_pack: None,
            metadata_pack: None,
            held: Vec::new(),
            held_bytes: Spill::new(options.cache_dir.as_deref(), MAX_HELD_IN_MEMORY),
            segments: FrameMap::default(),
            finishing: JoinSet::new(),
            written: WrittenPacks::new(options.cache_dir.as_deref()),
            cache_dir: options.cache_dir.clone(),
        }
    }

    /// Stores a data frame.
    pub(super) fn add_data(&mut self, record: FrameRecord, stored: &[u8]) -> Result<()> {
        let has_room = |pack: &DataPack| pack.writer.fits(1, u64::from(record.stored_len));
        if let Some(full) = self.data_pack.take_if(|pack| !has_room(pack)) {
            let pack = self.end_data(full)?;
            self.finish_pack(pack)?;
        }
        let mut pack = match self.data_pack.take() {
            Some(pack) => pack,
            None => self.new_data_pack(),
        };
        let offset = pack.writer.add_data(&record)?;
        pack.frames.push(PackFrame { record, offset });
        self.written.plain_bytes += u64::from(record.plain_len);
        self.write(&mut pack.stream, stored)?;
        self.data_pack = Some(pack);
        Ok(())
    }

    /// Stores a segment.
    pub(super) fn add_segment(&mut self, record: FrameRecord, stored: &[u8]) -> Result<()> {
        self.segments.insert(record.id, ());
        self.held_bytes.append(stored);
        self.held.push(record);
        if self.held_bytes.len() > MAX_HELD_BYTES {
            let mut pack = self.metadata_pack.take();
            self.release_held(&mut pack)?;
            self.metadata_pack = pack;
        }
        Ok(())
    }

    /// Gives up all packs: nothing that was stored so far is used. One that is in the store already is in no layout.
    pub(super) fn give_up(&mut self) {
        self.handle.block_on(self.finishing.shutdown());
        (self.data_pack, self.metadata_pack) = (None, None);
        self.handle.block_on(self.uploads.abort_all(self.namespace.store().as_ref()));
        self.held.clear();
        self.held_bytes.clear();
        self.segments.clear();
        // Nor does a later push find it.
        self.written.data.packs().iter().for_each(|pack| self.tails.forget(&pack.id));
        self.written = WrittenPacks::new(self.cache_dir.as_deref());
        self.progress.new_file_bytes.store(0, Ordering::Relaxed);
    }

    /// Whether a segment is being stored already.
    pub(super) fn has_metadata(&self, id: &floe_format::FrameId) -> bool {
        self.segments.contains_key(id)
    }

    /// The ids of the data frames stored so far.
    pub(super) fn stored_ids(&self) -> impl Iterator<Item = Result<floe_format::FrameId>> {
        let open = self.data_pack.iter().flat_map(|pack| &pack.frames).map(|frame| Ok(frame.record.id));
        self.written.data.ids().chain(open)
    }

    /// Stores the index segments, ends all packs and waits until they are in the store.
    pub(super) fn finish(mut self, index_segments: Vec<(FrameRecord, Vec<u8>)>) -> Result<WrittenPacks> {
        self.end_packs(index_segments)?;
        self.wait_until_at_most(0)?;
        Ok(std::mem::take(&mut self.written))
    }

    fn end_packs(&mut self, index_segments: Vec<(FrameRecord, Vec<u8>)>) -> Result<()> {
        let mut pack = self.metadata_pack.take();
        if let Some(data) = self.data_pack.take() {
            let index_bytes: usize = index_segments.iter().map(|(_, stored)| stored.len()).sum();
            let frames = (self.held.len() + index_segments.len()) as u64;
            let fits = data.writer.fits(frames, self.held_bytes.len() + index_bytes as u64);
            let ended = self.end_data(data)?;
            if pack.is_none() && fits {
                pack = Some(ended);
            } else {
                self.finish_pack(ended)?;
            }
        }
        self.release_held(&mut pack)?;
        for (record, stored) in index_segments {
            self.add_metadata(&mut pack, record, &stored, true)?;
        }
        match pack {
            Some(pack) => self.finish_pack(pack),
            None => Ok(()),
        }
    }

    fn release_held(&mut self, pack: &mut Option<MetadataPack>) -> Result<()> {
        let (mut at, mut stored) = (0, Vec::new());
        for record in std::mem::take(&mut self.held) {
            stored.clear();
            self.held_bytes.read(at, record.stored_len as usize, &mut stored)?;
            at += u64::from(record.stored_len);
            // It may have been on a disk meanwhile.
            record.check_stored(&stored)?;
            self.add_metadata(pack, record, &stored, false)?;
        }
        self.held_bytes.clear();
        Ok(())
    }

    fn add_metadata(
        &mut self,
        pack: &mut Option<MetadataPack>,
        record: FrameRecord,
        stored: &[u8],
        is_index_segment: bool,
    ) -> Result<()> {
        if let Some(full) = pack.take_if(|pack| !pack.writer.fits(1, u64::from(record.stored_len))) {
            self.finish_pack(full)?;
        }
        let mut open = match pack.take() {
            Some(open) => open,
            None => {
                let data = self.new_data_pack();
                self.end_data(data)?
            }
        };
        let offset = if is_index_segment {
            open.writer.add_index_segment(&record)?
        } else {
            open.writer.add_segment(&record)?
        };
        open.frames.push(PackFrame { record, offset });
        self.write_tail(&mut open, stored)?;
        *pack = Some(open);
        Ok(())
    }

    fn new_data_pack(&mut self) -> DataPack {
        let id = self.namespace.ambient().pack_id();
        let mut gathered = Vec::new();
        let writer = PackWriter::new(id, &mut gathered);
        let upload = (!self.is_dry_run).then(|| {
            let store = Arc::clone(self.namespace.store());
            Upload::noted(store, self.namespace.keys().pack(&id), &self.uploads)
        });
        DataPack { id, stream: Stream { upload, gathered }, writer, frames: Vec::new() }
    }

    fn end_data(&mut self, pack: DataPack) -> Result<MetadataPack> {
        let mut index = Vec::new();
        let tail = pack.stream.upload.as_ref().and_then(|_| self.tails.remembering(&pack.id));
        let writer = pack.writer.end_data(&mut index);
        let mut pack =
            MetadataPack { stream: pack.stream, writer, data: pack.frames, frames: Vec::new(), tail };
        self.write_tail(&mut pack, &index)?;
        Ok(pack)
    }

    fn finish_pack(&mut self, pack: MetadataPack) -> Result<()> {
        let MetadataPack { mut stream, writer, data, frames, mut tail } = pack;
        let mut end = Vec::new();
        let shape = shape_of(&writer.finish(&mut end));
        if let Some(tail) = &mut tail {
            tail.write(&end);
        }
        self.write(&mut stream, &end)?;
        self.written.data.add_pack(shape, &data)?;
        self.written.metadata.add_pack(shape, &frames)?;
        let Some(mut upload) = stream.upload else { return Ok(()) };
        let rest = Bytes::from(stream.gathered);
        let (tails, journal) = (self.tails.clone(), self.journal.clone());
        let finish = async move {
            upload.write(rest).await?;
            upload.finish().await?;
            if let Some(tail) = tail {
                tails.remembered(&shape.id, tail);
            }
            journal.add(&shape.id);
            Ok(())
        };
        self.finishing.spawn_on(finish, &self.handle);
        self.wait_until_at_most(MAX_FINISHING)
    }

    /// Waits until no more packs than this are being finished.
    fn wait_until_at_most(&mut self, packs: usize) -> Result<()> {
        while self.finishing.len() > packs {
            let Self { handle, cancel, finishing, .. } = self;
            if let Some(finished) = handle.block_on(unless_cancelled(cancel, finishing.join_next()))? {
                finished.map_err(|e| {
                    Error::new(ErrorKind::Internal, "a pack was not written to its end").with_source(e)
                })??;
            }
        }
        Ok(())
    }

    fn write_tail(&self, pack: &mut MetadataPack, bytes: &[u8]) -> Result<()> {
        if let Some(tail) = &mut pack.tail {
            tail.write(bytes);
        }
        self.write(&mut pack.stream, bytes)
    }

    fn write(&self, stream: &mut Stream, bytes: &[u8]) -> Result<()> {
        self.progress.uploaded_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let Some(upload) = &mut stream.upload else {
            stream.gathered.clear();
            return Ok(());
        };
        stream.gathered.extend_from_slice(bytes);
        if stream.gathered.len() < GATHERED_BYTES {
            return Ok(());
        }
        let gathered = Bytes::from(std::mem::take(&mut stream.gathered));
        self.handle.block_on(unless_cancelled(&self.cancel, upload.write(gathered)))?
    }
}

fn shape_of(summary: &PackSummary) -> PackShape {
    PackShape {
        id: summary.pack_id,
        pack_len: summary.pack_len,
        directory_len: summary.directory_len,
        tail_len: summary.tail_len,
    }
}
