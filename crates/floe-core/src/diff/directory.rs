//! What differs between a snapshot and a directory.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_format::{Body, ContentHash, Entry, Kept, Meta, OwnedBody, XattrList, compare_paths};
use tokio_util::sync::CancellationToken;

use crate::keeping::Keeping;
use crate::namespace::Namespace;
use crate::offload::{Offloaded, Teller, offload_telling};
use crate::snapshot::Snapshot;
use crate::source::{
    CacheCursor, Child, ContentSink, Exclusions, FileKind, ListedDirectory, NameCache, ReadOutcome,
    SourceFiles, Stat, StatCache, Walk, WalkOptions,
};
use crate::{Error, Result};

use super::{Change, Side, compare, own_directory};

/// How a directory is compared.
#[derive(Clone, Debug, Default)]
pub struct DiffOptions {
    /// What is not there.
    pub exclusions: Exclusions,
    /// Whether every file is read, whatever the stat cache knows.
    pub by_hash: bool,
    /// What cannot be read, and is no failure: it is not there, or of a directory what is in it and its extended attributes.
    pub unread: HashSet<Vec<u8>>,
    /// Where caches are.
    pub cache_dir: Option<PathBuf>,
    /// Stops the comparison.
    pub cancel: CancellationToken,
}

/// Shows what differs from a snapshot to a directory, in the canonical order; without a snapshot, all that is there.
///
/// A file's content is looked at only where its size is the snapshot's, and then the stat cache is believed unless
/// [`DiffOptions::by_hash`] says otherwise; of what was not looked at the hash is left out. Of a file with several names it is
/// no difference when a name that the snapshot does not have comes before the others now, though a push stores the file under
/// that one then. Times, owners and xattrs are compared where the snapshot keeps them. What the exclusions name is not there.
///
/// # Errors
///
/// Corrupt: a segment is not what its id says, or no entries of a tree. NotFound, Denied: the directory cannot be
/// read. What the store answers, and what `each` returns.
pub async fn diff_directory(
    namespace: &Namespace,
    before: Option<&Snapshot>,
    directory: &Path,
    options: &DiffOptions,
    each: &mut (dyn FnMut(Change) -> Result<()> + Send),
) -> Result<()> {
    let DiffOptions { exclusions, cache_dir, cancel, .. } = options;
    let cache = cache_dir.as_deref();
    let side = match before {
        Some(before) => Some(Side::open(namespace, before, cache).await?),
        None => None,
    };
    let root = std::fs::canonicalize(directory)
        .map_err(|e| Error::io(format!("cannot open {}", directory.display()), e))?;
    let cursor =
        cache.filter(|_| !options.by_hash).map(|caches| StatCache::of_source(caches, &root).cursor());
    let names = cache.map(|caches| Arc::new(NameCache::of_source(caches, &root)));
    let walk = WalkOptions {
        exclusions: exclusions.clone(),
        names: names.clone(),
        cancel: cancel.clone(),
        ..WalkOptions::default()
    };
    let own_before = before.map(|before| own_directory(before.root()));
    let (kept, reproducible) = match before {
        Some(before) => (before.root().kept, before.root().reproducible),
        None => (Kept::NONE, false),
    };
    let unread = options.unread.clone();
    let merge = move |work: Offloaded, changes| {
        let files = SourceFiles::open(&root)?.heeding(&work.cancel);
        let mut present = Present {
            own_before,
            kept,
            reproducible,
            unread,
            files,
            cursor,
            linked: HashMap::new(),
            identities: HashSet::new(),
            buffer: Vec::new(),
        };
        merge(&work, side, &root, &walk, &mut present, &changes)?;
        if let Some(names) = names {
            names.keep();
        }
        Ok(())
    };
    offload_telling("diff", cancel, merge, each).await
}

fn merge(
    work: &Offloaded,
    mut side: Option<Side>,
    root: &Path,
    options: &WalkOptions,
    present: &mut Present,
    changes: &Teller<Change>,
) -> Result<()> {
    for listing in Walk::new(root, options)? {
        work.check()?;
        let mut listing = listing?;
        let mut problems = listing.take_problems().into_iter();
        if let Some(problem) =
            problems.find(|problem| !problem.is_change() && !present.unread.contains(&problem.path))
        {
            let path = root.join(std::ffi::OsStr::from_bytes(&problem.path));
            return Err(Error::io(format!("cannot read {}", path.display()), problem.error));
        }
        let directory = listing.directory();
        if listing.path().is_empty()
            && listing.is_first()
            && let Some(before) = present.own_before.take()
        {
            let after = present.own_directory(directory, listing.stat())?;
            if let Some(change) = compare(before, after, present.kept.contains(Kept::XATTRS)) {
                changes.tell(change)?;
            }
        }
        for child in listing.children().filter(|child| child.stat.kind != FileKind::Socket) {
            let mut path = listing.path().to_vec();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(child.name);
            let mut before = None;
            while let Some(entry) = next(work, &mut side, |other| compare_paths(other, &path).is_le())? {
                if entry.path == path {
                    before = Some(entry);
                    break;
                }
                changes.tell(Change::Removed(entry))?;
            }
            if child.stat.kind != FileKind::Directory && present.unread.contains(&path) {
                if let Some(before) = before {
                    changes.tell(Change::Removed(before))?;
                }
                continue;
            }
            let after = present.entry(directory, path, &child, before.as_ref())?;
            match before {
                None => changes.tell(Change::Added(after))?,
                Some(before) => {
                    if let Some(change) = compare(before, after, present.kept.contains(Kept::XATTRS)) {
                        changes.tell(change)?;
                    }
                }
            }
        }
    }
    while let Some(gone) = next(work, &mut side, |_| true)? {
        changes.tell(Change::Removed(gone))?;
    }
    Ok(())
}

