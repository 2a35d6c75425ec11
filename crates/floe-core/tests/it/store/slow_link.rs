//! Deadlines of requests that share a slow link.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use floe_core::store::{
    Cursor, Key, KeyPrefix, PART_BYTES, Page, Part, PartTag, PartsId, PutMode, Retry, RetrySettings, Store,
    Timer, Version,
};
use floe_core::{ErrorKind, Result};
use floe_testkit::{Fault, FaultStore, MemoryStore};
use futures::FutureExt;
use proptest::prelude::*;

use super::key;

/// The slowest link that is waited for by default.
const SLOWEST: u64 = 64 << 10;

/// What a request and its answer take beside a body: handshakes, signatures, headers.
const HEADER_BYTES: u64 = 8 << 10;

/// A page of a listing.
const PAGE_BYTES: u64 = 300 << 10;

/// A link that all that is on it shares fairly, and the clock beside it, which moves in [`Link::pass`] only.
#[derive(Debug)]
struct Link {
    bytes_per_second: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    now: Duration,
    waits: u64,
    /// When they wake.
    sleepers: BTreeMap<u64, Duration>,
    /// How many billionths of a byte they have still to move.
    transfers: BTreeMap<u64, u128>,
}

/// What waits for the clock or for the link, until it is dropped.
struct Wait<'a> {
    link: &'a Link,
    id: u64,
}

impl Wait<'_> {
    async fn end(self) {
        poll_fn(|_| {
            let state = self.link.state();
            let waits = state.sleepers.contains_key(&self.id) || state.transfers.contains_key(&self.id);
            if waits { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut state = self.link.state();
        state.sleepers.remove(&self.id);
        state.transfers.remove(&self.id);
    }
}

impl Link {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, begin: impl FnOnce(&mut State, u64)) -> Wait<'_> {
        let mut state = self.state();
        let id = state.waits;
        state.waits += 1;
        begin(&mut state, id);
        Wait { link: self, id }
    }

    async fn carry(&self, bytes: u64) {
        let begin = |state: &mut State, id| {
            state.transfers.insert(id, u128::from(bytes) * 1_000_000_000);
        };
        self.wait(begin).end().await;
    }

    /// Lets time pass until something has been waited for long enough.
    fn pass(&self) {
        let mut state = self.state();
        let (now, speed) = (state.now, u128::from(self.bytes_per_second));
        let sharing = state.transfers.len() as u128;
        let arrive = |left: &u128| Duration::from_nanos_u128((left * sharing).div_ceil(speed));
        let arrivals = state.transfers.values().map(arrive);
        let wakings = state.sleepers.values().map(|until| until.saturating_sub(now));
        let step = arrivals.chain(wakings).min().expect("something is waited for that will come");
        let moved = step.as_nanos() * speed / sharing.max(1);
        state.now += step;
        let now = state.now;
        state.sleepers.retain(|_, until| *until > now);
        state.transfers.retain(|_, left| {
            *left = left.saturating_sub(moved);
            *left > 0
        });
    }

    /// Runs all of these, and says when each ended.
    fn run<T>(&self, mut requests: Vec<Running<'_, T>>) -> Vec<(Duration, T)> {
        let mut ends: Vec<_> = requests.iter().map(|_| None).collect();
        loop {
            for (request, end) in requests.iter_mut().zip(&mut ends) {
                if end.is_none()
                    && let Poll::Ready(answer) = poll(request)
                {
                    *end = Some((self.elapsed(), answer));
                }
            }
            if ends.iter().all(Option::is_some) {
                return ends.into_iter().flatten().collect();
            }
            self.pass();
        }
    }
}

#[async_trait]
impl Timer for Link {
    fn elapsed(&self) -> Duration {
        self.state().now
    }

    async fn sleep(&self, time: Duration) {
        let begin = |state: &mut State, id| {
            state.sleepers.insert(id, state.now.saturating_add(time));
        };
        self.wait(begin).end().await;
    }

    fn jitter(&self) -> f64 {
        0.0
    }
}

type Running<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

