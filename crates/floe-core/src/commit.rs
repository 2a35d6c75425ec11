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
