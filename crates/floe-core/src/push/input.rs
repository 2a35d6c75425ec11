//! What a push reads: a directory as it is just now, or a tar that was read to its end.
//!
//! The planner and the workers ask for listings in canonical order, for what is known of contents, and for contents;
//! here is where the two kinds of sources differ, and nowhere else.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_format::XattrList;
use tokio_util::sync::CancellationToken;

use super::{PushOptions, PushSource};
use crate::aside::create_private;
use crate::names::RefName;
use crate::offload::{cancelled, offload};
use crate::source::{
    CacheCursor, CacheHit, Child, ContentSink, Exclusions, FileTime, HashClock, ListedDirectory, Listing,
    NameCache, OpenFile, ReadLink, ReadOutcome, SourceFiles, Spool, SpoolListings, SpoolOptions, SpooledFile,
    Stat, StatCache, Walk, WalkBegan, WalkOptions, refuse_source_below, unreadable,
};
use crate::{Error, Result};

/// What is pushed, found and ready.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Directory(PathBuf, Option<Arc<NameCache>>),
    Tar(Arc<Spool>),
}

/// Its directories, in canonical order.
#[derive(Debug)]
pub(super) enum Listings {
    Walk(Walk),
    Tar(SpoolListings),
}

/// Its files; each thread has its own.
#[derive(Debug)]
pub(super) enum InputFiles {
    Directory(SourceFiles),
    Tar(Arc<Spool>),
}

/// A file of it, being read.
#[derive(Debug)]
pub(super) enum InputFile {
    Directory(OpenFile),
    Tar(SpooledFile),
}

/// What is known of its contents before they are read.
#[derive(Debug)]
pub(super) enum KnownContents {
    Cache(CacheCursor),
    Tar(Arc<Spool>),
}

impl fmt::Debug for PushSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(root) => f.debug_tuple("Directory").field(root).finish(),
            Self::Tar(_) => f.debug_tuple("Tar").finish_non_exhaustive(),
        }
    }
}

impl Input {
    /// Finds the directory, or reads the tar.
    pub(super) async fn open(source: PushSource, options: &PushOptions) -> Result<Self> {
        match source {
            PushSource::Directory(root) => {
                let root = std::path::absolute(&root)
                    .and_then(std::fs::canonicalize)
                    .map_err(|e| Error::io(format!("cannot push {}", root.display()), e))?;
                // Before the walk: made in the source while that is walked, they would not be known for what they
                // are. What cannot be made is told by whoever writes there.
                if let Some(caches) = &options.cache_dir {
                    let _ = create_private(caches);
                }
                refuse_source_below(&root, &options.exclusions.own)?;
                let names = options.cache_dir.as_deref().map(|caches| NameCache::of_source(caches, &root));
                Ok(Self::Directory(root, names.map(Arc::new)))
            }
            PushSource::Tar(tar) => Ok(Self::Tar(Arc::new(spool(tar, options).await?))),
        }
    }

    /// What the journal and what else is remembered of a source are named by. What a tar was made from nobody knows;
    /// one that is pushed to the same ref is most likely the next version.
    pub(super) fn name(&self, target: &RefName) -> PathBuf {
        match self {
            Self::Directory(root, _) => root.clone(),
            // No directory has this name: theirs are absolute.
            Self::Tar(_) => Path::new("-").join(target.to_string()),
        }
    }

    pub(super) fn listings(&self, exclusions: &Exclusions, cancel: &CancellationToken) -> Result<Listings> {
        Ok(match self {
            Self::Directory(root, names) => {
                let (exclusions, names) = (exclusions.clone(), names.clone());
                let options =
                    WalkOptions { exclusions, names, cancel: cancel.clone(), ..WalkOptions::default() };
                Listings::Walk(Walk::new(root, &options)?)
            }
            Self::Tar(spool) => Listings::Tar(spool.listings()),
        })
    }

    pub(super) fn files(&self, cancel: &CancellationToken) -> Result<InputFiles> {
        Ok(match self {
            Self::Directory(root, _) => InputFiles::Directory(SourceFiles::open(root)?.heeding(cancel)),
            Self::Tar(spool) => InputFiles::Tar(Arc::clone(spool)),
        })
    }

