//! Packs that go in parts, over connections that break when the work is done.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use floe_core::store::{Retry, RetrySettings, SystemTimer};
use floe_core::{PushOutcome, VerifyOptions, verify};
use floe_testkit::{Fault, FaultStore, Operation, RecordingStore, bytes_of};

use super::{Place, namespace, push_to};
use crate::push::write;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lost_answers_in_process() {
    every_lost_answer(|| async { Place::in_process().await }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a server: `.ci/run stores`"]
async fn store_server_survives_lost_answers() {
    every_lost_answer(|| async { Place::of_environment() }).await;
}

/// A push whose request to complete the pack is done and its answer lost, or is done twice.
async fn every_lost_answer<F: Future<Output = Place>>(place: impl Fn() -> F) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    write(&source.join("noise"), &bytes_of(11, 9_000_000));
    let completion = faulty_push(&place().await, &source, None).await[0];
    for fault in [Fault::LoseAnswer, Fault::Twice] {
        let completions = faulty_push(&place().await, &source, Some((completion, fault))).await;
        assert_eq!(completions.len(), 2, "{fault:?}: the completion was to happen twice");
    }
}

/// Pushes with a fault, and verifies what is there; the numbers of the requests that completed a pack.
async fn faulty_push(place: &Place, source: &Path, fault: Option<(u64, Fault)>) -> Vec<u64> {
    let quick = RetrySettings { first_pause: Duration::from_millis(1), ..RetrySettings::default() };
    let recording = RecordingStore::new(place.store());
    let faulty = FaultStore::scripted(Arc::new(recording.clone()), fault);
    let store = Retry::new(Arc::new(faulty), quick, Arc::new(SystemTimer::default()));
    let namespace = namespace(Arc::new(store)).await;
    let pushed = push_to(&namespace, source, "main", None).await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
    assert!(matches!(&pushed.outcome, PushOutcome::Committed(record) if record.current.generation == 1));
    let requests = recording.requests();
    let verified = verify(&namespace, &VerifyOptions::default()).await.unwrap();
    assert_eq!((verified.damages, verified.unreferenced), (vec![], vec![]), "{fault:?}");
    let numbered = (0..).zip(requests);
    numbered.filter(|(_, request)| request.operation == Operation::FinishParts).map(|(n, _)| n).collect()
}
