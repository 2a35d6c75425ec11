//! Tails of packs: their indexes and metadata frames, kept on local disk once read.
//!
//! The cache is disposable. A tail is checked when it is parsed, from the network and from the cache alike; one
//! in the cache that does not parse is forgotten and asked for again. Files are written aside and renamed, so a
//! crash leaves whole ones or nothing. Pack ids are never used again, so a tail never goes stale.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use floe_format::{
    Decompressor, FrameId, FrameRecord, MAX_PACK_LEN, PACK_FOOTER_LEN, PackDirectory, PackFooter, PackFrame,
    PackId, PackTail, StoredOffset,
};

use crate::aside::{read_within, write_aside};
use crate::cache_room::{Room, evict_now_and_then, note_used};
use crate::catalog::PackShape;
use crate::namespace::Namespace;
use crate::{Error, ErrorKind, Result};

/// For the cached tails of one namespace: those of a hundred refs that small pushes move.
const ROOM: Room = Room { bytes: 1 << 30, files: 4096 };

/// A pack's tail, parsed and checked, and its bytes.
#[derive(Clone, Debug)]
pub(crate) struct LoadedTail {
    pub(crate) shape: PackShape,
    pub(crate) tail: PackTail,
    bytes: Bytes,
}

impl LoadedTail {
    /// Its bytes, the last ones of the pack.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// All metadata frames.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = &PackFrame> {
        self.tail.segments().iter().chain(self.tail.index_segments())
    }

    /// The plain bytes of one of the metadata frames.
    ///
    /// # Errors
    /// `Corrupt` where its stored bytes are not what its id says.
    pub(crate) fn read(&self, frame: &PackFrame, decompressor: &mut Decompressor) -> Result<Vec<u8>> {
        read_frame(self.shape, frame, self.start(), &self.bytes, decompressor)
    }

    /// Where its bytes begin.
    fn start(&self) -> StoredOffset {
        StoredOffset::new(self.shape.pack_len - self.shape.tail_len)
    }
}

/// A pack's directory, parsed and checked, and its bytes.
#[derive(Clone, Debug)]
pub(crate) struct LoadedDirectory {
    pub(crate) shape: PackShape,
    pub(crate) directory: PackDirectory,
    bytes: Bytes,
}

impl LoadedDirectory {
    /// Its bytes, the last ones of the pack.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

fn read_frame(
    shape: PackShape,
    frame: &PackFrame,
    start: StoredOffset,
    bytes: &[u8],
    decompressor: &mut Decompressor,
) -> Result<Vec<u8>> {
    let record = &frame.record;
    let mut plain = Vec::with_capacity(record.plain_len as usize);
    frame
        .stored(start, bytes)
        .and_then(|stored| {
            decompressor.decompress(&record.id, record.codec, stored, record.plain_len, &mut plain)
        })
        .map_err(|e| Error::from(e).in_object(format_args!("pack {}", shape.id)))?;
    Ok(plain)
}

/// Reads tails from the store, and from a directory of ones read before.
#[derive(Clone, Debug)]
pub(crate) struct PackTails {
    namespace: Namespace,
    cache: Option<PathBuf>,
}

impl PackTails {
    /// Tails of this namespace, cached in a directory of it below `cache`, if there is to be a cache.
    pub(crate) fn new(namespace: &Namespace, cache: Option<&Path>) -> Self {
        let cache = cache.map(|cache| cache.join("tails").join(namespace.id().to_string()));
        Self { namespace: namespace.clone(), cache }
    }

    /// A pack's tail.
    ///
    /// # Errors
    /// `Corrupt` where the store has no such pack, or its tail is damaged, also when it is read once more.
    pub(crate) async fn load(&self, shape: PackShape) -> Result<LoadedTail> {
        if let Some(loaded) = self.load_cached(shape) {
            return Ok(loaded);
        }
        let loaded = self.read_end(shape, shape.tail_len, &|bytes| parse(shape, bytes)).await?;
        self.remember(shape, &loaded.bytes);
        Ok(loaded)
    }

    /// A pack's directory: less to read than its tail, where only index segments and the places of segments matter.
    ///
    /// # Errors
    /// As [`PackTails::load`].
    pub(crate) async fn load_directory(&self, shape: PackShape) -> Result<LoadedDirectory> {
        let length = usize::try_from(shape.directory_len).unwrap_or(usize::MAX);
        let parse = |bytes: Bytes| {
            let directory = PackDirectory::parse(shape.id, shape.pack_len, &bytes)?;
            Ok(LoadedDirectory { shape, directory, bytes })
        };
        match self.load_cached(shape) {
            Some(loaded) => parse(loaded.bytes.slice(loaded.bytes.len().saturating_sub(length)..)),
            None => self.read_end(shape, shape.directory_len, &parse).await,
        }
    }

    /// Keeps the tail of a pack that was just written.
    pub(crate) fn remember(&self, shape: PackShape, bytes: &[u8]) {
        let Some(cache) = &self.cache else { return };
        if let Err(error) = write_aside(cache, &shape.id.to_string(), bytes) {
            tracing::debug!(pack = %shape.id, %error, "the tail could not be cached");
        }
    }

