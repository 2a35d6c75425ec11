//! A store in a directory.
//!
//! An object is a file at its key's path. Every write goes to a temporary file under `.tmp/`, is synced, and then
//! takes its place by one rename; the directory is synced before anyone is told. So a reader sees a whole object or
//! none, and after a power loss an object is there if its writer was told so.
//!
//! *Concurrency.* Any number of processes. Create-if-absent is the kernel's (`RENAME_NOREPLACE`, or a hard link).
//! Swap, overwrite and delete of one key exclude one another by a lock on one of 64 lock files; the lock dies with its
//! holder. *Versions* are BLAKE3 hashes of the content.
//!
//! *Directories.* Whoever relies on a directory has it synced in its parent first, and leaves a `.durable` file in
//! long-lived ones, so that later processes need not do it again.
//!
//! *What a crash leaves.* Temporary files, which the next writer removes: their owner holds a lock while it lives.

mod buffers;
mod disk;
mod listing;
mod temp;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::Errno;

use super::{Cursor, Key, KeyPrefix, Page, Part, PartTag, PartsId, PutMode, Store, Version};
use crate::{Ambient, Error, ErrorKind, Result};
use buffers::Buffers;
use disk::Disk;
use temp::{Session, TempFile};

pub use disk::{DiskOp, DiskWatch};

/// Where temporary files and locks are, under the store's root.
const TEMP_DIR: &str = ".tmp";
/// Stands in a directory whose own entry is known to survive power loss.
const DURABLE_MARK: &str = ".durable";
/// Directories as deep as this below the root are long-lived and marked.
const MARKED_DEPTH: usize = 2;
/// How many lock files the keys share.
const LOCKS: u8 = 64;
/// Longer segments become several directories, since file systems take names of 255 bytes.
const MAX_NAME_BYTES: usize = 240;
/// Ends the name of a directory whose segment goes on; no key holds it.
const GOES_ON: char = '+';

/// A store in a directory, which the first write makes.
#[derive(Debug, Clone)]
pub struct LocalStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    disk: Disk,
    ambient: Ambient,
    session: Mutex<Option<Arc<Session>>>,
    /// Directories whose entries, all the way up, survive power loss.
    durable: Mutex<HashSet<PathBuf>>,
    parts: Mutex<HashMap<PartsId, Arc<TempFile>>>,
    buffers: Buffers,
}

impl LocalStore {
    /// The store at `root`, by the machine's clock and randomness; touches nothing.
    ///
    /// # Errors
    /// When `root` is relative and there is no current directory.
    pub fn new(root: impl AsRef<Path>) -> Result<Self> {
        Self::with_ambient(root, Ambient::default())
    }

    /// The same by others, of which it takes the names of what is not to be seen yet.
    ///
    /// # Errors
    /// As [`LocalStore::new`].
    pub fn with_ambient(root: impl AsRef<Path>, ambient: Ambient) -> Result<Self> {
        Self::with_disk(root.as_ref(), Disk::default(), ambient)
    }

    /// As [`LocalStore::new`] with `watch` told of everything that is to be changed on disk, before it is.
    ///
    /// # Errors
    /// As [`LocalStore::new`].
    pub fn watched(root: impl AsRef<Path>, watch: Arc<dyn DiskWatch>) -> Result<Self> {
        Self::with_disk(root.as_ref(), Disk::watched(watch), Ambient::default())
    }

    fn with_disk(root: &Path, disk: Disk, ambient: Ambient) -> Result<Self> {
        let root = std::path::absolute(root)
            .map_err(|e| Error::io(format!("cannot tell where `{}` is", root.display()), e))?;
        Ok(Self {
            inner: Arc::new(Inner {
                root,
                disk,
                ambient,
                session: Mutex::new(None),
                durable: Mutex::new(HashSet::new()),
                parts: Mutex::new(HashMap::new()),
                buffers: Buffers::default(),
            }),
        })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Runs blocking work of this store off the runtime's own threads; the one place where it leaves them.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result,
            Err(e) if e.is_cancelled() => {
                Err(Error::new(ErrorKind::Cancelled, "the local store's work was cancelled").with_source(e))
            }
            Err(e) => Err(Error::new(ErrorKind::Internal, "the local store's work panicked").with_source(e)),
        }
    }
}

#[async_trait]
impl Store for LocalStore {
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<Version> {
        let key = key.clone();
        self.blocking(move |inner| inner.put(&key, &body, &mode)).await
    }

    async fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        let key = key.clone();
        self.blocking(move |inner| inner.get(&key, max_bytes)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        let key = key.clone();
        self.blocking(move |inner| inner.get_range(&key, &range)).await
    }

    /// Little: what is read just before it is used is still in the processor's caches then.
    fn read_ahead_bytes(&self) -> u64 {
        4 << 20
    }

