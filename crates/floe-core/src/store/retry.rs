//! Repeating what may be repeated.
//!
//! The one place of Floe that retries requests. Only `Unavailable` is repeated, after exponentially growing pauses
//! with full jitter, a bounded number of times, each try under a deadline that grows with what it moves.
//!
//! *Deadlines.* Tries share the link to the store, so they share the time too: while `n` of them are in flight, each has an
//! `n`th of it. One is given up when its share of the time since it began is
//! `deadline + bytes / slowest_bytes_per_second`; while it is alone, its share is all of the time. Where a link of the
//! slowest speed is shared fairly, a try moves in its share of the time what it would move alone in so much time, and what
//! else it waits for takes no longer than alone. So one that alone would end in time does so beside others, whatever they
//! move and whenever they begin. One that hangs is given up as soon as the others have ended and left it the time, and at
//! the latest after that of one alone times the most that were in flight at once.
//!
//! Conditional puts are repeated too. One that was done although its answer was lost is then refused as `Conflict`,
//! so whoever needs to know reads back its own token: [`put_settled`](super::put_settled).

use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Cursor, Key, KeyPrefix, Page, Part, PartTag, PartsId, PutMode, Store, Timer, Version};
use crate::{Error, ErrorKind, Result};

/// How often and how patiently requests are repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrySettings {
    /// How many tries a request has in all.
    pub tries: u32,
    /// The longest pause after the first try; it doubles from try to try.
    #[serde(rename = "first_pause_seconds", with = "super::settings::seconds")]
    pub first_pause: Duration,
    /// The longest pause there is.
    #[serde(rename = "longest_pause_seconds", with = "super::settings::seconds")]
    pub longest_pause: Duration,
    /// How long one try may take, alone, beside moving its bytes.
    #[serde(rename = "deadline_seconds", with = "super::settings::seconds")]
    pub deadline: Duration,
    /// The slowest link that tries are given time for; all that are in flight share it.
    pub slowest_bytes_per_second: u64,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            tries: 6,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
            slowest_bytes_per_second: 64 << 10,
        }
    }
}

/// A store whose requests are repeated while it is unavailable.
#[derive(Debug)]
pub struct Retry {
    inner: Arc<dyn Store>,
    settings: RetrySettings,
    timer: Arc<dyn Timer>,
    in_flight: Mutex<InFlight>,
}

/// The tries in flight, and the time that they share.
#[derive(Debug, Default)]
struct InFlight {
    tries: u32,
    now: Duration,
    /// What share of the time until now a try has had that was in flight all along.
    share: Duration,
}

/// A try in flight, until it is dropped.
#[derive(Debug)]
struct Try<'a>(&'a Retry);

impl Drop for Try<'_> {
    fn drop(&mut self) {
        self.0.in_flight().tries -= 1;
    }
}

impl Retry {
    /// This store, with its requests repeated.
    pub fn new(inner: Arc<dyn Store>, settings: RetrySettings, timer: Arc<dyn Timer>) -> Self {
        Self { inner, settings, timer, in_flight: Mutex::default() }
    }

    /// The tries in flight, as they are now.
    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.timer.elapsed();
        let passed = now.saturating_sub(in_flight.now) / in_flight.tries.max(1);
        in_flight.share = in_flight.share.saturating_add(passed);
        in_flight.now = now;
        in_flight
    }

    /// Counts a try that begins now, until its share of the time is so long; answers how long that took.
    async fn run_out(&self, longest_share: Duration) -> Duration {
        let (began, until) = {
            let mut in_flight = self.in_flight();
            in_flight.tries += 1;
            (in_flight.now, in_flight.share.saturating_add(longest_share))
        };
        let _counted = Try(self);
        loop {
            let (now, left) = {
                let in_flight = self.in_flight();
                (in_flight.now, until.saturating_sub(in_flight.share))
            };
            if left.is_zero() {
                return now.saturating_sub(began);
            }
            // Others may end at any moment, so it wakes as if they did now, though not in ever smaller steps.
            self.timer.sleep(left.max(self.settings.deadline / 16)).await;
        }
    }

    async fn run<T, F>(&self, object: &str, moved_bytes: u64, mut request: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let slowest = self.settings.slowest_bytes_per_second.max(1);
        let deadline = self.settings.deadline.saturating_add(Duration::from_secs(moved_bytes / slowest));
        let mut tries = 1;
        let mut longest_pause = self.settings.first_pause;
        loop {
            let answer = tokio::select! {
                biased;
                answer = request() => answer,
                waited = self.run_out(deadline) => {
                    let message = format!("`{object}`: the store did not answer within {waited:.0?}");
                    Err(Error::new(ErrorKind::Unavailable, message))
                }
            };
            match answer {
                Err(e) if e.kind() == ErrorKind::Unavailable && tries < self.settings.tries => {
                    tracing::debug!(object, tries, error = %e, "repeating a request");
                    let pause = longest_pause.min(self.settings.longest_pause);
                    self.timer.sleep(pause.mul_f64(self.timer.jitter().clamp(0.0, 1.0))).await;
                    longest_pause = longest_pause.saturating_mul(2);
                    tries += 1;
                }
                other => return other,
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Retry {
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
        self.run(key.as_str(), body.len() as u64, || self.inner.put(key, body.clone(), mode.clone())).await
    }

    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        self.run(key.as_str(), max_bytes, || self.inner.get(key, max_bytes)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        let length = range.end.saturating_sub(range.start);
        self.run(key.as_str(), length, || self.inner.get_range(key, range.clone())).await
    }

    fn read_ahead_bytes(&self) -> u64 {
        self.inner.read_ahead_bytes()
    }

    async fn head(&self, key: &Key) -> Result<Option<u64>> {
        self.run(key.as_str(), 0, || self.inner.head(key)).await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Cursor>) -> Result<Page> {
        self.run(prefix.as_str(), 0, || self.inner.list(prefix, after)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.run(key.as_str(), 0, || self.inner.delete(key)).await
    }

    async fn start_parts(&self, key: &Key) -> Result<PartsId> {
        self.run(key.as_str(), 0, || self.inner.start_parts(key)).await
    }

    async fn put_part(&self, key: &Key, id: &PartsId, part: Part, body: Bytes) -> Result<PartTag> {
        let put = || self.inner.put_part(key, id, part, body.clone());
        self.run(key.as_str(), body.len() as u64, put).await
    }

    async fn finish_parts(&self, key: &Key, id: &PartsId, tags: Vec<PartTag>) -> Result<()> {
        self.run(key.as_str(), 0, || self.inner.finish_parts(key, id, tags.clone())).await
    }

    async fn abort_parts(&self, key: &Key, id: &PartsId) -> Result<()> {
        self.run(key.as_str(), 0, || self.inner.abort_parts(key, id)).await
    }
}
