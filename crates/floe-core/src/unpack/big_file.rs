//! Files whose content is in several frames.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, RwLock};

use floe_format::{ContentHash, Entry, tar_len};

use crate::destination::FileWriter;
use crate::reader::shown;
use crate::{Error, ErrorKind, Result};

use super::engine::Stop;

/// How many bytes of all files may wait for their turn to be hashed.
const MAX_WAITING_BYTES: u64 = 32 << 20;

/// A file whose content is in several frames, which several threads may be at.
#[derive(Debug)]
pub(crate) struct BigFile<'t> {
    /// Its entry.
    pub(crate) entry: Entry,
    /// Number of its entry in the walk.
    pub(crate) ordinal: u64,
    /// Where it is being written, if it is.
    pub(crate) writer: RwLock<Option<FileWriter<'t>>>,
    /// Bytes of its tar that were not compared or hashed yet.
    unchecked: AtomicU64,
    hashing: Mutex<Hashing>,
    moved_on: Condvar,
}

#[derive(Debug)]
struct Hashing {
    hasher: blake3::Hasher,
    /// How far it is hashed.
    done: u64,
    /// Parts that came too early, by where they begin.
    waiting: BTreeMap<u64, Vec<u8>>,
    /// Something of it is damaged.
    abandoned: bool,
}

/// Bytes of all files of a run that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct WaitingBytes(AtomicU64);

impl<'t> BigFile<'t> {
    pub(crate) fn new(entry: Entry, ordinal: u64) -> Self {
        Self {
            ordinal,
            writer: RwLock::new(None),
            unchecked: AtomicU64::new(tar_len(&entry.as_entry())),
            hashing: Mutex::new(Hashing {
                hasher: blake3::Hasher::new(),
                done: 0,
                waiting: BTreeMap::new(),
                abandoned: false,
            }),
            entry,
            moved_on: Condvar::new(),
        }
    }

    /// Its length.
    pub(crate) fn size(&self) -> u64 {
        self.entry.body.as_body().size()
    }

    /// Hashes a part, now or when those before it have been. True when thereby the last of the file was checked.
    ///
    /// # Errors
    /// `Corrupt` when the whole has another hash than its entry says.
    pub(crate) fn hash(
        &self,
        offset: u64,
        bytes: &[u8],
        waiting: &WaitingBytes,
        stop: &Stop,
    ) -> Result<bool> {
        let mut hashing = self.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        while hashing.done != offset {
            if hashing.abandoned {
                return Ok(false);
            }
            if waiting.0.load(Ordering::Relaxed) < MAX_WAITING_BYTES {
                waiting.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                hashing.waiting.insert(offset, bytes.to_vec());
                return Ok(false);
            }
            stop.check()?;
            let patience = std::time::Duration::from_millis(50);
            hashing = self.moved_on.wait_timeout(hashing, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        hashing.add(bytes);
        while let Some(bytes) = {
            let done = hashing.done;
            hashing.waiting.remove(&done)
        } {
            waiting.0.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
            hashing.add(&bytes);
        }
        self.moved_on.notify_all();
        if hashing.done < self.size() {
            return Ok(false);
        }
        let hash = ContentHash::from(hashing.hasher.finalize());
        match self.entry.body.as_body() {
            floe_format::Body::File { hash: Some(said), .. } if said == hash => Ok(self.checked(self.size())),
            _ => Err(wrong_hash(&self.entry.path)),
        }
    }

    /// Notes that so many more bytes of its tar were checked; true when they were the last.
    pub(crate) fn checked(&self, bytes: u64) -> bool {
        self.unchecked.fetch_sub(bytes, Ordering::AcqRel) == bytes
    }

    /// Gives the file up: what is still to come is hashed no more.
    pub(crate) fn abandon(&self, waiting: &WaitingBytes) {
        let mut hashing = self.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        hashing.abandoned = true;
        for bytes in std::mem::take(&mut hashing.waiting).into_values() {
            waiting.0.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
        }
        self.moved_on.notify_all();
    }
}

impl Hashing {
    fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.done += bytes.len() as u64;
    }
}

/// The error for a file whose content is not what its entry says.
pub(crate) fn wrong_hash(path: &[u8]) -> Error {
    let message =
        format!("the content of the snapshot's file {} does not have the hash of its entry", shown(path));
    Error::new(ErrorKind::Corrupt, message)
}
