//! Pushes that race to one ref, on servers that decide races.

use std::collections::BTreeMap;
use std::fs;

use floe_core::{ErrorKind, Namespace, PullOptions, PushOutcome, Snapshot, VerifyOptions, pull, verify};
use futures::future::join_all;

use super::{Place, name, namespace, push_to};

const RACERS: usize = 16;
const ROUNDS: usize = 6;

/// i2: a ref moves only by compare-and-swap.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
#[ignore = "needs a server: `.ci/run stores`"]
async fn store_server_lets_one_push_a_generation_win_i2() {
    let place = Place::of_environment();
    let dir = tempfile::tempdir().unwrap();
    namespace(place.store()).await;
    let mut winners = BTreeMap::new();
    let mut losers = 0;
    for round in 0..ROUNDS {
        let before = winners.len() as u64;
        let pushes = (0..RACERS).map(|racer| {
            let source = dir.path().join(format!("{round}-{racer}"));
            fs::create_dir(&source).unwrap();
            fs::write(source.join("who"), format!("racer {racer} of round {round}")).unwrap();
            let store = place.store();
            tokio::spawn(async move {
                let namespace = namespace(store).await;
                (racer, push_to(&namespace, &source, "main", None).await)
            })
        });
        for joined in join_all(pushes).await {
            let (racer, pushed) = joined.unwrap();
            match pushed {
                Ok(pushed) => {
                    let PushOutcome::Committed(record) = &pushed.outcome else { panic!("{pushed:?}") };
                    let generation = record.current.generation;
                    assert!(generation > before, "round {round}: {generation} was made before");
                    let former = winners.insert(generation, (round, racer, pushed.at));
                    assert_eq!(former.map(|_| ()), None, "generation {generation} was won twice");
                }
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::Conflict, "{e}");
                    losers += 1;
                }
            }
        }
        assert!(winners.len() as u64 > before, "round {round}: nobody won");
    }
    assert_eq!(winners.len() + losers, RACERS * ROUNDS);
    assert!(losers > 0, "no push met another");
    every_generation_is_its_winners(&namespace(place.store()).await, &winners, dir.path()).await;
}

async fn every_generation_is_its_winners(
    namespace: &Namespace,
    winners: &BTreeMap<u64, (usize, usize, floe_core::SnapshotAt)>,
    scratch: &std::path::Path,
) {
    let (record, _) = namespace.read_ref(&name("main")).await.unwrap().unwrap();
    assert_eq!(record.current.generation, winners.len() as u64, "a generation has no winner");
    for (generation, (round, racer, at)) in winners.iter().rev().take(33) {
        assert_eq!(record.generation(*generation).unwrap().at(), Some(*at), "generation {generation}");
        let pulled = scratch.join(format!("pulled-{generation}"));
        let snapshot = Snapshot::open(namespace, *at).await.unwrap();
        pull(namespace, &snapshot, &pulled, &PullOptions::default(), &Default::default()).await.unwrap();
        let who = fs::read_to_string(pulled.join("who")).unwrap();
        assert_eq!(who, format!("racer {racer} of round {round}"), "generation {generation}");
    }
    let verified = verify(namespace, &VerifyOptions::default()).await.unwrap();
    assert_eq!(verified.damages, []);
}