/// Takes the next entry of the snapshot, where there is one and its path is one of these.
fn next(
    work: &Offloaded,
    side: &mut Option<Side>,
    is_one: impl FnOnce(&[u8]) -> bool,
) -> Result<Option<Entry>> {
    let Some(side) = side else { return Ok(None) };
    work.wait(side.fill())?;
    Ok(side.entries.pop_front_if(|entry| is_one(&entry.path)))
}

/// The directory, as it is looked at.
struct Present {
    /// The snapshot's own directory, until it was compared.
    own_before: Option<Entry>,
    /// What the snapshot keeps.
    kept: Kept,
    reproducible: bool,
    unread: HashSet<Vec<u8>>,
    files: SourceFiles,
    cursor: Option<CacheCursor>,
    /// The device and inode of what passed that links may lead to: what has several names, and is a file to the
    /// snapshot. A tree may have so many that their paths are not kept.
    linked: HashMap<PathHash, (u64, u64)>,
    /// And these alone.
    identities: HashSet<(u64, u64)>,
    /// For the content of files.
    buffer: Vec<u8>,
}

/// The beginning of a path's BLAKE3.
type PathHash = [u8; 16];

fn path_hash(path: &[u8]) -> PathHash {
    let mut beginning = PathHash::default();
    beginning.copy_from_slice(&blake3::hash(path).as_bytes()[..16]);
    beginning
}

impl Present {
    fn own_directory(&mut self, directory: ListedDirectory<'_>, stat: &Stat) -> Result<Entry> {
        let xattrs = if self.kept.contains(Kept::XATTRS) {
            self.files.xattrs(directory, b"")?.unwrap_or_default()
        } else {
            XattrList::default()
        };
        Ok(self.with_meta(Vec::new(), stat, OwnedBody::Directory, xattrs))
    }

    fn entry(
        &mut self,
        directory: ListedDirectory<'_>,
        path: Vec<u8>,
        child: &Child<'_>,
        before: Option<&Entry>,
    ) -> Result<Entry> {
        let stat = child.stat;
        let identity = (stat.device, stat.inode);
        let said = before.map(|before| before.as_entry().body);
        let is_several =
            stat.kind == FileKind::File && stat.links > 1 && matches!(said, Some(Body::File { .. }));
        let mut is_link = false;
        if is_several {
            self.linked.insert(path_hash(&path), identity);
            // To the snapshot they are two files, unless it tells of no links.
            is_link = !self.identities.insert(identity) && !self.reproducible;
        }
        let body = match (stat.kind, said) {
            (FileKind::File, Some(Body::HardLink { target }))
                if stat.links > 1 && self.linked.get(&path_hash(target)) == Some(&identity) =>
            {
                OwnedBody::HardLink { target: target.to_vec() }
            }
            // Of which file it is the name is nothing that the snapshot says.
            (FileKind::File, Some(Body::File { .. })) if is_link => {
                OwnedBody::HardLink { target: Vec::new() }
            }
            (FileKind::File, Some(Body::File { size, .. })) if size == stat.size && size > 0 => {
                OwnedBody::File { size, hash: self.hash(directory, child)? }
            }
            (FileKind::Symlink, _) => {
                let target = self.files.read_link(directory, child.name)?.map(|link| link.target);
                OwnedBody::Symlink { target: target.unwrap_or_default() }
            }
            (FileKind::Directory, _) => OwnedBody::Directory,
            (FileKind::Fifo, _) => OwnedBody::Fifo,
            (FileKind::CharDevice, _) => {
                let (major, minor) = stat.device_numbers();
                OwnedBody::CharDevice { major, minor }
            }
            (FileKind::BlockDevice, _) => {
                let (major, minor) = stat.device_numbers();
                OwnedBody::BlockDevice { major, minor }
            }
            _ => OwnedBody::File { size: stat.size, hash: None },
        };
        let is_kept = self.kept.contains(Kept::XATTRS)
            && !matches!(body, OwnedBody::HardLink { .. })
            && !self.unread.contains(&path);
        let xattrs = match before {
            Some(_) if is_kept => self.files.xattrs(directory, child.name)?.unwrap_or_default(),
            _ => XattrList::default(),
        };
        Ok(self.with_meta(path, stat, body, xattrs))
    }

    fn with_meta(&self, path: Vec<u8>, stat: &Stat, body: OwnedBody, xattrs: XattrList) -> Entry {
        let Meta { mode, mtime, owner } = Keeping::new(self.kept, self.reproducible).meta(stat);
        // A hard link has neither of its own.
        let (mtime, owner) = match body {
            OwnedBody::HardLink { .. } => (None, None),
            _ => (mtime, owner),
        };
        Entry { path, mode, mtime, owner, body, xattrs }
    }

    /// The hash of a file's content, none if it vanished.
    fn hash(&mut self, directory: ListedDirectory<'_>, child: &Child<'_>) -> Result<Option<ContentHash>> {
        if let Some(hit) = self.cursor.as_mut().and_then(|cursor| cursor.lookup(directory.path, child)) {
            return Ok(Some(ContentHash::from_bytes(hit.hash)));
        }
        let mut sink = HashSink(blake3::Hasher::new());
        self.buffer.resize(256 << 10, 0);
        match self.files.read(directory, child.name, &mut self.buffer, &mut sink)? {
            ReadOutcome::Read { .. } => Ok(Some(ContentHash::from(sink.0.finalize()))),
            ReadOutcome::Vanished => Ok(None),
        }
    }
}

struct HashSink(blake3::Hasher);

impl ContentSink for HashSink {
    fn begin(&mut self, _: &Stat) -> Result<()> {
        self.0.reset();
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.update(bytes);
        Ok(())
    }
}
