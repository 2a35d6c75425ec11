//! Tails of packs: their indexes and metadata frames, kept on local disk once read.
//!
//! The cache is disposable. A tail is checked when it is parsed, from the network and from the cache alike; one
//! in the cache that does not parse is forgotten and asked for again. Files are written aside and renamed, so a
//! crash leaves whole ones or nothing. Pack ids are never used again, so a tail never goes stale.
//!
//! Of a cached tail only the indexes are read at once; its metadata frames stay in the file until they are wanted.

mod end;
mod frames;

use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use floe_format::{
    Decompressor, MAX_PACK_LEN, PACK_FOOTER_LEN, PackDirectory, PackFooter, PackFrame, PackId, PackTail,
    StoredOffset,
};

use self::end::OpenEnd;
pub(crate) use self::end::PackEnd;
pub(crate) use self::frames::{MetadataFrames, plain_of};
use crate::aside::{Aside, open_file};
use crate::cache_room::{Room, evict_now_and_then, note_used};
use crate::catalog::PackShape;
use crate::namespace::Namespace;
use crate::{Error, ErrorKind, Result};

/// For the cached tails of one namespace: those of a hundred refs that small pushes move.
const ROOM: Room = Room { bytes: 1 << 30, files: 4096 };

/// A tail that is at most so much longer than the directory in it is read with it: that costs less than a request of its own for
/// the segments, which are what makes it longer in a small pack.
const ALONG_BYTES: u64 = 64 << 10;

/// A pack's tail: its indexes, parsed and checked, and where its bytes are.
#[derive(Clone, Debug)]
pub(crate) struct LoadedTail {
    pub(crate) shape: PackShape,
    pub(crate) tail: PackTail,
    pub(crate) end: PackEnd,
}

impl LoadedTail {
    /// All metadata frames.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = &PackFrame> {
        self.tail.directory().frames()
    }

    /// The plain bytes of one of the metadata frames.
    ///
    /// # Errors
    /// `Corrupt` where its stored bytes are not what its id says.
    pub(crate) fn read(&self, frame: &PackFrame, decompressor: &mut Decompressor) -> Result<Vec<u8>> {
        let stored = self.end.read(frame.range());
        stored
            .and_then(|stored| plain_of(frame, &stored, decompressor))
            .map_err(|e| e.in_object(format_args!("pack {}", self.shape.id)))
    }
}

/// A pack's directory, parsed and checked, and where its bytes are.
#[derive(Clone, Debug)]
pub(crate) struct LoadedDirectory {
    pub(crate) shape: PackShape,
    pub(crate) directory: PackDirectory,
    pub(crate) end: PackEnd,
}

/// Reads tails from the store, and from a directory of ones read before.
#[derive(Clone, Debug)]
pub(crate) struct PackTails {
    namespace: Namespace,
    cache: Option<PathBuf>,
    /// Where temporary files are made.
    scratch: Option<PathBuf>,
}

impl PackTails {
    /// Tails of this namespace, cached in a directory of it below `cache`, if there is to be a cache.
    pub(crate) fn new(namespace: &Namespace, cache: Option<&Path>) -> Self {
        let scratch = cache.map(Path::to_owned);
        let cache = cache.map(|cache| cache.join("tails").join(namespace.id().to_string()));
        Self { namespace: namespace.clone(), cache, scratch }
    }

    /// Where temporary files are made, if they can be.
    pub(crate) fn scratch(&self) -> Option<&Path> {
        self.scratch.as_deref()
    }

    /// Whose packs they are of.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A pack's tail.
    ///
    /// # Errors
    /// `Corrupt` where the store has no such pack, or its tail is damaged, also when it is read once more.
    pub(crate) async fn load(&self, shape: PackShape) -> Result<LoadedTail> {
        if let Some(loaded) = self.load_cached(shape) {
            return Ok(loaded);
        }
        self.load_anew(shape).await
    }

    /// A pack's tail from the store, whatever is cached of it.
    ///
    /// # Errors
    /// As [`PackTails::load`].
    pub(crate) async fn load_anew(&self, shape: PackShape) -> Result<LoadedTail> {
        let mut loaded = self.read_end(shape, shape.tail_len, &|bytes| parse(shape, bytes)).await?;
        if let Some(bytes) = loaded.end.bytes()
            && let Some(path) = self.remember(shape, bytes)
        {
            loaded.end = PackEnd::cached(&shape, path);
        }
        Ok(loaded)
    }

    /// A pack's directory: less to read than its tail, where only index segments and the places of segments matter. The segments
    /// of a small pack come with it.
    ///
    /// # Errors
    /// As [`PackTails::load`].
    pub(crate) async fn load_directory(&self, shape: PackShape) -> Result<LoadedDirectory> {
        let cached = |open: &OpenEnd, end: PackEnd| {
            let footer = footer_of(shape.id, shape.pack_len, open)?;
            let index = open.read(last(&shape, footer.metadata_index_len()))?;
            let directory = PackDirectory::parse_index(footer, &index)?;
            check_directory_len(&shape, &footer)?;
            Ok(LoadedDirectory { shape, directory, end })
        };
        if let Some(loaded) = self.cached(shape, cached) {
            return Ok(loaded);
        }
        let is_short = shape.tail_len <= shape.directory_len.saturating_add(ALONG_BYTES);
        let length = if is_short { shape.tail_len } else { shape.directory_len };
        let parse = |bytes: Bytes| {
            let start = length.saturating_sub(shape.directory_len);
            let directory =
                usize::try_from(start).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
            let directory = PackDirectory::parse(shape.id, shape.pack_len, directory)?;
            Ok(LoadedDirectory { shape, directory, end: PackEnd::in_memory(&shape, bytes) })
        };
        self.read_end(shape, length, &parse).await
    }

