//! Metadata frames, read out of the tails of packs.

use std::sync::{Mutex, PoisonError};

use floe_format::{Decompressor, FrameId, FrameRecord, PackDirectory, PackFrame};
use tokio::runtime::Handle;

use super::{OpenEnd, PackEnd, PackTails};
use crate::catalog::{Catalog, Located, PackShape};
use crate::{Error, ErrorKind, Result};

/// The metadata frames of several packs.
#[derive(Debug, Default)]
pub(crate) struct MetadataFrames {
    found: Catalog,
    ends: Vec<PackEnd>,
    /// The one that was read last, by its position.
    open: Mutex<Option<(usize, OpenEnd)>>,
    origin: Option<Origin>,
}

/// Where what a cached tail has no more is read again.
#[derive(Debug)]
struct Origin {
    tails: PackTails,
    handle: Handle,
}

impl MetadataFrames {
    /// Those of packs that are added. What is damaged in a cached tail is read from the store, in that runtime.
    pub(crate) fn new(tails: &PackTails, handle: &Handle) -> Self {
        let origin = Origin { tails: tails.clone(), handle: handle.clone() };
        Self { origin: Some(origin), ..Self::default() }
    }

    /// Adds the metadata frames of a pack, behind those of the packs before.
    pub(crate) fn add(&mut self, shape: PackShape, directory: &PackDirectory, end: PackEnd) {
        self.found.add_pack(shape, directory.frames().copied().collect());
        self.ends.push(end);
    }

    /// The plain bytes of a frame; blocks, and where a cached tail is damaged for as long as the store takes.
    ///
    /// # Errors
    /// `Corrupt` where no pack has it, or its stored bytes are not what its id says.
    pub(crate) fn read(&self, id: &FrameId, decompressor: &mut Decompressor) -> Result<Vec<u8>> {
        Ok(self.read_both(id, decompressor)?.2)
    }

    /// A frame as it is stored, which is checked; blocks as [`MetadataFrames::read`] does.
    ///
    /// # Errors
    /// As [`MetadataFrames::read`].
    pub(crate) fn read_stored(
        &self,
        id: &FrameId,
        decompressor: &mut Decompressor,
    ) -> Result<(FrameRecord, Vec<u8>)> {
        let (record, stored, _) = self.read_both(id, decompressor)?;
        record.check_stored(&stored)?;
        Ok((record, stored.to_vec()))
    }

    /// The stored bytes of a frame, unchecked. Most often it is of the same pack as the one before.
    fn stored(&self, pack: usize, frame: &PackFrame) -> Result<bytes::Bytes> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *open {
            Some((position, end)) if *position == pack => end.read(frame.range()),
            other => other.insert((pack, self.ends[pack].open()?)).1.read(frame.range()),
        }
    }

    /// A frame's record, its stored and its plain bytes.
    fn read_both(
        &self,
        id: &FrameId,
        decompressor: &mut Decompressor,
    ) -> Result<(FrameRecord, bytes::Bytes, Vec<u8>)> {
        let Located { pack, frame } = self.found.find(id).ok_or_else(|| {
            let message = format!("the metadata frame {id} is in none of the layout's packs");
            Error::new(ErrorKind::Corrupt, message)
        })?;
        let (shape, end) = (&self.found.packs()[pack], &self.ends[pack]);
        let mut decompress = |stored: bytes::Bytes| {
            let plain = plain_of(&frame, &stored, decompressor)?;
            Ok((frame.record, stored, plain))
        };
        let read = self.stored(pack, &frame).and_then(&mut decompress);
        let named = |e: Error| e.in_object(format_args!("pack {}", shape.id));
        match (read, &self.origin) {
            (Err(error), Some(origin)) if end.bytes().is_none() => {
                tracing::debug!(pack = %shape.id, %error, "a cached tail is damaged; the frame is read again");
                decompress(origin.read(shape, &frame)?).map_err(named)
            }
            (read, _) => read.map_err(named),
        }
    }
}

impl Origin {
    fn read(&self, shape: &PackShape, frame: &PackFrame) -> Result<bytes::Bytes> {
        let Self { tails, handle } = self;
        tails.forget(&shape.id);
        let range = frame.range();
        let key = tails.namespace.keys().pack(&shape.id);
        handle.block_on(tails.namespace.read_pack(&key, range.start.get()..range.end.get()))
    }
}

/// The plain bytes of a metadata frame.
///
/// # Errors
/// `Corrupt` where its stored bytes are not what its id says.
pub(crate) fn plain_of(frame: &PackFrame, stored: &[u8], decompressor: &mut Decompressor) -> Result<Vec<u8>> {
    let record = &frame.record;
    let mut plain = Vec::with_capacity(record.plain_len as usize);
    decompressor.decompress(&record.id, record.codec, stored, record.plain_len, &mut plain)?;
    Ok(plain)
}
