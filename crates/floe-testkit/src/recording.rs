//! A store that writes down what is asked of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use floe_core::Result;
use floe_core::store::{Cursor, Key, KeyPrefix, Page, Part, PartTag, PartsId, PutMode, Store, Version};

/// What was asked, without what of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the method of its name, the first three one method's modes")]
pub enum Operation {
    Create,
    Overwrite,
    Swap,
    Get,
    GetRange,
    Head,
    List,
    Delete,
    StartParts,
    PutPart,
    FinishParts,
    AbortParts,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What was asked.
    pub operation: Operation,
    /// Of which key, or below which prefix.
    pub key: String,
    /// How long the body sent was.
    pub sent_bytes: u64,
    /// How long the body received was.
    pub received_bytes: u64,
    /// When it began, as a number of events.
    pub began: u64,
    /// When it was answered, `None` while it is not.
    pub answered: Option<u64>,
    /// Whether the answer was a good one.
    pub succeeded: bool,
    /// How many requests it waited for one after another, itself included: the longest chain in which each began
    /// after the one before was answered.
    pub depth: u64,
}

/// A store that counts every request; clones share the log.
#[derive(Clone, Debug)]
pub struct RecordingStore {
    inner: Arc<dyn Store>,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    requests: Vec<Request>,
    events: u64,
    /// The greatest depth of all that were answered.
    answered_depth: u64,
}

impl RecordingStore {
    /// This store, recorded.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, log: Arc::default() }
    }

    /// All requests since the last [`RecordingStore::clear`], in the order in which they began.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// How many requests of each kind there were.
    pub fn counts(&self) -> BTreeMap<Operation, usize> {
        let mut counts = BTreeMap::new();
        for request in &self.lock().requests {
            *counts.entry(request.operation).or_default() += 1;
        }
        counts
    }

    /// Bytes sent in all requests.
    pub fn sent_bytes(&self) -> u64 {
        self.lock().requests.iter().map(|request| request.sent_bytes).sum()
    }

    /// Bytes received in all answers.
    pub fn received_bytes(&self) -> u64 {
        self.lock().requests.iter().map(|request| request.received_bytes).sum()
    }

    /// How many requests had to wait for one another: the longest chain in which each began after the one before it
    /// was answered.
    pub fn series_depth(&self) -> u64 {
        self.lock().requests.iter().map(|request| request.depth).max().unwrap_or(0)
    }

    /// Forgets all requests; none may be under way.
    pub fn clear(&self) {
        *self.lock() = Log::default();
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn record<T>(
        &self,
        operation: Operation,
        key: &str,
        sent_bytes: u64,
        received: impl Fn(&T) -> u64,
        request: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let index = {
            let mut log = self.lock();
            log.events += 1;
            let request = Request {
                operation,
                key: key.to_owned(),
                sent_bytes,
                received_bytes: 0,
                began: log.events,
                answered: None,
                succeeded: false,
                depth: log.answered_depth + 1,
            };
            log.requests.push(request);
            log.requests.len() - 1
        };
        // Whatever its caller does beside this request begins before it is answered, as with a store that is far away.
        tokio::task::yield_now().await;
        let answer = request.await;
        let mut log = self.lock();
        log.events += 1;
        let now = log.events;
        if let Some(request) = log.requests.get_mut(index) {
            request.answered = Some(now);
            request.succeeded = answer.is_ok();
            request.received_bytes = answer.as_ref().map_or(0, received);
            let depth = request.depth;
            log.answered_depth = log.answered_depth.max(depth);
        }
        answer
    }
}

fn nothing<T>(_: &T) -> u64 {
    0
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for RecordingStore {
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
        let operation = match mode {
            PutMode::Create => Operation::Create,
            PutMode::Overwrite => Operation::Overwrite,
            PutMode::Swap(_) => Operation::Swap,
        };
        let sent = body.len() as u64;
        self.record(operation, key.as_str(), sent, nothing, self.inner.put(key, body, mode)).await
    }

    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        let received = |got: &(Bytes, Version)| got.0.len() as u64;
        self.record(Operation::Get, key.as_str(), 0, received, self.inner.get(key, max_bytes)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        let received = |got: &Bytes| got.len() as u64;
        self.record(Operation::GetRange, key.as_str(), 0, received, self.inner.get_range(key, range)).await
    }

    fn read_ahead_bytes(&self) -> u64 {
        self.inner.read_ahead_bytes()
    }

    async fn head(&self, key: &Key) -> Result<Option<u64>> {
        self.record(Operation::Head, key.as_str(), 0, nothing, self.inner.head(key)).await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Cursor>) -> Result<Page> {
        self.record(Operation::List, prefix.as_str(), 0, nothing, self.inner.list(prefix, after)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.record(Operation::Delete, key.as_str(), 0, nothing, self.inner.delete(key)).await
    }

    async fn start_parts(&self, key: &Key) -> Result<PartsId> {
        self.record(Operation::StartParts, key.as_str(), 0, nothing, self.inner.start_parts(key)).await
    }

    async fn put_part(&self, key: &Key, id: &PartsId, part: Part, body: Bytes) -> Result<PartTag> {
        let sent = body.len() as u64;
        self.record(Operation::PutPart, key.as_str(), sent, nothing, self.inner.put_part(key, id, part, body))
            .await
    }

    async fn finish_parts(&self, key: &Key, id: &PartsId, tags: Vec<PartTag>) -> Result<()> {
        self.record(Operation::FinishParts, key.as_str(), 0, nothing, self.inner.finish_parts(key, id, tags))
            .await
    }

    async fn abort_parts(&self, key: &Key, id: &PartsId) -> Result<()> {
        self.record(Operation::AbortParts, key.as_str(), 0, nothing, self.inner.abort_parts(key, id)).await
    }
}
