//! Metadata frames, read out of the tails of packs.

use std::sync::{Mutex, PoisonError};

use floe_format::{Decompressor, FrameId, FrameRecord, PackDirectory, PackFrame};

use super::{OpenEnd, PackEnd, PackTails};
use crate::catalog::{Catalog, Located, PackShape};
use crate::offload::Offloaded;
use crate::{Error, ErrorKind, Result};

/// The metadata frames of several packs.
#[derive(Debug, Default)]
pub(crate) struct MetadataFrames {
    found: Catalog,
    ends: Mutex<Ends>,
    origin: Option<Origin>,
}

/// The last bytes of packs, by their positions.
#[derive(Debug, Default)]
struct Ends {
    all: Vec<PackEnd>,
    /// The one that was read last.
    open: Option<(usize, OpenEnd)>,
}

/// Where what a cached tail has no more is read again.
#[derive(Debug)]
struct Origin {
    tails: PackTails,
    work: Offloaded,
}

impl MetadataFrames {
    /// Those of packs that are added. A cached tail that is damaged is read from the store once more.
    pub(crate) fn new(tails: &PackTails, work: &Offloaded) -> Self {
        let origin = Origin { tails: tails.clone(), work: work.clone() };
        Self { found: Catalog::new(tails.scratch()), origin: Some(origin), ..Self::default() }
    }

    /// Adds the metadata frames of a pack, behind those of the packs before.
    ///
    /// # Errors
    /// Those of [`Catalog::add_pack`].
    pub(crate) fn add(&mut self, shape: PackShape, directory: &PackDirectory, end: PackEnd) -> Result<()> {
        self.found.add_pack(shape, directory.frames())?;
        self.ends.get_mut().unwrap_or_else(PoisonError::into_inner).all.push(end);
        Ok(())
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

    /// A frame's record, its stored and its plain bytes.
    fn read_both(
        &self,
        id: &FrameId,
        decompressor: &mut Decompressor,
    ) -> Result<(FrameRecord, bytes::Bytes, Vec<u8>)> {
        let Located { pack, frame } = self.found.find(id)?.ok_or_else(|| {
            let message = format!("the metadata frame {id} is in none of the layout's packs");
            Error::new(ErrorKind::Corrupt, message)
        })?;
        let shape = &self.found.packs()[pack];
        let mut decompress = |stored: bytes::Bytes| {
            let plain = plain_of(&frame, &stored, decompressor)?;
            Ok((frame.record, stored, plain))
        };
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let read = ends.read(pack, &frame).and_then(&mut decompress);
        let read = match (read, &self.origin) {
            (Err(error), Some(Origin { tails, work })) => {
                tracing::debug!(pack = %shape.id, %error, "a tail is damaged; it is read again");
                let again = work.wait(tails.load_anew(*shape))?;
                ends.replace(pack, again.end);
                ends.read(pack, &frame).and_then(decompress)
            }
            (read, _) => read,
        };
        read.map_err(|e| e.in_object(format_args!("pack {}", shape.id)))
    }
}

impl Ends {
    /// The stored bytes of a frame, unchecked. Most often it is of the same pack as the one before.
    fn read(&mut self, pack: usize, frame: &PackFrame) -> Result<bytes::Bytes> {
        let open = match self.open.take() {
            Some((position, end)) if position == pack => end,
            _ => self.all[pack].open()?,
        };
        self.open.insert((pack, open)).1.read(frame.range())
    }

    fn replace(&mut self, pack: usize, end: PackEnd) {
        self.all[pack] = end;
        self.open = None;
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
