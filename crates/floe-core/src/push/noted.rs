//! What the source's next stat cache is to know.

use floe_format::parent_and_name;

use super::unit::{Note, NotedContent};
use crate::Result;
use crate::source::{CacheWriter, Child};

/// The next stat cache, as far as the source was put together.
#[derive(Debug)]
pub(super) struct Noted {
    writer: CacheWriter,
    /// The path of the last entry of which all was told; none before the first.
    reached: Vec<u8>,
}

impl Noted {
    pub(super) fn new(writer: CacheWriter) -> Self {
        Self { writer, reached: Vec::new() }
    }

    /// Tells about the next entry, or once more about the last.
    pub(super) fn note(&mut self, path: &[u8], note: &Note) {
        let (directory, name) = parent_and_name(path);
        let child = Child { name, stat: &note.stat };
        match &note.content {
            NotedContent::None => {}
            NotedContent::Known(hit) => self.writer.push_known(hit),
            NotedContent::Hashed(hash, began) => self.writer.push_hashed(directory, &child, hash, *began),
        }
    }

    /// All was told up to the entry at this path.
    pub(super) fn reach(&mut self, path: &[u8]) {
        self.reached.clear();
        self.reached.extend_from_slice(path);
    }

    /// The cache of a source that was told about to its end.
    pub(super) fn into_whole(self) -> CacheWriter {
        self.writer
    }

    /// Keeps what was told, and what is known of the rest of the source.
    ///
    /// # Errors
    /// Those of writing the cache.
    pub(super) fn keep_beginning(self) -> Result<()> {
        let (directory, name) = parent_and_name(&self.reached);
        self.writer.finish_up_to(directory, name)
    }
}
