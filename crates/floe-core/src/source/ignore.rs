//! What a walk leaves out.
//!
//! Three sources of patterns, all in gitignore syntax; the first with an opinion on a name decides, and a `!pattern`
//! is an opinion too: globs given by the caller; `.floeignore` files, the deepest first; `.gitignore` files, where
//! asked for, the deepest first. Only files inside the tree count: no global ignore file, no `.git/info/exclude`, and
//! `.git` itself is a directory like any other. A directory left out is not entered, so nothing in it can be brought
//! back. Ignore files themselves are part of the tree. In the files `{` and `}` stand for themselves, as in git; in
//! the caller's globs `{a,b}` means either. A malformed pattern is an error, but in a `.gitignore`, where it leaves nothing
//! out, as in git; nothing in one fails a push, but more than [`MAX_IGNORE_BYTES`] or [`MOST_STEPS`].
//!
//! Where no rule holds, an entry costs nothing: there is no [`Excluder`].

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::leased::open_to_read;
use super::own::{OwnDirectories, OwnDirectory, Purpose};
use super::read::unreadable;
use super::stat::{FileKind, Stat};
use super::walk::Names;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::glob::{Dialect, Subject};
use crate::offload::cancelled;

mod lines;
mod obeyed;
#[cfg(test)]
mod tests;

use self::lines::{Patterns, PatternsBuilder};
pub(super) use self::obeyed::Obeyed;
pub(crate) use self::obeyed::{ObeyedFile, rewrite_time};

const FLOE_IGNORE: &str = ".floeignore";
const GIT_IGNORE: &str = ".gitignore";

/// Whether a file of this name may be an ignore file.
pub(crate) fn may_have_rules(name: &[u8]) -> bool {
    name == FLOE_IGNORE.as_bytes() || name == GIT_IGNORE.as_bytes()
}

/// Whether a file of this name leaves something out by being there, and brings nothing back.
pub(crate) fn is_cache_tag(file: &str) -> bool {
    file == CACHE_TAG
}

/// The file that marks a cache directory: <https://bford.info/cachedir/>.
const CACHE_TAG: &str = "CACHEDIR.TAG";
pub(super) const CACHE_TAG_NAME: &[u8] = CACHE_TAG.as_bytes();
const CACHE_TAG_SIGNATURE: &[u8; 43] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// The most bytes that the ignore files of a directory and of those above it have together. They are all kept while one is
/// walked, and take at most thirteen times as much memory.
const MAX_IGNORE_BYTES: usize = 4 << 20;

/// How many steps of matching are taken for each entry whatever the ignore files. Two thousand patterns that begin and end
/// with wildcards take half of them; a step takes some nanoseconds.
const STEPS_OF_EACH: u64 = 1 << 16;

/// How many steps are taken beyond those in one walk, some minutes: whoever made the tree decides how many some patterns and
/// names take, and could keep a push busy for days.
const MOST_STEPS: u64 = 1 << 36;

/// What a walk is to leave out, besides what `.floeignore` files say.
#[derive(Clone, Debug, Default)]
pub struct Exclusions {
    /// Globs in gitignore syntax, relative to the root of the source. Unlike in a file, `#` at the beginning and spaces at
    /// the end are part of it, and `./a` is `/a`.
    pub globs: Vec<String>,
    /// Contents of files with such globs; they come after [`Exclusions::globs`].
    pub files: Vec<ExcludeFile>,
    /// Whether the `.gitignore` files in the tree hold too.
    pub gitignore: bool,
    /// Whether of a directory with a valid `CACHEDIR.TAG` only itself and the tag are kept.
    pub caches: bool,
    /// Regular files with more bytes than this are left out.
    pub larger_than_bytes: Option<u64>,
    /// Whether what is mounted from another file system than the root's is left out: of a directory what is in it, all
    /// else with its name. Kernels before 5.8 do not tell of the latter that it is mounted; it is kept there.
    pub one_file_system: bool,
    /// Directories of Floe's own, which are left out whatever their names, and told of.
    pub own: Vec<OwnDirectory>,
}

impl Exclusions {
    /// What files are called that may leave out what is beside and below them.
    pub(crate) fn rule_files(&self) -> impl Iterator<Item = &'static str> {
        let files = [(FLOE_IGNORE, true), (GIT_IGNORE, self.gitignore), (CACHE_TAG, self.caches)];
        files.into_iter().filter(|(_, is_heeded)| *is_heeded).map(|(file, _)| file)
    }
}

