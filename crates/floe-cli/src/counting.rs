//! How much was asked of a store, and with `-v` what: of requests that write each, with `-vv` of all.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use floe_core::Result;
use floe_core::store::{Cursor, Key, KeyPrefix, Page, Part, PartTag, PartsId, PutMode, Store, Version};
use serde::Serialize;

/// Requests made and bytes moved so far.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    requests: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    /// Of the bytes written those that the store has confirmed.
    bytes_confirmed: AtomicU64,
}

/// Requests made and bytes moved, as reports show them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct TrafficReport {
    request_count: u64,
    pub(crate) store_read_bytes: u64,
    store_written_bytes: u64,
}

impl Traffic {
    /// The numbers now.
    pub(crate) fn report(&self) -> TrafficReport {
        TrafficReport {
            request_count: self.requests.load(Ordering::Relaxed),
            store_read_bytes: self.bytes_read(),
            store_written_bytes: self.bytes_written.load(Ordering::Relaxed),
        }
    }

    /// Bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Bytes written so far that are no longer on their way.
    pub(crate) fn bytes_confirmed(&self) -> u64 {
        self.bytes_confirmed.load(Ordering::Relaxed)
    }

    fn confirm(&self, written_bytes: usize) {
        self.bytes_confirmed.fetch_add(written_bytes as u64, Ordering::Relaxed);
    }

    fn request(&self, written_bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(written_bytes, Ordering::Relaxed);
    }

    fn read(&self, bytes: &Bytes) {
        self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}

/// A store whose traffic is counted; a request that a wrapper inside repeats counts once.
#[derive(Debug)]
pub(crate) struct CountingStore {
    inner: Arc<dyn Store>,
    traffic: Arc<Traffic>,
}

impl CountingStore {
    /// This store, counted there.
    pub(crate) fn new(inner: Arc<dyn Store>, traffic: Arc<Traffic>) -> Self {
        Self { inner, traffic }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for CountingStore {
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
        self.traffic.request(body.len() as u64);
        tracing::info!(%key, bytes = body.len(), "writing");
        let written_bytes = body.len();
        let put = self.inner.put(key, body, mode).await?;
        self.traffic.confirm(written_bytes);
        Ok(put)
    }

    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        self.traffic.request(0);
        tracing::debug!(%key, "reading");
        let got = self.inner.get(key, max_bytes).await?;
        self.traffic.read(&got.0);
        Ok(got)
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        self.traffic.request(0);
        tracing::debug!(%key, ?range, "reading");
        let bytes = self.inner.get_range(key, range).await?;
        self.traffic.read(&bytes);
        Ok(bytes)
    }

    fn read_ahead_bytes(&self) -> u64 {
        self.inner.read_ahead_bytes()
    }

    async fn head(&self, key: &Key) -> Result<Option<u64>> {
        self.traffic.request(0);
        tracing::debug!(%key, "looking at");
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Cursor>) -> Result<Page> {
        self.traffic.request(0);
        tracing::debug!(%prefix, "listing");
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.traffic.request(0);
        tracing::info!(%key, "deleting");
        self.inner.delete(key).await
    }

    async fn start_parts(&self, key: &Key) -> Result<PartsId> {
        self.traffic.request(0);
        tracing::info!(%key, "writing in parts");
        self.inner.start_parts(key).await
    }

    async fn put_part(&self, key: &Key, id: &PartsId, part: Part, body: Bytes) -> Result<PartTag> {
        self.traffic.request(body.len() as u64);
        tracing::debug!(%key, bytes = body.len(), "writing a part");
        let written_bytes = body.len();
        let put = self.inner.put_part(key, id, part, body).await?;
        self.traffic.confirm(written_bytes);
        Ok(put)
    }

    async fn finish_parts(&self, key: &Key, id: &PartsId, tags: Vec<PartTag>) -> Result<()> {
        self.traffic.request(0);
        tracing::info!(%key, parts = tags.len(), "joining the parts");
        self.inner.finish_parts(key, id, tags).await
    }

    async fn abort_parts(&self, key: &Key, id: &PartsId) -> Result<()> {
        self.traffic.request(0);
        tracing::info!(%key, "giving up the parts");
        self.inner.abort_parts(key, id).await
    }
}