fn poll<T>(running: &mut Running<'_, T>) -> Poll<T> {
    running.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// A store at the other end of a link, which answers so much later than it could.
#[derive(Debug)]
struct Far {
    link: Arc<Link>,
    memory: MemoryStore,
    latency: Duration,
}

impl Far {
    async fn answer<T>(&self, bytes: u64, answer: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.link.carry(HEADER_BYTES + bytes).await;
        self.link.sleep(self.latency).await;
        answer.await
    }
}

#[async_trait]
impl Store for Far {
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
        self.answer(body.len() as u64, self.memory.put(key, body, mode)).await
    }

    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        self.answer(max_bytes, self.memory.get(key, max_bytes)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        self.answer(range.end - range.start, self.memory.get_range(key, range)).await
    }

    async fn head(&self, key: &Key) -> Result<Option<u64>> {
        self.answer(0, self.memory.head(key)).await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Cursor>) -> Result<Page> {
        self.answer(PAGE_BYTES, self.memory.list(prefix, after)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.answer(0, self.memory.delete(key)).await
    }

    async fn start_parts(&self, key: &Key) -> Result<PartsId> {
        self.answer(0, self.memory.start_parts(key)).await
    }

    async fn put_part(&self, key: &Key, id: &PartsId, part: Part, body: Bytes) -> Result<PartTag> {
        self.answer(body.len() as u64, self.memory.put_part(key, id, part, body)).await
    }

    async fn finish_parts(&self, key: &Key, id: &PartsId, tags: Vec<PartTag>) -> Result<()> {
        self.answer(0, self.memory.finish_parts(key, id, tags)).await
    }

    async fn abort_parts(&self, key: &Key, id: &PartsId) -> Result<()> {
        self.answer(0, self.memory.abort_parts(key, id)).await
    }
}

/// A store behind a slow link, an upload that is under way in it, and a body as long as its parts.
struct World {
    link: Arc<Link>,
    faults: FaultStore,
    retry: Retry,
    id: PartsId,
    part: Bytes,
}

impl World {
    /// One in which a request has so many tries, and these requests are never answered.
    fn new(
        bytes_per_second: u64,
        latency: Duration,
        tries: u32,
        hung: impl IntoIterator<Item = u64>,
    ) -> Self {
        let link = Arc::new(Link { bytes_per_second, state: Mutex::default() });
        let memory = MemoryStore::new();
        let part = Bytes::from(vec![0; PART_BYTES]);
        memory.set(&key("pack"), Some(part.clone()));
        let id = memory.start_parts(&key("new")).now_or_never().expect("memory is at hand").unwrap();
        let far = Far { link: Arc::clone(&link), memory, latency };
        let faults = FaultStore::scripted(Arc::new(far), hung.into_iter().map(|n| (n, Fault::Stall)));
        let settings = RetrySettings { tries, ..RetrySettings::default() };
        let retry = Retry::new(Arc::new(faults.clone()), settings, Arc::clone(&link) as _);
        Self { link, faults, retry, id, part }
    }

    fn put_part(&self, index: u32) -> Running<'_, Result<()>> {
        let part = Part { index, offset_bytes: u64::from(index) * PART_BYTES as u64 };
        Box::pin(async move {
            self.retry.put_part(&key("new"), &self.id, part, self.part.clone()).await.map(drop)
        })
    }

    fn put(&self, bytes: usize) -> Running<'_, Result<()>> {
        let body = self.part.slice(..bytes);
        Box::pin(async move { self.retry.put(&key("small"), body, PutMode::Overwrite).await.map(drop) })
    }

    fn get_range(&self, bytes: u64) -> Running<'_, Result<()>> {
        Box::pin(async move { self.retry.get_range(&key("pack"), 0..bytes).await.map(drop) })
    }

    fn head(&self) -> Running<'_, Result<()>> {
        Box::pin(async { self.retry.head(&key("pack")).await.map(drop) })
    }

    fn list(&self) -> Running<'_, Result<()>> {
        Box::pin(async { self.retry.list(&KeyPrefix::default(), None).await.map(drop) })
    }
}

/// It was given up after so long, and says so.
fn assert_given_up(after: Duration, answer: Result<()>) {
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().ends_with(&format!("did not answer within {after:.0?}")), "{error}");
}

/// The deadline of a part that is alone.
const PART_ALONE: Duration = Duration::from_secs(30 + 128);

/// How much later it may be noticed that a deadline beside others has passed.
const SLACK: Duration = Duration::from_secs(2);

/// Begins a request.
type Start = fn(&World) -> Running<'_, Result<()>>;

