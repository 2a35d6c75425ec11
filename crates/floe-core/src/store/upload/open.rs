//! Which uploads in parts are under way, to give up those that nobody will finish.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::store::{Key, PartsId, Store};

/// How long uploads are given up before it is left to the bucket's rule.
const PATIENCE: Duration = Duration::from_secs(10);

/// The uploads in parts that were begun and not ended; clones note the same.
///
/// An [`Upload`](super::Upload) that is dropped asks nothing of the store any more. In a bucket its parts would stay,
/// invisible, and cost money, so whoever gives up a command calls [`OpenUploads::abort_all`] after it has dropped them.
#[derive(Clone, Debug, Default)]
pub struct OpenUploads {
    open: Arc<Mutex<HashMap<PartsId, Key>>>,
}

impl OpenUploads {
    pub(super) fn began(&self, id: &PartsId, key: &Key) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), key.clone());
    }

    pub(super) fn ended(&self, id: &PartsId) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Gives up all that are open, as far as the store lets it and soon; what stays is for the bucket's own rule.
    pub async fn abort_all(&self, store: &dyn Store) {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        let aborting = open.iter().map(|(id, key)| async move {
            if let Err(error) = store.abort_parts(key, id).await {
                tracing::debug!(%key, %error, "the upload could not be given up; the bucket's rule will");
            }
        });
        if tokio::time::timeout(PATIENCE, futures::future::join_all(aborting)).await.is_err() {
            tracing::debug!(uploads = open.len(), "the store did not answer in time; the bucket's rule will");
        }
    }
}
