//! Stores: one suite for all of them, and what each has of its own.

mod clouds;
mod local;
pub(crate) mod power_loss;
mod remote;
mod slow_link;
mod wrappers;

use std::sync::Arc;

use floe_core::store::{Key, Limit, LocalStore, Retry, RetrySettings, Store, SystemTimer};
use floe_testkit::{MemoryStore, RecordingStore, conformance};

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_conforms() {
    conformance::run(Arc::new(MemoryStore::new()), "ns", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn local_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::new(dir.path().join("deep/store")).unwrap();
    conformance::run(Arc::new(store), "ns", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wrapped_conforms() {
    let timer = Arc::new(SystemTimer::default());
    let store: Arc<dyn Store> = Arc::new(RecordingStore::new(Arc::new(MemoryStore::new())));
    let store = Arc::new(Retry::new(store, RetrySettings::default(), timer.clone()));
    let store = Limit::new(store, 3, Some(10_000_000_000), Some(10_000_000_000), timer);
    conformance::run(Arc::new(store), "ns", &[]).await;
}
