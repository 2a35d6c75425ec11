//! Finding out who won a race whose answer was lost.

use bytes::Bytes;

use super::{Key, PutMode, Store, Version};
use crate::{Error, ErrorKind, Result};

/// How often a put is made that leaves the object as it was; each time as often as a wrapper repeats it.
const MAX_ROUNDS: u32 = 4;

/// How a conditional put ended, for certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// What was put is there, or is part of what is there; this is the version of what is there.
    Won(Version),
    /// It was not done, or is no more to be seen, and will never be done: this is there now, if anything is.
    Lost(Option<Bytes>),
}

/// Puts under a condition and tells for certain whether it was done.
///
/// After `Conflict` (which may answer a repetition) and after `Unavailable` the object is read back, and `is_mine` tells
/// from its content whether this very put made it, by a random token that only this put wrote. A content that keeps
/// the tokens of those before (a ref's history) may tell so even when others have moved on. Where the object is as the
/// mode asks, nothing is known, since the request may still be on its way: the same put is made again. `mode` is
/// [`PutMode::Create`] or [`PutMode::Swap`].
///
/// **Cancel safety.** As after an error: the put may or may not have been done, or be done later.
///
/// # Errors
/// `Unavailable` where the object stays as it was, or cannot be read back; any other kind that the put itself ended in.
/// After all of them the put may have been done, or may still be on its way.
pub async fn put_settled(
    store: &dyn Store,
    key: &Key,
    body: Bytes,
    mode: PutMode,
    max_bytes: u64,
    is_mine: impl Fn(&[u8]) -> bool + Send,
) -> Result<Settled> {
    let mut last = None;
    for _ in 0..MAX_ROUNDS {
        match store.put(key, body.clone(), mode.clone()).await {
            Ok(version) => return Ok(Settled::Won(version)),
            Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::Unavailable) => last = Some(e),
            // Not to be settled by reading back: a local store that failed to sync shows what it cannot promise.
            Err(e) => return Err(e),
        }
        let found = match store.get(key, max_bytes).await {
            Ok(found) => Some(found),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        match (found, &mode) {
            (Some((body, version)), _) if is_mine(&body) => return Ok(Settled::Won(version)),
            (Some((_, version)), PutMode::Swap(expected)) if version == *expected => {}
            (None, PutMode::Create) => {}
            (found, _) => return Ok(Settled::Lost(found.map(|(body, _)| body))),
        }
    }
    let message = format!("`{key}` could not be written: the store neither does it nor refuses it for good");
    let error = Error::new(ErrorKind::Unavailable, message);
    Err(match last {
        Some(last) => error.with_source(last),
        None => error,
    })
}
