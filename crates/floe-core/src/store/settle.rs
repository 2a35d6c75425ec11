//! Finding out who won a race whose answer was lost.

use bytes::Bytes;

use super::{Key, PutMode, Store, Version};
use crate::{ErrorKind, Result};

/// How a conditional put ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// What was put is there, or is part of what is there; this is the version of what is there.
    Won(Version),
    /// Somebody else was first.
    Lost,
}

/// Puts under a condition and tells for certain whether it was done.
///
/// On `Conflict` and on `Unavailable` it reads the object back, and `is_mine` tells from its content whether this very
/// put made it, by a random token that only this put wrote. A content that keeps the tokens of those before (a ref's
/// history) may tell so even when others have moved on.
///
/// # Errors
/// `Unavailable` where the put may still be on its way: nothing of it is there, but nothing refused it either.
pub async fn put_settled(
    store: &dyn Store,
    key: &Key,
    body: Bytes,
    mode: PutMode,
    max_bytes: u64,
    is_mine: impl Fn(&[u8]) -> bool + Send,
) -> Result<Settled> {
    let error = match store.put(key, body, mode).await {
        Ok(version) => return Ok(Settled::Won(version)),
        Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::Unavailable) => e,
        Err(e) => return Err(e),
    };
    match store.get(key, max_bytes).await {
        Ok((found, version)) if is_mine(&found) => Ok(Settled::Won(version)),
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ if error.kind() == ErrorKind::Conflict => Ok(Settled::Lost),
        _ => Err(error),
    }
}
