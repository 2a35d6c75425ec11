//! The last steps of an attempt: publish, announce, move the ref, settle, end the lease (W7 to W10).

use std::future::Future;

use bytes::Bytes;
use floe_format::Token;

use super::WriteAttempt;
use crate::lease::Lease;
use crate::reference::{Annotation, RefRecord, SnapshotAt};
use crate::sealed::MAX_SEALED_BYTES;
use crate::store::{Key, PutMode, Settled, put_settled};
use crate::write_error::WriteError;
use crate::{Error, ErrorKind, Remedy, Result};

impl WriteAttempt {
    /// Moves the ref from what it was to `at`, or to a tombstone. The lease is still to be ended then.
    ///
    /// `publish` (of the snapshot object, say) runs beside the announcement in the lease, and has succeeded before the
    /// ref is moved. If it fails, nothing is committed.
    ///
    /// **Cancel safety.** The ref may or may not be moved; the lease is left.
    ///
    /// # Errors
    /// `Failed` with `Conflict` where somebody else moved the ref. Where it is not known whether the ref was moved, the
    /// message says so.
    pub(crate) async fn commit(
        mut self,
        at: Option<SnapshotAt>,
        annotation: Annotation,
        publish: impl Future<Output = Result<()>> + Send,
    ) -> Result<Committed, WriteError> {
        let Some(generation) = RefRecord::next_generation(self.view.former()) else {
            self.lease.end().await;
            let message = format!("the ref `{}` has come to the last generation that there is", self.target);
            let error = Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::OtherRef);
            return Err(WriteError::Failed(error));
        };
        let version = self.view.former.as_ref().map(|(_, version)| version.clone());
        let announce = self.lease.announce_commit(&self.target, version.as_ref());
        // Both are awaited, whatever the other's fate, so that nothing of this attempt is under way after it.
        let (published, announced) = futures::join!(publish, announce);
        if let Err(e) = published.map_err(WriteError::from).and(announced) {
            self.lease.end().await;
            return Err(e);
        }
        let ambient = self.namespace.ambient();
        let push = Push { token: ambient.token(), generation };
        let (namespace, now) = (self.namespace.id(), ambient.timestamp());
        let former = self.view.former();
        let mut next = RefRecord::following(namespace, former, generation, at, now, annotation, push.token);
        let body = match next.seal_within_limit() {
            Ok(body) => body,
            Err(e) => {
                self.lease.end().await;
                return Err(e.into());
            }
        };
        let mode = version.map_or(PutMode::Create, PutMode::Swap);
        match self.move_ref(&push, body, mode).await {
            Ok(Moved::Won) => Ok(Committed { record: next, lease: self.lease }),
            Ok(Moved::Not(e)) => {
                self.lease.end().await;
                Err(e)
            }
            // The request may still be on its way: whoever deleted the lease now would let a collector delete what
            // it is about to name.
            Err(e) => {
                let message = format!(
                    "it is not known whether the ref `{}` was moved; look at it before you repeat",
                    self.target
                );
                Err(WriteError::Failed(Error::new(e.kind(), message).with_source(e)))
            }
        }
    }

    /// W9: swaps the ref, and settles it.
    ///
    /// # Errors
    /// Where it is not settled.
    async fn move_ref(&self, push: &Push, body: Bytes, mode: PutMode) -> Result<Moved> {
        let key = self.namespace.keys().reference(&self.target);
        let store = self.namespace.store().as_ref();
        let is_mine = |found: &[u8]| push.is_in(&key, found);
        let found = match put_settled(store, &key, body, mode, MAX_SEALED_BYTES, is_mine).await? {
            Settled::Won(_) => return Ok(Moved::Won),
            Settled::Lost(found) => found,
        };
        let found = match found {
            Some(found) => RefRecord::from_bytes(key.as_str(), &found)?,
            // Refs are never deleted.
            None => {
                let error = Error::new(ErrorKind::Corrupt, format!("`{key}` is gone"));
                return Err(error.with_remedy(Remedy::RestoreRef));
            }
        };
        let target = &self.target;
        Ok(Moved::Not(if found.generation(push.generation).is_some() {
            let message = format!("the ref `{target}` was moved by somebody else");
            WriteError::Failed(Error::new(ErrorKind::Conflict, message))
        } else if found.current.generation == push.generation - 1 {
            let message = format!("the ref `{target}` was fenced by a collector; repeat");
            WriteError::Rearm(Error::new(ErrorKind::Conflict, message))
        } else {
            let message = format!(
                "it cannot be told whether the ref `{target}` was moved: it is at generation {} now, and does not \
                 remember generation {}",
                found.current.generation, push.generation,
            );
            WriteError::Failed(Error::new(ErrorKind::Unavailable, message))
        }))
    }
}

/// A ref that was moved.
#[derive(Debug)]
#[must_use = "its lease is to be ended"]
pub(crate) struct Committed {
    record: RefRecord,
    lease: Lease,
}

impl Committed {
    /// Ends the lease; returns what the ref is now.
    pub(crate) async fn end(self) -> RefRecord {
        self.lease.end().await;
        self.record
    }
}

/// How the ref's compare-and-swap ended, where that is settled.
enum Moved {
    /// The ref was moved.
    Won,
    /// It never will be by this compare-and-swap.
    Not(WriteError),
}

/// The entry that this push makes.
struct Push {
    token: Token,
    generation: u64,
}

impl Push {
    /// Whether the entry is in these bytes of a ref.
    fn is_in(&self, key: &Key, found: &[u8]) -> bool {
        // What cannot be read tells nothing; the caller finds that again.
        RefRecord::from_bytes(key.as_str(), found).is_ok_and(|record| {
            record.generation(self.generation).is_some_and(|entry| entry.is_by(&self.token))
        })
    }
}
