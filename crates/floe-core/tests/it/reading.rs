//! Reading snapshots: pull, verify, archive, listings. The snapshots are made by a writer of the tests' own.

mod fixture;
mod pulled;

use std::path::Path;
use std::sync::Arc;

use floe_core::{
    Ambient, Namespace, NamespaceName, PullOptions, PullProgress, Pulled, Result, Snapshot, SnapshotAt, pull,
};
use floe_testkit::MemoryStore;

/// A namespace in memory.
async fn namespace(store: &MemoryStore) -> Namespace {
    Namespace::open_or_create(Arc::new(store.clone()), NamespaceName::default(), Ambient::default())
        .await
        .unwrap()
}

/// Pulls a snapshot.
async fn pull_to(
    namespace: &Namespace,
    at: SnapshotAt,
    destination: &Path,
    options: &PullOptions,
) -> Result<Pulled> {
    let snapshot = Snapshot::open(namespace, at).await?;
    pull(namespace, &snapshot, destination, options, &Arc::new(PullProgress::default())).await
}
