//! Refs: mutable names for snapshots, moved by compare-and-swap alone.
//!
//! A ref object is read with the store's version of it, and replaced only where that version still stands. A
//! crash leaves the old object or the new one. Each entry bears the token of the push that made it, apart from the
//! token of the object's last writer, and keeps it through fences and in the history: so that a push can tell later
//! whether its own compare-and-swap was done.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use floe_format::{LayoutId, NamespaceId, SnapshotId, Token};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sealed::{MAX_COUNT, MAX_SEALED_BYTES, as_text, count, seal, unseal};
use crate::{Error, ErrorKind, Remedy, Result};

/// The most former snapshots that a ref remembers.
pub const MAX_HISTORY: usize = 32;

/// The longest message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// The longest labels of one generation, names and values added up, in bytes.
pub const MAX_LABELS_BYTES: usize = 8 << 10;

/// A snapshot and where its frames are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotAt {
    /// What.
    pub snapshot: SnapshotId,
    /// Where.
    pub layout: LayoutId,
}

impl fmt::Display for SnapshotAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.snapshot, self.layout)
    }
}

impl FromStr for SnapshotAt {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/').and_then(|(snapshot, layout)| {
            Some(Self {
                snapshot: SnapshotId::from_hex(snapshot).ok()?,
                layout: LayoutId::from_hex(layout).ok()?,
            })
        });
        parts.ok_or_else(|| {
            let message = format!("`{}` is not a snapshot's id and a layout's", text.escape_debug());
            Error::new(ErrorKind::Invalid, message)
        })
    }
}

/// What a ref named at one generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Counts the changes of the ref, from 1; 0 for what a collector shut out before it was.
    #[serde(deserialize_with = "count")]
    pub generation: u64,
    /// The token of the push that made it.
    #[serde(rename = "entry_token", with = "as_text")]
    token: Token,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text::option")]
    snapshot: Option<SnapshotId>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text::option")]
    layout: Option<LayoutId>,
    /// When it was made.
    pub time: Timestamp,
    /// What its maker said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What its maker labelled it with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Number of unreadable entries that the push left out, on request.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u64,
    /// Fields that this version does not know; those of the present entry stand for the ref's own as well.
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

/// What a push or tag says of the generation it makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotation {
    /// A message for people.
    pub message: Option<String>,
    /// Labels for programs.
    pub labels: BTreeMap<String, String>,
    /// Number of unreadable entries left out.
    pub skipped: u64,
}

impl Annotation {
    /// Checks the lengths.
    ///
    /// # Errors
    /// `Invalid` for a message or labels over their limits.
    pub fn check(&self) -> Result<()> {
        let labels: usize = self.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.message.as_ref().is_some_and(|message| message.len() > MAX_MESSAGE_BYTES) {
            let message = format!("the message is longer than {MAX_MESSAGE_BYTES} bytes");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        if labels > MAX_LABELS_BYTES {
            let message = format!("the labels are longer than {MAX_LABELS_BYTES} bytes in all");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(())
    }
}

impl Generation {
    /// The snapshot, `None` where the ref was removed.
    pub fn at(&self) -> Option<SnapshotAt> {
        self.snapshot.zip(self.layout).map(|(snapshot, layout)| SnapshotAt { snapshot, layout })
    }

    /// Whether the push with this token made it.
    pub(crate) fn is_by(&self, token: &Token) -> bool {
        self.token == *token
    }

    fn new(
        generation: u64,
        at: Option<SnapshotAt>,
        time: Timestamp,
        annotation: Annotation,
        token: Token,
    ) -> Self {
        Self {
            generation,
            token,
            removed: at.is_none(),
            snapshot: at.map(|at| at.snapshot),
            layout: at.map(|at| at.layout),
            time,
            message: annotation.message,
            labels: annotation.labels,
            skipped: annotation.skipped,
            extra: serde_json::Map::new(),
        }
    }

    fn is_sound(&self) -> bool {
        (self.generation > 0 || self.removed)
            && self.snapshot.is_some() == self.layout.is_some()
            && self.removed == self.snapshot.is_none()
    }
}

/// A ref's object: its present generation and the last 32 former ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefRecord {
    format: u64,
    #[serde(with = "as_text")]
    token: Token,
    /// The namespace it is in.
    #[serde(with = "as_text")]
    namespace: NamespaceId,
    /// What a reader must know, as in `format.json`.
    features: Vec<String>,
    /// Counts the rewrites by which a collector shut out a commit under way.
    #[serde(deserialize_with = "count")]
    pub fence: u64,
    /// What the ref names now.
    #[serde(flatten)]
    pub current: Generation,
    /// Former generations, the newest first.
    pub history: Vec<Generation>,
}

impl RefRecord {
    /// The generation that follows `former`; none after the last that can be counted.
    pub(crate) fn next_generation(former: Option<&Self>) -> Option<u64> {
        let next = former.map_or(0, |former| former.current.generation).checked_add(1)?;
        (next <= MAX_COUNT).then_some(next)
    }

