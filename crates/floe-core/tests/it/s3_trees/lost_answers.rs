//! Packs that go in parts, over connections that break when the work is done.

use std::sync::Arc;

use floe_core::store::{Retry, RetrySettings, Store, SystemTimer};
use floe_core::{PushOutcome, VerifyOptions, verify};
use floe_testkit::{Fault, FaultStore, Operation, RecordingStore, bytes_of};

use super::{Place, namespace, push_to};
use crate::push::write;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lost_answers_in_process() {
    every_lost_answer(|| async { Place::in_process().await }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a server: `.ci/run s3`"]
async fn s3_server_survives_lost_answers() {
    every_lost_answer(|| async { Place::of_environment() }).await;
}

/// One push for each request that it makes, which is done and whose answer is lost; or is done twice.
async fn every_lost_answer<F: Future<Output = Place>>(place: impl Fn() -> F) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    write(&source.join("noise"), &bytes_of(11, 9_000_000));
    let quick =
        RetrySettings { first_pause: std::time::Duration::from_millis(1), ..RetrySettings::default() };
    let mut finished = 0;
    for fault in [Fault::LoseAnswer, Fault::Twice] {
        for number in 0.. {
            let place = place().await;
            let recording = RecordingStore::new(place.store());
            let faulty = FaultStore::scripted(Arc::new(recording.clone()), [(number, fault)]);
            let store: Arc<dyn Store> = Arc::new(Retry::new(
                Arc::new(faulty.clone()),
                quick.clone(),
                Arc::new(SystemTimer::default()),
            ));
            let namespace = namespace(store).await;
            let pushed = push_to(&namespace, &source, "main", None).await;
            let pushed = pushed.unwrap_or_else(|e| panic!("{fault:?} of request {number}: {e}"));
            assert!(
                matches!(&pushed.outcome, PushOutcome::Committed(record) if record.current.generation == 1)
            );
            let verified = verify(&namespace, &VerifyOptions::default()).await.unwrap();
            assert_eq!((verified.damages, verified.unreferenced), (vec![], vec![]), "{fault:?} of {number}");
            finished += recording.counts().get(&Operation::FinishParts).map_or(0, |count| count - 1);
            if number > faulty.requests() {
                break;
            }
        }
    }
    assert_eq!(finished, 2, "each fault made one completion happen twice");
}