    /// Keeps a tail that was just read; returns the path of the file it is in.
    fn remember(&self, shape: PackShape, bytes: &[u8]) -> Option<PathBuf> {
        let mut aside = self.remembering(&shape.id)?;
        aside.write(bytes);
        self.remembered(&shape.id, aside)
    }

    /// Where to write the tail of a pack, so that it is kept.
    pub(crate) fn remembering(&self, id: &PackId) -> Option<Aside> {
        Some(Aside::new(self.cache.as_ref()?, &id.to_string()))
    }

    /// Keeps a tail that was written, now that its pack is in the store.
    pub(crate) fn remembered(&self, id: &PackId, aside: Aside) -> Option<PathBuf> {
        let kept = aside.finish();
        kept.inspect_err(|error| tracing::debug!(pack = %id, %error, "the tail could not be cached")).ok()
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
        let file = open_file(&path)?;
        let length = file.metadata().ok()?.len();
        if !(PACK_FOOTER_LEN as u64..=MAX_PACK_LEN).contains(&length) {
            return None;
        }
        // The first field of a footer is the length of the pack, which nothing else tells here.
        let mut pack_len = [0; 8];
        file.read_exact_at(&mut pack_len, length - PACK_FOOTER_LEN as u64).ok()?;
        let pack_len = u64::from_le_bytes(pack_len);
        let shape = PackShape { id: *id, pack_len, directory_len: 0, tail_len: length };
        pack_len.checked_sub(length)?;
        let open = OpenEnd::in_file(&shape, file);
        let footer = footer_of(*id, pack_len, &open).ok()?;
        let shape = PackShape { directory_len: footer.directory_len(), ..shape };
        parse_open(shape, &open, PackEnd::cached(&shape, path)).ok()
    }

    /// Forgets the tail of a pack that is gone.
    pub(crate) fn forget(&self, id: &PackId) {
        if let Some(cache) = &self.cache {
            let _ = fs::remove_file(cache.join(id.to_string()));
        }
    }

    /// A pack's tail, if it is cached.
    pub(crate) fn load_cached(&self, shape: PackShape) -> Option<LoadedTail> {
        self.cached(shape, |open, end| parse_open(shape, open, end))
    }

    /// What is made of a cached tail; where that is damaged, it is forgotten.
    fn cached<T>(&self, shape: PackShape, parse: impl FnOnce(&OpenEnd, PackEnd) -> Result<T>) -> Option<T> {
        let path = self.cache.as_ref()?.join(shape.id.to_string());
        let file = open_file(&path)?;
        note_used(&file);
        let is_whole = file.metadata().ok()?.len() == shape.tail_len && shape.tail_len <= shape.pack_len;
        let parsed = match is_whole {
            true => parse(&OpenEnd::in_file(&shape, file), PackEnd::cached(&shape, path)),
            false => Err(Error::new(ErrorKind::Corrupt, "it has another length")),
        };
        match parsed {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                tracing::debug!(pack = %shape.id, %error, "a cached tail is damaged; it is read again");
                self.forget(&shape.id);
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
    check_directory_len(&shape, tail.footer())?;
    Ok(LoadedTail { shape, tail, end: PackEnd::in_memory(&shape, bytes) })
}

/// Parses a tail of which the indexes alone are read.
fn parse_open(shape: PackShape, open: &OpenEnd, end: PackEnd) -> Result<LoadedTail> {
    let footer = footer_of(shape.id, shape.pack_len, open)?;
    if footer.tail_len() != shape.tail_len {
        return Err(wrong_len(&shape, "tail", footer.tail_len(), shape.tail_len));
    }
    check_directory_len(&shape, &footer)?;
    let start = footer.tail_start();
    let data_index = open.read(start..StoredOffset::new(start.get() + footer.data_index_len()))?;
    let metadata_index = open.read(last(&shape, footer.metadata_index_len()))?;
    let tail = PackTail::parse_indexes(footer, &data_index, &metadata_index)?;
    Ok(LoadedTail { shape, tail, end })
}

fn footer_of(id: PackId, pack_len: u64, end: &OpenEnd) -> Result<PackFooter> {
    let footer = end.read(last_of(pack_len, PACK_FOOTER_LEN as u64))?;
    Ok(PackFooter::decode(id, pack_len, &footer)?)
}

/// Where the last bytes of a pack lie.
fn last(shape: &PackShape, len: u64) -> Range<StoredOffset> {
    last_of(shape.pack_len, len)
}

fn last_of(pack_len: u64, len: u64) -> Range<StoredOffset> {
    StoredOffset::new(pack_len.saturating_sub(len))..StoredOffset::new(pack_len)
}

fn check_directory_len(shape: &PackShape, footer: &PackFooter) -> Result<()> {
    let found = footer.directory_len();
    if found == shape.directory_len {
        Ok(())
    } else {
        Err(wrong_len(shape, "directory", found, shape.directory_len))
    }
}

fn wrong_len(shape: &PackShape, part: &str, found: u64, expected: u64) -> Error {
    let message = format!("pack {}: its {part} has {found} bytes, not {expected}", shape.id);
    Error::new(ErrorKind::Corrupt, message)
}