    /// The record that follows `former` as this generation: a snapshot, or none for a removed ref.
    pub(crate) fn following(
        namespace: NamespaceId,
        former: Option<&Self>,
        generation: u64,
        at: Option<SnapshotAt>,
        time: Timestamp,
        annotation: Annotation,
        token: Token,
    ) -> Self {
        let Some(former) = former else {
            let current = Generation::new(generation, at, time, annotation, token);
            let (features, history) = (Vec::new(), Vec::new());
            return Self { format: 1, token, namespace, features, fence: 0, current, history };
        };
        let mut current = Generation::new(generation, at, time, annotation, token);
        let mut previous = former.current.clone();
        current.extra = std::mem::take(&mut previous.extra);
        // What a collector shut out before it was is nothing to remember.
        let previous = Some(previous).filter(|previous| previous.generation > 0);
        let history = previous.into_iter().chain(former.history.iter().cloned()).take(MAX_HISTORY).collect();
        let features = former.features.clone();
        Self { format: 1, token, namespace, features, fence: former.fence, current, history }
    }

    /// The namespace it is in.
    pub(crate) fn namespace(&self) -> NamespaceId {
        self.namespace
    }

    /// What a reader must know.
    pub(crate) fn features(&self) -> &[String] {
        &self.features
    }

    /// Whether the present entry or a former one names the snapshot and the layout.
    pub(crate) fn names(&self, at: &SnapshotAt) -> bool {
        self.entries().any(|entry| entry.at() == Some(*at))
    }

    fn entries(&self) -> impl Iterator<Item = &Generation> {
        std::iter::once(&self.current).chain(&self.history)
    }

    /// The generation of this number, if the ref still remembers it.
    pub fn generation(&self, number: u64) -> Option<&Generation> {
        self.entries().find(|generation| generation.generation == number)
    }

    /// The record's bytes; the oldest entries are forgotten where they would be more than an object may have.
    ///
    /// # Errors
    /// `Invalid` where fields that this version does not know leave no room.
    pub(crate) fn seal_within_limit(&mut self) -> Result<Bytes> {
        loop {
            let bytes = seal(self)?;
            if bytes.len() as u64 <= MAX_SEALED_BYTES {
                return Ok(bytes);
            }
            if self.history.pop().is_none() {
                let message = format!("a ref of {} bytes is longer than one may be", bytes.len());
                return Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::OtherRef));
            }
        }
    }

    pub(crate) fn from_bytes(object: &str, bytes: &[u8]) -> Result<Self> {
        let record: Self = unseal(object, bytes).map_err(|e| e.if_damaged(Remedy::RestoreRef))?;
        let descends = record
            .entries()
            .zip(&record.history)
            .all(|(newer, older)| newer.generation > older.generation && older.generation > 0);
        let mut tokens = HashSet::new();
        let are_distinct = record.entries().all(|entry| tokens.insert(*entry.token.as_bytes()));
        if record.history.len() > MAX_HISTORY
            || !descends
            || !are_distinct
            || !record.entries().all(Generation::is_sound)
        {
            let error = Error::new(ErrorKind::Corrupt, format!("`{object}` contradicts itself"));
            return Err(error.with_remedy(Remedy::RestoreRef));
        }
        Ok(record)
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
