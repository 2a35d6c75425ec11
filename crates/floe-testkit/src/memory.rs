//! A store in memory, the oracle of the others.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use floe_core::store::{
    Cursor, Entry, Key, KeyPrefix, Page, Part, PartTag, PartsId, PutMode, Store, Version, range_length,
    too_short,
};
use floe_core::{Error, ErrorKind, Result};

/// A store in memory; clones are the same store.
///
/// Its clock ticks one second with every write, and its pages hold 1,000 entries.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<Key, Object>,
    uploads: HashMap<PartsId, BTreeMap<u64, Bytes>>,
    /// Counts writes; every version and id is one of its values.
    writes: u64,
}

#[derive(Clone, Debug)]
struct Object {
    body: Bytes,
    version: u64,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// All objects, for comparing and corrupting.
    pub fn objects(&self) -> BTreeMap<Key, Bytes> {
        self.lock().objects.iter().map(|(key, object)| (key.clone(), object.body.clone())).collect()
    }

    /// Another store with the same objects.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.lock();
        let forked = State { objects: state.objects.clone(), uploads: HashMap::new(), writes: state.writes };
        Self { state: Arc::new(Mutex::new(forked)) }
    }

    /// Puts an object there whatever was there before, or removes it.
    pub fn set(&self, key: &Key, body: Option<Bytes>) {
        let mut state = self.lock();
        match body {
            Some(body) => drop(state.write(key, body)),
            None => drop(state.objects.remove(key)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, key: &Key, body: Bytes) -> Version {
        self.writes += 1;
        self.objects.insert(key.clone(), Object { body, version: self.writes });
        Version::new(self.writes.to_string())
    }

    fn object(&self, key: &Key) -> Result<&Object> {
        let absent = || Error::new(ErrorKind::NotFound, format!("no object `{key}` in the store"));
        self.objects.get(key).ok_or_else(absent)
    }
}

const PAGE_ENTRIES: usize = 1_000;

#[async_trait]
impl Store for MemoryStore {
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
        let mut state = self.lock();
        let found = state.objects.get(key).map(|object| Version::new(object.version.to_string()));
        let holds = match &mode {
            PutMode::Create => found.is_none(),
            PutMode::Overwrite => true,
            PutMode::Swap(expected) => found.as_ref() == Some(expected),
        };
        if !holds {
            return Err(Error::new(ErrorKind::Conflict, format!("`{key}` exists already or has changed")));
        }
        Ok(state.write(key, body))
    }

    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        let state = self.lock();
        let object = state.object(key)?;
        if object.body.len() as u64 > max_bytes {
            let message = format!("`{key}` has more than the {max_bytes} bytes it may have");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok((object.body.clone(), Version::new(object.version.to_string())))
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        let Some(length) = range_length(key, &range)? else {
            return Ok(Bytes::new());
        };
        let state = self.lock();
        let object = state.object(key)?;
        if range.end > object.body.len() as u64 {
            return Err(too_short(key, &range));
        }
        let start = usize::try_from(range.start).expect("less than a length in memory");
        Ok(object.body.slice(start..start + length))
    }

    async fn head(&self, key: &Key) -> Result<Option<u64>> {
        Ok(self.lock().objects.get(key).map(|object| object.body.len() as u64))
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Cursor>) -> Result<Page> {
        let state = self.lock();
        let mut entries: Vec<Entry> = state
            .objects
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(prefix.as_str()))
            .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after.as_str()))
            .take(PAGE_ENTRIES + 1)
            .map(|(key, object)| Entry {
                key: key.clone(),
                size_bytes: object.body.len() as u64,
                modified: SystemTime::UNIX_EPOCH + Duration::from_secs(object.version),
            })
            .collect();
        let more = entries.len() > PAGE_ENTRIES;
        entries.truncate(PAGE_ENTRIES);
        let next = entries.last().filter(|_| more).map(|entry| Cursor::new(entry.key.as_str()));
        Ok(Page { entries, next })
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.lock().objects.remove(key);
        Ok(())
    }

    async fn start_parts(&self, _key: &Key) -> Result<PartsId> {
        let mut state = self.lock();
        state.writes += 1;
        let id = PartsId::new(state.writes.to_string());
        state.uploads.insert(id.clone(), BTreeMap::new());
        Ok(id)
    }

    async fn put_part(&self, key: &Key, id: &PartsId, part: Part, body: Bytes) -> Result<PartTag> {
        let mut state = self.lock();
        let parts = state.uploads.get_mut(id).ok_or_else(|| not_under_way(key))?;
        parts.insert(part.offset_bytes, body);
        Ok(PartTag::new(part.index.to_string()))
    }

    async fn finish_parts(&self, key: &Key, id: &PartsId, tags: Vec<PartTag>) -> Result<()> {
        let mut state = self.lock();
        let parts = state.uploads.remove(id).ok_or_else(|| not_under_way(key))?;
        let mut body = BytesMut::new();
        for (offset_bytes, part) in &parts {
            if *offset_bytes != body.len() as u64 {
                return Err(Error::new(ErrorKind::Invalid, format!("the parts of `{key}` have a gap")));
            }
            body.extend_from_slice(part);
        }
        if tags.len() != parts.len() {
            return Err(Error::new(ErrorKind::Invalid, format!("`{key}` is finished without all its parts")));
        }
        state.write(key, body.freeze());
        Ok(())
    }

    async fn abort_parts(&self, _key: &Key, id: &PartsId) -> Result<()> {
        self.lock().uploads.remove(id);
        Ok(())
    }
}

fn not_under_way(key: &Key) -> Error {
    Error::new(ErrorKind::NotFound, format!("no upload of `{key}` is under way"))
}
