//! Finding out whether a server keeps its conditions.

use bytes::Bytes;

use super::{Key, KeyPrefix, PutMode, Store, Version};
use crate::{Error, ErrorKind, Result};

/// Shows that the store refuses what create-if-absent and compare-and-swap must refuse; five requests.
///
/// `token` is random, so that the key below `prefix` (which ends in `/`) is nobody else's.
///
/// # Errors
/// `Unsupported`, saying what the server ignored; it must not be written to.
pub async fn probe_conditions(store: &dyn Store, prefix: &KeyPrefix, token: &str) -> Result<()> {
    let key = Key::new(format!("{prefix}{token}"))?;
    let probed = probe(store, &key, token).await;
    let deleted = store.delete(&key).await;
    probed.and(deleted)
}

async fn probe(store: &dyn Store, key: &Key, token: &str) -> Result<()> {
    let body = |number: u8| Bytes::from(format!("{token} {number}: a probe of this store's conditions\n"));
    let first = must_do(store, key, body(1), PutMode::Create).await?;
    let again = store.put(key, body(2), PutMode::Create).await;
    must_refuse_create(again)?;
    must_do(store, key, body(3), PutMode::Swap(first.clone())).await?;
    let stale = store.put(key, body(4), PutMode::Swap(first)).await;
    must_refuse_swap(stale)
}

/// The answer to a creation of what exists is a refusal.
pub(crate) fn must_refuse_create(answer: Result<Version>) -> Result<()> {
    refused(answer, "created an object that exists already (it ignores `If-None-Match: *` or the like)")
}

/// The answer to a swap from a version that the object has not is a refusal.
pub(crate) fn must_refuse_swap(answer: Result<Version>) -> Result<()> {
    refused(answer, "replaced an object that had changed (it ignores `If-Match` or the like)")
}

fn refused(answer: Result<Version>, did: &str) -> Result<()> {
    match answer {
        Err(e) if e.kind() == ErrorKind::Conflict => Ok(()),
        Err(e) => Err(e),
        Ok(_) => {
            let message = format!(
                "the store cannot be written to safely: the server {did}; use one that keeps conditional writes"
            );
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

/// A put whose condition holds.
async fn must_do(store: &dyn Store, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
    let refusal = match store.put(key, body.clone(), mode).await {
        Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::Invalid) => e,
        other => return other,
    };
    // It may have been done, its answer lost, and a repetition been refused.
    match store.get(key, body.len() as u64).await {
        Ok((found, version)) if found == body => Ok(version),
        _ => {
            let message = "the store cannot be written to safely: the server refuses conditional writes whose condition holds";
            Err(Error::new(ErrorKind::Unsupported, message).with_source(refusal))
        }
    }
}