/// The contents of a file with globs, and its name for messages.
#[derive(Clone, Debug)]
pub struct ExcludeFile {
    /// What messages call it.
    pub name: String,
    /// One glob a line; empty lines and those that begin with `#` say nothing.
    pub contents: Vec<u8>,
}

/// The exclusions of one walk, ready to be applied.
#[derive(Debug)]
pub(super) struct Filter {
    globs: Option<Patterns>,
    gitignore: bool,
    caches: bool,
    larger_than_bytes: Option<u64>,
    one_file_system: bool,
    own: OwnDirectories,
    /// Ends waiting for a file that somebody has leased.
    cancel: CancellationToken,
    /// The steps that ignore files took beyond [`STEPS_OF_EACH`] for each entry.
    spent: AtomicU64,
}

/// The ignore files of a directory, on top of those above it.
#[derive(Debug)]
pub(super) struct Rules {
    above: Option<Arc<Rules>>,
    /// Where the part of a path begins that is relative to this directory.
    base: usize,
    floe: Option<Patterns>,
    git: Option<Patterns>,
    /// How many bytes of ignore files these and those above were read from.
    read_bytes: usize,
}

impl Rules {
    /// Those of the file of this name.
    fn patterns(&self, file: &str) -> Option<&Patterns> {
        if file == FLOE_IGNORE { self.floe.as_ref() } else { self.git.as_ref() }
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        // One by one: the chain may be longer than the stack is deep.
        let mut above = self.above.take();
        while let Some(mut rules) = above.and_then(Arc::into_inner) {
            above = rules.above.take();
        }
    }
}

impl Filter {
    /// Compiles the caller's globs.
    pub(super) fn new(exclusions: &Exclusions) -> Result<Self> {
        let mut builder = PatternsBuilder::new(Dialect::Caller);
        for glob in &exclusions.globs {
            builder.add_pattern(glob.as_bytes()).map_err(|reason| {
                let message = format!("malformed exclude pattern {glob:?}: {reason}");
                Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::Pattern)
            })?;
        }
        for file in &exclusions.files {
            if let Some(malformed) = add_lines(&mut builder, &file.contents).next() {
                let message = format!("malformed pattern in {}, {malformed}", file.name);
                return Err(Error::new(ErrorKind::Invalid, message));
            }
        }
        let globs = builder.build();
        Ok(Self {
            globs: (!globs.is_empty()).then_some(globs),
            gitignore: exclusions.gitignore,
            caches: exclusions.caches,
            larger_than_bytes: exclusions.larger_than_bytes,
            one_file_system: exclusions.one_file_system,
            own: OwnDirectories::find(&exclusions.own),
            cancel: CancellationToken::new(),
            spent: AtomicU64::new(0),
        })
    }

    /// Waits for nothing any more once this is cancelled.
    pub(super) fn heeding(mut self, cancel: &CancellationToken) -> Self {
        self.cancel = cancel.clone();
        self
    }

    /// Whether the caller gave any globs.
    pub(super) fn has_globs(&self) -> bool {
        self.globs.is_some()
    }

    /// The rules that hold in a directory of this stat: those above and its own ignore files, which are noted.
    pub(super) fn enter(
        &self,
        above: Option<&Arc<Rules>>,
        directory: &OwnedFd,
        stat: &Stat,
        names: &Names,
        path: impl Fn() -> Vec<u8>,
        obeyed: &mut Obeyed,
    ) -> Result<Option<Arc<Rules>>> {
        let mut read_bytes = above.map_or(0, |above| above.read_bytes);
        let mut read = |file: &'static str| match names.find(file.as_bytes()) {
            Some(_) => read_ignore_file(directory, &path(), file, &mut read_bytes, obeyed, &self.cancel),
            None => {
                obeyed.add_absent(file, stat);
                Ok(None)
            }
        };
        let floe = read(FLOE_IGNORE)?;
        let git = if self.gitignore { read(GIT_IGNORE)? } else { None };
        if floe.is_none() && git.is_none() {
            return Ok(above.cloned());
        }
        let path = path();
        let base = path.len() + usize::from(!path.is_empty());
        Ok(Some(Arc::new(Rules { above: above.cloned(), base, floe, git, read_bytes })))
    }

    /// Whether a directory of this stat is a cache, of which only the tag is kept; the tag is noted as ignore files are. One
    /// that cannot be read is none.
    pub(super) fn keeps_only_tag(
        &self,
        directory: &OwnedFd,
        stat: &Stat,
        names: &Names,
        obeyed: &mut Obeyed,
    ) -> bool {
        if !self.caches {
            return false;
        }
        if names.find(CACHE_TAG_NAME).is_none() {
            obeyed.add_absent(CACHE_TAG, stat);
            return false;
        }
        match read_regular(directory, CACHE_TAG, CACHE_TAG_SIGNATURE.len(), &self.cancel) {
            Ok(Some(tag)) => {
                obeyed.add(CACHE_TAG, &tag);
                tag.contents == CACHE_TAG_SIGNATURE
            }
            Ok(None) | Err(_) => {
                obeyed.add_other(CACHE_TAG, directory);
                false
            }
        }
    }

    /// Whether an entry is left out for what the kernel says about it.
    pub(super) fn excludes_stat(&self, stat: &Stat) -> bool {
        stat.kind == FileKind::File && self.larger_than_bytes.is_some_and(|limit| stat.size > limit)
    }

    /// What a directory is of Floe's own, where it is left out for that.
    pub(super) fn own(&self, directory: &Stat) -> Option<Purpose> {
        self.own.purpose(directory)
    }

    /// Whether a directory is to be entered.
    pub(super) fn enters(&self, directory: &Stat, root_device: u64) -> bool {
        !self.one_file_system || directory.device == root_device
    }

    /// Whether what is no directory is left out, since it is mounted from another file system. The device alone does not
    /// say so: overlay file systems show files on devices of their own. So where it differs, `is_mounted` is asked.
    pub(super) fn excludes_mounted(
        &self,
        stat: &Stat,
        root_device: u64,
        is_mounted: impl FnOnce() -> bool,
    ) -> bool {
        let is_elsewhere = stat.kind != FileKind::Directory && stat.device != root_device;
        self.one_file_system && is_elsewhere && is_mounted()
    }

    /// What tells which names in the directory at `path` are left out, if anything could be.
    pub(super) fn excluder<'a>(&'a self, rules: Option<&'a Arc<Rules>>, path: &[u8]) -> Option<Excluder<'a>> {
        if self.globs.is_none() && rules.is_none() {
            return None;
        }
        let mut path = path.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        Some(Excluder {
            globs: self.globs.as_ref(),
            rules: rules.map(Arc::as_ref),
            directory: path.len(),
            path,
            spent: &self.spent,
        })
    }
}

