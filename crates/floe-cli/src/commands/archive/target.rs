//! The file that an archive is written to.
//!
//! It appears when it is whole. Until then it is beside its place, as `NAME.TOKEN.part`, under a lock; what a killed run
//! leaves there has none, and the next run to the same file removes it. It is as durable as what `cp` writes: nothing is
//! synced.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::failure::Failure;

/// How much of the file's name is in that of the part, in bytes; a name has at most 255.
const NAME_BYTES: usize = 220;
/// Of a part's token.
const TOKEN_DIGITS: usize = 16;
const PART: &[u8] = b".part";
/// As many as the kernel follows.
const MAX_SYMLINKS: usize = 40;

/// A file that takes its name when it is whole, and is removed otherwise.
pub(super) struct Target {
    /// As the user said it.
    said: PathBuf,
    /// None for a device or pipe, which is written as it is.
    aside: Option<Aside>,
}

/// Where a file is until it is whole.
struct Aside {
    part: PathBuf,
    /// Its lock lasts as long as this is open.
    file: File,
    /// What it is to be, behind all symlinks.
    target: PathBuf,
    /// The mode of the file that it replaces.
    mode: Option<u32>,
}

impl Target {
    /// Opens what is to be written, with a token of its own.
    pub(super) fn create(path: &Path, token: impl Fn() -> u64) -> Result<(Self, BufWriter<File>), Failure> {
        let opened = if fs::metadata(path).is_ok_and(|stat| !stat.is_file()) {
            File::options().write(true).open(path).map(|file| (file, None))
        } else {
            Aside::create(path, token).and_then(|aside| Ok((aside.file.try_clone()?, Some(aside))))
        };
        let (file, aside) = opened.map_err(|e| cannot_write(path, e))?;
        Ok((Self { said: path.to_owned(), aside }, BufWriter::with_capacity(256 << 10, file)))
    }

    /// Gives the file its name.
    pub(super) fn keep(mut self) -> Result<(), Failure> {
        let Some(aside) = &self.aside else { return Ok(()) };
        let mode = aside.mode.map_or(Ok(()), |mode| aside.file.set_permissions(Permissions::from_mode(mode)));
        mode.and_then(|()| fs::rename(&aside.part, &aside.target))
            .map_err(|e| cannot_write(&self.said, e))?;
        self.aside = None;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(aside) = &self.aside {
            // It is worthless, and the next run removes it as well.
            let _ = fs::remove_file(&aside.part);
        }
    }
}

impl Aside {
    fn create(path: &Path, token: impl Fn() -> u64) -> io::Result<Self> {
        let target = behind_symlinks(path)?;
        let bytes = target.as_os_str().as_bytes();
        let name = target.file_name().filter(|_| !bytes.ends_with(b"/") && !bytes.ends_with(b"/."));
        let name = name.ok_or(Errno::ISDIR)?.as_bytes();
        let above = target.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let prefix = [&name[..name.len().min(NAME_BYTES)], b"."].concat();
        clear_stale(above, &prefix);
        let mode = fs::metadata(&target).ok().map(|stat| stat.mode() & 0o777);
        loop {
            let mut part = OsString::from_vec(prefix.clone());
            part.push(format!("{:0TOKEN_DIGITS$x}", token()));
            part.push(OsStr::from_bytes(PART));
            let part = above.join(part);
            // Where the file was kept from others, so are its beginnings.
            let created = if mode.is_some() { 0o600 } else { 0o666 };
            let file = OpenOptions::new().write(true).create_new(true).mode(created).open(&part)?;
            // Where there are no locks, nothing is taken for stale either.
            let _ = file.lock();
            // Before it was locked, another run may have taken it for a dead one's.
            if file.metadata()?.nlink() > 0 {
                return Ok(Self { part, file, target, mode });
            }
        }
    }
}

/// What a path names, be it not there, as when it is opened for writing.
fn behind_symlinks(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..=MAX_SYMLINKS {
        let Ok(target) = fs::read_link(&path) else { return Ok(path) };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(Errno::LOOP.into())
}

/// Removes the parts of runs that are no longer alive, as far as it can.
fn clear_stale(directory: &Path, prefix: &[u8]) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let token = name.as_bytes().strip_prefix(prefix).and_then(|rest| rest.strip_suffix(PART));
        let is_hexadecimal = |token: &[u8]| token.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if token.is_some_and(|token| token.len() == TOKEN_DIGITS && is_hexadecimal(token)) {
            let _ = remove_unlocked(&directory.join(name));
        }
    }
}

fn remove_unlocked(path: &Path) -> io::Result<()> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let held = file.metadata()?;
    if !held.is_file() || file.try_lock().is_err() {
        return Ok(());
    }
    let there = fs::symlink_metadata(path)?;
    // Kept in between: then another file may have the name by now.
    if (there.dev(), there.ino()) != (held.dev(), held.ino()) {
        return Ok(());
    }
    fs::remove_file(path)
}

fn cannot_write(path: &Path, cause: io::Error) -> Failure {
    let failure = Failure::io(format!("cannot write {}", path.display()), cause);
    failure.advise("Name a file that you may write, in a directory that is there.")
}
