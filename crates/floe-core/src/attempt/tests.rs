//! What only a push does: publish beside the lease's last swap. The rest is tested through tags and removals.

use std::future::{pending, ready};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use floe_format::{LayoutId, PackId, SnapshotId, Token};
use tokio::sync::Barrier;

use super::*;
use crate::ambient::Ambient;
use crate::names::NamespaceName;
use crate::reference::{Annotation, SnapshotAt};
use crate::sealed::seal;
use crate::store::{
    Conditions, Cursor, Key, KeyPrefix, LocalStore, Page, Part, PartTag, PartsId, PutMode, Store, Version,
    list_all,
};

/// A local store that writes down what is asked of it, and lets whoever comes to the barrier wait for others.
#[derive(Debug)]
struct Watched {
    inner: LocalStore,
    log: Mutex<Vec<String>>,
    /// Where a swap of a lease waits.
    meeting: Option<Barrier>,
}

impl Watched {
    fn note(&self, operation: &str, key: &Key) {
        let kind = key.as_str().split('/').nth(1).unwrap_or_default();
        self.log.lock().unwrap().push(format!("{operation} {kind}"));
    }

    fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Watched {
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
        let is_swap = matches!(mode, PutMode::Swap(_));
        self.note(if is_swap { "swap" } else { "create" }, key);
        if let Some(meeting) = self.meeting.as_ref().filter(|_| is_swap && key.as_str().contains("/leases/"))
        {
            meeting.wait().await;
        }
        self.inner.put(key, body, mode).await
    }

    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        self.note("get", key);
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
        self.note("delete", key);
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

struct World {
    _dir: tempfile::TempDir,
    store: Arc<Watched>,
    namespace: Namespace,
    name: RefName,
}

impl World {
    async fn new(meeting: Option<Barrier>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let inner = LocalStore::new(dir.path()).unwrap();
        let (ambient, name) = (Ambient::default(), NamespaceName::default());
        Namespace::open_or_create(Arc::new(inner.clone()), name.clone(), ambient.clone()).await.unwrap();
        let store = Arc::new(Watched { inner, log: Mutex::default(), meeting });
        let namespace = Namespace::open(store.clone(), name, ambient).await.unwrap();
        let namespace = namespace.with_conditions(Conditions::kept());
        store.take_log();
        Self { _dir: dir, store, namespace, name: "release/1".parse().unwrap() }
    }

    async fn begin(&self, guess: u64) -> WriteAttempt {
        WriteAttempt::begin(&self.namespace, &self.name, Some(guess), "test").await.unwrap()
    }

    async fn leases(&self) -> usize {
        list_all(&self.store.inner, &KeyPrefix::new("default/leases/").unwrap(), 10).await.unwrap().len()
    }

    async fn generation(&self) -> u64 {
        self.namespace.read_ref(&self.name).await.unwrap().map_or(0, |(record, _)| record.current.generation)
    }

