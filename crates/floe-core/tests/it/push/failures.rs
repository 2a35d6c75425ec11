//! Pushes that fail, are killed, or race.

use std::sync::Arc;

use floe_core::store::{KeyPrefix, list_all};
use floe_core::{ErrorKind, PushOutcome, PushSource, push};
use floe_testkit::{Fault, FaultStore, MemoryStore, bytes_of, copy_tree};

use super::{Bench, fill, main_ref, namespace, text, write};

/// Kills a push at each of its requests, before and after it is done; then repeats it.
#[tokio::test(flavor = "multi_thread")]
async fn i5_a_push_killed_at_any_request_changes_nothing_and_can_be_repeated() {
    let memory = MemoryStore::new();
    let bench = Bench::on(Arc::new(memory.clone())).await;
    fill(&bench.source());
    let first = bench.push().await.unwrap();
    write(&bench.source().join("d1/inner/f05"), &text(1, 9_000));
    for fault in [Fault::Die, Fault::DieAfter, Fault::Fail, Fault::DiskFull] {
        for request in 0.. {
            let store = memory.fork();
            let faulty = FaultStore::scripted(Arc::new(store.clone()), [(request, fault)]);
            // Not through `Bench`: each try has the cache as the first push left it.
            let cache = bench.dir.path().join(format!("cache-{fault:?}-{request}"));
            copy_tree(bench.dir.path().join("cache"), &cache);
            let mut options = bench.options();
            options.cache_dir = Some(cache);
            let Ok(opened) = floe_core::Namespace::open(
                Arc::new(faulty.clone()),
                floe_core::NamespaceName::default(),
                floe_core::Ambient::default(),
            )
            .await
            else {
                continue;
            };
            let outcome =
                push(&opened, PushSource::Directory(bench.source()), &main_ref(), &options, &Arc::default())
                    .await;
            if outcome.is_ok() && faulty.requests() <= request {
                assert!(request > 6, "a push asks more than that");
                break;
            }
            let healthy = namespace(Arc::new(store)).await;
            let (record, _) = healthy.read_ref(&main_ref()).await.unwrap().unwrap();
            assert!(record.current.generation <= 2);
            if record.current.generation == 1 {
                assert_eq!(record.current.at(), Some(first.at), "{fault:?} at {request}");
                assert!(outcome.is_err(), "{fault:?} at {request}");
            }
            let repeated =
                push(&healthy, PushSource::Directory(bench.source()), &main_ref(), &options, &Arc::default())
                    .await
                    .unwrap();
            let (now, _) = healthy.read_ref(&main_ref()).await.unwrap().unwrap();
            assert_eq!(now.current.at(), Some(repeated.at));
            let pulled = bench.dir.path().join(format!("pulled-{fault:?}-{request}"));
            let snapshot = floe_core::Snapshot::open(&healthy, repeated.at).await.unwrap();
            floe_core::pull(&healthy, &snapshot, &pulled, &Default::default(), &Arc::default())
                .await
                .unwrap();
            assert_eq!(super::listing(&bench.source()), super::listing(&pulled));
        }
    }
}

/// A first push of several packs that dies late finds what it published when it is repeated.
#[tokio::test(flavor = "multi_thread")]
async fn i5_a_repeated_push_sends_only_what_was_not_published() {
    let memory = MemoryStore::new();
    let bench = Bench::on(Arc::new(memory.clone())).await;
    for file in 0..10 {
        // Not to be compressed, so that there are three packs.
        write(&bench.source().join(format!("noise{file}")), &bytes_of(file, 16 << 20));
    }
    let total = {
        let dry = floe_core::PushOptions { dry_run: true, cache_dir: None, ..bench.options() };
        bench.push_with(&dry).await.unwrap().uploaded_bytes
    };
    assert!(total > 150 << 20);
    // The last request but two: everything is published but the snapshot.
    let count = {
        let fork = FaultStore::scripted(Arc::new(memory.fork()), []);
        let counted = namespace(Arc::new(fork.clone())).await;
        let options = floe_core::PushOptions { cache_dir: None, ..bench.options() };
        push(&counted, PushSource::Directory(bench.source()), &main_ref(), &options, &Arc::default())
            .await
            .unwrap();
        fork.requests()
    };
    let dying = FaultStore::scripted(Arc::new(memory.clone()), [(count - 4, Fault::Die)]);
    let dying = namespace(Arc::new(dying)).await;
    let died =
        push(&dying, PushSource::Directory(bench.source()), &main_ref(), &bench.options(), &Arc::default())
            .await;
    assert!(died.is_err());
    let packs = list_all(&memory, &KeyPrefix::new("default/packs/").unwrap(), 100).await.unwrap();
    assert!(packs.len() >= 2, "{packs:?}");
    let pushed = bench.push().await.unwrap();
    assert!(pushed.uploaded_bytes < total / 2, "{} of {total}", pushed.uploaded_bytes);
    bench.assert_pulls_back(&pushed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i2_of_two_pushes_that_race_one_wins() {
    let bench = Bench::new().await;
    fill(&bench.source());
    bench.push().await.unwrap();
    let other = tempfile::tempdir().unwrap();
    write(&other.path().join("other"), b"another tree");
    write(&bench.source().join("one"), b"this tree");
    let mut lost = 0;
    for round in 0..10 {
        write(&bench.source().join("one"), format!("this tree {round}").as_bytes());
        write(&other.path().join("other"), format!("another tree {round}").as_bytes());
        let name = main_ref();
        let progress = Arc::default();
        let options = bench.options();
        let theirs =
            push(&bench.namespace, PushSource::Directory(other.path().into()), &name, &options, &progress);
        let (ours, theirs) = futures::join!(bench.push(), theirs);
        let outcomes = [ours, theirs];
        let record = bench.namespace.read_ref(&main_ref()).await.unwrap().unwrap().0;
        for outcome in &outcomes {
            match outcome {
                Ok(pushed) => assert!(
                    record.generation(record.current.generation).is_some()
                        && {
                            matches!(&pushed.outcome, PushOutcome::Committed(made)
                        if record.generation(made.current.generation).is_some_and(|kept| kept.at() == Some(pushed.at)))
                        }
                ),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                    lost += 1;
                }
            }
        }
        assert!(outcomes.iter().any(Result::is_ok));
    }
    assert!(lost > 0, "no race was ever lost");
    let leases = list_all(&bench.store, &KeyPrefix::new("default/leases/").unwrap(), 10).await.unwrap();
    assert_eq!(leases, [], "every lease is ended");
}
