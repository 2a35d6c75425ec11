//! A directory of this machine as one side of a comparison: entries as a push would make them.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use floe_core::source::{
    Child, ContentSink, Exclusions, FileKind, Listing, ReadOutcome, SourceFiles, Stat, Walk, WalkOptions,
};
use floe_core::{Error, ErrorKind, Result};
use floe_format::{ContentHash, Entry, OwnedBody, XattrList, parent_and_name};

use super::changes::Side;

const READ_BYTES: usize = 256 << 10;

/// A walk under way.
pub(crate) struct DirectorySide {
    walk: Walk,
    files: SourceFiles,
    /// Entries of the last listing that were not handed out yet.
    entries: VecDeque<Entry>,
    /// The first name of each file that has several, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    reproducible: bool,
    buffer: Vec<u8>,
}

impl DirectorySide {
    /// Begins to walk a directory; `reproducible` says how a push of it would take modes and hard links.
    pub(crate) fn open(root: &Path, exclusions: Exclusions, reproducible: bool) -> Result<Self> {
        Ok(Self {
            walk: Walk::new(root, &WalkOptions { exclusions, ..WalkOptions::default() })?,
            files: SourceFiles::open(root)?,
            entries: VecDeque::new(),
            links: HashMap::new(),
            reproducible,
            buffer: vec![0; READ_BYTES],
        })
    }

    fn take(&mut self, listing: &Listing) -> Result<()> {
        if let Some(problem) = listing.problems().first() {
            let path = String::from_utf8_lossy(&problem.path).into_owned();
            let kind = std::io::Error::from(problem.error.kind());
            return Err(Error::io(format!("cannot read {path}"), kind));
        }
        for child in listing.children() {
            let mut path = listing.path().to_vec();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(child.name);
            if let Some(body) = self.body(listing.path(), &child, &path)? {
                let mode = self.mode(child.stat);
                let xattrs = XattrList::default();
                self.entries.push_back(Entry { path, mode, mtime: None, owner: None, body, xattrs });
            }
        }
        Ok(())
    }

    fn mode(&self, stat: &Stat) -> u16 {
        match stat.kind {
            FileKind::Symlink => 0o777,
            _ if !self.reproducible => stat.mode,
            FileKind::Directory => 0o755,
            FileKind::File if stat.mode & 0o111 != 0 => 0o755,
            _ => 0o644,
        }
    }

    /// The body of an entry; nothing for a socket and for what vanished.
    fn body(&mut self, directory: &[u8], child: &Child<'_>, path: &[u8]) -> Result<Option<OwnedBody>> {
        let stat = child.stat;
        if stat.links > 1 && stat.kind == FileKind::File && !self.reproducible {
            if let Some(first) = self.links.get(&(stat.device, stat.inode)) {
                return Ok(Some(OwnedBody::HardLink { target: first.clone() }));
            }
            self.links.insert((stat.device, stat.inode), path.to_vec());
        }
        let (major, minor) = numbers(stat.special);
        Ok(Some(match stat.kind {
            FileKind::Directory => OwnedBody::Directory,
            FileKind::File => OwnedBody::File { size: stat.size, hash: None },
            FileKind::Symlink => match self.files.read_link(directory, child.name)? {
                Some(link) => OwnedBody::Symlink { target: link.target },
                None => return Ok(None),
            },
            FileKind::Fifo => OwnedBody::Fifo,
            FileKind::CharDevice => OwnedBody::CharDevice { major, minor },
            FileKind::BlockDevice => OwnedBody::BlockDevice { major, minor },
            FileKind::Socket => return Ok(None),
        }))
    }
}

impl Side for DirectorySide {
    fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.entries.pop_front() {
                return Ok(Some(entry));
            }
            match self.walk.next() {
                Some(listing) => self.take(&listing?)?,
                None => return Ok(None),
            }
        }
    }

    fn hash(&mut self, path: &[u8]) -> Result<Option<ContentHash>> {
        let (directory, name) = parent_and_name(path);
        let mut sink = Hashing(blake3::Hasher::new());
        match self.files.read(directory, name, &mut self.buffer, &mut sink)? {
            ReadOutcome::Read { .. } => Ok(Some(sink.0.finalize().into())),
            ReadOutcome::Vanished => {
                let message = format!("{} vanished while it was compared", String::from_utf8_lossy(path));
                Err(Error::new(ErrorKind::NotFound, message))
            }
        }
    }
}

struct Hashing(blake3::Hasher);

impl ContentSink for Hashing {
    fn begin(&mut self, _: &Stat) -> Result<()> {
        self.0.reset();
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.update(bytes);
        Ok(())
    }
}

/// Major and minor number of a device as [`Stat`] has it.
fn numbers(device: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = device.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}
