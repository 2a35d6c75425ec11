//! Bounds on requests in flight and on bytes a second.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Cursor, Key, KeyPrefix, Page, Part, PartTag, PartsId, PutMode, Store, Timer, Version};
use crate::Result;

/// Small records that wait for nothing, though they are on the account: a lease is kept alive and ended while a part is on
/// its way that takes minutes, and who moves a ref cannot be stopped while that is under way. The snapshot object that a
/// ref names was waited for.
const RECORDS: [&str; 2] = ["leases", "refs"];

/// A store with bounds.
///
/// It belongs outside of [`Retry`](super::Retry), so that waiting here spends no request's deadline.
#[derive(Debug)]
pub struct Limit {
    inner: Arc<dyn Store>,
    in_flight: Semaphore,
    upload: Option<Rate>,
    download: Option<Rate>,
    timer: Arc<dyn Timer>,
}

/// Hands out moments at which bytes may move, so that on average no more do than allowed.
#[derive(Debug)]
struct Rate {
    bytes_per_second: u64,
    /// When all that was let through will have moved at this rate.
    free_at: Mutex<Duration>,
}

impl Rate {
    fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(Duration::ZERO) }
    }

    /// How long so many bytes take at this rate.
    fn takes(&self, bytes: u64) -> Duration {
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// How long to wait before moving what takes so long, which is then on the account.
    fn book(&self, now: Duration, takes: Duration) -> Duration {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = now.max(*free_at);
        *free_at = start.saturating_add(takes);
        start - now
    }
}

/// What is on the account and has not begun to move: taken off it where nobody waits any more.
struct Booked<'a> {
    rate: &'a Rate,
    takes: Duration,
    has_begun: bool,
}

impl Drop for Booked<'_> {
    fn drop(&mut self) {
        if !self.has_begun {
            let mut free_at = self.rate.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = free_at.saturating_sub(self.takes);
        }
    }
}

impl Limit {
    /// This store with at most so many requests in flight, and where given at most so many bytes a second.
    pub fn new(
        inner: Arc<dyn Store>,
        max_requests: usize,
        upload_bytes_per_second: Option<u64>,
        download_bytes_per_second: Option<u64>,
        timer: Arc<dyn Timer>,
    ) -> Self {
        Self {
            inner,
            in_flight: Semaphore::new(max_requests.clamp(1, Semaphore::MAX_PERMITS)),
            upload: upload_bytes_per_second.map(Rate::new),
            download: download_bytes_per_second.map(Rate::new),
            timer,
        }
    }

    async fn turn(&self) -> SemaphorePermit<'_> {
        self.in_flight.acquire().await.expect("the semaphore is never closed")
    }

    /// Waits until so many bytes may move.
    ///
    /// # Cancel safety
    /// Dropped, they are off the account.
    async fn pace(&self, rate: Option<&Rate>, moved_bytes: u64) {
        let Some(rate) = rate else { return };
        let takes = rate.takes(moved_bytes);
        let wait = rate.book(self.timer.elapsed(), takes);
        if !wait.is_zero() {
            let mut booked = Booked { rate, takes, has_begun: false };
            self.timer.sleep(wait).await;
            booked.has_begun = true;
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Limit {
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
        let bytes = body.len() as u64;
        // Below the namespace.
        if key.as_str().split('/').nth(1).is_some_and(|kind| RECORDS.contains(&kind)) {
            if let Some(rate) = &self.upload {
                rate.book(self.timer.elapsed(), rate.takes(bytes));
            }
        } else {
            self.pace(self.upload.as_ref(), bytes).await;
        }
        let _turn = self.turn().await;
        self.inner.put(key, body, mode).await
    }

    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        let got = {
            let _turn = self.turn().await;
            self.inner.get(key, max_bytes).await?
        };
        // Its size is known only now; others pay for it by waiting.
        self.pace(self.download.as_ref(), got.0.len() as u64).await;
        Ok(got)
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        self.pace(self.download.as_ref(), range.end.saturating_sub(range.start)).await;
        let _turn = self.turn().await;
        self.inner.get_range(key, range).await
    }

    fn read_ahead_bytes(&self) -> u64 {
        self.inner.read_ahead_bytes()
    }

    async fn head(&self, key: &Key) -> Result<Option<u64>> {
        let _turn = self.turn().await;
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Cursor>) -> Result<Page> {
        let _turn = self.turn().await;
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let _turn = self.turn().await;
        self.inner.delete(key).await
    }

    async fn start_parts(&self, key: &Key) -> Result<PartsId> {
        let _turn = self.turn().await;
        self.inner.start_parts(key).await
    }

    async fn put_part(&self, key: &Key, id: &PartsId, part: Part, body: Bytes) -> Result<PartTag> {
        self.pace(self.upload.as_ref(), body.len() as u64).await;
        let _turn = self.turn().await;
        self.inner.put_part(key, id, part, body).await
    }

    async fn finish_parts(&self, key: &Key, id: &PartsId, tags: Vec<PartTag>) -> Result<()> {
        let _turn = self.turn().await;
        self.inner.finish_parts(key, id, tags).await
    }

    async fn abort_parts(&self, key: &Key, id: &PartsId) -> Result<()> {
        let _turn = self.turn().await;
        self.inner.abort_parts(key, id).await
    }
}
