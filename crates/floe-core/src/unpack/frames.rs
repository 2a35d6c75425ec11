//! The plain bytes of a unit's frames, one frame at a time.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use floe_format::{Decompressor, FrameId};

use crate::namespace::Namespace;
use crate::{Error, ErrorKind, Result};

use super::engine::Stop;
use super::unit::{FrameOfUnit, Unit};

/// Decompresses and verifies.
pub(crate) struct FrameReader {
    namespace: Namespace,
    decompressor: Decompressor,
    plain: Vec<u8>,
    /// Whether the plain bytes were checked against their frame's id.
    is_checked: bool,
    checks_ids: bool,
    keeps: bool,
    /// Plain bytes of the unit's frames, if they are kept.
    kept: Vec<Vec<u8>>,
}

impl FrameReader {
    pub(crate) fn new(namespace: &Namespace, keeps: bool, checks_ids: bool) -> Self {
        Self {
            namespace: namespace.clone(),
            decompressor: Decompressor::new(),
            plain: Vec::new(),
            is_checked: true,
            checks_ids,
            keeps,
            kept: Vec::new(),
        }
    }

    /// The plain bytes of the frames of the last unit, each once.
    pub(crate) fn kept(&self) -> &[Vec<u8>] {
        &self.kept
    }

    /// Reads a frame of a unit; one that is damaged is fetched once more. One whose bytes all follow from the segment is
    /// not checked against its id, unless that is asked for.
    ///
    /// # Errors
    /// `Corrupt`, naming the pack, where the frame is not what its id says that time either.
    fn read(&mut self, unit: &Unit<'_>, bytes: &[Bytes], frame: &FrameOfUnit, stop: &Stop) -> Result<()> {
        let record = &frame.frame.record;
        if record.plain_len != frame.run.plain_len {
            let message = format!("frame {}: its pack and its segment say different lengths", record.id);
            return Err(Error::new(ErrorKind::Corrupt, message).in_object(self.pack(frame)));
        }
        let place = frame.place();
        let stored = unit.batch.slice(bytes, frame.pack, place.clone()).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("frame {} is not in its batch", record.id))
        })?;
        self.is_checked = self.checks_ids || !frame.is_whole;
        match self.decompress(frame, stored) {
            Ok(()) => Ok(()),
            Err(error) => self.read_again(frame, &error, stop),
        }
    }

    /// Decompresses a frame of a unit to `plain`, and checks it against its id if this reader does; whether it could be.
    pub(super) fn try_read(
        &mut self,
        unit: &Unit<'_>,
        bytes: &[Bytes],
        frame: &FrameOfUnit,
        plain: &mut Vec<u8>,
    ) -> bool {
        let record = &frame.frame.record;
        plain.clear();
        let Some(stored) = unit.batch.slice(bytes, frame.pack, frame.place()) else { return false };
        let (id, codec, length) = (&frame.run.id, record.codec, record.plain_len);
        let decompressed = if self.checks_ids {
            self.decompressor.decompress(id, codec, stored, length, plain)
        } else {
            self.decompressor.decompress_unchecked(id, codec, stored, length, plain)
        };
        length == frame.run.plain_len && decompressed.is_ok()
    }

    /// Whether the plain bytes of the unit's frames are kept.
    pub(super) fn keeps(&self) -> bool {
        self.keeps
    }

    fn read_again(&mut self, frame: &FrameOfUnit, error: &Error, stop: &Stop) -> Result<()> {
        let key = self.namespace.keys().pack(&frame.pack_id);
        tracing::debug!(pack = %key, %error, "a frame is damaged; it is read again");
        let again = stop.wait(self.namespace.read_pack(&key, frame.place()))?;
        self.is_checked = true;
        self.decompress(frame, &again).map_err(|e| e.in_object(self.pack(frame)))
    }

    fn pack(&self, frame: &FrameOfUnit) -> String {
        format!("`{}`", self.namespace.keys().pack(&frame.pack_id))
    }

    fn decompress(&mut self, frame: &FrameOfUnit, stored: &[u8]) -> Result<()> {
        let record = &frame.frame.record;
        let (decompressor, plain) = (&mut self.decompressor, &mut self.plain);
        plain.clear();
        if self.is_checked {
            decompressor.decompress(&frame.run.id, record.codec, stored, record.plain_len, plain)?;
        } else {
            decompressor.decompress_unchecked(
                &frame.run.id,
                record.codec,
                stored,
                record.plain_len,
                plain,
            )?;
        }
        Ok(())
    }
}