#[test]
fn one_that_is_alone_and_hangs_has_its_own_time() {
    let starts: [(u64, Start); 4] = [
        (158, |world| world.put_part(0)),
        (46, |world| world.get_range(1 << 20)),
        (30, World::head),
        (30, World::list),
    ];
    for (seconds, start) in starts {
        let world = World::new(SLOWEST, Duration::ZERO, 1, [0]);
        let (after, answer) = world.link.run(vec![start(&world)]).remove(0);
        assert_eq!(after, Duration::from_secs(seconds));
        assert_given_up(after, answer);
    }
}

#[test]
fn all_that_share_a_slow_link_end_at_once() {
    let world = World::new(SLOWEST, Duration::from_secs(2), 6, []);
    let parts = (0..6).map(|index| world.put_part(index));
    let ends = world.link.run(parts.chain([world.head(), world.list(), world.put(100 << 10)]).collect());
    assert!(ends.iter().all(|(_, answer)| answer.is_ok()), "{ends:?}");
    assert!(ends[0].0 > Duration::from_secs(6 * 128), "{ends:?}");
    assert_eq!(world.faults.requests(), 9, "nothing is repeated");

    let world = World::new(SLOWEST, Duration::from_secs(2), 6, []);
    let ends = world.link.run((0..32).map(|_| world.get_range(4 << 20)).collect());
    assert!(ends.iter().all(|(_, answer)| answer.is_ok()), "{ends:?}");
    assert!(ends[0].0 > Duration::from_secs(32 * 64), "{ends:?}");
    assert_eq!(world.faults.requests(), 32, "nothing is repeated");
}

#[test]
fn one_that_hangs_among_others_is_given_up() {
    for bytes_per_second in [SLOWEST, 1 << 30] {
        let world = World::new(bytes_per_second, Duration::ZERO, 1, [3]);
        let mut ends = world.link.run((0..6).map(|index| world.put_part(index)).collect());
        let (after, answer) = ends.remove(3);
        assert_given_up(after, answer);
        assert!(ends.iter().all(|(_, answer)| answer.is_ok()), "{ends:?}");
        // It had a sixth of the time while the others ran, and all of it after that.
        let others = ends[4].0;
        let least = others + PART_ALONE - others / 6;
        assert!(after >= least && after < least + SLACK, "{after:?}, at least {least:?}");
    }
    // Where all of them hang, it could as well be the link.
    let world = World::new(SLOWEST, Duration::ZERO, 1, 0..6);
    for (after, answer) in world.link.run((0..6).map(|index| world.put_part(index)).collect()) {
        assert!(after >= 6 * PART_ALONE && after < 6 * PART_ALONE + SLACK, "{after:?}");
        assert_given_up(after, answer);
    }
}

#[test]
fn those_that_ended_or_were_dropped_take_no_time_from_others() {
    let world = World::new(SLOWEST, Duration::ZERO, 1, 0..6);
    let mut dropped: Vec<_> = (0..5).map(|index| world.put_part(index)).collect();
    assert!(dropped.iter_mut().all(|part| poll(part).is_pending()));
    drop(dropped);
    let (after, answer) = world.link.run(vec![world.put_part(5)]).remove(0);
    assert_eq!(after, PART_ALONE);
    assert_given_up(after, answer);
    let ends = world.link.run(vec![world.head(), world.get_range(100)]);
    assert!(ends.iter().all(|(_, answer)| answer.is_ok()), "{ends:?}");
    assert_eq!(world.faults.requests(), 8);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever they move, and whenever they begin.
    #[test]
    fn none_that_would_end_in_time_alone_is_given_up_beside_others(
        latency_ms in 0..24_000_u64,
        requests in prop::collection::vec((0..4, 0..=PART_BYTES, 0..300_000_u64), 1..16),
    ) {
        let world = World::new(SLOWEST, Duration::from_millis(latency_ms), 1, []);
        let start = |&(kind, bytes, begin_ms): &(i32, usize, u64)| -> Running<'_, Result<()>> {
            let request = match kind {
                0 => world.put(bytes),
                1 => world.get_range(bytes as u64),
                2 => world.head(),
                _ => world.list(),
            };
            let link = &world.link;
            Box::pin(async move {
                link.sleep(Duration::from_millis(begin_ms)).await;
                request.await
            })
        };
        let ends = world.link.run(requests.iter().map(start).collect());
        prop_assert!(ends.iter().all(|(_, answer)| answer.is_ok()), "{:?}", ends);
    }
}
