//! Retries, limits, lost answers and the stores that tests wrap around others.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_core::ErrorKind;
use floe_core::store::{
    Key, Limit, LocalStore, PART_BYTES, PutMode, Retry, RetrySettings, Settled, Store, Upload, put_settled,
};
use floe_testkit::{Fault, FaultStore, ManualTimer, MemoryStore, Operation, RecordingStore, bytes_of};
use futures::FutureExt;

use super::key;

fn retrying(inner: Arc<dyn Store>, timer: &Arc<ManualTimer>) -> Retry {
    Retry::new(inner, RetrySettings::default(), Arc::clone(timer) as _)
}

fn patient() -> Arc<ManualTimer> {
    Arc::new(ManualTimer::new(Duration::from_secs(30), 0.5))
}

#[tokio::test]
async fn unavailable_is_repeated_with_growing_pauses_and_an_end() {
    let timer = patient();
    let faults = FaultStore::scripted(Arc::new(MemoryStore::new()), (0..3).map(|n| (n, Fault::Fail)));
    let store = retrying(Arc::new(faults.clone()), &timer);
    store.put(&key("a"), Bytes::new(), PutMode::Create).await.unwrap();
    assert_eq!(timer.slept(), [100, 200, 400].map(Duration::from_millis), "half of the longest pauses");
    assert_eq!(faults.requests(), 4);

    let faults = FaultStore::scripted(Arc::new(MemoryStore::new()), (0..100).map(|n| (n, Fault::Fail)));
    let store = retrying(Arc::new(faults.clone()), &patient());
    assert_eq!(store.head(&key("a")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(faults.requests(), 6);
}

#[tokio::test]
async fn nothing_else_is_repeated() {
    let memory = Arc::new(MemoryStore::new());
    let faults = FaultStore::scripted(memory, [(2, Fault::DiskFull)]);
    let store = retrying(Arc::new(faults.clone()), &patient());
    assert_eq!(store.get(&key("a"), 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    store.put(&key("a"), Bytes::new(), PutMode::Create).await.unwrap();
    assert_eq!(store.head(&key("a")).await.unwrap_err().kind(), ErrorKind::Internal);
    let again = store.put(&key("a"), Bytes::new(), PutMode::Create).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(faults.requests(), 4);
}

#[tokio::test]
async fn a_request_that_is_never_answered_meets_its_deadline() {
    let timer = Arc::new(ManualTimer::new(Duration::from_secs(3600), 0.0));
    let faults = FaultStore::scripted(Arc::new(MemoryStore::new()), [(0, Fault::Stall), (1, Fault::Stall)]);
    let store = retrying(Arc::new(faults), &timer);
    store.put(&key("a"), Bytes::from(vec![0; 1 << 20]), PutMode::Overwrite).await.unwrap();
    // 30 s and 16 for a MiB at the slowest rate, twice, each with its pause.
    assert_eq!(timer.slept(), [46, 0, 46, 0].map(Duration::from_secs));
}

/// i2: a won race is never reported as lost, nor a lost one as won.
#[tokio::test]
async fn i2_lost_answers_are_settled() {
    let settle = |store: Arc<dyn Store>, mode: PutMode| async move {
        let mine = |body: &[u8]| body == b"mine";
        put_settled(&*store, &key("ref"), Bytes::from_static(b"mine"), mode, 100, mine).await
    };
    for fault in [Fault::Fail, Fault::LoseAnswer, Fault::Twice] {
        for swap in [false, true] {
            let memory = Arc::new(MemoryStore::new());
            let old = Bytes::from_static(b"old");
            let mode = match swap {
                true => PutMode::Swap(memory.put(&key("ref"), old, PutMode::Create).await.unwrap()),
                false => PutMode::Create,
            };
            let faults = Arc::new(FaultStore::scripted(memory.clone(), [(0, fault)]));
            let retry = Arc::new(retrying(faults, &patient()));
            let won = settle(retry, mode.clone()).await.unwrap();
            let version = memory.get(&key("ref"), 100).await.unwrap().1;
            assert_eq!(won, Settled::Won(version), "{fault:?}");
            assert_eq!(memory.get(&key("ref"), 100).await.unwrap().0, "mine");

            // Somebody else's.
            memory.set(&key("ref"), Some(Bytes::from_static(b"other")));
            let faults = Arc::new(FaultStore::scripted(memory.clone(), [(0, fault)]));
            let retry = Arc::new(retrying(faults, &patient()));
            let lost = Settled::Lost(Some(Bytes::from_static(b"other")));
            assert_eq!(settle(retry, mode).await.unwrap(), lost, "{fault:?}");
            assert_eq!(memory.get(&key("ref"), 100).await.unwrap().0, "other");
        }
    }
    // Not seen to be done, and not refused: it is made again, and in the end nobody knows.
    let memory = Arc::new(MemoryStore::new());
    let faults = FaultStore::scripted(memory.clone(), [(0, Fault::Fail), (2, Fault::Fail)]);
    assert!(matches!(settle(Arc::new(faults), PutMode::Create).await.unwrap(), Settled::Won(_)));
    let faults = FaultStore::scripted(Arc::new(MemoryStore::new()), (0..20).map(|n| (2 * n, Fault::Fail)));
    let error = settle(Arc::new(faults.clone()), PutMode::Create).await.unwrap_err();
    assert_eq!((error.kind(), faults.requests()), (ErrorKind::Unavailable, 8));
}

/// Every request of an upload fails in every way in turn, and what is finished is whole.
#[tokio::test]
async fn uploads_survive_faults_at_every_request() {
    let body = bytes_of(3, PART_BYTES + 5);
    for fault in [Fault::Fail, Fault::LoseAnswer, Fault::Twice] {
        for at in 0..4 {
            let memory = Arc::new(MemoryStore::new());
            let faults = FaultStore::scripted(memory.clone(), [(at, fault)]);
            let store = Arc::new(retrying(Arc::new(faults.clone()), &patient()));
            let mut upload = Upload::new(store, key("pack"));
            upload.write(body.clone()).await.unwrap();
            upload.finish().await.unwrap();
            assert!(faults.requests() >= 4);
            assert!(memory.objects()[&key("pack")] == body, "{fault:?} at {at}");
        }
    }
    for at in 0..4 {
        let memory = Arc::new(MemoryStore::new());
        let faults = FaultStore::scripted(memory.clone(), [(at, Fault::DiskFull)]);
        let mut upload = Upload::new(Arc::new(faults), key("pack"));
        let failed = match upload.write(body.clone()).await {
            Ok(()) => upload.finish().await,
            failed => failed,
        };
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Internal, "at {at}");
        assert!(memory.objects().is_empty());
    }
}

#[tokio::test]
async fn seeded_faults_are_survived_and_repeatable() {
    let run = |seed| async move {
        let memory = Arc::new(MemoryStore::new());
        let faults = FaultStore::seeded(memory.clone(), seed, 3);
        let store = retrying(Arc::new(faults.clone()), &patient());
        for n in 0..200_u32 {
            store.put(&key(&format!("k/{n}")), Bytes::from(n.to_string()), PutMode::Overwrite).await.unwrap();
        }
        assert_eq!(memory.objects().len(), 200);
        faults.requests()
    };
    let first = run(7).await;
    assert!(first > 230, "{first}");
    assert_eq!(first, run(7).await);
}

#[tokio::test]
async fn bytes_a_second_are_kept() {
    let timer = Arc::new(ManualTimer::new(Duration::MAX, 0.0));
    let store = Limit::new(Arc::new(MemoryStore::new()), 4, Some(1000), Some(500), timer.clone());
    for n in 0..5 {
        store.put(&key(&format!("{n}")), Bytes::from(vec![0; 2000]), PutMode::Create).await.unwrap();
    }
    // Each waits until the ones before it have moved; the last is let through at once after that.
    assert_eq!(timer.slept(), [2, 2, 2, 2].map(Duration::from_secs));
    store.get_range(&key("0"), 0..1000).await.unwrap();
    store.get_range(&key("0"), 0..1000).await.unwrap();
    assert_eq!(timer.slept()[4..], [Duration::from_secs(2)]);
}

/// A part at a low rate takes minutes; a lease is to be ended meanwhile, and a ref moved.
#[tokio::test]
async fn records_wait_for_nothing_and_what_is_given_up_holds_up_nobody() {
    let timer = Arc::new(ManualTimer::new(Duration::from_secs(5), 0.0));
    let store = Limit::new(Arc::new(MemoryStore::new()), 4, Some(1000), None, timer.clone());
    let put = |name: &str, bytes: usize| {
        let (store, key) = (&store, key(name));
        async move { store.put(&key, Bytes::from(vec![0; bytes]), PutMode::Overwrite).await.unwrap() }
    };
    put("default/packs/a", 5_000).await;
    for _ in 0..3 {
        assert!(put("default/packs/b", 4_000).now_or_never().is_none(), "it waits for five seconds");
    }
    for record in ["default/leases/a", "default/refs/a"] {
        assert!(put(record, 300).now_or_never().is_some(), "{record}");
    }
    assert!(timer.slept().is_empty());
    // What is small is no record for that.
    assert!(put("default/snapshots/a", 100).now_or_never().is_none());
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let stalling = FaultStore::scripted(memory, (0..4).map(|n| (n, Fault::Stall)));
    let recording = RecordingStore::new(Arc::new(stalling.clone()));
    let store = Arc::new(Limit::new(Arc::new(recording.clone()), 4, None, None, patient()));
    let stalled: Vec<_> = (0..10)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.head(&key("a")).await })
        })
        .collect();
    while stalling.requests() < 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(recording.requests().len(), 4);
    // One that is given up makes room for all others.
    stalled[0].abort();
    for waiting in stalled.into_iter().skip(4) {
        waiting.await.unwrap().unwrap();
    }
    assert_eq!(recording.requests().len(), 10);
}

