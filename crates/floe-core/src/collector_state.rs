//! `gc/state`: which packs and snapshot objects the collector has condemned, and since which generation.

use std::collections::BTreeSet;

use floe_format::Token;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::sealed::{as_text, seal, unseal};

/// The most bytes of `gc/state`.
pub(crate) const MAX_STATE_BYTES: u64 = 64 << 20;

/// What the collector has decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CollectorState {
    format: u64,
    #[serde(with = "as_text")]
    token: Token,
    /// Counts the condemnations, from 0.
    pub(crate) generation: u64,
    condemned: Condemned,
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Condemned {
    packs: BTreeSet<String>,
    snapshots: BTreeSet<String>,
}

impl CollectorState {
    /// The state of a namespace that was just made.
    pub(crate) fn new(token: Token) -> Self {
        Self {
            format: 1,
            token,
            generation: 0,
            condemned: Condemned::default(),
            extra: serde_json::Map::new(),
        }
    }

    pub(crate) fn to_bytes(&self) -> Result<bytes::Bytes> {
        seal(self)
    }

    pub(crate) fn from_bytes(object: &str, bytes: &[u8]) -> Result<Self> {
        unseal(object, bytes)
    }
}
