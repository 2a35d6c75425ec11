//! A store in which something happens just before a request is done.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use floe_core::Result;
use floe_core::store::{Cursor, Key, KeyPrefix, Page, Part, PartTag, PartsId, PutMode, Store, Version};
use floe_testkit::MemoryStore;
use futures::future::BoxFuture;

/// A request about to be done.
#[derive(Clone, Debug)]
pub(super) struct Upcoming {
    /// Counts all requests from 0.
    pub(super) number: u64,
    /// `swap default/refs/main`, say.
    pub(super) what: String,
    /// What is put.
    pub(super) put: Option<(Key, Bytes, PutMode)>,
}

/// What happens before a request is done: nothing, or this; an error is answered instead of doing it.
pub(super) type Meddling = Option<BoxFuture<'static, Result<()>>>;

type Meddle = Arc<dyn Fn(Upcoming) -> Meddling + Send + Sync>;

/// Memory with something done before requests; clones are the same.
#[derive(Clone)]
pub(super) struct Meddler {
    inner: MemoryStore,
    meddle: Meddle,
    requests: Arc<AtomicU64>,
}

impl fmt::Debug for Meddler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Meddler({:?})", self.inner)
    }
}

impl Meddler {
    pub(super) fn new(
        inner: &MemoryStore,
        meddle: impl Fn(Upcoming) -> Meddling + Send + Sync + 'static,
    ) -> Self {
        Self { inner: inner.clone(), meddle: Arc::new(meddle), requests: Arc::default() }
    }

    /// Only lets requests that are made at once be under way at once.
    pub(super) fn none(inner: &MemoryStore) -> Self {
        Self::new(inner, |_| None)
    }

    async fn before(&self, operation: &str, key: &str, put: Option<(Key, Bytes, PutMode)>) -> Result<()> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        match (self.meddle)(Upcoming { number, what: format!("{operation} {key}"), put }) {
            Some(meddling) => meddling.await,
            None => Ok(()),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Meddler {
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
        let operation = match mode {
            PutMode::Create => "create",
            PutMode::Overwrite => "overwrite",
            PutMode::Swap(_) => "swap",
        };
        self.before(operation, key.as_str(), Some((key.clone(), body.clone(), mode.clone()))).await?;
        self.inner.put(key, body, mode).await
    }

    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        self.before("get", key.as_str(), None).await?;
        self.inner.get(key, max_bytes).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        self.before("get_range", key.as_str(), None).await?;
        self.inner.get_range(key, range).await
    }

    fn read_ahead_bytes(&self) -> u64 {
        self.inner.read_ahead_bytes()
    }

    async fn head(&self, key: &Key) -> Result<Option<u64>> {
        self.before("head", key.as_str(), None).await?;
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Cursor>) -> Result<Page> {
        self.before("list", prefix.as_str(), None).await?;
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.before("delete", key.as_str(), None).await?;
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
