//! From what a person calls a snapshot to the snapshot.

use crate::alike::{Alike, there_is};
use crate::names::{MIN_ID_DIGITS, RefName, Reference};
use crate::namespace::Namespace;
use crate::reference::{Generation, RefRecord, SnapshotAt};
use crate::store::list_all;
use crate::{Error, ErrorKind, Remedy, Result};

/// The most layouts that are looked through for an abbreviated id.
const MAX_CANDIDATES: usize = 10_000;

/// What a reference stands for.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The snapshot and its layout.
    pub at: SnapshotAt,
    /// The ref's name and generation, where it was referred to by name.
    pub generation: Option<(RefName, Generation)>,
}

impl Namespace {
    /// What `reference` stands for now.
    ///
    /// # Errors
    /// `NotFound` where nothing is called so, with names that look alike in the message; `Invalid` for an
    /// abbreviation of several ids.
    pub async fn resolve(&self, reference: &Reference) -> Result<Resolved> {
        match reference {
            Reference::Ref(name) => self.resolve_ref(name, None).await,
            Reference::Generation(name, number) => self.resolve_ref(name, Some(*number)).await,
            Reference::Id(digits) => self.resolve_id(digits).await,
        }
    }

    async fn resolve_ref(&self, name: &RefName, number: Option<u64>) -> Result<Resolved> {
        match self.read_ref(name).await? {
            Some((record, _)) => self.resolve_record(name, number, record).await,
            None => Err(self.no_ref(name).await),
        }
    }

    /// The error for a name that no ref has, with names that look alike.
    pub(crate) async fn no_ref(&self, name: &RefName) -> Error {
        let mut hint = self.what_is_meant(name).await.unwrap_or_default();
        if name.is_like_too_short_an_id() {
            hint.push_str(&format!("; a snapshot's id is told by {MIN_ID_DIGITS} of its digits or more"));
        }
        Error::new(ErrorKind::NotFound, format!("no ref is called `{name}`{hint}"))
    }

    /// What may be meant by a name that no ref has: a path in a ref, or refs that look alike.
    async fn what_is_meant(&self, name: &RefName) -> Result<String> {
        let refs = self.ref_names().await?.names;
        let mut ends = name.as_str().char_indices().rev().filter(|(_, character)| *character == '/');
        let above = ends.find_map(|(end, _)| {
            let (start, path) = name.as_str().split_at(end);
            refs.iter().find(|name_of| name_of.as_str() == start).map(|name_of| (name_of, &path[1..]))
        });
        if let Some((start, path)) = above
            && self.is_removed(start).await == Some(false)
        {
            return Ok(format!("; `{start}` is one, and a path in it is written `{start}:{path}`"));
        }
        let mut alike = Alike::to(name.as_str());
        refs.iter().for_each(|other| alike.see(other.as_str()));
        let mut told = Vec::new();
        for other in alike.nearest() {
            let Some(other) = refs.iter().find(|name_of| name_of.as_str() == other) else { continue };
            match self.is_removed(other).await {
                Some(true) => told.push(format!("`{other}` (removed)")),
                Some(false) => told.push(format!("`{other}`")),
                None => {}
            }
        }
        Ok(there_is(told.into_iter()))
    }

    /// Whether a ref that was listed names nothing any more; nothing of one that never named anything. One that cannot be
    /// read is taken for one that is there: whoever asks for it hears why.
    async fn is_removed(&self, name: &RefName) -> Option<bool> {
        match self.read_ref(name).await {
            Ok(Some((record, _))) => (record.current.generation > 0).then(|| record.current.at().is_none()),
            Ok(None) => None,
            Err(_) => Some(false),
        }
    }

    /// What a ref that was read stands for, or its generation of this number.
    pub(crate) async fn resolve_record(
        &self,
        name: &RefName,
        number: Option<u64>,
        record: RefRecord,
    ) -> Result<Resolved> {
        // Generation 0: a collector shut out a push that would have made it.
        if record.current.generation == 0 {
            return Err(self.no_ref(name).await);
        }
        let number = number.unwrap_or(record.current.generation);
        let Some(generation) = record.generation(number) else {
            let (current, remembered) = (record.current.generation, record.history.len());
            let message = if number > current {
                format!("`{name}` has no generation {number} yet; it is at {current}")
            } else if number == 0 {
                format!("`{name}` has no generation 0; the first is 1")
            } else {
                format!(
                    "`{name}` has no generation {number} any more; it is at {current} and remembers {remembered}"
                )
            };
            return Err(Error::new(ErrorKind::NotFound, message).with_remedy(Remedy::OtherGeneration));
        };
        let Some(at) = generation.at() else {
            let is_before = |other: &&Generation| other.generation < number && other.at().is_some();
            let hint = record
                .history
                .iter()
                .find(is_before)
                .map(|last| format!("; `{name}@{}` was the last before", last.generation))
                .unwrap_or_default();
            let message = if number == record.current.generation {
                format!("the ref `{name}` was removed{hint}")
            } else {
                format!("generation {number} of `{name}` is its removal{hint}")
            };
            return Err(Error::new(ErrorKind::NotFound, message).with_remedy(Remedy::OtherGeneration));
        };
        Ok(Resolved { at, generation: Some((name.clone(), generation.clone())) })
    }

    async fn resolve_id(&self, digits: &str) -> Result<Resolved> {
        let all = self.keys().snapshots("");
        let prefix = self.keys().snapshots(digits);
        let mut found: Option<(SnapshotAt, std::time::SystemTime)> = None;
        for entry in list_all(self.store().as_ref(), &prefix, MAX_CANDIDATES).await? {
            let parsed = self.keys().rest(&entry.key, &all).and_then(|rest| rest.parse::<SnapshotAt>().ok());
            let Some(at) = parsed else {
                // A stranger's, which hides no snapshot.
                tracing::warn!(key = %entry.key, "it is where only snapshots may be");
                continue;
            };
            if let Some((other, _)) = found
                && other.snapshot != at.snapshot
            {
                let message = format!(
                    "`{digits}` is short for several snapshots, {other} and {at} among them",
                    other = other.snapshot,
                    at = at.snapshot
                );
                return Err(Error::new(ErrorKind::Invalid, message));
            }
            if found.is_none_or(|(_, modified)| modified < entry.modified) {
                found = Some((at, entry.modified));
            }
        }
        match found {
            Some((at, _)) => Ok(Resolved { at, generation: None }),
            None => Err(Error::new(ErrorKind::NotFound, format!("no snapshot's id begins with {digits}"))),
        }
    }
}
