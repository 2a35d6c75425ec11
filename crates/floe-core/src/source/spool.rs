//! A tar as a source: what a push takes from a stream that can be read once, in whatever order it came.
//!
//! Contents go to one temporary file without a name, and what is said of each entry to another, so they are bounded by
//! the disk and gone with the process. In memory stay 16 bytes and the name of each entry, 32 more for a hard link and
//! the name of its file, and about 80 and the name of each directory: in all at most 192 MiB, or the tar is
//! refused. Only when the tar has ended, whole and without a fault, there is a [`Spool`]; it lists the tree in canonical
//! order and reads its files, as [`Walk`](super::Walk) and [`SourceFiles`](super::SourceFiles) do for a directory, but
//! nothing of it ever changes.
//!
//! A tar comes from a stranger. What would leave the tree, is below something that is no directory, or is understood
//! in several ways by the programs that read tars, is refused.

mod blocks;
mod builder;
mod contents;
mod directories;
mod header;
mod link;
mod listings;
mod members;
mod names;
mod path;
mod pax;
mod place;
mod record;
mod sparse;
#[cfg(test)]
mod tests;
mod tree;
mod xattrs;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use floe_format::{Kept, XattrList};
use tokio_util::sync::CancellationToken;

use self::builder::TreeBuilder;
use self::contents::ContentsWriter;
pub use self::listings::SpoolListings;
use self::members::{MemberReader, Taken};
use self::place::MemberRef;
use self::record::{Body, Member};
use self::tree::Tree;
use super::ignore::{Exclusions, Filter};
use super::stat::{FileKind, Stat};
use super::walk::join;
use crate::error::{Error, ErrorKind, Remedy, Result};

/// How a tar is read.
#[derive(Clone, Debug)]
pub struct SpoolOptions<'a> {
    /// Where the temporary files go, if they can.
    pub directory: Option<&'a Path>,
    /// What is left out: by pattern or by size, since a tar tells nothing of file systems, and its ignore files are
    /// entries like all others.
    pub exclusions: &'a Exclusions,
    /// What is kept of each entry.
    pub kept: Kept,
    /// Stops the reading, between two reads.
    pub cancel: CancellationToken,
}

/// The tree of a tar, ready to be pushed any number of times.
#[derive(Debug)]
pub struct Spool {
    tree: Tree,
    contents: File,
}

/// A regular file of a tar.
#[derive(Debug)]
pub struct SpooledFile {
    spool: Arc<Spool>,
    stat: Stat,
    start: u64,
    /// How much of it was read.
    read: u64,
}

impl Spool {
    /// Reads a tar to its end.
    ///
    /// # Errors
    /// `Invalid` or `Unsupported` where the tar cannot be taken, naming the entry; `Invalid` for exclusions that only a
    /// directory can have; `Cancelled`; and those of reading it and of writing the temporary files.
    pub fn read(tar: impl Read, options: &SpoolOptions<'_>) -> Result<Self> {
        let exclusions = options.exclusions;
        if exclusions.gitignore || exclusions.caches || exclusions.one_file_system {
            let message = "entries of a tar can be left out by pattern or by size, but not by .gitignore files, cache \
                           tags or file systems";
            return Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::Options));
        }
        let filter = Filter::new(exclusions)?;
        let taken = Taken {
            owners: options.kept.contains(Kept::OWNER),
            xattrs: options.kept.contains(Kept::XATTRS),
            larger_than_bytes: exclusions.larger_than_bytes,
        };
        let contents = ContentsWriter::new(options.directory)?;
        let tree = TreeBuilder::new(filter, options.directory)?;
        let (tree, contents) = MemberReader::new(tar, contents, tree, taken, options.cancel.clone()).run()?;
        Ok(Self { tree: tree.finish()?, contents: contents.finish()? })
    }

    /// Its directories and what is in them, in canonical order.
    pub fn listings(self: &Arc<Self>) -> SpoolListings {
        SpoolListings::new(Arc::clone(self))
    }

    /// The hash of a file's content, where it was made when the tar was read.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub fn content_hash(&self, directory: &[u8], name: &[u8]) -> Result<Option<[u8; 32]>> {
        let file = self.tree.find(directory, name).filter(|found| found.kind == Some(FileKind::File));
        let Some(file) = file else { return Ok(None) };
        match self.tree.member(file)?.body {
            Body::File { hash, .. } => Ok(hash),
            _ => Ok(None),
        }
    }

    /// Opens the file `name` in the directory at `directory`.
    ///
    /// # Errors
    /// There is no such file, or the temporary file cannot be read.
    pub fn open_file(self: &Arc<Self>, directory: &[u8], name: &[u8]) -> Result<SpooledFile> {
        let (member, stat) = self.read_member(directory, name)?;
        let Body::File { start, .. } = member.body else { return Err(missing(directory, name)) };
        Ok(SpooledFile { spool: Arc::clone(self), stat, start, read: 0 })
    }

    /// The target of a symbolic link, in raw bytes, and the link's stat.
    ///
    /// # Errors
    /// There is no such link, or the temporary file cannot be read.
    pub fn read_link(&self, directory: &[u8], name: &[u8]) -> Result<(Vec<u8>, Stat)> {
        let (member, stat) = self.read_member(directory, name)?;
        let Body::Symlink { start, length } = member.body else { return Err(missing(directory, name)) };
        Ok((self.bytes(start, length.into())?, stat))
    }

    /// The extended attributes of `name` in the directory at `directory`; the root's without either.
    ///
    /// # Errors
    /// There is no such entry, or the temporary file cannot be read.
    pub fn xattrs(&self, directory: &[u8], name: &[u8]) -> Result<XattrList> {
        let found = self.find(directory, name)?;
        if !found.has_xattrs {
            return Ok(XattrList::default());
        }
        let at = self.tree.member(found)?.xattrs;
        xattrs::decode(&self.bytes(at.start, at.length as usize)?)
    }

    fn find(&self, directory: &[u8], name: &[u8]) -> Result<MemberRef> {
        self.tree.find(directory, name).ok_or_else(|| missing(directory, name))
    }

    fn read_member(&self, directory: &[u8], name: &[u8]) -> Result<(Member, Stat)> {
        let found = self.find(directory, name)?;
        let member = self.tree.member(found)?;
        let stat = self.tree.stat_of(found.number, &member);
        Ok((member, stat))
    }

    fn bytes(&self, start: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.contents.read_exact_at(&mut bytes, start).map_err(cannot_read)?;
        Ok(bytes)
    }
}

impl SpooledFile {
    /// What a kernel would say of it.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Reads the next bytes: a full buffer, except at the end.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = self.stat.size - self.read;
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let at = self.start + self.read;
        self.spool.contents.read_exact_at(&mut buffer[..wanted], at).map_err(cannot_read)?;
        self.read += wanted as u64;
        Ok(wanted)
    }
}

fn cannot_read(e: std::io::Error) -> Error {
    Error::io("cannot read the temporary file of the tar", e)
}

fn missing(directory: &[u8], name: &[u8]) -> Error {
    let path = join(directory, name);
    Error::new(ErrorKind::Internal, format!("{} was listed and is not there", path::shown(&path)))
}
