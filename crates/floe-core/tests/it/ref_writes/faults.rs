//! Lost answers, repeated requests, deaths: at every request, with and without a store that repeats.

use std::sync::Arc;
use std::time::Duration;

use floe_core::store::{Retry, RetrySettings, Store};
use floe_core::{ErrorKind, Tagged};
use floe_testkit::{Fault, FaultStore, ManualTimer, RecordingStore, Request};

use super::collector::{end_leases, unseal};
use super::{CHANGES, Change, World, is_unknown, ref_name};

/// The requests that opening a namespace makes before the change.
const OPENING: u64 = 1;

fn retrying(store: Arc<dyn Store>) -> Arc<dyn Store> {
    let timer = Arc::new(ManualTimer::new(Duration::from_secs(30), 0.5));
    Arc::new(Retry::new(store, RetrySettings::default(), timer))
}

/// What a change asks for when nothing goes wrong.
async fn clean(change: Change) -> Vec<Request> {
    let world = World::new().await;
    let store = RecordingStore::new(Arc::new(world.memory.clone()));
    let namespace = world.through(Arc::new(store.clone())).await;
    change.make(&world, &namespace).await.unwrap();
    store.requests().split_off(OPENING as usize)
}

#[tokio::test]
async fn i2_a_store_that_repeats_hides_every_single_fault() {
    for change in CHANGES {
        for at in 0..clean(change).await.len() as u64 {
            for fault in [Fault::Fail, Fault::LoseAnswer, Fault::Twice] {
                let world = World::new().await;
                let faults = FaultStore::scripted(Arc::new(world.memory.clone()), [(OPENING + at, fault)]);
                let namespace = world.through(retrying(Arc::new(faults))).await;
                let made = change.make(&world, &namespace).await.unwrap();
                change.assert_made(&world, &made, &format!("{fault:?} at {at}")).await;
                assert_eq!(world.leases(), [], "{change:?} {fault:?} at {at}");
            }
        }
    }
}

/// Where nobody repeats requests, a read that fails fails the change, and leaves nothing; a write is settled.
#[tokio::test]
async fn i2_every_write_is_settled_and_i5_every_failure_changes_nothing() {
    for change in CHANGES {
        for (at, request) in (0..).zip(clean(change).await) {
            for fault in [Fault::Fail, Fault::LoseAnswer, Fault::Twice] {
                let context = format!("{fault:?} at {request:?}");
                let world = World::new().await;
                let faults = FaultStore::scripted(Arc::new(world.memory.clone()), [(OPENING + at, fault)]);
                let namespace = world.through(Arc::new(faults)).await;
                let made = change.make(&world, &namespace).await;
                let reads = request.sent_bytes == 0 && !format!("{request:?}").contains("Delete");
                if reads && fault != Fault::Twice {
                    assert_eq!(made.unwrap_err().kind(), ErrorKind::Unavailable, "{context}");
                    change.assert_not_made(&world, &context).await;
                } else {
                    change.assert_made(&world, &made.unwrap(), &context).await;
                }
                // But for a lease whose deletion failed, which a collector ends.
                let left = usize::from(fault == Fault::Fail && format!("{request:?}").contains("Delete"));
                assert_eq!(world.leases().len(), left, "{change:?} {context}");
            }
        }
    }
}

#[tokio::test]
async fn i2_random_faults_leave_the_truth() {
    let (mut made, mut failed, mut unknown) = (0, 0, 0);
    for seed in 0..400 {
        for change in CHANGES {
            let context = format!("seed {seed}");
            let world = World::new().await;
            let faults = Arc::new(FaultStore::seeded(Arc::new(world.memory.clone()), seed, 3));
            let name = floe_core::NamespaceName::default();
            let opened = floe_core::Namespace::open(faults, name, floe_core::Ambient::default()).await;
            let Ok(namespace) = opened else { continue };
            match change.make(&world, &namespace).await {
                Ok(record) => {
                    made += 1;
                    change.assert_made(&world, &record, &context).await;
                }
                Err(e) if is_unknown(&e) => unknown += 1,
                Err(e) => {
                    failed += 1;
                    assert_eq!(e.kind(), ErrorKind::Unavailable, "{context}");
                    change.assert_not_made(&world, &context).await;
                }
            }
        }
    }
    assert!(made > 100 && failed > 100 && unknown > 10, "{made} {failed} {unknown}");
}