/// Tells which names in one directory are left out by patterns.
pub(super) struct Excluder<'a> {
    globs: Option<&'a Patterns>,
    rules: Option<&'a Rules>,
    /// The directory's path and `/`, then the name asked about last.
    path: Vec<u8>,
    directory: usize,
    /// See [`Filter::spent`].
    spent: &'a AtomicU64,
}

impl Excluder<'_> {
    /// Whether that name is left out.
    ///
    /// # Errors
    ///
    /// `Invalid`: ignore files ask for more than [`MOST_STEPS`]. The caller's own globs do not.
    pub(super) fn excludes(&mut self, name: &[u8], is_directory: bool) -> Result<bool> {
        let of_caller = self.opinion_of_caller(name, is_directory);
        let (Some(rules), None) = (self.rules, of_caller) else { return Ok(of_caller.unwrap_or(false)) };
        let most = MOST_STEPS.saturating_sub(self.spent.load(Ordering::Relaxed)) + STEPS_OF_EACH;
        let mut left = most;
        let mut excludes = None;
        'files: for file in [FLOE_IGNORE, GIT_IGNORE] {
            for rules in std::iter::successors(Some(rules), |rules| rules.above.as_deref()) {
                let Some(patterns) = rules.patterns(file) else { continue };
                let subject = Subject::with_name_at(&self.path[rules.base..], self.directory - rules.base);
                excludes = patterns.opinion(subject, is_directory, &mut left);
                if left == 0 {
                    let directory = String::from_utf8_lossy(&self.path[..rules.base]);
                    let path = String::from_utf8_lossy(&self.path);
                    let message = format!(
                        "the patterns of {directory}{file}, or of ignore files beside and above it, take too long: it was \
                         not found out whether {path} is left out"
                    );
                    return Err(Error::new(ErrorKind::Invalid, message));
                }
                if excludes.is_some() {
                    break 'files;
                }
            }
        }
        if most - left > STEPS_OF_EACH {
            self.spent.fetch_add(most - left - STEPS_OF_EACH, Ordering::Relaxed);
        }
        Ok(excludes.unwrap_or(false))
    }

    /// Whether the caller's globs leave that name out; where there are rules, these are not asked.
    pub(super) fn caller_excludes(&mut self, name: &[u8], is_directory: bool) -> bool {
        self.opinion_of_caller(name, is_directory).unwrap_or(false)
    }

    /// What the caller's globs say of that name, which is the one asked about from now on.
    fn opinion_of_caller(&mut self, name: &[u8], is_directory: bool) -> Option<bool> {
        self.path.truncate(self.directory);
        self.path.extend_from_slice(name);
        let subject = Subject::with_name_at(&self.path, self.directory);
        self.globs?.opinion(subject, is_directory, &mut { u64::MAX })
    }
}

