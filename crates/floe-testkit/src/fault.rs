//! A store that fails on purpose.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use floe_core::store::{Cursor, Key, KeyPrefix, Page, Part, PartTag, PartsId, PutMode, Store, Version};
use floe_core::{Error, ErrorKind, Result};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not done and answered `Unavailable`.
    Fail,
    /// It is done and answered `Unavailable`.
    LoseAnswer,
    /// It is done, and of the bytes of a range that are answered one is another.
    Garble,
    /// It is done twice, and the second answer is given.
    Twice,
    /// It is not done and never answered.
    Stall,
    /// It is not done, for the disk is full.
    DiskFull,
    /// It is not done, for the object is gone.
    Vanish,
    /// It is not done, for the medium does not give what is on it.
    BadSector,
    /// It is not done, nor is any later one, as if the caller had been killed before it.
    Die,
    /// It is done, but no later one is, as if the caller had been killed before the answer came.
    DieAfter,
}

/// A store with faults in it; requests are numbered from 0 in the order in which they begin. Clones are the same.
#[derive(Clone, Debug)]
pub struct FaultStore {
    inner: Arc<dyn Store>,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug)]
struct Plan {
    script: BTreeMap<u64, Fault>,
    /// State of a generator, and one request in how many fails.
    seeded: Option<(u64, u64)>,
    requests: u64,
    dead: bool,
}

impl FaultStore {
    /// This store, with these faults at these requests.
    pub fn scripted(inner: Arc<dyn Store>, script: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        let plan = Plan { script: script.into_iter().collect(), seeded: None, requests: 0, dead: false };
        Self { inner, plan: Arc::new(Mutex::new(plan)) }
    }

    /// This store, in which one in so many requests fails, loses its answer or is done twice.
    pub fn seeded(inner: Arc<dyn Store>, seed: u64, one_in: u64) -> Self {
        let plan =
            Plan { script: BTreeMap::new(), seeded: Some((seed, one_in.max(1))), requests: 0, dead: false };
        Self { inner, plan: Arc::new(Mutex::new(plan)) }
    }

    /// How many requests have begun.
    pub fn requests(&self) -> u64 {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).requests
    }

    /// Whether the next request is answered with another byte.
    fn is_garbled(&self) -> bool {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.script.get(&plan.requests) == Some(&Fault::Garble)
    }

    fn next(&self) -> Option<Fault> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let number = plan.requests;
        plan.requests += 1;
        if plan.dead {
            return Some(Fault::Die);
        }
        let mut fault = plan.script.get(&number).copied();
        if let Some((state, one_in)) = &mut plan.seeded {
            // SplitMix64.
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut random = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            random ^= random >> 31;
            if random % *one_in == 0 {
                fault = Some([Fault::Fail, Fault::LoseAnswer, Fault::Twice][(random >> 32) as usize % 3]);
            }
        }
        plan.dead = matches!(fault, Some(Fault::Die | Fault::DieAfter));
        fault
    }

    async fn run<T, F>(&self, request: impl Fn() -> F + Send) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let lost = || Error::new(ErrorKind::Unavailable, "the connection was lost (injected)");
        let killed = || Error::new(ErrorKind::Cancelled, "the caller was killed (injected)");
        match self.next() {
            None => request().await,
            Some(Fault::Fail) => Err(lost()),
            Some(Fault::LoseAnswer) => {
                let _ = request().await;
                Err(lost())
            }
            Some(Fault::Garble) => request().await,
            Some(Fault::Twice) => {
                let _ = request().await;
                request().await
            }
            Some(Fault::Stall) => std::future::pending().await,
            Some(Fault::DiskFull) => {
                Err(Error::new(ErrorKind::Internal, "no space left in the store (injected)"))
            }
            Some(Fault::Vanish) => Err(Error::new(ErrorKind::NotFound, "the object is gone (injected)")),
            Some(Fault::BadSector) => {
                Err(Error::io("cannot read the object (injected)", std::io::Error::from_raw_os_error(5)))
            }
            Some(Fault::Die) => Err(killed()),
            Some(Fault::DieAfter) => {
                let _ = request().await;
                Err(killed())
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for FaultStore {
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
        self.run(|| self.inner.put(key, body.clone(), mode.clone())).await
    }

    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        self.run(|| self.inner.get(key, max_bytes)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        let is_garbled = self.is_garbled();
        let answer = self.run(|| self.inner.get_range(key, range.clone())).await?;
        if !is_garbled || answer.is_empty() {
            return Ok(answer);
        }
        let mut garbled = answer.to_vec();
        let middle = garbled.len() / 2;
        garbled[middle] ^= 0x10;
        Ok(garbled.into())
    }

    fn read_ahead_bytes(&self) -> u64 {
        self.inner.read_ahead_bytes()
    }

    async fn head(&self, key: &Key) -> Result<Option<u64>> {
        self.run(|| self.inner.head(key)).await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Cursor>) -> Result<Page> {
        self.run(|| self.inner.list(prefix, after)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.run(|| self.inner.delete(key)).await
    }

    async fn start_parts(&self, key: &Key) -> Result<PartsId> {
        self.run(|| self.inner.start_parts(key)).await
    }

    async fn put_part(&self, key: &Key, id: &PartsId, part: Part, body: Bytes) -> Result<PartTag> {
        self.run(|| self.inner.put_part(key, id, part, body.clone())).await
    }

    async fn finish_parts(&self, key: &Key, id: &PartsId, tags: Vec<PartTag>) -> Result<()> {
        self.run(|| self.inner.finish_parts(key, id, tags.clone())).await
    }

    async fn abort_parts(&self, key: &Key, id: &PartsId) -> Result<()> {
        self.run(|| self.inner.abort_parts(key, id)).await
    }
}