    async fn head(&self, key: &Key) -> Result<Option<u64>> {
        let key = key.clone();
        self.blocking(move |inner| match inner.open(&key) {
            Ok((_, size_bytes)) => Ok(Some(size_bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        })
        .await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Cursor>) -> Result<Page> {
        let (prefix, after) = (prefix.clone(), after.map(|cursor| cursor.as_str().to_owned()));
        self.blocking(move |inner| listing::page(&inner.root, &prefix, after.as_deref())).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let key = key.clone();
        self.blocking(move |inner| inner.delete(&key)).await
    }

    async fn start_parts(&self, key: &Key) -> Result<PartsId> {
        let key = key.clone();
        self.blocking(move |inner| {
            let temp = inner.temp().map_err(|e| inner.failed("begin", &key, e))?;
            let id = PartsId::new(temp.name());
            inner.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), Arc::new(temp));
            Ok(id)
        })
        .await
    }

    async fn put_part(&self, key: &Key, id: &PartsId, part: Part, body: Bytes) -> Result<PartTag> {
        let (key, id) = (key.clone(), id.clone());
        self.blocking(move |inner| {
            let temp = inner.parts.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
            let temp = temp.ok_or_else(|| not_under_way(&key))?;
            temp.write_at(&body, part.offset_bytes).map_err(|e| inner.failed("write", &key, e))?;
            Ok(PartTag::new(part.index.to_string()))
        })
        .await
    }

    async fn finish_parts(&self, key: &Key, id: &PartsId, _tags: Vec<PartTag>) -> Result<()> {
        let (key, id) = (key.clone(), id.clone());
        self.blocking(move |inner| {
            let temp = inner.parts.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            let temp = temp.ok_or_else(|| not_under_way(&key))?;
            let publish = || {
                temp.sync()?;
                let _lock = inner.lock(&key)?;
                inner.publish(&temp, &key, true)
            };
            publish().map_err(|e| inner.failed("write", &key, e))
        })
        .await
    }

    async fn abort_parts(&self, _key: &Key, id: &PartsId) -> Result<()> {
        let id = id.clone();
        self.blocking(move |inner| {
            drop(inner.parts.lock().unwrap_or_else(PoisonError::into_inner).remove(&id));
            Ok(())
        })
        .await
    }
}

impl Inner {
    fn put(&self, key: &Key, body: &[u8], mode: &PutMode) -> Result<Version> {
        let failed = |e| self.failed("write", key, e);
        match mode {
            PutMode::Create => {
                // Saves the writing and syncing of a body that is refused anyway.
                if self.path(key).symlink_metadata().is_ok() {
                    return Err(exists(key));
                }
                let temp = self.filled(body).map_err(failed)?;
                match self.publish(&temp, key, false) {
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(exists(key)),
                    other => other.map_err(failed)?,
                }
            }
            PutMode::Overwrite => {
                let temp = self.filled(body).map_err(failed)?;
                let _lock = self.lock(key).map_err(failed)?;
                self.publish(&temp, key, true).map_err(failed)?;
            }
            PutMode::Swap(expected) => {
                // The root may not exist yet; then there is nothing to swap, and nothing to make.
                let changed = || Error::new(ErrorKind::Conflict, format!("`{key}` has changed"));
                if self.path(key).symlink_metadata().is_err() {
                    return Err(changed());
                }
                let _lock = self.lock(key).map_err(failed)?;
                match self.get(key, u64::MAX) {
                    Ok((_, version)) if version == *expected => {}
                    Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                    _ => return Err(changed()),
                }
                let temp = self.filled(body).map_err(failed)?;
                self.publish(&temp, key, true).map_err(failed)?;
            }
        }
        Ok(version_of(body))
    }