/// Adds the lines of a file, and says what is wrong with those that are malformed as one comes to them.
fn add_lines<'a>(builder: &'a mut PatternsBuilder, contents: &'a [u8]) -> impl Iterator<Item = String> + 'a {
    let contents = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(contents);
    contents.split(|byte| *byte == b'\n').enumerate().filter_map(|(index, line)| {
        let added = builder.add_line(line.strip_suffix(b"\r").unwrap_or(line));
        added.err().map(|reason| format!("line {}: {reason}", index + 1))
    })
}

/// Reads an ignore file. One that vanished says nothing, nor does a `.gitignore` that is no regular file or may not be read
/// (as in git);
/// a `.floeignore` that is none, or has a malformed pattern, is an error, since what it was to keep out might be secret.
fn read_ignore_file(
    directory: &OwnedFd,
    path: &[u8],
    file: &'static str,
    read_bytes: &mut usize,
    obeyed: &mut Obeyed,
    cancel: &CancellationToken,
) -> Result<Option<Patterns>> {
    let path = String::from_utf8_lossy(path);
    let name = if path.is_empty() { file.to_owned() } else { format!("{path}/{file}") };
    let room = MAX_IGNORE_BYTES - *read_bytes;
    let contents = match read_regular(directory, file, room + 1, cancel) {
        Ok(Some(read)) => {
            obeyed.add(file, &read);
            read.contents
        }
        Ok(None) if file == FLOE_IGNORE => {
            return Err(Error::new(ErrorKind::Invalid, format!("{name} is not a regular file")));
        }
        Ok(None) => {
            obeyed.add_other(file, directory);
            return Ok(None);
        }
        Err(Errno::NOENT) => {
            obeyed.add_vanished(file);
            return Ok(None);
        }
        Err(errno @ (Errno::ACCESS | Errno::PERM)) if file == GIT_IGNORE => {
            tracing::warn!("{name} leaves nothing out: {}", std::io::Error::from(errno));
            obeyed.add_other(file, directory);
            return Ok(None);
        }
        Err(Errno::AGAIN) if cancel.is_cancelled() => return Err(cancelled()),
        Err(errno) => return Err(unreadable(format!("cannot read {name}"), errno)),
    };
    if contents.len() > room {
        let message = format!("{name} and the ignore files above it have more than {MAX_IGNORE_BYTES} bytes");
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    let mut builder = PatternsBuilder::new(Dialect::Tree);
    let (first, others) = {
        let mut malformed = add_lines(&mut builder, &contents);
        // Also where nobody is told, all lines are gone through.
        (malformed.next(), malformed.count())
    };
    if let Some(line) = first {
        let told = format!("malformed pattern in {name}, {line}");
        if file == FLOE_IGNORE {
            return Err(Error::new(ErrorKind::Invalid, told));
        }
        // A tree may hold many for git that nobody here wrote.
        tracing::info!("{told}; it leaves nothing out, nor do {others} others");
    }
    let patterns = builder.build();
    if patterns.is_empty() {
        return Ok(None);
    }
    *read_bytes += contents.len();
    Ok(Some(patterns))
}

/// What was read of a regular file.
struct Read {
    contents: Vec<u8>,
    before: Stat,
    after: Stat,
}

/// At most `limit` bytes from the beginning of a regular file, or nothing where it is something else.
fn read_regular(
    directory: &OwnedFd,
    name: &str,
    limit: usize,
    cancel: &CancellationToken,
) -> Result<Option<Read>, Errno> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    let file = match open_to_read(directory.as_fd(), &name, OFlags::empty(), || cancel.is_cancelled()) {
        Err(Errno::LOOP | Errno::NXIO | Errno::NOTSUP) => return Ok(None),
        result => result?,
    };
    let before = Stat::of_file(&file)?;
    if before.kind != FileKind::File {
        return Ok(None);
    }
    let mut contents = Vec::new();
    let mut buffer = [0; 4096];
    while contents.len() < limit {
        let wanted = buffer.len().min(limit - contents.len());
        match rustix::io::read(&file, &mut buffer[..wanted]) {
            Ok(0) => break,
            Ok(count) => contents.extend_from_slice(&buffer[..count]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    let after = Stat::of_file(&file)?;
    Ok(Some(Read { contents, before, after }))
}
