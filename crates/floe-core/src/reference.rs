//! Refs: mutable names for snapshots, moved by compare-and-swap alone.
//!
//! A ref object is read with the store's version of it, and replaced only where that version still stands. A
//! crash leaves the old object or the new one.

use std::collections::BTreeMap;

use floe_format::{LayoutId, SnapshotId, Token};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sealed::{as_text, unseal};
use crate::{Error, ErrorKind, Result};

/// The most former snapshots that a ref remembers.
pub const MAX_HISTORY: usize = 32;

/// The longest message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// The longest labels of one generation, names and values added up, in bytes.
pub const MAX_LABELS_BYTES: usize = 8 << 10;

/// A snapshot and where its frames are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotAt {
    /// What.
    pub snapshot: SnapshotId,
    /// Where.
    pub layout: LayoutId,
}

/// What a ref named at one generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Counts the changes of the ref, from 1.
    pub generation: u64,
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

    fn new(generation: u64, at: Option<SnapshotAt>, time: Timestamp, annotation: Annotation) -> Self {
        Self {
            generation,
            removed: at.is_none(),
            snapshot: at.map(|at| at.snapshot),
            layout: at.map(|at| at.layout),
            time,
            message: annotation.message,
            labels: annotation.labels,
            skipped: annotation.skipped,
        }
    }

    fn is_sound(&self) -> bool {
        self.generation > 0
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
    /// Counts the rewrites by which a collector shut out a commit under way.
    pub fence: u64,
    /// What the ref names now.
    #[serde(flatten)]
    pub current: Generation,
    /// Former generations, the newest first.
    pub history: Vec<Generation>,
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

impl RefRecord {
    /// The record that follows `former`: a snapshot, or none for a removed ref.
    pub(crate) fn following(
        former: Option<&Self>,
        at: Option<SnapshotAt>,
        time: Timestamp,
        annotation: Annotation,
        token: Token,
    ) -> Self {
        let Some(former) = former else {
            return Self {
                format: 1,
                token,
                fence: 0,
                current: Generation::new(1, at, time, annotation),
                history: Vec::new(),
                extra: serde_json::Map::new(),
            };
        };
        let mut history = Vec::with_capacity(MAX_HISTORY);
        history.push(former.current.clone());
        history.extend(former.history.iter().take(MAX_HISTORY - 1).cloned());
        Self {
            format: 1,
            token,
            fence: former.fence,
            current: Generation::new(former.current.generation + 1, at, time, annotation),
            history,
            extra: former.extra.clone(),
        }
    }

    /// The generation of this number, if the ref still remembers it.
    pub fn generation(&self, number: u64) -> Option<&Generation> {
        std::iter::once(&self.current).chain(&self.history).find(|generation| generation.generation == number)
    }

    pub(crate) fn from_bytes(object: &str, bytes: &[u8]) -> Result<Self> {
        let record: Self = unseal(object, bytes)?;
        let generations = || std::iter::once(&record.current).chain(&record.history);
        let descends = generations()
            .zip(generations().skip(1))
            .all(|(newer, older)| newer.generation > older.generation);
        if record.history.len() > MAX_HISTORY || !descends || !generations().all(Generation::is_sound) {
            return Err(Error::new(ErrorKind::Corrupt, format!("`{object}` contradicts itself")));
        }
        Ok(record)
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::seal;

    fn at(n: u8) -> SnapshotAt {
        SnapshotAt { snapshot: SnapshotId::from_bytes([n; 32]), layout: LayoutId::from_bytes([n; 16]) }
    }

    fn follow(former: Option<&RefRecord>, at: Option<SnapshotAt>) -> RefRecord {
        RefRecord::following(
            former,
            at,
            Timestamp::UNIX_EPOCH,
            Annotation::default(),
            Token::from_bytes([7; 16]),
        )
    }

    #[test]
    fn generations_go_on_and_history_is_bounded() {
        let mut record = follow(None, Some(at(0)));
        for n in 1..50 {
            record = follow(Some(&record), (n % 5 != 0).then(|| at(n)));
        }
        assert_eq!(record.current.generation, 50);
        assert_eq!(record.history.len(), MAX_HISTORY);
        assert_eq!(record.generation(40).unwrap().at(), Some(at(39)));
        assert_eq!(record.generation(41).unwrap().at(), None);
        assert!(record.generation(17).is_none());
        assert_eq!(RefRecord::from_bytes("r", &seal(&record).unwrap()).unwrap(), record);
    }

    #[test]
    fn a_record_that_contradicts_itself_is_refused() {
        let first = follow(None, Some(at(1)));
        let mut repeated = follow(Some(&first), Some(at(2)));
        repeated.history[0].generation = 2;
        let mut half = first.clone();
        half.current.layout = None;
        let mut both = first.clone();
        both.current.removed = true;
        for bad in [repeated, half, both] {
            assert!(RefRecord::from_bytes("r", &seal(&bad).unwrap()).is_err());
        }
    }
}
