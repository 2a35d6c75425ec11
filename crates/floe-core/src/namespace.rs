//! A namespace: the unit of isolation, deduplication and garbage collection inside a store.
//!
//! Who reads comes in through a ref, which says what a reader must know; `format.json` is read by those who write.
//!
//! `format.json` is written once, last of all that makes a namespace; `gc/state` is there before it. Two clients
//! that make the same namespace at once agree on the one that won. A crash in between leaves a `gc/state` that
//! the next one to make it uses. A namespace that has refs or packs and no `format.json` has lost it, and is not made anew:
//! what is there is of the one that was.

use std::sync::Arc;

use bytes::Bytes;
use floe_format::{NamespaceId, Parameters};
use futures::future::try_join;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::ambient::Ambient;
use crate::collector_state::CollectorState;
use crate::keys::Keys;
use crate::names::{NamespaceName, RefName, Reference};
use crate::reference::RefRecord;
use crate::resolve::Resolved;
use crate::sealed::{MAX_SEALED_BYTES, as_text, seal, unseal};
use crate::store::{Conditions, Key, PutMode, Store, Version, list_all, probe_conditions};
use crate::{Error, ErrorKind, Remedy, Result};

/// The most refs that a namespace is listed with.
const MAX_REFS: usize = 1_000_000;

/// A namespace of a store, opened.
#[derive(Clone, Debug)]
pub struct Namespace {
    inner: Arc<Inner>,
    conditions: Conditions,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    name: NamespaceName,
    keys: Keys,
    id: NamespaceId,
    settings: OnceCell<NamespaceSettings>,
    ambient: Ambient,
}

/// What was settled when a namespace was made, and concerns those who write to it.
#[derive(Clone, Debug)]
pub struct NamespaceSettings {
    /// Who writes to it.
    pub writers: Writers,
    /// How its trees are cut.
    pub parameters: Parameters,
    /// The version of `format.json`, which is never written again and which nothing else has.
    pub(crate) version: Version,
}

