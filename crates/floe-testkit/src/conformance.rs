//! What every store must do, as tests that run on any of them.
//!
//! A test panics where the store is wrong. All keys are below a prefix that the caller names, so that a real bucket
//! can be used again.

mod races;
mod reading;
mod writing;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use floe_core::store::{Key, KeyPrefix, PutMode, Store, Version, list_all};
use floe_core::{ErrorKind, Result};

/// A store under test.
#[derive(Clone, Debug)]
pub struct Subject {
    store: Arc<dyn Store>,
    prefix: String,
}

/// What a store is known to get wrong; each shrinks the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownGap {
    /// Conditions hold one at a time but not in races.
    Races,
    /// Objects are files, named by their keys and perhaps more, so that a segment is well below 255 bytes.
    LongNames,
    /// A key that is a directory on the server's disk is answered with a fault of the server.
    Directories,
    /// A range that begins where the object ends is answered with one that ends before it begins.
    RangesAtTheEnd,
    /// There are no uploads, only parts of an object that are kept a while.
    Uploads,
    /// Whoever names an upload that is not under way is denied it.
    ForgottenUploads,
}

/// Runs the whole suite below a prefix that nothing else uses.
pub async fn run(store: Arc<dyn Store>, prefix: &str, gaps: &[KnownGap]) {
    let subject = Subject { store, prefix: prefix.to_owned() };
    reading::whole_and_ranges(&subject, !gaps.contains(&KnownGap::RangesAtTheEnd)).await;
    reading::absent(&subject, !gaps.contains(&KnownGap::Directories)).await;
    reading::listing(&subject).await;
    reading::long_listing(&subject).await;
    let longest_segment_bytes = if gaps.contains(&KnownGap::LongNames) { 120 } else { 401 };
    reading::keys(&subject, longest_segment_bytes).await;
    writing::conditions(&subject).await;
    writing::deleting(&subject).await;
    writing::uploads(&subject).await;
    let forgets = gaps.contains(&KnownGap::ForgottenUploads) || gaps.contains(&KnownGap::Uploads);
    writing::aborted_uploads(&subject, !forgets).await;
    if !gaps.contains(&KnownGap::Races) {
        races::creations(&subject).await;
        races::swaps(&subject).await;
        races::counter(&subject).await;
    }
}

impl Subject {
    fn key(&self, name: &str) -> Key {
        Key::new(format!("{}/{name}", self.prefix)).unwrap()
    }

    async fn create(&self, key: &Key, body: impl Into<Bytes>) -> Result<Version> {
        self.store.put(key, body.into(), PutMode::Create).await
    }

    async fn read(&self, key: &Key) -> Bytes {
        self.store.get(key, 1 << 30).await.unwrap().0
    }

    async fn names(&self, below: &str) -> Vec<String> {
        let prefix = KeyPrefix::new(format!("{}/{below}", self.prefix)).unwrap();
        let entries = list_all(&*self.store, &prefix, 10_000).await.unwrap();
        let mut names: Vec<_> =
            entries.iter().map(|e| e.key.as_str()[self.prefix.len() + 1..].to_owned()).collect();
        names.sort();
        names
    }
}

#[track_caller]
fn assert_kind<T: fmt::Debug>(result: Result<T>, kind: ErrorKind) {
    let error = result.expect_err("it should have been refused");
    assert_eq!(error.kind(), kind, "{error}");
}
