//! Objects written piece by piece.

mod open;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::JoinSet;

use super::{Key, Part, PartTag, PartsId, PutMode, Store};
use crate::{Error, ErrorKind, Result};

pub use self::open::OpenUploads;

/// The size of every part of an object but the last.
pub const PART_BYTES: usize = 8 << 20;

/// How many parts are on their way at once.
const PARTS_IN_FLIGHT: usize = 3;

/// An object being written, for keys that one writer owns.
///
/// A body of at most [`PART_BYTES`] is one plain put. A longer one goes in parts, sent while the next are being
/// filled; memory is bounded by four parts. Nothing is visible before [`Upload::finish`] answers, and nothing is
/// left visible by one that is aborted, fails or is dropped. Parts of one that was dropped are removed when a local
/// store closes, and elsewhere by [`OpenUploads::abort_all`], or by the bucket's own rule for uploads that were never
/// finished.
#[derive(Debug)]
pub struct Upload {
    store: Arc<dyn Store>,
    key: Key,
    buffer: BytesMut,
    id: Option<PartsId>,
    open: OpenUploads,
    started_parts: u32,
    written_bytes: u64,
    in_flight: JoinSet<(u32, Result<PartTag>)>,
    tags: Vec<(u32, PartTag)>,
}

impl Upload {
    /// Begins an object; asks nothing of the store yet.
    pub fn new(store: Arc<dyn Store>, key: Key) -> Self {
        Self::noted(store, key, &OpenUploads::default())
    }

    /// The same, noted there while it is under way.
    pub fn noted(store: Arc<dyn Store>, key: Key, open: &OpenUploads) -> Self {
        Self {
            store,
            key,
            buffer: BytesMut::new(),
            id: None,
            open: open.clone(),
            started_parts: 0,
            written_bytes: 0,
            in_flight: JoinSet::new(),
            tags: Vec::new(),
        }
    }

    /// How many bytes were written so far.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Appends bytes; waits while too many parts are on their way.
    ///
    /// After an error only [`Upload::abort`] is of use.
    ///
    /// # Errors
    ///
    /// What the store answers to a part, perhaps to one of an earlier call.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        self.written_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            // A full buffer is sent only when more follows, so that a body of exactly one part is a plain put.
            if self.buffer.len() == PART_BYTES {
                self.send_part().await?;
            }
            let piece = bytes.split_to(bytes.len().min(PART_BYTES - self.buffer.len()));
            if self.buffer.capacity() - self.buffer.len() < piece.len() {
                // One that has begun to be long becomes a whole part, most often: growing it would copy it again and again.
                let whole = if self.buffer.is_empty() { piece.len() } else { PART_BYTES - self.buffer.len() };
                self.buffer.reserve(whole);
            }
            self.buffer.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// Makes the object durable and visible.
    ///
    /// # Errors
    ///
    /// What the store answers; then the object is not there, and its parts are given up.
    pub async fn finish(mut self) -> Result<()> {
        if self.id.is_none() {
            let body = std::mem::take(&mut self.buffer).freeze();
            return self.store.put(&self.key, body, PutMode::Overwrite).await.map(drop);
        }
        let finished = self.finish_parts().await;
        if finished.is_err() {
            // The first error is the one to tell; what abort leaves behind is invisible.
            let _ = self.abort().await;
        } else if let Some(id) = &self.id {
            self.open.ended(id);
        }
        finished
    }

    /// Gives the object up.
    ///
    /// # Errors
    ///
    /// What the store answers; then parts may be left, which nobody sees.
    pub async fn abort(mut self) -> Result<()> {
        self.in_flight.shutdown().await;
        match &self.id {
            Some(id) => {
                self.store.abort_parts(&self.key, id).await?;
                self.open.ended(id);
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn finish_parts(&mut self) -> Result<()> {
        self.send_part().await?;
        while !self.in_flight.is_empty() {
            self.join_part().await?;
        }
        self.tags.sort_unstable_by_key(|(index, _)| *index);
        let tags = self.tags.drain(..).map(|(_, tag)| tag).collect();
        let id = self.id.as_ref().expect("parts were sent under an id");
        match self.store.finish_parts(&self.key, id, tags).await {
            // An earlier try may have finished it and lost the answer. The key is ours alone, so what is there
            // with our length is ours. Servers differ in what they say of an upload that is no more; not settled so
            // is only what a local disk could not promise.
            Err(e) if e.kind() != ErrorKind::Internal => match self.store.head(&self.key).await? {
                Some(size_bytes) if size_bytes == self.written_bytes => Ok(()),
                _ => Err(e),
            },
            other => other,
        }
    }

    async fn send_part(&mut self) -> Result<()> {
        if self.id.is_none() {
            let id = self.store.start_parts(&self.key).await?;
            self.open.began(&id, &self.key);
            self.id = Some(id);
        }
        while self.in_flight.len() >= PARTS_IN_FLIGHT {
            self.join_part().await?;
        }
        let (store, key) = (Arc::clone(&self.store), self.key.clone());
        let id = self.id.clone().expect("just begun");
        let body = self.buffer.split().freeze();
        let index = self.started_parts;
        let part = Part { index, offset_bytes: u64::from(index) * PART_BYTES as u64 };
        self.started_parts += 1;
        self.in_flight.spawn(async move { (index, store.put_part(&key, &id, part, body).await) });
        Ok(())
    }

    async fn join_part(&mut self) -> Result<()> {
        let Some(joined) = self.in_flight.join_next().await else {
            return Ok(());
        };
        let (index, tag) = joined.map_err(|e| {
            Error::new(ErrorKind::Internal, format!("a part of `{}` was not written", self.key))
                .with_source(e)
        })?;
        self.tags.push((index, tag?));
        Ok(())
    }
}
