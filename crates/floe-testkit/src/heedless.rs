//! A store that ignores conditions, as some servers do.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use floe_core::Result;
use floe_core::store::{Cursor, Key, KeyPrefix, Page, Part, PartTag, PartsId, PutMode, Store, Version};

/// Which conditions are ignored: such a put is done whatever is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// That there is no such object yet.
    Create,
    /// That the object has a version.
    Swap,
    /// Both.
    All,
}

/// A store that takes conditional puts and does them unconditionally.
#[derive(Clone, Debug)]
pub struct HeedlessStore {
    inner: Arc<dyn Store>,
    ignored: Ignored,
}

impl HeedlessStore {
    /// This store, with these conditions ignored.
    pub fn new(inner: Arc<dyn Store>, ignored: Ignored) -> Self {
        Self { inner, ignored }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for HeedlessStore {
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
        let mode = match (mode, self.ignored) {
            (PutMode::Create, Ignored::Create | Ignored::All)
            | (PutMode::Swap(_), Ignored::Swap | Ignored::All) => PutMode::Overwrite,
            (mode, _) => mode,
        };
        self.inner.put(key, body, mode).await
    }

    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        self.inner.get(key, max_bytes).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        self.inner.get_range(key, range).await
    }

    fn read_ahead_bytes(&self) -> u64 {
        self.inner.read_ahead_bytes()
    }

    async fn head(&self, key: &Key) -> Result<Option<u64>> {
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Cursor>) -> Result<Page> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }

    async fn start_parts(&self, key: &Key) -> Result<PartsId> {
        self.inner.start_parts(key).await
    }

    async fn put_part(&self, key: &Key, id: &PartsId, part: Part, body: Bytes) -> Result<PartTag> {
        self.inner.put_part(key, id, part, body).await
    }

    async fn finish_parts(&self, key: &Key, id: &PartsId, tags: Vec<PartTag>) -> Result<()> {
        self.inner.finish_parts(key, id, tags).await
    }

    async fn abort_parts(&self, key: &Key, id: &PartsId) -> Result<()> {
        self.inner.abort_parts(key, id).await
    }
}