/// Neither done nor refused, again and again: nobody knows, and the lease stays.
#[tokio::test]
async fn i2_a_commit_that_nobody_knows_of_leaves_its_lease() {
    for change in CHANGES {
        let swap = clean(change).await.len() as u64 - 2 + OPENING;
        let script = |done: Fault| {
            // The swap, and the read-back after it, fail.
            [(swap, done), (swap + 1, Fault::Fail)]
        };
        for (fault, is_done) in [(Fault::Fail, false), (Fault::LoseAnswer, true)] {
            let world = World::new().await;
            let faults = FaultStore::scripted(Arc::new(world.memory.clone()), script(fault));
            let namespace = world.through(Arc::new(faults)).await;
            let error = change.make(&world, &namespace).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(is_unknown(&error), "{error}");
            let leases = world.leases();
            assert_eq!(leases.len(), 1);
            let lease = unseal(&leases[0].1);
            assert_eq!((&lease["state"], &lease["ref"]), (&"committing".into(), &change.name().into()));
            if !is_done {
                change.assert_not_made(&world, "").await;
            }
            // Whoever looks again, sees, and the collector has no trouble with the lease.
            end_leases(&world.memory).await;
            let now = world.record(change.name()).await.unwrap();
            assert_eq!(now.current.generation, change.generation() - u64::from(!is_done), "{change:?}");
            assert_eq!(now.fence, u64::from(!is_done));
        }
        // The swap is never done, although the ref can be read.
        let world = World::new().await;
        let fails = (0..100).map(|n| (swap + 2 * n, Fault::Fail));
        let faults = FaultStore::scripted(Arc::new(world.memory.clone()), fails);
        let namespace = world.through(Arc::new(faults)).await;
        let error = change.make(&world, &namespace).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Unavailable && is_unknown(&error), "{error}");
        change.assert_not_made(&world, "").await;
        assert_eq!(world.leases().len(), 1);
    }
}

/// A full disk is no reason to call a commit lost that a sync failed after.
#[tokio::test]
async fn i10_an_error_of_the_disk_is_not_settled_by_reading_back() {
    let world = World::new().await;
    let swap = clean(Change::Back).await.len() as u64 - 2 + OPENING;
    let faults = FaultStore::scripted(Arc::new(world.memory.clone()), [(swap, Fault::DiskFull)]);
    let error = Change::Back.make(&world, &world.through(Arc::new(faults)).await).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Internal && is_unknown(&error), "{error}");
    assert_eq!(world.leases().len(), 1);
}

/// Killed before or after any request: the ref is as before or as after, and the repeated command finishes.
#[tokio::test]
async fn i5_a_killed_change_is_made_or_not_and_can_be_repeated() {
    for change in CHANGES {
        for (at, request) in (0..).zip(clean(change).await) {
            for fault in [Fault::Die, Fault::DieAfter] {
                let context = format!("{fault:?} at {request:?}");
                let world = World::new().await;
                let faults = FaultStore::scripted(Arc::new(world.memory.clone()), [(OPENING + at, fault)]);
                let namespace = world.through(Arc::new(faults)).await;
                let is_last = format!("{request:?}").contains("Delete");
                let killed = change.make(&world, &namespace).await;
                assert_eq!(killed.is_ok(), is_last, "{context}");
                let swapped = is_last
                    || fault == Fault::DieAfter && request.key.contains("refs/") && request.sent_bytes > 0;
                if swapped {
                    let made = world.record(change.name()).await.unwrap();
                    change.assert_made(&world, &made, &context).await;
                } else {
                    change.assert_not_made(&world, &context).await;
                }
                let again = world.plain().await;
                match change.at(&world) {
                    Some(at) => {
                        let tagged = world.tag(&again, change.name(), at).await.unwrap();
                        assert_eq!(matches!(tagged, Tagged::Unchanged(_)), swapped, "{context}");
                    }
                    None => {
                        let removed = again.remove_ref(&ref_name("main"), "test", Default::default()).await;
                        assert_eq!(removed.is_err(), swapped, "{context}");
                    }
                }
                let made = world.record(change.name()).await.unwrap();
                change.assert_made(&world, &made, &context).await;
            }
        }
    }
}
