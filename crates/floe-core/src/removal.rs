//! Removing a ref: a tombstone takes its place, and its history stays.

use crate::Result;
use crate::attempt::{WriteAttempt, rearming};
use crate::names::RefName;
use crate::namespace::Namespace;
use crate::reference::{Annotation, RefRecord};
use crate::write_error::WriteError;

impl Namespace {
    /// Removes a ref: it is left as a tombstone, its history as it is. Returns what it is now.
    ///
    /// **Cancel safety.** The ref may or may not be removed; a lease is left to the collector.
    ///
    /// # Errors
    /// `NotFound` where there is no such ref or it is removed already; `Conflict` where somebody else moved it at
    /// the same time. Where it is not known whether it was removed, the message says so.
    pub async fn remove_ref(
        &self,
        name: &RefName,
        holder: &str,
        annotation: Annotation,
    ) -> Result<RefRecord> {
        annotation.check()?;
        rearming(|| self.try_remove(name, holder, annotation.clone())).await
    }

    async fn try_remove(
        &self,
        name: &RefName,
        holder: &str,
        annotation: Annotation,
    ) -> Result<RefRecord, WriteError> {
        let attempt = WriteAttempt::begin(self, name, None, holder).await?;
        if let Some(error) = match attempt.view().former() {
            Some(record) => self.resolve_record(name, None, record.clone()).await.err(),
            None => Some(self.no_ref(name).await),
        } {
            attempt.abandon().await;
            return Err(error.into());
        }
        Ok(attempt.commit(None, annotation, std::future::ready(Ok(()))).await?.end().await)
    }
}
