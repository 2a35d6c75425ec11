//! The file that an archive is written to.
//!
//! It appears when it is whole. Until then it is beside its place, as `NAME.TOKEN.part`, under a lock; what a killed run
//! leaves there has none, and the next run to the same file removes it. It is as durable as what `cp` writes: nothing is
//! synced.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, PROC_SUPER_MAGIC, StatxAttributes, StatxFlags, statfs, statx};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::rights::Rights;
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
    /// What is written. Whoever writes it does not close it, for that is when some failures are told.
    file: Arc<File>,
    /// None for a device or pipe, or what is open already, as /dev/stdout: those are written as they are.
    aside: Option<Aside>,
}

/// Where a file is until it is whole.
struct Aside {
    part: Part,
    /// The same file, whose lock lasts as long as this is open.
    lock: File,
    /// What it is to be, behind all symlinks.
    target: PathBuf,
    /// Those of the file that it replaces.
    there: Option<Rights>,
}

/// The name of a file for as long as that is not whole: the file goes with it unless it is kept.
struct Part {
    path: PathBuf,
    is_kept: bool,
}

impl Target {
    /// Opens what is to be written, with a token of its own.
    pub(super) fn create(
        path: &Path,
        token: impl Fn() -> u64,
    ) -> Result<(Self, BufWriter<Arc<File>>), Failure> {
        let (file, aside) = open(path, token).map_err(|e| cannot_write(path, e))?;
        let file = Arc::new(file);
        let out = BufWriter::with_capacity(256 << 10, Arc::clone(&file));
        Ok((Self { said: path.to_owned(), file, aside }, out))
    }

    /// Whether what is written goes to a device, pipe or open file at once, and cannot be taken back.
    pub(super) fn is_final(&self) -> bool {
        self.aside.is_none()
    }

    /// Gives the file its name. Whoever wrote it must have dropped what it wrote to.
    pub(super) fn keep(self) -> Result<(), Failure> {
        let Self { said, file, aside } = self;
        let keep = || {
            if let Some(Aside { there: Some(there), .. }) = &aside {
                there.give(&file)?;
            }
            match Arc::into_inner(file) {
                Some(file) => floe_core::close(file)?,
                None => return Err(io::Error::other("it is still being written")),
            }
            match aside {
                Some(aside) => aside.keep(),
                None => Ok(()),
            }
        };
        keep().map_err(|e| cannot_write(&said, e))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_kept {
            // It is worthless, and the next run removes it as well.
            let _ = fs::remove_file(&self.path);
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
    refuse_irreplaceable(&target, there.as_ref())?;
    let there = there.map(|stat| Rights::of(&target, stat)).transpose()?;
    let aside = Aside::create(target, there, token, |file| Ok(file.metadata()?.nlink()))?;
    Ok((aside.lock.try_clone()?, Some(aside)))
}

/// Refuses what cannot be replaced when all is written.
fn refuse_irreplaceable(target: &Path, there: Option<&fs::Metadata>) -> io::Result<()> {
    let attributes = |path: &Path| {
        let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS);
        stat.map_or(StatxAttributes::empty(), |stat| stat.stx_attributes)
    };
    let above = above(target);
    // Nothing gets another name there.
    if attributes(above).intersects(StatxAttributes::APPEND) {
        return Err(Errno::PERM.into());
    }
    let Some(there) = there else { return Ok(()) };
    let of_file = attributes(target);
    if of_file.contains(StatxAttributes::MOUNT_ROOT) {
        return Err(Errno::BUSY.into());
    }
    let stat = fs::metadata(above)?;
    let user = geteuid().as_raw();
    let is_anothers = stat.mode() & 0o1000 != 0 && user != 0 && ![there.uid(), stat.uid()].contains(&user);
    if is_anothers || of_file.intersects(StatxAttributes::APPEND | StatxAttributes::IMMUTABLE) {
        return Err(Errno::PERM.into());
    }
    Ok(())
}

/// The directory that a name is in.
fn above(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Aside {
    fn keep(mut self) -> io::Result<()> {
        fs::rename(&self.part.path, &self.target)?;
        self.part.is_kept = true;
        Ok(())
    }

    /// A file beside `target`, which is no symlink, to take its place. How many names it has is asked of `links`.
    fn create(
        target: PathBuf,
        there: Option<Rights>,
        token: impl Fn() -> u64,
        links: impl Fn(&File) -> io::Result<u64>,
    ) -> io::Result<Self> {
        let bytes = target.as_os_str().as_bytes();
        let name = target.file_name().filter(|_| !bytes.ends_with(b"/") && !bytes.ends_with(b"/."));
        let name = name.ok_or(Errno::ISDIR)?.as_bytes();
        let above = above(&target).to_owned();
        let prefix = [&name[..name.len().min(NAME_BYTES)], b"."].concat();
        clear_stale(&above, &prefix);
        loop {
            let mut name = OsString::from_vec(prefix.clone());
            name.push(format!("{:0TOKEN_DIGITS$x}", token()));
            name.push(OsStr::from_bytes(PART));
            let path = above.join(name);
            // Where the file was kept from others, so are its beginnings.
            let created = if there.is_some() { 0o600 } else { 0o666 };
            let file = OpenOptions::new().write(true).create_new(true).mode(created).open(&path)?;
            let part = Part { path, is_kept: false };
            // Where there are no locks, nothing is taken for stale either.
            let _ = file.lock();
            // Before it was locked, another run may have taken it for a dead one's.
            if links(&file)? > 0 {
                return Ok(Self { part, lock: file, target, there });
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
        let above = above(&path);
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
    let is_mount = cause.raw_os_error() == Some(Errno::BUSY.raw_os_error());
    let failure = Failure::io(format!("cannot write {}", path.display()), cause);
    failure.advise(match is_mount {
        true => "A file is mounted there, which cannot be replaced; name another one.",
        false => "Name a file that you may write, in a directory that is there.",
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_part_that_is_not_kept_is_gone_wherever_that_ends() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.tar");
        let count = || fs::read_dir(dir.path()).unwrap().count();
        let failed = Aside::create(target.clone(), None, || 1, |_| Err(Errno::IO.into()));
        assert!(failed.is_err() && count() == 0);
        // What another run took for a dead one's is made again.
        let tokens = Cell::new(0);
        let token = || tokens.replace(tokens.get() + 1);
        let aside = Aside::create(target.clone(), None, token, |_| Ok(tokens.get() - 1)).unwrap();
        assert_eq!((tokens.get(), count()), (2, 1));
        aside.keep().unwrap();
        assert!(target.is_file() && count() == 1);
        drop(Aside::create(target.clone(), None, || 1, |_| Ok(1)).unwrap());
        assert!(target.is_file() && count() == 1);
    }
}
