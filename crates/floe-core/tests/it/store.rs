//! Stores: one suite for all of them, and what each has of its own.

mod local;

use std::sync::Arc;

use floe_core::store::LocalStore;
use floe_testkit::{MemoryStore, conformance};

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