#[tokio::test]
async fn recording_counts_requests_bytes_and_depth() {
    let store = RecordingStore::new(Arc::new(MemoryStore::new()));
    let put = |name: &'static str| {
        let store = store.clone();
        async move { store.put(&key(name), Bytes::from_static(b"12345"), PutMode::Create).await.unwrap() }
    };
    put("a").await;
    assert_eq!(store.series_depth(), 1);
    put("b").await;
    store.get_range(&key("a"), 1..3).await.unwrap();
    assert_eq!((store.series_depth(), store.sent_bytes(), store.received_bytes()), (3, 10, 2));
    assert!(store.put(&key("a"), Bytes::new(), PutMode::Create).await.is_err());
    let counts: Vec<_> = store.counts().into_iter().collect();
    assert_eq!(counts, [(Operation::Create, 3), (Operation::GetRange, 1)]);
    assert!(!store.requests()[3].succeeded);

    // Three at once are one in series.
    store.clear();
    let stalling = FaultStore::scripted(Arc::new(store.clone()), [(1, Fault::Stall)]);
    let slow = RecordingStore::new(Arc::new(stalling));
    let (first, second) = (key("a"), key("b"));
    let get = |key: &Key| {
        let (slow, key) = (slow.clone(), key.clone());
        async move { slow.head(&key).await }
    };
    get(&first).await.unwrap();
    let stalled = tokio::spawn(get(&second));
    tokio::task::yield_now().await;
    get(&first).await.unwrap();
    get(&first).await.unwrap();
    assert_eq!(slow.requests().iter().map(|r| r.depth).collect::<Vec<_>>(), [1, 2, 2, 3]);
    stalled.abort();
}

/// Two open stores on one directory, as two processes are, race like any other writers.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i2_local_stores_of_two_processes_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let open = || LocalStore::new(dir.path()).unwrap();
    open().put(&key("ns/refs/main"), Bytes::new(), PutMode::Create).await.unwrap();
    let writers: Vec<_> = (0..8_u8)
        .map(|writer| {
            let store = open();
            tokio::spawn(async move {
                for _ in 0..20 {
                    loop {
                        let (old, version) = store.get(&key("ns/refs/main"), 1000).await.unwrap();
                        let new = [&old[..], &[writer]].concat();
                        if store.put(&key("ns/refs/main"), new.into(), PutMode::Swap(version)).await.is_ok() {
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(open().head(&key("ns/refs/main")).await.unwrap(), Some(160));
}
