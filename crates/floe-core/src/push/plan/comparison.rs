//! What an entry of the source is, and whether the base has it as it is.

use floe_format::{Body, ContentHash, Entry, Kept, Meta, OwnedBody, XattrList, validate_path};

use super::Planner;
use super::candidate::{Candidate, State};
use crate::push::base::BaseEntry;
use crate::push::links::{FirstNames, Name};
use crate::push::unit::{Note, NotedContent};
use crate::push::work::{Unread, is_unchanged};
use crate::source::{CacheHit, Child, FileKind, ListedDirectory, Stat};
use crate::{Error, ErrorKind, Result};

impl Planner<'_> {
    /// The entry for a child; nothing if it vanished.
    pub(super) fn candidate(
        &mut self,
        directory: ListedDirectory<'_>,
        child: &Child<'_>,
        path: &[u8],
        links: &mut FirstNames,
    ) -> Result<Option<Candidate>> {
        let stat = *child.stat;
        let base = match &mut self.base {
            Some(base) => base.find(path)?,
            None => None,
        };
        let hit = self.contents.lookup(directory.path, child)?;
        let content = hit.map_or(NotedContent::None, NotedContent::Known);
        let mut note = Note { stat, content, may_be_linked: false };
        let is_still_at = |first: &[u8]| self.files.is_file_at(first, &stat);
        match links.add(&stat, path, self.keeping, is_still_at) {
            Name::Only => {}
            Name::First => note.may_be_linked = true,
            Name::Another(target) => {
                let state = self.compared(directory, child, path, base, OwnedBody::HardLink { target })?;
                return Ok(Some(Candidate { directory: directory.id, note, state }));
            }
            Name::Changed if !self.is_last => return Err(self.changed(path)),
            // Where the kernel says something else of it under each name (two mounts that show other owners, numbers of
            // inodes that are not unique), it does so each time.
            Name::Changed => {
                let path = String::from_utf8_lossy(path);
                tracing::warn!(
                    "{path} is stored as a file of its own: it is not as it was under its other name"
                );
            }
        }
        if let Some(found) = base.as_ref().filter(|base| self.is_same_file(&stat, hit.as_ref(), base)) {
            return Ok(Some(Candidate { directory: directory.id, note, state: State::Same(found.clone()) }));
        }
        let (major, minor) = stat.device_numbers();
        let body = match stat.kind {
            FileKind::Directory => OwnedBody::Directory,
            FileKind::File if stat.size == 0 => OwnedBody::File { size: 0, hash: None },
            FileKind::File => {
                OwnedBody::File { size: stat.size, hash: hit.map(|hit| ContentHash::from_bytes(hit.hash)) }
            }
            FileKind::Fifo => OwnedBody::Fifo,
            FileKind::CharDevice => OwnedBody::CharDevice { major, minor },
            FileKind::BlockDevice => OwnedBody::BlockDevice { major, minor },
            FileKind::Symlink => {
                let target = self.link(directory, child, path, hit.as_ref(), base.as_ref(), &mut note)?;
                OwnedBody::Symlink { target }
            }
            FileKind::Socket => return Ok(None),
        };
        // Of a link that was read, what it was then.
        let child = Child { name: child.name, stat: &note.stat };
        let state = self.compared(directory, &child, path, base, body)?;
        Ok(Some(Candidate { directory: directory.id, note, state }))
    }

    /// Whether a regular file is what the base has, told without any allocation: the common case.
    fn is_same_file(&self, stat: &Stat, hit: Option<&CacheHit>, base: &BaseEntry) -> bool {
        let entry = base.entry();
        let Body::File { size, hash } = entry.body else { return false };
        stat.kind == FileKind::File
            && size == stat.size
            && hash.as_ref().map(ContentHash::as_bytes) == hit.map(|hit| &hit.hash).filter(|_| size > 0)
            && !self.keeping.kept.contains(Kept::XATTRS)
            && entry.xattrs.is_empty()
            && entry.meta() == self.keeping.meta(stat)
    }

    /// A symbolic link's target.
    fn link(
        &mut self,
        directory: ListedDirectory<'_>,
        child: &Child<'_>,
        path: &[u8],
        hit: Option<&CacheHit>,
        base: Option<&BaseEntry>,
        note: &mut Note,
    ) -> Result<Vec<u8>> {
        if let (Some(hit), Some(base)) = (hit, base)
            && let Body::Symlink { target } = base.entry().body
            && *blake3::hash(target).as_bytes() == hit.hash
        {
            return Ok(target.to_vec());
        }
        let read = self.files.read_link(directory, child.name).map_err(|e| {
            if e.kind() != ErrorKind::Invalid {
                return e;
            }
            // It is no link any more, will not hold still, or is in another directory.
            self.changed(path).with_source(e)
        });
        // That it vanished may be because its directory was moved, all others with it.
        let Some(link) = read? else { return Err(self.changed(path)) };
        // As with files that are read.
        if !is_unchanged(child.stat, &link.stat, link.hashing_began) {
            self.files.forget_directories();
            let is_it = |there: &Stat| there.same_content(&link.stat);
            if !self.files.is_there_still(directory, child.name, is_it) {
                self.has_other_rules |= !self.files.is_in_place(directory);
                return Err(self.changed(path));
            }
        }
        let hash = *blake3::hash(&link.target).as_bytes();
        *note = Note { stat: link.stat, content: NotedContent::Hashed(hash, link.hashing_began), ..*note };
        Ok(link.target)
    }

    /// How an entry with this body compares with the base's.
    fn compared(
        &mut self,
        directory: ListedDirectory<'_>,
        child: &Child<'_>,
        path: &[u8],
        base: Option<BaseEntry>,
        body: OwnedBody,
    ) -> Result<State> {
        validate_path(path)?;
        let mut meta = self.keeping.meta(child.stat);
        let mut xattrs = XattrList::default();
        let mut has_xattrs = self.keeping.kept.contains(Kept::XATTRS);
        if matches!(body, OwnedBody::HardLink { .. }) {
            (meta.mtime, meta.owner) = (None, None);
            has_xattrs = false;
        } else {
            xattrs = match self.xattrs(directory, child.name, path) {
                Err(error) if error.kind() == ErrorKind::Denied => {
                    self.note_denied(child.stat, path, error)?;
                    XattrList::default()
                }
                xattrs => xattrs?,
            };
        }
        let is_unread = matches!(body, OwnedBody::File { size, hash: None } if size > 0);
        let Meta { mode, mtime, owner } = meta;
        let entry = Entry { path: path.to_vec(), mode, mtime, owner, body, xattrs };
        // A base that has none, since it kept none, says nothing of them.
        let tells_all = |base: &&BaseEntry| !has_xattrs || base.segment.kept().contains(Kept::XATTRS);
        let is_same = |base: &&BaseEntry| !is_unread && base.entry() == entry.as_entry();
        if let Some(base) = base.as_ref().filter(tells_all).filter(is_same) {
            return Ok(State::Same(base.clone()));
        }
        // Its extended attributes, read by name, may be another's by now. What is to be read is compared then, and what
        // is as the base has it, in all parts, was that once.
        if has_xattrs && !is_unread && !self.files.is_still(directory, child)? {
            return Err(self.changed(path));
        }
        Ok(match base {
            Some(base)
                if !is_unread && base.entry().mode == mode && base.entry().body == entry.body.as_body() =>
            {
                State::SameTar(base, Box::new(entry))
            }
            _ => State::Other(Box::new(entry)),
        })
    }

    /// Notes that the extended attributes of what has this path may not be read: all is planned, and all told at once.
    fn note_denied(&mut self, stat: &Stat, path: &[u8], error: Error) -> Result<()> {
        match stat.kind {
            FileKind::File => {
                let file = (stat.links > 1).then_some((stat.device, stat.inode));
                self.denied.push(Unread { path: path.to_vec(), error, file });
            }
            FileKind::Directory => self.denied_directories.push(Unread::new(path.to_vec(), error)),
            _ => return Err(error),
        }
        Ok(())
    }

    /// The extended attributes of the entry at `path`, which has that name in that directory.
    pub(super) fn xattrs(
        &mut self,
        directory: ListedDirectory<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Result<XattrList> {
        if !self.keeping.kept.contains(Kept::XATTRS) {
            return Ok(XattrList::default());
        }
        match self.files.xattrs(directory, name)? {
            Some(xattrs) => Ok(xattrs),
            None => Err(self.changed(path)),
        }
    }
}