    async fn set_collector(&self, json: serde_json::Value) {
        let key = self.namespace.keys().collector_state();
        self.store.inner.put(&key, seal(&json).unwrap(), PutMode::Overwrite).await.unwrap();
    }
}

fn at(n: u8) -> SnapshotAt {
    SnapshotAt { snapshot: SnapshotId::from_bytes([n; 32]), layout: LayoutId::from_bytes([n; 16]) }
}

fn failed<T>(answer: Result<T, WriteError>) -> Error {
    match answer {
        Err(WriteError::Failed(e)) => e,
        Err(WriteError::Rearm(e)) => panic!("to be made again: {e}"),
        Ok(_) => panic!("it did not fail"),
    }
}

/// The snapshot object and the lease's swap are under way at once, and the ref's swap after both.
#[tokio::test]
async fn a_commit_publishes_beside_its_announcement() {
    let world = World::new(Some(Barrier::new(2))).await;
    for (generation, put) in [(1, "create refs"), (2, "swap refs")] {
        let attempt = world.begin(0).await;
        assert_eq!(attempt.view().collector_generation(), 0);
        assert_eq!(attempt.view().former().map_or(0, |record| record.current.generation), generation - 1);
        let n = u8::try_from(generation).unwrap();
        let publish = async {
            let key = world.namespace.keys().snapshot(&at(n));
            world.store.put(&key, Bytes::new(), PutMode::Create).await?;
            world.store.meeting.as_ref().unwrap().wait().await;
            Ok(())
        };
        let commit = attempt.commit(Some(at(n)), Annotation::default(), publish);
        let committed = tokio::time::timeout(Duration::from_secs(60), commit).await.unwrap();
        let record = committed.unwrap().end().await;
        assert_eq!((record.current.generation, record.current.at()), (generation, Some(at(n))));
        let log = world.store.take_log();
        let expected =
            ["create leases", "get gc", "get refs", "create snapshots", "swap leases", put, "delete leases"];
        assert_eq!(log, expected);
        assert_eq!((world.leases().await, world.generation().await), (0, generation));
        world.store.take_log();
    }
}

#[tokio::test]
async fn i5_what_could_not_be_published_is_not_committed() {
    let world = World::new(None).await;
    let attempt = world.begin(0).await;
    let full = || Error::new(ErrorKind::Internal, "the disk is full");
    let publish = async { Err(full()) };
    let error = failed(attempt.commit(Some(at(1)), Annotation::default(), publish).await);
    assert_eq!(error.to_string(), full().to_string());
    assert_eq!((world.leases().await, world.generation().await), (0, 0));
}

/// Nothing is committed by who is not done publishing, and the lease of an attempt that was dropped stays.
#[tokio::test]
async fn i1_the_ref_waits_for_what_it_names() {
    let world = World::new(None).await;
    let attempt = world.begin(0).await;
    let commit = attempt.commit(Some(at(1)), Annotation::default(), pending());
    assert!(tokio::time::timeout(Duration::from_millis(300), commit).await.is_err());
    assert_eq!((world.leases().await, world.generation().await), (1, 0));
    assert!(!world.store.take_log().iter().any(|request| request.contains("refs") && request != "get refs"));
}

#[tokio::test]
async fn i2_a_lost_race_is_told_from_an_ended_lease() {
    let world = World::new(None).await;
    let (first, second, third) = (world.begin(0).await, world.begin(0).await, world.begin(0).await);
    let none = Annotation::default;
    first.commit(Some(at(1)), none(), ready(Ok(()))).await.unwrap().end().await;
    let error = failed(second.commit(Some(at(2)), none(), ready(Ok(()))).await);
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(world.namespace.read_ref(&world.name).await.unwrap().unwrap().0.current.at(), Some(at(1)));

    // A collector deleted what it had ended: a lease that is missing is dead.
    let prefix = world.namespace.keys().leases();
    for lease in list_all(&world.store.inner, &prefix, 10).await.unwrap() {
        world.store.inner.delete(&lease.key).await.unwrap();
    }
    let ended = third.commit(Some(at(3)), none(), ready(Ok(()))).await;
    assert!(matches!(ended, Err(WriteError::Rearm(_))), "{ended:?}");
    assert_eq!((world.leases().await, world.generation().await), (0, 1));
}

#[tokio::test]
async fn an_attempt_knows_what_is_condemned() {
    let world = World::new(None).await;
    let (pack, other) = (PackId::new(1, [1; 10]), PackId::new(1, [2; 10]));
    world
        .set_collector(serde_json::json!({
            "format": 1, "token": Token::from_bytes([1; 16]).to_string(), "generation": 7,
            "condemned": { "packs": [pack.to_string()], "snapshots": [] },
            "doomed": { "packs": [], "snapshots": [at(1).to_string()] },
        }))
        .await;
    for (guess, requests) in [(7, 4), (0, 6), (9, 6)] {
        let attempt = world.begin(guess).await;
        assert_eq!(attempt.view().collector_generation(), 7);
        assert!(attempt.view().is_condemned_pack(&pack) && !attempt.view().is_condemned_pack(&other));
        assert!(
            attempt.view().is_condemned_snapshot(&at(1)) && !attempt.view().is_condemned_snapshot(&at(2))
        );
        attempt.abandon().await;
        assert_eq!(world.store.take_log().len(), requests, "guess {guess}");
        assert_eq!(world.leases().await, 0);
    }
}

#[tokio::test]
async fn clients_that_make_a_namespace_at_once_agree_on_one() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(LocalStore::new(dir.path()).unwrap());
    let open = || Namespace::open_or_create(store.clone(), NamespaceName::default(), Ambient::default());
    let made = futures::future::join_all((0..8).map(|_| open())).await;
    assert!(made.iter().flatten().count() == 8);
    assert!(made.iter().flatten().all(|other| other.id() == made[0].as_ref().unwrap().id()));
}