/// Goes through the content of a unit: its frames' plain bytes, with repetitions.
pub(crate) struct ContentCursor<'a, 't> {
    reader: &'a mut FrameReader,
    unit: &'a Unit<'t>,
    bytes: Arc<[Bytes]>,
    stop: &'a Stop,
    /// The frame at hand, from 1; 0 before the first.
    frame: usize,
    repetitions_left: u64,
    /// Where in the frame at hand what comes next begins.
    at: usize,
}

impl<'a, 't> ContentCursor<'a, 't> {
    pub(crate) fn new(reader: &'a mut FrameReader, unit: &'a Unit<'t>, stop: &'a Stop) -> Result<Self> {
        let bytes = unit.batch.wait()?;
        reader.plain.clear();
        reader.kept.clear();
        Ok(Self { reader, unit, bytes, stop, frame: 0, repetitions_left: 0, at: 0 })
    }

    /// At most this many of the bytes that come next, at least one; all in one frame.
    pub(crate) fn take(&mut self, most: u64) -> Result<&[u8]> {
        let range = self.advance(most)?;
        Ok(&self.reader.plain[range])
    }

    /// All of this many of the bytes that come next, which are in one frame, if they pass `check`. Where they do not, and
    /// the frame is damaged, it is fetched once more.
    ///
    /// # Errors
    /// That of `check`; `Corrupt`, naming the pack, where the frame is damaged that time, too.
    pub(crate) fn take_checked(
        &mut self,
        length: u64,
        mut check: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<&[u8]> {
        let range = self.advance(length)?;
        if let Err(error) = check(&self.reader.plain[range.clone()]) {
            if !self.repair(&error)? {
                return Err(error);
            }
            check(&self.reader.plain[range.clone()])?;
        }
        Ok(&self.reader.plain[range])
    }

    /// Fetches the frame at hand once more, if it was not checked and is damaged.
    fn repair(&mut self, error: &Error) -> Result<bool> {
        let frame = self.frame.checked_sub(1).and_then(|at| self.unit.frames.get(at));
        let Some(frame) = frame.filter(|_| !self.reader.is_checked) else { return Ok(false) };
        if FrameId::of(&self.reader.plain) == frame.run.id {
            return Ok(false);
        }
        self.reader.read_again(frame, error, self.stop)?;
        Ok(true)
    }

    fn advance(&mut self, most: u64) -> Result<Range<usize>> {
        if self.at == self.reader.plain.len() {
            if self.repetitions_left > 0 {
                self.repetitions_left -= 1;
                self.stop.check()?;
            } else {
                let frame = self.unit.frames.get(self.frame).ok_or_else(|| {
                    Error::new(ErrorKind::Internal, "a unit's frames have fewer bytes than it says")
                })?;
                self.reader.read(self.unit, &self.bytes, frame, self.stop)?;
                if self.reader.keeps {
                    self.reader.kept.push(self.reader.plain.clone());
                }
                self.frame += 1;
                self.repetitions_left = frame.run.count - 1;
            }
            self.at = 0;
        }
        let left = self.reader.plain.len() - self.at;
        let taken = usize::try_from(most).map_or(left, |most| most.min(left));
        let range = self.at..self.at + taken;
        self.at += taken;
        Ok(range)
    }
}