    fn get(&self, key: &Key, max_bytes: u64) -> Result<(Bytes, Version)> {
        let (file, size_bytes) = self.open(key)?;
        if size_bytes > max_bytes {
            let message = format!("`{key}` has {size_bytes} bytes, more than the {max_bytes} it may have");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let mut body = Vec::new();
        // One more than its size: room to notice the end without growing.
        body.try_reserve_exact(usize::try_from(size_bytes).unwrap_or(usize::MAX).saturating_add(1))
            .map_err(|e| Error::new(ErrorKind::Internal, format!("no memory for `{key}`")).with_source(e))?;
        file.take(size_bytes).read_to_end(&mut body).map_err(|e| self.failed("read", key, e))?;
        let version = version_of(&body);
        Ok((Bytes::from(body), version))
    }

    fn get_range(&self, key: &Key, range: &Range<u64>) -> Result<Bytes> {
        let Some(length) = super::range_length(key, range)? else {
            return Ok(Bytes::new());
        };
        let (file, size_bytes) = self.open(key)?;
        if range.end > size_bytes {
            return Err(super::too_short(key, range));
        }
        let mut body = self.buffers.take(length);
        file.read_exact_at(body.as_mut(), range.start).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => super::too_short(key, range),
            _ => self.failed("read", key, e),
        })?;
        Ok(body.into_bytes())
    }

    fn delete(&self, key: &Key) -> Result<()> {
        let path = self.path(key);
        if !path.symlink_metadata().is_ok_and(|found| found.is_file()) {
            return Ok(());
        }
        let remove = || {
            let _lock = self.lock(key)?;
            match self.disk.unlink(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(e) => Err(e),
                Ok(()) => self.disk.sync_dir(parent(&path)),
            }
        };
        remove().map_err(|e| self.failed("delete", key, e))
    }

    /// The file of an object and its size.
    fn open(&self, key: &Key) -> Result<(File, u64)> {
        let absent = || Error::new(ErrorKind::NotFound, format!("no object `{key}` in the store"));
        // Non-blocking, so that a fifo that a stranger put there cannot hang us.
        let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
        let opened = OpenOptions::new().read(true).custom_flags(nonblock).open(self.path(key));
        let no_file = || {
            let message = format!("what is at `{key}` in the store is no file");
            Err(Error::new(ErrorKind::Corrupt, message))
        };
        let file = match opened {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(absent());
            }
            Err(e) if is_no_file(&e) => return no_file(),
            other => other.map_err(|e| self.failed("read", key, e))?,
        };
        let found = file.metadata().map_err(|e| self.failed("read", key, e))?;
        if found.is_dir() {
            return Err(absent());
        }
        if !found.is_file() {
            return no_file();
        }
        Ok((file, found.len()))
    }

    /// A temporary file with this content, synced.
    fn filled(&self, body: &[u8]) -> io::Result<TempFile> {
        let temp = self.temp()?;
        temp.write_at(body, 0)?;
        temp.sync()?;
        Ok(temp)
    }

    fn temp(&self) -> io::Result<TempFile> {
        let session = {
            let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            match &*session {
                Some(session) => Arc::clone(session),
                None => {
                    self.ensure_dir(&self.root)?;
                    let begun =
                        Arc::new(Session::begin(&self.root.join(TEMP_DIR), &self.disk, &self.ambient)?);
                    Arc::clone(session.insert(begun))
                }
            }
        };
        session.temp()
    }

    /// Puts a synced temporary file in its place and syncs the place.
    fn publish(&self, temp: &TempFile, key: &Key, replace: bool) -> io::Result<()> {
        let path = self.path(key);
        self.ensure_dir(parent(&path))?;
        temp.publish(&path, replace)?;
        self.disk.sync_dir(parent(&path))
    }

    /// Excludes all other swaps, overwrites and deletes of a key, in any process, until dropped.
    fn lock(&self, key: &Key) -> io::Result<File> {
        let stripe = blake3::hash(key.as_str().as_bytes()).as_bytes()[0] % LOCKS;
        let dir = self.root.join(TEMP_DIR);
        let path = dir.join(format!("swap-{stripe:02}.lock"));
        let open = || OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = match open() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&dir)?;
                open()?
            }
            other => other?,
        };
        file.lock()?;
        Ok(file)
    }

    /// Makes a directory and sees to it that its entry survives power loss, all the way up.
    fn ensure_dir(&self, dir: &Path) -> io::Result<()> {
        if self.durable.lock().unwrap_or_else(PoisonError::into_inner).contains(dir) {
            return Ok(());
        }
        let depth = dir.strip_prefix(&self.root).map(|below| below.components().count()).ok();
        let mark = dir.join(DURABLE_MARK);
        if depth.is_some_and(|depth| depth > 0) || !dir.exists() {
            self.ensure_dir(parent(dir))?;
        }
        let made = match self.disk.make_dir(dir) {
            Ok(()) => true,
            Err(_) if dir.is_dir() => false,
            Err(e) => return Err(e),
        };
        // What stands above the root and was there before is not ours to sync.
        if made || depth.is_some_and(|depth| depth > MARKED_DEPTH || !mark.exists()) {
            match self.disk.sync_dir(parent(dir)) {
                // Nor need we be allowed to read the directory that an existing root stands in.
                Err(e) if !made && depth == Some(0) && e.kind() == io::ErrorKind::PermissionDenied => {}
                other => other?,
            }
            if depth.is_some_and(|depth| depth <= MARKED_DEPTH) {
                self.disk.mark(&mark)?;
            }
        }
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.to_owned());
        Ok(())
    }

    fn path(&self, key: &Key) -> PathBuf {
        listing::path(&self.root, key.as_str())
    }

    fn failed(&self, what: &str, key: &Key, e: io::Error) -> Error {
        let root = self.root.display();
        if matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            let message = format!("no space left to {what} `{key}` in the store {root}");
            return Error::new(ErrorKind::Internal, message).with_source(e);
        }
        Error::io(format!("cannot {what} `{key}` in the store {root}"), e)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Whether it is of a socket or device that cannot be opened.
fn is_no_file(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NXIO | Errno::NODEV))
}

fn version_of(body: &[u8]) -> Version {
    Version::new(blake3::hash(body).to_hex().as_str())
}

fn exists(key: &Key) -> Error {
    Error::new(ErrorKind::Conflict, format!("`{key}` exists already"))
}

fn not_under_way(key: &Key) -> Error {
    Error::new(ErrorKind::NotFound, format!("no upload of `{key}` is under way"))
}