/// Who writes the objects of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Writers {
    /// Clients write to the store themselves.
    Direct,
    /// Only a server does.
    Server,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NamespaceRecord {
    format: u64,
    #[serde(with = "as_text")]
    namespace: NamespaceId,
    created: Timestamp,
    features: Vec<String>,
    writers: Writers,
    tree: TreeParameters,
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

impl NamespaceRecord {
    fn new(ambient: &Ambient) -> Self {
        Self {
            format: 1,
            namespace: ambient.namespace_id(),
            created: ambient.timestamp(),
            features: Vec::new(),
            writers: Writers::Direct,
            tree: Parameters::default().into(),
            extra: serde_json::Map::new(),
        }
    }

    /// The record that these bytes of `format.json` hold.
    pub(crate) fn from_bytes(name: &NamespaceName, object: &str, bytes: &[u8]) -> Result<Self> {
        let record: Self = unseal(object, bytes)?;
        check_features(name, &record.features)?;
        Parameters::from(record.tree).validate().map_err(|e| {
            let message = format!("`{object}` says that trees are cut as none can be");
            Error::new(ErrorKind::Corrupt, message).with_source(e)
        })?;
        Ok(record)
    }

    fn settings(&self, version: Version) -> NamespaceSettings {
        NamespaceSettings { writers: self.writers, parameters: self.tree.into(), version }
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct TreeParameters {
    group_min_bytes: u32,
    group_max_bytes: u32,
    small_max_bytes: u32,
    chunk_min_bytes: u32,
    chunk_avg_bytes: u32,
    chunk_max_bytes: u32,
}

impl From<Parameters> for TreeParameters {
    fn from(p: Parameters) -> Self {
        Self {
            group_min_bytes: p.group_min,
            group_max_bytes: p.group_max,
            small_max_bytes: p.small_max,
            chunk_min_bytes: p.chunk_min,
            chunk_avg_bytes: p.chunk_avg,
            chunk_max_bytes: p.chunk_max,
        }
    }
}

impl From<TreeParameters> for Parameters {
    fn from(p: TreeParameters) -> Self {
        Self {
            group_min: p.group_min_bytes,
            group_max: p.group_max_bytes,
            small_max: p.small_max_bytes,
            chunk_min: p.chunk_min_bytes,
            chunk_avg: p.chunk_avg_bytes,
            chunk_max: p.chunk_max_bytes,
        }
    }
}

impl Namespace {
    /// Opens a namespace that exists.
    ///
    /// # Errors
    /// `NotFound` where it does not; `Unsupported` where it needs what this version does not know.
    pub async fn open(store: Arc<dyn Store>, name: NamespaceName, ambient: Ambient) -> Result<Self> {
        let keys = Keys::new(name.clone());
        let (id, settings) = read_settings(store.as_ref(), &name, &keys).await?;
        let settings = OnceCell::new_with(Some(settings));
        Ok(Self::of(Inner { store, name, keys, id, settings, ambient }))
    }

    /// Opens a namespace to read what `reference` stands for. By name that is one request.
    ///
    /// # Errors
    /// `NotFound` where the namespace does not exist, or nothing is called so; `Unsupported` where it needs what this
    /// version does not know.
    pub async fn open_at(
        store: Arc<dyn Store>,
        name: NamespaceName,
        ambient: Ambient,
        reference: &Reference,
    ) -> Result<(Self, Resolved)> {
        let named = match reference {
            Reference::Ref(name) => Some((name, None)),
            Reference::Generation(name, number) => Some((name, Some(*number))),
            Reference::Id(_) => None,
        };
        if let Some((ref_name, number)) = named {
            let keys = Keys::new(name.clone());
            if let Some((record, _)) = read_ref(store.as_ref(), &keys, ref_name).await? {
                let (id, settings) = (record.namespace(), OnceCell::new());
                let namespace = Self::of(Inner { store, name, keys, id, settings, ambient });
                let resolved = namespace.resolve_record(ref_name, number, record).await?;
                return Ok((namespace, resolved));
            }
        }
        // Which of the two is missing is to be said.
        let namespace = Self::open(store, name, ambient).await?;
        let resolved = namespace.resolve(reference).await?;
        Ok((namespace, resolved))
    }

    /// Opens a namespace whose `format.json` is damaged or gone, to read what its refs name; nothing where no ref tells
    /// which namespace it is.
    ///
    /// # Errors
    /// Those of listing the refs.
    pub async fn open_by_refs(
        store: Arc<dyn Store>,
        name: NamespaceName,
        ambient: Ambient,
    ) -> Result<Option<Self>> {
        let keys = Keys::new(name.clone());
        for ref_name in ref_names(store.as_ref(), &keys).await?.names {
            if let Ok(Some((record, _))) = read_ref(store.as_ref(), &keys, &ref_name).await {
                let (id, settings) = (record.namespace(), OnceCell::new());
                return Ok(Some(Self::of(Inner { store, name, keys, id, settings, ambient })));
            }
        }
        Ok(None)
    }

    async fn open_if_any(
        store: &Arc<dyn Store>,
        name: &NamespaceName,
        ambient: &Ambient,
    ) -> Result<Option<Self>> {
        match Self::open(Arc::clone(store), name.clone(), ambient.clone()).await {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    fn of(inner: Inner) -> Self {
        Self { inner: Arc::new(inner), conditions: Conditions::unknown() }
    }

    /// Opens a namespace, and makes it first where it does not exist.
    ///
    /// # Errors
    /// `Unsupported` where the store ignores the conditions of conditional writes.
    pub async fn open_or_create(
        store: Arc<dyn Store>,
        name: NamespaceName,
        ambient: Ambient,
    ) -> Result<Self> {
        if let Some(opened) = Self::open_if_any(&store, &name, &ambient).await? {
            return Ok(opened);
        }
        let keys = Keys::new(name.clone());
        probe_conditions(store.as_ref(), &keys.leases(), &ambient.token().to_string()).await?;
        let state = CollectorState::new(ambient.token()).to_bytes()?;
        create(store.as_ref(), &keys.collector_state(), state).await?;
        create(store.as_ref(), &keys.format(), seal(&NamespaceRecord::new(&ambient))?).await?;
        let namespace = Self::open(store, name, ambient).await?;
        namespace.conditions.found_kept(namespace.ambient().timestamp());
        Ok(namespace)
    }

    /// Opens a namespace to look what a push would do; one that does not exist is taken for made, and is not.
    ///
    /// # Errors
    /// `Unsupported` where it needs what this version does not know.
    pub async fn open_or_imagine(
        store: Arc<dyn Store>,
        name: NamespaceName,
        ambient: Ambient,
    ) -> Result<Self> {
        if let Some(opened) = Self::open_if_any(&store, &name, &ambient).await? {
            return Ok(opened);
        }
        let record = NamespaceRecord::new(&ambient);
        let (keys, id) = (Keys::new(name.clone()), record.namespace);
        let settings = OnceCell::new_with(Some(record.settings(Version::new("imagined"))));
        Ok(Self::of(Inner { store, name, keys, id, settings, ambient }))
    }

    /// The same namespace, with what is known of the conditions of its store.
    ///
    /// Where nothing is known, the first write finds out beside its other requests, and refuses to go on in a store that
    /// ignores them.
    #[must_use]
    pub fn with_conditions(mut self, conditions: Conditions) -> Self {
        let now = self.ambient().timestamp();
        if self.conditions.are_kept(now) {
            conditions.found_kept(now);
        }
        self.conditions = conditions;
        self
    }

    /// Its name.
    pub fn name(&self) -> &NamespaceName {
        &self.inner.name
    }

    /// Its identity, which no other namespace shares, not even one of the same name in the same store later.
    pub fn id(&self) -> NamespaceId {
        self.inner.id
    }

    /// What concerns those who write to it.
    ///
    /// # Errors
    /// Those of the store, where it was not read before.
    pub async fn settings(&self) -> Result<&NamespaceSettings> {
        let read = || async {
            let (id, settings) = read_settings(self.store().as_ref(), self.name(), self.keys()).await?;
            if id == self.id() {
                return Ok(settings);
            }
            let message = format!("the namespace `{}` is not the one that its refs are of", self.name());
            Err(Error::new(ErrorKind::Corrupt, message).with_remedy(Remedy::RestoreNamespace))
        };
        self.inner.settings.get_or_try_init(read).await
    }

    /// The store it is in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Where its time and randomness come from.
    pub fn ambient(&self) -> &Ambient {
        &self.inner.ambient
    }

    pub(crate) fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// A ref's record and the version of its object, `None` for one that never was.
    ///
    /// # Errors
    /// `Unsupported` where it needs what this version does not know, for whatever it is read.
    pub async fn read_ref(&self, name: &RefName) -> Result<Option<(RefRecord, Version)>> {
        let read = read_ref(self.store().as_ref(), self.keys(), name).await?;
        if let Some((record, _)) = &read
            && record.namespace() != self.id()
        {
            let message = format!("the ref `{name}` is of another namespace");
            let error = Error::new(ErrorKind::Corrupt, message).in_object(self.keys().reference(name));
            return Err(error.with_remedy(Remedy::RestoreRef));
        }
        Ok(read)
    }

    /// Reads a part of a pack that a layout lists.
    ///
    /// # Errors
    /// `Corrupt` where the pack is gone, with [`Remedy::ResolveAgain`], or too short.
    pub(crate) async fn read_pack(&self, key: &Key, range: std::ops::Range<u64>) -> Result<Bytes> {
        self.store().get_range(key, range).await.map_err(|e| match e.kind() {
            ErrorKind::NotFound => Error::new(ErrorKind::Corrupt, "the pack is missing")
                .in_object(format_args!("`{key}`"))
                .with_remedy(Remedy::ResolveAgain)
                .with_source(e),
            _ => e,
        })
    }

    /// The names of all refs, removed ones too, in order; and what stands among them and is none.
    ///
    /// # Errors
    ///
    /// Corrupt: more stands among the refs than is listed at once. What the store answers.
    pub async fn ref_names(&self) -> Result<RefNames> {
        ref_names(self.store().as_ref(), self.keys()).await
    }
}

async fn ref_names(store: &dyn Store, keys: &Keys) -> Result<RefNames> {
    let prefix = keys.references();
    let mut found = RefNames::default();
    for entry in list_all(store, &prefix, MAX_REFS).await? {
        let part = keys.rest(&entry.key, &prefix).unwrap_or_default();
        match RefName::from_key_part(part) {
            Ok(name) if keys.reference(&name) == entry.key => found.names.push(name),
            _ => found.strays.push(entry.key.to_string()),
        }
    }
    found.names.sort();
    Ok(found)
}

/// What is found where a namespace keeps its refs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefNames {
    /// The names of all refs, removed ones too, in order.
    pub names: Vec<RefName>,
    /// The keys of what no ref is called: the copy that an editor made, say.
    pub strays: Vec<String>,
}

impl RefNames {
    /// What is wrong with a stray.
    pub const STRAY: &str = "it is where only refs may be";
}

/// Reads `format.json`.
async fn read_settings(
    store: &dyn Store,
    name: &NamespaceName,
    keys: &Keys,
) -> Result<(NamespaceId, NamespaceSettings)> {
    let key = keys.format();
    let read = match read_format(store, &key).await? {
        // Whoever makes the namespace at this moment may have made it between the two.
        None if has_content(store, keys).await? => match read_format(store, &key).await? {
            None => {
                let message = "it is missing, and without it nobody knows how the namespace is written to";
                let error = Error::new(ErrorKind::Corrupt, message).in_object(format_args!("`{key}`"));
                return Err(error.with_remedy(Remedy::RestoreNamespace));
            }
            read => read,
        },
        read => read,
    };
    let Some((bytes, version)) = read else {
        return Err(Error::new(ErrorKind::NotFound, format!("the store has no namespace `{name}`")));
    };
    let record = NamespaceRecord::from_bytes(name, key.as_str(), &bytes)
        .map_err(|e| e.if_damaged(Remedy::RestoreNamespace))?;
    Ok((record.namespace, record.settings(version)))
}

async fn read_format(store: &dyn Store, key: &Key) -> Result<Option<(Bytes, Version)>> {
    match store.get(key, MAX_SEALED_BYTES).await {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(|e| e.if_damaged(Remedy::RestoreNamespace)),
    }
}

/// Whether anything is there that is written only after `format.json`.
async fn has_content(store: &dyn Store, keys: &Keys) -> Result<bool> {
    let (references, packs) = (keys.references(), keys.packs());
    let (references, packs) = try_join(store.list(&references, None), store.list(&packs, None)).await?;
    Ok(!references.entries.is_empty() || !packs.entries.is_empty())
}

async fn read_ref(store: &dyn Store, keys: &Keys, name: &RefName) -> Result<Option<(RefRecord, Version)>> {
    let key = keys.reference(name);
    match store.get(&key, MAX_SEALED_BYTES).await {
        Ok((bytes, version)) => {
            let record = RefRecord::from_bytes(key.as_str(), &bytes)?;
            check_features(format_args!("the ref `{name}`"), record.features())?;
            Ok(Some((record, version)))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.if_damaged(Remedy::RestoreRef)),
    }
}

/// Refuses features that this version does not know: all.
fn check_features(what: impl std::fmt::Display, features: &[String]) -> Result<()> {
    let Some(feature) = features.first() else { return Ok(()) };
    let message = format!("{what} needs the feature {feature:?}, which this version does not know");
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// Creates an object that somebody else may create at the same time, just as well.
async fn create(store: &dyn Store, key: &Key, body: Bytes) -> Result<()> {
    match store.put(key, body, PutMode::Create).await {
        Err(e) if e.kind() == ErrorKind::Conflict => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_cuts_as_none_can_is_corrupt() {
        let read = |record: &NamespaceRecord| {
            NamespaceRecord::from_bytes(&NamespaceName::default(), "format.json", &seal(record).unwrap())
        };
        let mut record = NamespaceRecord::new(&Ambient::default());
        assert_eq!(read(&record).unwrap().namespace, record.namespace);
        record.tree.chunk_avg_bytes += 1;
        assert_eq!(read(&record).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
