//! Metadata frames: found in the directories of packs, read in few requests.

use std::ops::Range;

use bytes::Bytes;
use floe_format::{Decompressor, FrameId, PackDirectory, PackFrame, StoredOffset};

use crate::catalog::{Catalog, Located, PackShape};
use crate::pack_tails::{PackEnd, PackTails, plain_of};
use crate::{Error, ErrorKind, Result};

/// How many bytes of tails and directories are kept in memory in all; frames beyond are read in windows.
const MAX_RETAINED_BYTES: usize = 32 << 20;
/// How far is read of a tail in the cache at once.
const CACHED_WINDOW_BYTES: u64 = 256 << 10;
/// How far one request reads.
const WINDOW_BYTES: u64 = 8 << 20;
/// Bytes between two wanted frames that are rather read than skipped.
const GAP_BYTES: u64 = 64 << 10;
/// How many bytes are read at least behind the last frame known to be wanted, where more will be; twice as many as
/// before each further time.
const AHEAD_BYTES: u64 = 64 << 10;

/// What will be asked for after a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Following<'a> {
    /// Whatever stands behind it.
    All,
    /// These frames, and nothing after them.
    Only(&'a [FrameId]),
    /// These frames, and others that are not known yet.
    More(&'a [FrameId]),
}

/// The metadata frames of some packs.
pub(crate) struct Metadata {
    tails: PackTails,
    packs: Vec<MetadataPack>,
    /// Its packs are those of `packs`.
    found: Catalog,
    retained: usize,
    window: Option<Window>,
    decompressor: Decompressor,
}

struct MetadataPack {
    shape: PackShape,
    /// Its last bytes, unless they would be too many in memory.
    end: Option<PackEnd>,
    /// Where its segments and index segments end.
    metadata_end: u64,
}

struct Window {
    pack: usize,
    start: u64,
    bytes: Bytes,
}

impl Metadata {
    pub(crate) fn new(tails: &PackTails) -> Self {
        Self {
            tails: tails.clone(),
            packs: Vec::new(),
            found: Catalog::new(tails.scratch()),
            retained: 0,
            window: None,
            decompressor: Decompressor::new(),
        }
    }

    /// Adds a pack behind the others; `end` is what its directory was found in, its last bytes.
    ///
    /// # Errors
    /// Those of [`Catalog::add_pack`].
    pub(crate) fn add(&mut self, shape: PackShape, end: &PackEnd, directory: &PackDirectory) -> Result<()> {
        let metadata_end = directory.frames().map(|frame| frame.range().end.get()).max().unwrap_or(0);
        self.found.add_pack(shape, directory.frames())?;
        let in_memory = end.bytes().map_or(0, Bytes::len);
        let keeps = self.retained + in_memory <= MAX_RETAINED_BYTES;
        if keeps {
            self.retained += in_memory;
        }
        self.packs.push(MetadataPack { shape, end: keeps.then(|| end.clone()), metadata_end });
        Ok(())
    }

    /// The plain bytes of a frame. `following` are the frames that will be asked for next: one request reads as many of
    /// them as it can.
    ///
    /// # Errors
    /// `Corrupt` where no pack has it, its pack is gone, or its stored bytes are not what its id says.
    pub(crate) async fn read(&mut self, id: &FrameId, following: Following<'_>) -> Result<Vec<u8>> {
        let Some(Located { pack, frame }) = self.found.find(id)? else {
            let message = format!("the metadata frame {id} is in none of the layout's packs");
            return Err(Error::new(ErrorKind::Corrupt, message));
        };
        let mut again = false;
        loop {
            let read = self.stored(pack, &frame, following).await;
            let is_cached = self.packs[pack].end.as_ref().is_some_and(|end| end.bytes().is_none());
            let error = match read.and_then(|(start, bytes)| self.decompress(&frame, start, &bytes)) {
                Ok(plain) => return Ok(plain),
                Err(error) => error,
            };
            let held = &mut self.packs[pack];
            let key = self.tails.namespace().keys().pack(&held.shape.id);
            if again || error.kind() != ErrorKind::Corrupt {
                return Err(error.in_object(format_args!("`{key}`")));
            }
            tracing::debug!(%key, %error, "a metadata frame is damaged; it is read again");
            again = true;
            self.window = None;
            held.end = None;
            if is_cached {
                self.tails.forget(&held.shape.id);
            }
        }
    }

    fn decompress(&mut self, frame: &PackFrame, start: u64, bytes: &[u8]) -> Result<Vec<u8>> {
        plain_of(frame, frame.stored(StoredOffset::new(start), bytes)?, &mut self.decompressor)
    }

    /// Bytes of a pack that hold the frame, and where they begin.
    async fn stored(
        &mut self,
        pack: usize,
        frame: &PackFrame,
        following: Following<'_>,
    ) -> Result<(u64, Bytes)> {
        let held = &self.packs[pack];
        let wanted = frame.offset.get()..frame.offset.get() + u64::from(frame.record.stored_len);
        let end = held.end.as_ref().filter(|end| end.start().get() <= wanted.start);
        if let Some((end, bytes)) = end.and_then(|end| Some((end, end.bytes()?))) {
            return Ok((end.start().get(), bytes.clone()));
        }
        if let Some(window) = &self.window
            && window.pack == pack
            && window.start <= wanted.start
            && wanted.end <= window.start + window.bytes.len() as u64
        {
            return Ok((window.start, window.bytes.clone()));
        }
        let (start, bytes) = match end {
            Some(end) => {
                let most = held.metadata_end.min(wanted.start + CACHED_WINDOW_BYTES);
                let window = StoredOffset::new(wanted.start)..StoredOffset::new(wanted.end.max(most));
                (wanted.start, end.read(window)?)
            }
            None => {
                let range = self.window_of(pack, wanted, following)?;
                let namespace = self.tails.namespace();
                let key = namespace.keys().pack(&held.shape.id);
                (range.start, namespace.read_pack(&key, range).await?)
            }
        };
        self.window = Some(Window { pack, start, bytes: bytes.clone() });
        Ok((start, bytes))
    }

    fn window_of(&self, pack: usize, wanted: Range<u64>, following: Following<'_>) -> Result<Range<u64>> {
        let Range { start, mut end } = wanted;
        let last = self.packs[pack].metadata_end.min(start + WINDOW_BYTES);
        let (known, goes_on) = match following {
            Following::All => return Ok(start..end.max(last)),
            Following::Only(known) => (known, false),
            Following::More(known) => (known, true),
        };
        for id in known {
            let Some(Located { pack: other, frame }) = self.found.find(id)? else { return Ok(start..end) };
            let (from, to) = (frame.range().start.get(), frame.range().end.get());
            if other != pack || from < start || from > end + GAP_BYTES || to > start + WINDOW_BYTES {
                return Ok(start..end);
            }
            end = end.max(to);
        }
        if goes_on {
            let before = self.window.as_ref().filter(|window| window.pack == pack && window.start < start);
            let before = before.map_or(0, |window| window.bytes.len() as u64);
            end = end.max(last.min((end + AHEAD_BYTES).max(start + 2 * before)));
        }
        Ok(start..end)
    }
}

impl std::fmt::Debug for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "metadata frames in {} packs", self.packs.len())
    }
}
