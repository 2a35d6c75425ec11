//! Temporary files that die with their process.
//!
//! A session is one writing process (more exactly one open store). It holds a lock on `<session>.lock` as long as it
//! lives, and its files are `<session>.<number>`. Whoever begins a session removes the files of sessions whose lock
//! is free.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::disk::Disk;
use crate::Ambient;

/// The right to make temporary files.
#[derive(Debug)]
pub(super) struct Session {
    dir: PathBuf,
    name: String,
    /// Locked; a `Drop` of the file releases it.
    _lock: File,
    made: AtomicU64,
    disk: Disk,
}

impl Session {
    /// Begins a session in a directory, which is made, and clears away what dead ones left.
    pub(super) fn begin(dir: &Path, disk: &Disk, ambient: &Ambient) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        sweep(dir)?;
        loop {
            let name = format!("{:016x}", u64::from_be_bytes(ambient.random()));
            let path = dir.join(format!("{name}.lock"));
            let lock = OpenOptions::new().write(true).create_new(true).open(&path)?;
            lock.lock()?;
            // Between making and locking it, another's sweep may have taken it for a dead one's.
            if lock.metadata()?.nlink() > 0 {
                return Ok(Self {
                    dir: dir.to_owned(),
                    name,
                    _lock: lock,
                    made: AtomicU64::new(0),
                    disk: disk.clone(),
                });
            }
        }
    }

    /// A new empty file, removed when dropped unless published.
    pub(super) fn temp(self: &Arc<Self>) -> io::Result<TempFile> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{number}", self.name);
        let path = self.dir.join(&name);
        let file = self.disk.create(&path)?;
        Ok(TempFile { session: Arc::clone(self), name, path, file, published: AtomicBool::new(false) })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Files go before their session: each holds it. A lock file that stays is swept by the next writer.
        let _ = fs::remove_file(self.dir.join(format!("{}.lock", self.name)));
    }
}

/// Removes the files of sessions that have ended.
fn sweep(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some((session, _)) = name.to_str().and_then(|name| name.rsplit_once('.')) else {
            continue;
        };
        // The swap locks stand here too and stay.
        if session.len() != 16 || !session.bytes().all(|b| b.is_ascii_hexdigit()) {
            continue;
        }
        let lock_path = dir.join(format!("{session}.lock"));
        let lock = match File::open(&lock_path) {
            Ok(lock) => Some(lock),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(_) => continue,
        };
        if let Some(lock) = &lock {
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => continue,
            }
        }
        // Ours to remove now, or no longer there: somebody else sweeps too.
        if name.as_os_str() != OsStr::new(&format!("{session}.lock")) || !has_files(dir, session)? {
            let _ = fs::remove_file(dir.join(&name));
        }
    }
    Ok(())
}

/// Whether a session has files beside its lock.
fn has_files(dir: &Path, session: &str) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let of_session =
            name.to_str().and_then(|name| name.rsplit_once('.')).filter(|(owner, _)| *owner == session);
        if of_session.is_some_and(|(_, what)| what != "lock") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A file that nobody else sees.
#[derive(Debug)]
pub(super) struct TempFile {
    session: Arc<Session>,
    name: String,
    path: PathBuf,
    file: File,
    published: AtomicBool,
}

impl TempFile {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn write_at(&self, body: &[u8], offset_bytes: u64) -> io::Result<()> {
        self.session.disk.write_at(&self.file, &self.path, body, offset_bytes)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.session.disk.sync_file(&self.file, &self.path)
    }

    /// Moves it to where others see it; the caller syncs that directory.
    pub(super) fn publish(&self, to: &Path, replace: bool) -> io::Result<()> {
        match replace {
            true => self.session.disk.rename(&self.path, to)?,
            false => self.session.disk.rename_new(&self.path, to)?,
        }
        self.published.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.published.load(Ordering::Relaxed) {
            // What cannot be removed now, the next session sweeps.
            let _ = self.session.disk.unlink(&self.path);
        }
    }
}
