//! Conditions under concurrency: exactly one wins, and nothing is lost.

use std::sync::Arc;

use bytes::Bytes;
use floe_core::store::{Key, PutMode, Version};
use floe_core::{ErrorKind, Result};
use futures::future::join_all;
use tokio::sync::Barrier;

use super::Subject;

const RACERS: usize = 16;
const ROUNDS: usize = 20;

/// Lets all racers put at once, each a body of its own; the index and version of the one winner.
async fn race(subject: &Subject, key: &Key, round: usize, mode: &PutMode) -> (usize, Version) {
    let barrier = Arc::new(Barrier::new(RACERS));
    let racers = (0..RACERS).map(|racer| {
        let (store, key, mode, barrier) =
            (Arc::clone(&subject.store), key.clone(), mode.clone(), Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            store.put(&key, body(round, racer), mode).await
        })
    });
    let answers: Vec<Result<Version>> =
        join_all(racers).await.into_iter().map(|joined| joined.unwrap()).collect();
    let mut winners = Vec::new();
    for (racer, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(version) => winners.push((racer, version)),
            Err(e) => assert_eq!(e.kind(), ErrorKind::Conflict, "round {round}: {e}"),
        }
    }
    assert_eq!(winners.len(), 1, "round {round} of {mode:?}: {winners:?} all won");
    winners.remove(0)
}

fn body(round: usize, racer: usize) -> Bytes {
    Bytes::from(format!("round {round}, racer {racer}"))
}

pub(super) async fn creations(subject: &Subject) {
    for round in 0..ROUNDS {
        let key = subject.key(&format!("races/create-{round}"));
        let (winner, _) = race(subject, &key, round, &PutMode::Create).await;
        assert_eq!(subject.read(&key).await, body(round, winner), "the winner's body is there");
    }
}

pub(super) async fn swaps(subject: &Subject) {
    let key = subject.key("races/swap");
    let mut version = subject.create(&key, "start").await.unwrap();
    for round in 0..ROUNDS {
        let (winner, won) = race(subject, &key, round, &PutMode::Swap(version)).await;
        let (found, found_version) = subject.store.get(&key, 100).await.unwrap();
        assert_eq!((found, &found_version), (body(round, winner), &won));
        version = won;
    }
}

/// Racers add to one object, reading again after each lost race; every addition is there in the end.
pub(super) async fn counter(subject: &Subject) {
    let key = subject.key("races/counter");
    subject.create(&key, "").await.unwrap();
    let racers = (0..8_u8).map(|racer| {
        let (store, key) = (Arc::clone(&subject.store), key.clone());
        tokio::spawn(async move {
            for _ in 0..5 {
                loop {
                    let (old, version) = store.get(&key, 100).await.unwrap();
                    let new = [&old[..], &[b'a' + racer]].concat();
                    match store.put(&key, new.into(), PutMode::Swap(version)).await {
                        Ok(_) => break,
                        Err(e) => assert_eq!(e.kind(), ErrorKind::Conflict, "{e}"),
                    }
                }
            }
        })
    });
    for joined in join_all(racers).await {
        joined.unwrap();
    }
    let mut letters = subject.read(&key).await.to_vec();
    letters.sort_unstable();
    assert_eq!(letters, b"abcdefgh".iter().flat_map(|letter| [*letter; 5]).collect::<Vec<_>>());
}
