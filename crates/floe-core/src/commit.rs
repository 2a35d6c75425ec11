//! The last steps of every change of a ref: announce it in the lease, then compare-and-swap the ref.
//!
//! Who fails before the swap has changed nothing anyone can see. A lost race is `Conflict`, never an overwrite.

use crate::lease::Lease;
use crate::names::RefName;
use crate::namespace::Namespace;
use crate::reference::{Annotation, RefRecord, SnapshotAt};
use crate::sealed::put_sealed;
use crate::store::{PutMode, Version};
use crate::{Error, ErrorKind, Result};

/// A ref's record and the version of its object, as read after the handshake.
type Former = Option<(RefRecord, Version)>;

impl Namespace {
    /// Removes a ref: it is left as a tombstone, its history as it is. Returns what it is now.
    ///
    /// # Errors
    /// `NotFound` where there is no such ref or it is removed already; `Conflict` where somebody else moved it at
    /// the same time.
    pub async fn remove_ref(
        &self,
        name: &RefName,
        holder: &str,
        annotation: Annotation,
    ) -> Result<RefRecord> {
        annotation.check()?;
        let mut lease = Lease::acquire(self, holder, 0).await?;
        let removed = self.remove_under(&mut lease, name, annotation).await;
        lease.end().await;
        removed
    }

    async fn remove_under(
        &self,
        lease: &mut Lease,
        name: &RefName,
        annotation: Annotation,
    ) -> Result<RefRecord> {
        let former = self.read_ref(name).await?;
        if former.as_ref().is_none_or(|(record, _)| record.current.at().is_none()) {
            return Err(Error::new(ErrorKind::NotFound, format!("no ref is called `{name}`")));
        }
        self.commit(lease, name, former, None, annotation).await
    }

    /// Moves a ref from what it was read to be after the lease's handshake, to a snapshot or to a tombstone.
    async fn commit(
        &self,
        lease: &mut Lease,
        name: &RefName,
        former: Former,
        at: Option<SnapshotAt>,
        annotation: Annotation,
    ) -> Result<RefRecord> {
        let (record, version) = former.unzip();
        lease.announce_commit(name, version.as_ref()).await?;
        let ambient = self.ambient();
        let next =
            RefRecord::following(record.as_ref(), at, ambient.timestamp(), annotation, ambient.token());
        let mode = version.map_or(PutMode::Create, PutMode::Swap);
        put_sealed(self.store().as_ref(), &self.keys().reference(name), &next, mode).await.map_err(|e| {
            match e.kind() {
                ErrorKind::Conflict => {
                    let message =
                        format!("the ref `{name}` was moved by somebody else; look again and repeat");
                    Error::new(ErrorKind::Conflict, message).with_source(e)
                }
                _ => e,
            }
        })?;
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use floe_format::{LayoutId, SnapshotId};

    use super::*;
    use crate::ambient::Ambient;
    use crate::names::{NamespaceName, Reference};
    use crate::store::{KeyPrefix, LocalStore, Store, list_all};

    async fn namespace(dir: &tempfile::TempDir) -> Namespace {
        let store: Arc<dyn Store> = Arc::new(LocalStore::new(dir.path()).unwrap());
        Namespace::open_or_create(store, NamespaceName::default(), Ambient::default()).await.unwrap()
    }

    fn at(n: u8) -> SnapshotAt {
        SnapshotAt { snapshot: SnapshotId::from_bytes([n; 32]), layout: LayoutId::from_bytes([n; 16]) }
    }

    /// Reads the ref under a lease and moves it, as a push does.
    async fn set(namespace: &Namespace, name: &RefName, former: Former, n: u8) -> Result<RefRecord> {
        let mut lease = Lease::acquire(namespace, "test", 0).await?;
        let record = namespace.commit(&mut lease, name, former, Some(at(n)), Annotation::default()).await;
        lease.end().await;
        record
    }

    #[tokio::test]
    async fn clients_that_make_a_namespace_at_once_agree_on_one() {
        let dir = tempfile::tempdir().unwrap();
        let made = futures::future::join_all((0..8).map(|_| namespace(&dir))).await;
        assert!(made.iter().all(|other| other.id() == made[0].id()));
    }

    #[tokio::test]
    async fn i2_a_lost_race_is_reported_and_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let namespace = namespace(&dir).await;
        let name: RefName = "release/1".parse().unwrap();
        for round in 0..3 {
            let former = namespace.read_ref(&name).await.unwrap();
            let pushes = (0..4).map(|n| set(&namespace, &name, former.clone(), 10 * round + n));
            let outcomes = futures::future::join_all(pushes).await;
            let won: Vec<_> = outcomes.iter().flatten().collect();
            assert_eq!(won.len(), 1, "{outcomes:?}");
            let (now, _) = namespace.read_ref(&name).await.unwrap().unwrap();
            assert_eq!(&now, won[0]);
            assert_eq!(now.current.generation, u64::from(round) + 1);
            for lost in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
                assert_eq!(lost.kind(), ErrorKind::Conflict);
            }
        }
        let leases =
            list_all(namespace.store().as_ref(), &KeyPrefix::new("default/leases/").unwrap(), 10).await;
        assert_eq!(leases.unwrap(), []);
    }

    #[tokio::test]
    async fn a_removed_ref_keeps_its_history_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let namespace = namespace(&dir).await;
        let name: RefName = "main".parse().unwrap();
        let nothing = namespace.remove_ref(&name, "test", Annotation::default()).await.unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::NotFound);
        set(&namespace, &name, None, 1).await.unwrap();
        namespace.remove_ref(&name, "test", Annotation::default()).await.unwrap();
        let again = namespace.remove_ref(&name, "test", Annotation::default()).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::NotFound);

        let resolve = |text: &str| text.parse::<Reference>().unwrap();
        assert_eq!(namespace.resolve(&resolve("main")).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(namespace.resolve(&resolve("main@1")).await.unwrap().at, at(1));
        let former = namespace.read_ref(&name).await.unwrap();
        assert_eq!(set(&namespace, &name, former, 3).await.unwrap().current.generation, 3);
        let error = namespace.resolve(&resolve("mian")).await.unwrap_err();
        assert!(error.to_string().contains("`main`"), "{error}");
    }

    #[tokio::test]
    async fn a_lease_that_was_ended_commits_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let namespace = namespace(&dir).await;
        let name: RefName = "main".parse().unwrap();
        let mut lease = Lease::acquire(&namespace, "test", 7).await.unwrap();
        for lease in list_all(namespace.store().as_ref(), &namespace.keys().leases(), 10).await.unwrap() {
            namespace.store().delete(&lease.key).await.unwrap();
        }
        let error =
            namespace.commit(&mut lease, &name, None, Some(at(1)), Annotation::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(namespace.read_ref(&name).await.unwrap().is_none());
    }
}
