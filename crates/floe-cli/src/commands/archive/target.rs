//! The file that an archive is written to.
//!
//! It appears when it is whole. Until then it is beside its place, as `NAME.TOKEN.part`, under a lock; what a killed run
//! leaves there has none, and the next run to the same file removes it. It is as durable as what `cp` writes: nothing is
//! synced.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{PROC_SUPER_MAGIC, statfs};
use rustix::io::Errno;
use rustix::process::geteuid;

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
    /// None for a device or pipe, or what is open already, as /dev/stdout: those are written as they are.
    aside: Option<Aside>,
}

/// Where a file is until it is whole.
struct Aside {
    part: PathBuf,
    /// Its lock lasts as long as this is open.
    file: File,
    /// What it is to be, behind all symlinks.
    target: PathBuf,
    /// The file that it replaces.
    there: Option<fs::Metadata>,
}

impl Target {
    /// Opens what is to be written, with a token of its own.
    pub(super) fn create(path: &Path, token: impl Fn() -> u64) -> Result<(Self, BufWriter<File>), Failure> {
        let (file, aside) = open(path, token).map_err(|e| cannot_write(path, e))?;
        Ok((Self { said: path.to_owned(), aside }, BufWriter::with_capacity(256 << 10, file)))
    }

    /// Gives the file its name.
    pub(super) fn keep(mut self) -> Result<(), Failure> {
        let Some(aside) = &self.aside else { return Ok(()) };
        let keep = || {
            if let Some(there) = &aside.there {
                // Whose it was, as far as that may be said; the mode after that, which takes bits of it away.
                let _ = fchown(&aside.file, Some(there.uid()), Some(there.gid()));
                aside.file.set_permissions(Permissions::from_mode(there.mode() & 0o777))?;
            }
            fs::rename(&aside.part, &aside.target)
        };
        keep().map_err(|e| cannot_write(&self.said, e))?;
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

fn open(path: &Path, token: impl Fn() -> u64) -> io::Result<(File, Option<Aside>)> {
    let there = match fs::metadata(path) {
        Ok(stat) => Some(stat),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if there.as_ref().is_some_and(|stat| !stat.is_file()) {
        return Ok((File::options().write(true).open(path)?, None));
    }
    let Some(target) = behind_symlinks(path)? else {
        // It is open already, and what is in it stays.
        return Ok((File::options().append(true).open(path)?, None));
    };
    let aside = Aside::create(target, there, token)?;
    Ok((aside.file.try_clone()?, Some(aside)))
}

impl Aside {
    /// A file beside `target`, which is no symlink, to take its place.
    fn create(target: PathBuf, there: Option<fs::Metadata>, token: impl Fn() -> u64) -> io::Result<Self> {
        let bytes = target.as_os_str().as_bytes();
        let name = target.file_name().filter(|_| !bytes.ends_with(b"/") && !bytes.ends_with(b"/."));
        let name = name.ok_or(Errno::ISDIR)?.as_bytes();
        let above = target.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let prefix = [&name[..name.len().min(NAME_BYTES)], b"."].concat();
        clear_stale(above, &prefix);
        loop {
            let mut part = OsString::from_vec(prefix.clone());
            part.push(format!("{:0TOKEN_DIGITS$x}", token()));
            part.push(OsStr::from_bytes(PART));
            let part = above.join(part);
            // Where the file was kept from others, so are its beginnings.
            let created = if there.is_some() { 0o600 } else { 0o666 };
            let file = OpenOptions::new().write(true).create_new(true).mode(created).open(&part)?;
            // Where there are no locks, nothing is taken for stale either.
            let _ = file.lock();
            // Before it was locked, another run may have taken it for a dead one's.
            if file.metadata()?.nlink() > 0 {
                return Ok(Self { part, file, target, there });
            }
        }
    }
}

/// What a path names, be it not there, as when it is opened for writing; nothing where a link of /proc is on the way, which
/// says only what an open file was called once.
fn behind_symlinks(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut path = path.to_owned();
    for _ in 0..=MAX_SYMLINKS {
        let Ok(target) = fs::read_link(&path) else { return Ok(Some(path)) };
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if statfs(above)?.f_type == PROC_SUPER_MAGIC {
            return Ok(None);
        }
        let (link, above_it) = (fs::symlink_metadata(&path)?, fs::metadata(above)?);
        // As the kernel does where it protects symlinks: anybody could have put it there.
        let is_open_to_all = above_it.mode() & 0o1002 == 0o1002;
        if is_open_to_all && link.uid() != geteuid().as_raw() && link.uid() != above_it.uid() {
            return Err(Errno::ACCESS.into());
        }
        path = above.join(target);
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
