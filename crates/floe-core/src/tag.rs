//! Tagging: a ref is made to name a snapshot that exists.

use floe_format::LayoutPack;
use futures::{StreamExt, TryStreamExt, stream};

use crate::attempt::{WriteAttempt, rearming};
use crate::names::RefName;
use crate::namespace::Namespace;
use crate::reference::{Annotation, RefRecord, SnapshotAt};
use crate::snapshot::Snapshot;
use crate::write_error::WriteError;
use crate::{Error, ErrorKind, Result};

/// How many packs are asked for at once.
const PACKS_AT_ONCE: usize = 32;

/// What tagging did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tagged {
    /// The ref was moved, and this is what it is now.
    Committed(RefRecord),
    /// The ref named the snapshot already, all of which is there, and is left as it is.
    Unchanged(RefRecord),
}

impl Namespace {
    /// Makes a ref name a snapshot that exists: a new ref, one that moves, or one that is brought back.
    ///
    /// **Cancel safety.** The ref may or may not be moved; a lease is left to the collector.
    ///
    /// # Errors
    /// `Corrupt` where the snapshot or one of its packs is gone; `Conflict` where a collector is about to delete it, or
    /// somebody else moved the ref at the same time. Where it is not known whether the ref was moved, the message says so.
    pub async fn tag(
        &self,
        name: &RefName,
        at: SnapshotAt,
        holder: &str,
        annotation: Annotation,
    ) -> Result<Tagged> {
        annotation.check()?;
        rearming(|| self.try_tag(name, at, holder, annotation.clone())).await
    }

    async fn try_tag(
        &self,
        name: &RefName,
        at: SnapshotAt,
        holder: &str,
        annotation: Annotation,
    ) -> Result<Tagged, WriteError> {
        let attempt = WriteAttempt::begin(self, name, None, holder).await?;
        let named = attempt
            .view()
            .former()
            .filter(|former| former.current.at().is_some_and(|now| now.snapshot == at.snapshot));
        if let Some(record) = named.cloned() {
            match self.is_there(&record, at).await {
                Ok(false) => {}
                Ok(true) => {
                    attempt.abandon().await;
                    return Ok(Tagged::Unchanged(record));
                }
                Err(e) => {
                    attempt.abandon().await;
                    return Err(e.into());
                }
            }
        }
        if let Err(e) = self.check_usable(&attempt, at).await {
            attempt.abandon().await;
            return Err(e.into());
        }
        let committed = attempt.commit(Some(at), annotation, std::future::ready(Ok(()))).await?;
        Ok(Tagged::Committed(committed.end().await))
    }

    /// Whether a ref that names this snapshot, by whatever layout, can stay as it is: another layout of the same snapshot
    /// is another place, not another content, unless the place is damaged or gone.
    async fn is_there(&self, record: &RefRecord, at: SnapshotAt) -> Result<bool> {
        let Some(now) = record.current.at().filter(|now| *now != at) else { return Ok(true) };
        let checked = match Snapshot::open(self, now).await {
            Ok(snapshot) => self.check_packs(&snapshot).await,
            Err(e) => Err(e),
        };
        match checked {
            Err(e) if e.kind() == ErrorKind::Corrupt => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Shows that nothing of a snapshot is condemned (W4), and that all of it exists (W5): what the target ref names does,
    /// everything else is asked for.
    async fn check_usable(&self, attempt: &WriteAttempt, at: SnapshotAt) -> Result<()> {
        if attempt.view().is_condemned_snapshot(&at) {
            return Err(condemned(&at));
        }
        let is_named = attempt.view().former().is_some_and(|former| former.names(&at));
        if is_named && !attempt.view().condemns_packs() {
            return Ok(());
        }
        let snapshot = Snapshot::open(self, at).await?;
        let packs = &snapshot.layout().packs;
        if packs.iter().any(|pack| attempt.view().is_condemned_pack(&pack.id)) {
            return Err(condemned(&at));
        }
        if is_named {
            return Ok(());
        }
        self.check_packs(&snapshot).await
    }

    async fn check_packs(&self, snapshot: &Snapshot) -> Result<()> {
        let packs = &snapshot.layout().packs;
        let mut checks = Vec::with_capacity(packs.len());
        for pack in packs {
            checks.push(self.check_pack(snapshot.at(), pack));
        }
        stream::iter(checks).buffer_unordered(PACKS_AT_ONCE).try_collect::<()>().await
    }

    async fn check_pack(&self, at: SnapshotAt, pack: &LayoutPack) -> Result<()> {
        let key = self.keys().pack(&pack.id);
        match self.store().head(&key).await? {
            Some(len) if len == pack.len => Ok(()),
            Some(len) => {
                let message = format!("`{key}` has {len} bytes, and should have {}", pack.len);
                Err(Error::new(ErrorKind::Corrupt, message))
            }
            None => {
                let message = format!("the snapshot {} is not whole any more: `{key}` is gone", at.snapshot);
                Err(Error::new(ErrorKind::Corrupt, message))
            }
        }
    }
}

fn condemned(at: &SnapshotAt) -> Error {
    let message = format!("the snapshot {} is about to be collected; push it again", at.snapshot);
    Error::new(ErrorKind::Conflict, message)
}