    /// The stat cache, where there is one.
    pub(super) fn cache(&self, cache_dir: Option<&Path>) -> Option<StatCache> {
        match self {
            Self::Directory(root, _) => Some(StatCache::of_source(cache_dir?, root)),
            Self::Tar(_) => None,
        }
    }

    /// Keeps the names that were found for the next push.
    pub(super) fn keep_names(&self) {
        if let Self::Directory(_, Some(names)) = self {
            names.keep();
        }
    }

    pub(super) fn known_contents(&self, cache: Option<&StatCache>) -> KnownContents {
        match self {
            Self::Directory(..) => {
                KnownContents::Cache(cache.map_or_else(|| StatCache::none().cursor(), StatCache::cursor))
            }
            Self::Tar(spool) => KnownContents::Tar(Arc::clone(spool)),
        }
    }
}

/// Reads a tar to its end, before anything is asked of the store.
async fn spool(tar: Box<dyn Read + Send>, options: &PushOptions) -> Result<Spool> {
    let (exclusions, kept) = (options.exclusions.clone(), options.keeping().kept);
    let directory = options.cache_dir.clone();
    let reading = offload("tar", &options.cancel, move |work| {
        let directory = directory.as_deref();
        Spool::read(tar, &SpoolOptions { directory, exclusions: &exclusions, kept, cancel: work.cancel })
    });
    tokio::select! {
        biased;
        spool = reading => spool,
        // Whoever writes the tar may never write again; the thread that waits for it is left behind.
        () = options.cancel.cancelled() => Err(cancelled()),
    }
}

impl Listings {
    /// The moment the walk began; a tar holds still.
    pub(super) fn began(&self) -> Option<WalkBegan> {
        match self {
            Self::Walk(walk) => Some(walk.began()),
            Self::Tar(_) => None,
        }
    }
}

impl Iterator for Listings {
    type Item = Result<Listing>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Walk(walk) => walk.next(),
            Self::Tar(listings) => listings.next(),
        }
    }
}

impl KnownContents {
    /// The hash of a child's content, where it is known.
    pub(super) fn lookup(&mut self, directory: &[u8], child: &Child<'_>) -> Result<Option<CacheHit>> {
        match self {
            Self::Cache(cursor) => Ok(cursor.lookup(directory, child)),
            Self::Tar(spool) => Ok(spool.content_hash(directory, child.name)?.map(CacheHit::of_hash)),
        }
    }
}

impl InputFiles {
    /// Lets so many threads have as many files open together as the limit of open files allows.
    pub(super) fn shared_by(self, threads: usize) -> Self {
        match self {
            Self::Directory(files) => Self::Directory(files.shared_by(threads)),
            Self::Tar(spool) => Self::Tar(spool),
        }
    }

    pub(super) fn try_clone(&self) -> Result<Self> {
        Ok(match self {
            Self::Directory(files) => Self::Directory(files.try_clone()?),
            Self::Tar(spool) => Self::Tar(Arc::clone(spool)),
        })
    }

    /// Opens a file; nothing if it vanished.
    pub(super) fn open_file(
        &mut self,
        directory: ListedDirectory<'_>,
        name: &[u8],
    ) -> Result<Option<InputFile>> {
        Ok(match self {
            Self::Directory(files) => files.open_file(directory, name)?.map(InputFile::Directory),
            Self::Tar(spool) => Some(InputFile::Tar(spool.open_file(directory.path, name)?)),
        })
    }

    /// Reads a file through `buffer` into `sink`.
    pub(super) fn read(
        &mut self,
        directory: ListedDirectory<'_>,
        name: &[u8],
        buffer: &mut [u8],
        sink: &mut dyn ContentSink,
    ) -> Result<ReadOutcome> {
        let spool = match self {
            Self::Directory(files) => return files.read(directory, name, buffer, sink),
            Self::Tar(spool) => spool,
        };
        let mut file = spool.open_file(directory.path, name)?;
        sink.begin(file.stat())?;
        loop {
            match file.fill(buffer)? {
                0 => return Ok(ReadOutcome::Read { stat: *file.stat(), hashing_began: long_ago() }),
                count => sink.take(&buffer[..count])?,
            }
        }
    }

