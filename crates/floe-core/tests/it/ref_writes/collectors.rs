//! Other writers and a collector, between any two requests of a change.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use floe_core::store::{PutMode, Store};
use floe_core::{Ambient, Error, ErrorKind, Namespace, NamespaceName, SnapshotAt, Tagged};
use floe_testkit::{FaultStore, MemoryStore, RecordingStore};
use futures::FutureExt;

use super::collector::{end_leases, fence, next_generation};
use super::meddler::{Meddler, Meddling, Upcoming};
use super::{CHANGES, Change, World, is_unknown, ref_name};

/// Runs this before one request.
fn once(number: u64, act: impl Fn() -> Meddling + Send + Sync + 'static) -> impl Fn(Upcoming) -> Meddling {
    move |upcoming| if upcoming.number == number { act() } else { None }
}

/// Answers `Unavailable` to the first swap or creation of a ref, after doing it and then this.
fn lose_the_commit(
    memory: &MemoryStore,
    then: impl Fn(MemoryStore) -> Meddling + Send + Sync + 'static,
) -> Meddler {
    let (inner, lost) = (memory.clone(), AtomicU64::new(0));
    Meddler::new(memory, move |upcoming| {
        let (key, body, mode) = upcoming.put?;
        if !key.as_str().contains("/refs/") || lost.fetch_add(1, Ordering::SeqCst) > 0 {
            return None;
        }
        let (inner, then) = (inner.clone(), then(inner.clone()));
        let meddling = async move {
            inner.put(&key, body, mode).await.unwrap();
            if let Some(then) = then {
                then.await?;
            }
            Err(Error::new(ErrorKind::Unavailable, "lost"))
        };
        Some(meddling.boxed())
    })
}

/// A collector ends all leases.
fn end_all(memory: &MemoryStore) -> Meddling {
    let memory = memory.clone();
    let meddling = async move {
        end_leases(&memory).await;
        Ok(())
    };
    Some(meddling.boxed())
}

/// Another writer moves a ref to one snapshot after another.
async fn move_elsewhere(memory: MemoryStore, name: &'static str, to: Vec<SnapshotAt>) {
    let name_of_namespace = NamespaceName::default();
    let namespace = Namespace::open(Arc::new(memory), name_of_namespace, Ambient::default()).await.unwrap();
    for at in to {
        let tagged = namespace.tag(&ref_name(name), at, "other", Default::default()).await.unwrap();
        assert!(matches!(tagged, Tagged::Committed(_)));
    }
}

async fn count_of_requests(change: Change) -> u64 {
    let world = World::new().await;
    let store = RecordingStore::new(Arc::new(world.memory.clone()));
    change.make(&world, &world.through(Arc::new(store.clone())).await).await.unwrap();
    store.requests().len() as u64
}

/// A collector that ends every lease it finds, fencing first, before any one request.
#[tokio::test]
async fn i5_an_attempt_that_a_collector_ends_is_made_again() {
    for change in CHANGES {
        let (mut fenced, mut again) = (0, 0);
        for number in 1..count_of_requests(change).await {
            let world = World::new().await;
            let memory = world.memory.clone();
            let end = move || end_all(&memory);
            let store = RecordingStore::new(Arc::new(Meddler::new(&world.memory, once(number, end))));
            let made = change.make(&world, &world.through(Arc::new(store.clone())).await).await.unwrap();
            change.assert_made(&world, &made, &format!("ended before {number}")).await;
            assert_eq!(world.leases(), [], "{change:?} ended before {number}");
            fenced += world.record(change.name()).await.unwrap().fence;
            let created = store.requests().into_iter().filter(|request| {
                request.key.contains("/leases/") && format!("{request:?}").contains("Create")
            });
            again += created.count() - 1;
        }
        // Before the ref's swap there is one moment at which the lease says `committing`, and one before the lease's own.
        assert_eq!(fenced, 1, "{change:?}");
        assert!(again >= 2, "{change:?}: {again}");
    }
}

/// A generation that moves on at any time costs stamps, and ends well.
#[tokio::test]
async fn a_generation_that_moves_on_is_caught_up_with() {
    for change in CHANGES {
        for number in 1..count_of_requests(change).await {
            let world = World::new().await;
            let memory = world.memory.clone();
            let count = move || {
                next_generation(&memory);
                None
            };
            let meddler = Meddler::new(&world.memory, once(number, count));
            let made = change.make(&world, &world.through(Arc::new(meddler)).await).await.unwrap();
            change.assert_made(&world, &made, &format!("moved on before {number}")).await;
        }
    }
}

