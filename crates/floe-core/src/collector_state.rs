//! `gc/state`: which packs and snapshot objects the collector has condemned, and since which generation.

use std::collections::BTreeSet;

use floe_format::{PackId, Token};
use serde::{Deserialize, Serialize};

use crate::namespace::Namespace;
use crate::reference::SnapshotAt;
use crate::sealed::{as_text, as_text_set, count, seal, unseal};
use crate::{Error, ErrorKind, Remedy, Result};

/// The most bytes of `gc/state`.
pub(crate) const MAX_STATE_BYTES: u64 = 64 << 20;

/// What the collector has decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CollectorState {
    format: u64,
    #[serde(with = "as_text")]
    token: Token,
    /// Counts the condemnations, from 0.
    #[serde(deserialize_with = "count")]
    pub(crate) generation: u64,
    condemned: Objects,
    /// What is about to be deleted, for collectors that say so.
    #[serde(default, skip_serializing_if = "Objects::is_empty")]
    doomed: Objects,
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Objects {
    #[serde(with = "as_text_set")]
    packs: BTreeSet<PackId>,
    #[serde(with = "as_text_set")]
    snapshots: BTreeSet<SnapshotAt>,
}

impl Objects {
    fn is_empty(&self) -> bool {
        self.packs.is_empty() && self.snapshots.is_empty()
    }
}

impl CollectorState {
    /// The state of a namespace that was just made.
    pub(crate) fn new(token: Token) -> Self {
        Self {
            format: 1,
            token,
            generation: 0,
            condemned: Objects::default(),
            doomed: Objects::default(),
            extra: serde_json::Map::new(),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// `Corrupt` where the namespace has none: it was lost, and nobody may make it anew.
    pub(crate) async fn read(namespace: &Namespace) -> Result<Self> {
        let key = namespace.keys().collector_state();
        let read = match namespace.store().get(&key, MAX_STATE_BYTES).await {
            Ok((bytes, _)) => Self::from_bytes(key.as_str(), &bytes),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let message =
                    format!("`{key}` is missing: the namespace is damaged, and nothing is written to it");
                Err(Error::new(ErrorKind::Corrupt, message).with_source(e))
            }
            Err(e) => Err(e),
        };
        read.map_err(|e| e.if_damaged(Remedy::RestoreNamespace))
    }

    /// Whether a pack may not be relied on.
    pub(crate) fn is_condemned_pack(&self, id: &PackId) -> bool {
        self.condemned.packs.contains(id) || self.doomed.packs.contains(id)
    }

    /// Whether a snapshot object may not be relied on.
    pub(crate) fn is_condemned_snapshot(&self, at: &SnapshotAt) -> bool {
        self.condemned.snapshots.contains(at) || self.doomed.snapshots.contains(at)
    }

    /// Whether any pack may not be relied on.
    pub(crate) fn condemns_packs(&self) -> bool {
        !self.condemned.packs.is_empty() || !self.doomed.packs.is_empty()
    }

    pub(crate) fn to_bytes(&self) -> Result<bytes::Bytes> {
        seal(self)
    }

    /// The state that these bytes hold.
    pub(crate) fn from_bytes(object: &str, bytes: &[u8]) -> Result<Self> {
        unseal(object, bytes)
    }
}

#[cfg(test)]
mod tests {
    use floe_format::{LayoutId, SnapshotId};

    use super::*;
    use crate::sealed::MAX_COUNT;

    #[test]
    fn condemned_and_doomed_are_alike() {
        let pack = |n| PackId::new(1, [n; 10]);
        let at = |n| SnapshotAt {
            snapshot: SnapshotId::from_bytes([n; 32]),
            layout: LayoutId::from_bytes([n; 16]),
        };
        let mut state = CollectorState::new(Token::from_bytes([1; 16]));
        let json = serde_json::to_value(&state).unwrap();
        assert_eq!(json.get("doomed"), None);
        assert!(!state.condemns_packs());
        state.condemned = Objects { packs: [pack(1)].into(), snapshots: [at(1)].into() };
        state.doomed = Objects { packs: [pack(2)].into(), snapshots: [at(2)].into() };
        let state = CollectorState::from_bytes("it", &state.to_bytes().unwrap()).unwrap();
        for n in [1, 2] {
            assert!(state.is_condemned_pack(&pack(n)) && state.is_condemned_snapshot(&at(n)));
        }
        assert!(!state.is_condemned_pack(&pack(3)) && !state.is_condemned_snapshot(&at(3)));
        assert!(state.condemns_packs());
    }

    #[test]
    fn a_generation_beyond_counting_is_refused() {
        let state = CollectorState::new(Token::from_bytes([1; 16]));
        for (generation, is_good) in [(MAX_COUNT, true), (MAX_COUNT + 1, false), (u64::MAX, false)] {
            let state = CollectorState { generation, ..state.clone() };
            assert_eq!(CollectorState::from_bytes("it", &state.to_bytes().unwrap()).is_ok(), is_good);
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let state = CollectorState::new(Token::from_bytes([1; 16]));
        let good = serde_json::json!({ "packs": ["0".repeat(32)], "snapshots": [] });
        let bad_pack = serde_json::json!({ "packs": ["0".repeat(31)], "snapshots": [] });
        let bad_snapshot = serde_json::json!({ "packs": [], "snapshots": ["0".repeat(64)] });
        for list in ["condemned", "doomed"] {
            for (objects, is_good) in [(&good, true), (&bad_pack, false), (&bad_snapshot, false)] {
                let mut json = serde_json::to_value(&state).unwrap();
                json[list] = objects.clone();
                let read = CollectorState::from_bytes("it", &seal(&json).unwrap());
                assert_eq!(read.is_ok(), is_good, "{list} {objects}");
            }
        }
    }
}