    /// A symbolic link's target; nothing if it vanished.
    pub(super) fn read_link(
        &mut self,
        directory: ListedDirectory<'_>,
        name: &[u8],
    ) -> Result<Option<ReadLink>> {
        match self {
            Self::Directory(files) => files.read_link(directory, name),
            Self::Tar(spool) => {
                let (target, stat) = spool.read_link(directory.path, name)?;
                Ok(Some(ReadLink { target, stat, hashing_began: long_ago() }))
            }
        }
    }

    /// The extended attributes of a name in a directory; of the directory itself without a name. Nothing if it vanished.
    pub(super) fn xattrs(
        &mut self,
        directory: ListedDirectory<'_>,
        name: &[u8],
    ) -> Result<Option<XattrList>> {
        match self {
            Self::Directory(files) => files.xattrs(directory, name),
            Self::Tar(spool) => spool.xattrs(directory.path, name).map(Some),
        }
    }

    /// See [`SourceFiles::is_in_place`].
    pub(super) fn is_in_place(&mut self, directory: ListedDirectory<'_>) -> bool {
        match self {
            Self::Directory(files) => files.is_in_place(directory),
            Self::Tar(_) => true,
        }
    }

    /// See [`SourceFiles::is_there`].
    pub(super) fn is_there(&mut self, directory: &[u8], name: &str) -> bool {
        match self {
            Self::Directory(files) => files.is_there(directory, name),
            Self::Tar(_) => false,
        }
    }

    /// Whether what has a name in a directory, as far as that is where it was listed, is this; a tar holds still.
    pub(super) fn is_there_still(
        &mut self,
        directory: ListedDirectory<'_>,
        name: &[u8],
        is_it: impl FnOnce(&Stat) -> bool,
    ) -> bool {
        match self {
            Self::Directory(files) => files.stat_there(directory, name).is_some_and(|there| is_it(&there)),
            Self::Tar(_) => true,
        }
    }

    /// See [`SourceFiles::is_file_at`].
    pub(super) fn is_file_at(&mut self, path: &[u8], file: &Stat) -> bool {
        match self {
            Self::Directory(files) => files.is_file_at(path, file),
            Self::Tar(_) => true,
        }
    }

    /// See [`SourceFiles::forget_directories`].
    pub(super) fn forget_directories(&mut self) {
        match self {
            Self::Directory(files) => files.forget_directories(),
            Self::Tar(_) => {}
        }
    }

    /// Whether a child is still what it was when it was listed; see [`SourceFiles::is_still`].
    pub(super) fn is_still(&mut self, directory: ListedDirectory<'_>, child: &Child<'_>) -> Result<bool> {
        match self {
            Self::Directory(files) => files.is_still(directory, child.name, child.stat),
            Self::Tar(_) => Ok(true),
        }
    }

    /// Whether nothing in a directory has this name.
    pub(super) fn is_absent(&mut self, directory: ListedDirectory<'_>, name: &[u8]) -> Result<bool> {
        match self {
            Self::Directory(files) => files.is_absent(directory, name),
            Self::Tar(_) => Ok(true),
        }
    }
}

impl InputFile {
    pub(super) fn stat(&self) -> &Stat {
        match self {
            Self::Directory(file) => file.stat(),
            Self::Tar(file) => file.stat(),
        }
    }

    pub(super) fn hashing_began(&self) -> HashClock {
        match self {
            Self::Directory(file) => file.hashing_began(),
            Self::Tar(_) => long_ago(),
        }
    }

    /// Reads the next bytes: a full buffer, except at the end.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Directory(file) => {
                file.fill(buffer).map_err(|errno| unreadable("cannot read the file".into(), errno))
            }
            Self::Tar(file) => file.fill(buffer),
        }
    }

    /// What the kernel says of it by now.
    pub(super) fn stat_now(&self) -> Result<Stat> {
        match self {
            Self::Directory(file) => {
                file.stat_now().map_err(|errno| unreadable("cannot ask about the file".into(), errno))
            }
            Self::Tar(file) => Ok(*file.stat()),
        }
    }

    /// Whether it is still what it was when it was opened.
    pub(super) fn held_still(&self) -> Result<bool> {
        match self {
            Self::Directory(file) => {
                file.held_still().map_err(|errno| unreadable("cannot ask about the file".into(), errno))
            }
            Self::Tar(_) => Ok(true),
        }
    }
}

/// When hashing began, for what no cache is to remember.
fn long_ago() -> HashClock {
    HashClock::at(FileTime::default())
}
