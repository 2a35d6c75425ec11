//! Reading snapshots: pull, verify, archive, listings. The snapshots are made by a writer of the tests' own.

mod fixture;
mod hostile;
mod looked_into;
mod pulled;
mod verified;

use std::path::Path;
use std::sync::Arc;

use floe_core::{
    Ambient, Foreseen, Namespace, NamespaceName, PullOptions, PullProgress, Pulled, Result, Snapshot,
    SnapshotAt, foresee_pull, pull,
};
use floe_testkit::MemoryStore;

/// A namespace in memory.
async fn namespace(store: &MemoryStore) -> Namespace {
    Namespace::open_or_create(Arc::new(store.clone()), NamespaceName::default(), Ambient::default())
        .await
        .unwrap()
}

/// Pulls a snapshot.
pub(crate) async fn pull_to(
    namespace: &Namespace,
    at: SnapshotAt,
    destination: &Path,
    options: &PullOptions,
) -> Result<Pulled> {
    let snapshot = Snapshot::open(namespace, at).await?;
    pull(namespace, &snapshot, destination, options, &Arc::new(PullProgress::default())).await
}

/// Asks what a pull would do.
pub(crate) async fn foresee(
    namespace: &Namespace,
    at: SnapshotAt,
    destination: &Path,
    options: &PullOptions,
) -> Result<(Pulled, Vec<Foreseen>)> {
    let snapshot = Snapshot::open(namespace, at).await?;
    let (progress, mut told) = (Arc::new(PullProgress::default()), Vec::new());
    let mut each = |foreseen| {
        told.push(foreseen);
        Ok(())
    };
    let pulled = foresee_pull(namespace, &snapshot, destination, options, &progress, &mut each).await?;
    Ok((pulled, told))
}

/// Makes a ref name a snapshot, by an object of it that is written by hand.
async fn name(store: &MemoryStore, namespace: &Namespace, name: &str, at: SnapshotAt) {
    let body = format!(
        "\"format\":1,\"token\":\"{:032x}\",\"namespace\":\"{}\",\"features\":[],\"entry_token\":\"{:032x}\",\"generation\":1,\"fence\":0,\"snapshot\":\"{}\",\"layout\":\"{}\",\
         \"time\":\"2024-01-01T00:00:00Z\",\"history\":[]}}",
        7,
        namespace.id(),
        8,
        at.snapshot,
        at.layout
    );
    let sum = floe_format::Sum128::of(body.as_bytes());
    let key = floe_core::store::Key::new(format!("{}/refs/{name}", namespace.name())).unwrap();
    store.set(&key, Some(format!("{{\"sum\":\"{sum}\",\n{body}").into()));
}