#[tokio::test]
async fn a_collector_that_ends_every_attempt_is_reported() {
    for change in CHANGES {
        let world = World::new().await;
        let memory = world.memory.clone();
        let meddler = Meddler::new(&world.memory, move |upcoming| {
            let is_commit = upcoming.put.is_some() && upcoming.what.contains("/refs/");
            if is_commit { end_all(&memory) } else { None }
        });
        let error = change.make(&world, &world.through(Arc::new(meddler)).await).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("collector"), "{error}");
        change.assert_not_made(&world, "").await;
        assert_eq!(world.record(change.name()).await.unwrap().fence, 4, "one for each attempt");
        assert_eq!(world.leases(), []);
    }
}

/// The answer of the commit is lost, and before it is read back others have been there.
#[tokio::test]
async fn i2_a_won_race_is_seen_through_fences_and_later_moves() {
    for change in CHANGES {
        let world = World::new().await;
        let store = lose_the_commit(&world.memory, move |memory| {
            Some(
                async move {
                    fence(&memory, change.name());
                    Ok(())
                }
                .boxed(),
            )
        });
        let made = change.make(&world, &world.through(Arc::new(store)).await).await.unwrap();
        change.assert_made(&world, &made, "fenced").await;
        assert!(world.record(change.name()).await.unwrap().fence > made.fence);
        assert_eq!(world.leases(), []);

        for moves in [1, 32, 33] {
            let world = World::new().await;
            let to: Vec<_> = (0..moves).map(|n| world.at[2 + (n + 1) % 2]).collect();
            let store = lose_the_commit(&world.memory, move |memory| {
                Some(move_elsewhere(memory, change.name(), to.clone()).map(Ok).boxed())
            });
            let made = change.make(&world, &world.through(Arc::new(store)).await).await;
            let now = world.record(change.name()).await.unwrap();
            assert_eq!(now.current.generation, change.generation() + moves as u64);
            match made {
                Ok(made) => {
                    assert!(moves <= 32);
                    assert_eq!(now.generation(change.generation()), Some(&made.current));
                }
                Err(e) => {
                    assert_eq!((moves, e.kind()), (33, ErrorKind::Unavailable), "{e}");
                    assert!(e.to_string().starts_with("it cannot be told whether the ref"), "{e}");
                }
            }
            assert_eq!(world.leases(), [], "its compare-and-swap can never be done again");
        }
    }
}

#[tokio::test]
async fn i2_a_lost_race_is_reported_and_overwrites_nothing() {
    for change in CHANGES {
        // Before the lease's last swap and before the ref's, which stands before the lease's end.
        let last = count_of_requests(change).await - 1;
        for (number, moves) in [(last - 2, 1), (last - 1, 1), (last - 1, 3)] {
            let world = World::new().await;
            let to = [world.at[3], world.at[2], world.at[3]][..moves].to_vec();
            let memory = world.memory.clone();
            let act = move || Some(move_elsewhere(memory.clone(), change.name(), to.clone()).map(Ok).boxed());
            let meddler = Meddler::new(&world.memory, once(number, act));
            let error = change.make(&world, &world.through(Arc::new(meddler)).await).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            assert!(!is_unknown(&error) && error.to_string().contains("somebody else"), "{error}");
            let now = world.record(change.name()).await.unwrap();
            assert_eq!(now.current.generation, change.generation() - 1 + moves as u64);
            assert_eq!(now.current.at(), Some(world.at[3]));
            assert_eq!(world.leases(), []);
        }
    }
}

/// A swap that comes late, after everybody gave up waiting for it, finds the ref fenced by whoever ended the lease.
#[tokio::test]
async fn i2_a_commit_that_comes_late_is_shut_out_with_its_lease() {
    for change in CHANGES {
        for collected in [false, true] {
            let world = World::new().await;
            let late = Arc::new(Mutex::new(None));
            let kept = Arc::clone(&late);
            let meddler = Meddler::new(&world.memory, move |upcoming| {
                let put = upcoming.put.filter(|(key, ..)| key.as_str().contains("/refs/"))?;
                *kept.lock().unwrap() = Some(put);
                Some(async { Err(Error::new(ErrorKind::Unavailable, "lost")) }.boxed())
            });
            let error = change.make(&world, &world.through(Arc::new(meddler)).await).await.unwrap_err();
            assert!(is_unknown(&error), "{error}");
            assert_eq!(world.leases().len(), 1);
            if collected {
                end_leases(&world.memory).await;
            }
            let (key, body, mode) = late.lock().unwrap().take().unwrap();
            assert_ne!(mode, PutMode::Overwrite);
            let answer = world.memory.put(&key, body, mode).await;
            assert_eq!(answer.is_err(), collected);
            match answer {
                Ok(_) => {
                    let made = world.record(change.name()).await.unwrap();
                    change.assert_made(&world, &made, "late").await;
                }
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::Conflict);
                    change.assert_not_made(&world, "late").await;
                }
            }
        }
    }
}

