//! Sealed objects that are decoded and encoded again, as whoever rewrites one does.

use bytes::Bytes;
use floe_format::{LayoutId, SnapshotId, Token};
use jiff::Timestamp;

use crate::collector_state::CollectorState;
use crate::namespace::NamespaceRecord;
use crate::reference::{Annotation, RefRecord, SnapshotAt};
use crate::sealed::seal;
use crate::{Error, ErrorKind, NamespaceName, Result};

/// A ref's object as it was, and after one more push.
pub fn rewritten_ref(bytes: &[u8]) -> Result<(Bytes, Result<Bytes>)> {
    let record = RefRecord::from_bytes("fuzz", bytes)?;
    let at = SnapshotAt { snapshot: SnapshotId::from_bytes([7; 32]), layout: LayoutId::from_bytes([7; 16]) };
    let token = Token::from_bytes(*b"no other push's.");
    let (namespace, time) = (record.namespace(), Timestamp::UNIX_EPOCH);
    let next = RefRecord::next_generation(Some(&record))
        .ok_or_else(|| Error::new(ErrorKind::Invalid, "there is no generation after this one"))
        .and_then(|generation| {
            let annotation = Annotation::default();
            RefRecord::following(namespace, Some(&record), generation, Some(at), time, annotation, token)
                .seal_within_limit()
        });
    Ok((seal(&record)?, next))
}

/// `gc/state`.
pub fn rewritten_collector_state(bytes: &[u8]) -> Result<Bytes> {
    CollectorState::from_bytes("fuzz", bytes)?.to_bytes()
}

/// `format.json`.
pub fn rewritten_format(bytes: &[u8]) -> Result<Bytes> {
    seal(&NamespaceRecord::from_bytes(&NamespaceName::default(), "fuzz", bytes)?)
}
