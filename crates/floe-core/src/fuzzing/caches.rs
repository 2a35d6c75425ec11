//! What a client remembers on disk.

use std::path::{Path, PathBuf};

use floe_format::{PackFooter, PackId};

pub use crate::source::fuzzed_names::{NameCache, ToldName, reseal_name_cache};
pub use crate::source::fuzzed_stats::stat_cache_file;

use crate::catalog::PackShape;
use crate::pack_tails::{LoadedTail, PackTails};
use crate::{Namespace, RefName, Result};

/// The packs that a push has published.
#[derive(Debug)]
pub struct Journal(crate::push::Journal);

impl Journal {
    /// The journal of a push to this ref.
    pub fn new(directory: &Path, target: &RefName) -> Self {
        Self(crate::push::Journal::new(Some(directory), Path::new("/fuzz"), target))
    }

    /// The packs in it.
    pub fn packs(&self) -> Vec<PackId> {
        self.0.packs()
    }

    /// Adds a pack.
    pub fn add(&self, pack: &PackId) {
        self.0.add(pack);
    }
}

/// What a tail is, and of each of its frames what its plain bytes are.
type Tail = (Vec<u8>, Vec<Result<Vec<u8>>>);

/// Tails of packs that were read before.
#[derive(Debug)]
pub struct TailCache {
    tails: PackTails,
    directory: PathBuf,
}

impl TailCache {
    /// Those of a namespace, in a directory of all caches.
    pub fn new(namespace: &Namespace, cache: &Path) -> Self {
        let directory = cache.join("tails").join(namespace.id().to_string());
        Self { tails: PackTails::new(namespace, Some(cache)), directory }
    }

    /// Where the tail of a pack is.
    pub fn path(&self, id: &PackId) -> PathBuf {
        self.directory.join(id.to_string())
    }

    /// Keeps a tail.
    pub fn remember(&self, footer: &PackFooter, bytes: &[u8]) {
        if let Some(mut aside) = self.tails.remembering(&footer.pack_id()) {
            aside.write(bytes);
            self.tails.remembered(&footer.pack_id(), aside);
        }
    }

    /// The bytes of a tail, by its pack's id alone, and the plain bytes of its metadata frames.
    pub fn by_id(&self, id: &PackId) -> Option<Tail> {
        self.tails.load_cached_id(id).map(read)
    }

    /// The same, of a pack of which a layout tells this.
    pub fn by_shape(&self, footer: &PackFooter) -> Option<Tail> {
        self.tails.load_cached(shape(footer)).map(read)
    }
}

fn shape(footer: &PackFooter) -> PackShape {
    PackShape {
        id: footer.pack_id(),
        pack_len: footer.pack_len(),
        directory_len: footer.directory_len(),
        tail_len: footer.tail_len(),
    }
}

fn read(loaded: LoadedTail) -> (Vec<u8>, Vec<Result<Vec<u8>>>) {
    let mut decompressor = floe_format::Decompressor::default();
    let frames = loaded.metadata().map(|frame| loaded.read(frame, &mut decompressor)).collect();
    let all = loaded.end.start()..floe_format::StoredOffset::new(loaded.shape.pack_len);
    (loaded.end.read(all).map_or_else(|_| Vec::new(), |bytes| bytes.to_vec()), frames)
}