    /// Removes now and then the tails that were used least recently, and have no room.
    pub(crate) fn evict(&self) {
        if let Some(cache) = &self.cache {
            evict_now_and_then(self.namespace.ambient(), cache, ROOM);
        }
    }

    /// The packs whose tails are cached, the newest first.
    pub(crate) fn cached_ids(&self) -> Vec<PackId> {
        let Some(Ok(entries)) = self.cache.as_ref().map(fs::read_dir) else { return Vec::new() };
        let mut ids: Vec<PackId> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
            .collect();
        // They begin with the time.
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids
    }

    /// A cached tail, of which nothing but the pack's id is known.
    pub(crate) fn load_cached_id(&self, id: &PackId) -> Option<LoadedTail> {
        let path = self.cache.as_ref()?.join(id.to_string());
        let (_, bytes) = read_within(&path, MAX_PACK_LEN)?;
        let (_, footer) = bytes.split_at_checked(bytes.len().checked_sub(PACK_FOOTER_LEN)?)?;
        let pack_len = u64::from_le_bytes(footer.get(..8)?.try_into().ok()?);
        let footer = PackFooter::decode(*id, pack_len, footer).ok()?;
        let shape = PackShape {
            id: *id,
            pack_len,
            directory_len: footer.directory_len(),
            tail_len: footer.tail_len(),
        };
        parse(shape, Bytes::from(bytes)).ok()
    }

    /// Forgets the tail of a pack that is gone.
    pub(crate) fn forget(&self, id: &PackId) {
        if let Some(cache) = &self.cache {
            let _ = fs::remove_file(cache.join(id.to_string()));
        }
    }

    /// A pack's tail, if it is cached.
    pub(crate) fn load_cached(&self, shape: PackShape) -> Option<LoadedTail> {
        let path = self.cache.as_ref()?.join(shape.id.to_string());
        let (file, bytes) = read_within(&path, shape.tail_len)?;
        match parse(shape, Bytes::from(bytes)) {
            Ok(loaded) => {
                note_used(&file);
                Some(loaded)
            }
            Err(error) => {
                tracing::debug!(pack = %shape.id, %error, "a cached tail is damaged; it is read again");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// The last bytes of a pack, parsed; where they are damaged they are read once more.
    async fn read_end<T>(
        &self,
        shape: PackShape,
        length: u64,
        parse: &(dyn Fn(Bytes) -> Result<T> + Sync),
    ) -> Result<T> {
        let key = self.namespace.keys().pack(&shape.id);
        let start = shape.pack_len.checked_sub(length).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("a layout says that `{key}` is shorter than its own end"))
        })?;
        match parse(self.namespace.read_pack(&key, start..shape.pack_len).await?) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::debug!(%key, %error, "the end of a pack is damaged; it is read again");
                parse(self.namespace.read_pack(&key, start..shape.pack_len).await?)
            }
            parsed => parsed,
        }
    }
}

fn parse(shape: PackShape, bytes: Bytes) -> Result<LoadedTail> {
    let tail = PackTail::parse(shape.id, shape.pack_len, &bytes)?;
    let directory_len = tail.footer().directory_len();
    if directory_len != shape.directory_len {
        let message = format!(
            "pack {}: its directory has {directory_len} bytes, not {}",
            shape.id, shape.directory_len
        );
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    Ok(LoadedTail { shape, tail, bytes })
}

/// The plain bytes of metadata frames, found in several tails.
#[derive(Debug, Default)]
pub(crate) struct MetadataFrames {
    tails: Vec<LoadedTail>,
    found: crate::catalog::FrameMap<(usize, PackFrame)>,
}

impl MetadataFrames {
    /// Adds the metadata frames of a pack, behind those of the packs before.
    pub(crate) fn add(&mut self, tail: LoadedTail) {
        let position = self.tails.len();
        for frame in tail.metadata() {
            self.found.entry(frame.record.id).or_insert((position, *frame));
        }
        self.tails.push(tail);
    }

    /// The plain bytes of a frame.
    ///
    /// # Errors
    /// `Corrupt` where no pack has it, or its stored bytes are not what its id says.
    pub(crate) fn read(&self, id: &FrameId, decompressor: &mut Decompressor) -> Result<Vec<u8>> {
        let (tail, frame) = self.find(id)?;
        tail.read(frame, decompressor)
    }

    /// A frame as it is stored, which is checked.
    ///
    /// # Errors
    /// As [`MetadataFrames::read`].
    pub(crate) fn read_stored(
        &self,
        id: &FrameId,
        decompressor: &mut Decompressor,
    ) -> Result<(FrameRecord, Vec<u8>)> {
        let (tail, frame) = self.find(id)?;
        tail.read(frame, decompressor)?;
        let stored = frame.stored(tail.start(), &tail.bytes)?;
        frame.record.check_stored(stored)?;
        Ok((frame.record, stored.to_vec()))
    }

    fn find(&self, id: &FrameId) -> Result<(&LoadedTail, &PackFrame)> {
        let (position, frame) = self.found.get(id).ok_or_else(|| {
            let message = format!("the metadata frame {id} is in none of the layout's packs");
            Error::new(ErrorKind::Corrupt, message)
        })?;
        Ok((&self.tails[*position], frame))
    }
}