/// A future that is dropped anywhere leaves its lease, and the ref as it was or as it was to be.
#[tokio::test]
async fn i5_a_change_that_is_given_up_keeps_its_lease() {
    for change in CHANGES {
        for number in 2..count_of_requests(change).await {
            let world = World::new().await;
            let store =
                Meddler::new(&world.memory, once(number, || Some(futures::future::pending().boxed())));
            let namespace = world.through(Arc::new(store)).await;
            let mut making = Box::pin(change.make(&world, &namespace));
            for _ in 0..200 {
                assert!(futures::poll!(&mut making).is_pending());
                tokio::task::yield_now().await;
            }
            drop(making);
            assert_eq!(world.leases().len(), 1, "{change:?} at {number}");
            if number + 1 < count_of_requests(change).await {
                change.assert_not_made(&world, &number.to_string()).await;
            }
        }
    }
}

/// Faults, a collector and its generations at random, over many seeds: who says that the ref was moved is right, who says
/// that it was not is right, and who does not know has left a lease.
#[tokio::test]
async fn i2_random_faults_and_collectors_leave_the_truth() {
    let (mut made, mut failed, mut unknown) = (0, 0, 0);
    for (seed, change) in (0..250).flat_map(|seed| CHANGES.map(|change| (seed, change))) {
        let world = World::new().await;
        let memory = world.memory.clone();
        let meddler = Meddler::new(&world.memory, move |upcoming| {
            let random = blake3::hash(&[seed, upcoming.number].map(u64::to_le_bytes).concat());
            match random.as_bytes()[0] {
                0..24 => end_all(&memory),
                24..48 => {
                    next_generation(&memory);
                    None
                }
                _ => None,
            }
        });
        let faults = Arc::new(FaultStore::seeded(Arc::new(meddler), seed, 4));
        let opened = Namespace::open(faults, NamespaceName::default(), Ambient::default()).await;
        let Ok(namespace) = opened else { continue };
        let context = format!("seed {seed}");
        match change.make(&world, &namespace).await {
            Ok(record) => {
                made += 1;
                change.assert_made(&world, &record, &context).await;
            }
            Err(e) if is_unknown(&e) => {
                unknown += 1;
                assert!(!world.leases().is_empty(), "{context}");
            }
            Err(e) => {
                failed += 1;
                assert!(matches!(e.kind(), ErrorKind::Unavailable | ErrorKind::Conflict), "{context}: {e}");
                change.assert_not_made(&world, &context).await;
            }
        }
    }
    assert!(made > 50 && failed > 50 && unknown > 5, "{made} {failed} {unknown}");
}

#[tokio::test]
async fn i2_of_two_writers_one_wins() {
    let world = World::new().await;
    let namespace = world.through(Arc::new(Meddler::none(&world.memory))).await;
    for name in ["main", "new"] {
        let both = futures::join!(
            world.tag(&namespace, name, world.at[2]),
            world.tag(&namespace, name, world.at[3])
        );
        let (Ok(Tagged::Committed(won)), Err(lost)) = both else { panic!("{both:?}") };
        assert_eq!(lost.kind(), ErrorKind::Conflict);
        assert_eq!(world.record(name).await.unwrap(), won);
        assert_eq!(world.leases(), []);
    }
}

/// On a real store, with real threads: every change that was reported is in the history, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i2_many_writers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new().await;
    let local = floe_core::store::LocalStore::new(dir.path()).unwrap();
    for (key, body) in world.memory.objects() {
        local.put(&key, body, PutMode::Create).await.unwrap();
    }
    let namespace = world.through(Arc::new(local)).await;
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let (namespace, at) = (namespace.clone(), world.at[n]);
            tokio::spawn(async move {
                let mut won = Vec::new();
                for _ in 0..3 {
                    match namespace.tag(&ref_name("race"), at, "test", Default::default()).await {
                        Ok(Tagged::Committed(record)) => won.push(record.current),
                        Ok(Tagged::Unchanged(_)) => {}
                        Err(e) => assert_eq!(e.kind(), ErrorKind::Conflict, "{e}"),
                    }
                }
                won
            })
        })
        .collect();
    let mut won = Vec::new();
    for writer in writers {
        won.extend(writer.await.unwrap());
    }
    won.sort_by_key(|entry| std::cmp::Reverse(entry.generation));
    let (record, _) = namespace.read_ref(&ref_name("race")).await.unwrap().unwrap();
    assert_eq!(won[0], record.current);
    assert_eq!(won[1..], record.history);
    assert_eq!(record.current.generation, won.len() as u64);
}
