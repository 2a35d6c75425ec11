//! The directories of a tree: who is in whom, and what they become in the end.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use super::entry::{ALL_MODE_BITS, FileId, Meta, Mtime, Owner};
use super::names;
use crate::{Error, ErrorKind, Result};

/// The most bytes of default ACLs kept until the end, in all. In a staging directory they wait, because they change the mode
/// of whatever is made in their directory.
const LATE_XATTR_BYTES: usize = 16 << 20;

/// A directory of a tree: the root, or one that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DirId(pub(super) u32);

impl DirId {
    /// The tree's own directory.
    pub(crate) const ROOT: Self = Self(0);
}

/// What is known of a directory in the file system; only an in-place pull uses more than the first.
pub(super) mod state {
    /// It was there before.
    pub(in super::super) const EXISTED: u16 = 1;
    /// Something in it or of it was changed, so that its time must be set again.
    pub(in super::super) const TOUCHED: u16 = 2;
    /// Its mode, time or owner is not what it should be.
    pub(in super::super) const DIFFERS: u16 = 4;
    /// A survey found that it is not there.
    pub(in super::super) const ABSENT: u16 = 8;
    /// It was made sure that entries can be written in it.
    pub(in super::super) const WRITABLE: u16 = 16;
    /// It is there, and its owner may not list it or reach what is in it.
    pub(in super::super) const CLOSED: u16 = 32;
    /// It is there, and lets others do what they may not in the end, or is somebody else's.
    pub(in super::super) const LOOSE: u16 = 64;
    /// In place, where extended attributes are restored: what is made in it gets an ACL from it.
    pub(in super::super) const GIVES_ACL: u16 = 128;
    /// It is there, and lets its group or others by an ACL do what they may not in the end.
    pub(in super::super) const OTHER_ACL: u16 = 256;
    /// In place: it was made under a temporary name, because a file stands in its place.
    pub(in super::super) const ASIDE: u16 = 512;
    /// It finds a name by other spellings.
    pub(in super::super) const FOLDS: u16 = 1024;
    /// It does not.
    pub(in super::super) const EXACT: u16 = 2048;
}

/// What a directory becomes in the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct FinalMeta {
    pub(super) mode: u32,
    pub(super) mtime: Option<Mtime>,
    pub(super) owner: Option<Owner>,
}

impl FinalMeta {
    /// Without extended attributes, which are not kept.
    pub(super) fn as_meta(self) -> Meta<'static> {
        Meta { mode: self.mode, mtime: self.mtime, owner: self.owner, recorded_owner: None, xattrs: None }
    }
}

struct Row {
    parent: u32,
    name: Range<u32>,
    /// The first of its directories; the others follow it.
    first_child: u32,
    children: u32,
    meta: FinalMeta,
    state: AtomicU16,
}

/// The table of a tree's directories; row 0 is the root.
pub(super) struct Directories {
    rows: Vec<Row>,
    names: Vec<u8>,
    late: HashMap<u32, Vec<u8>>,
    late_bytes: usize,
    /// In place: which directories were surveyed or made, 0 where that is not known.
    identities: Option<Vec<[AtomicU64; 2]>>,
}

impl Directories {
    pub(super) fn new(in_place: bool) -> Self {
        let root = Row {
            parent: 0,
            name: 0..0,
            first_child: 0,
            children: 0,
            meta: FinalMeta { mode: 0o700, mtime: None, owner: None },
            state: AtomicU16::new(state::EXISTED),
        };
        Self {
            rows: vec![root],
            names: Vec::new(),
            late: HashMap::new(),
            late_bytes: 0,
            identities: in_place.then(|| vec![Default::default()]),
        }
    }

    /// Adds a directory; those of one parent stand together and ascend by name.
    pub(super) fn add(&mut self, parent: DirId, name: &[u8], meta: &Meta<'_>) -> Result<DirId> {
        names::check(name)?;
        meta.check()?;
        let too_many = || Error::new(ErrorKind::Unsupported, "the snapshot has too many directories");
        let id = u32::try_from(self.rows.len()).map_err(|_| too_many())?;
        let start = u32::try_from(self.names.len()).map_err(|_| too_many())?;
        let end = u32::try_from(self.names.len() + name.len()).map_err(|_| too_many())?;
        let siblings = self.row(parent).children;
        if siblings > 0 {
            let last = self.row(parent).first_child + (siblings - 1);
            if last + 1 != id || self.name(DirId(last)) >= name {
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    format!(
                        "the snapshot's directory `{}` is out of order or listed twice",
                        names::shown(&self.path_of(parent, name))
                    ),
                ));
            }
        }
        let row = &mut self.rows[parent.0 as usize];
        if siblings == 0 {
            row.first_child = id;
        }
        row.children += 1;
        self.names.extend_from_slice(name);
        self.rows.push(Row {
            parent: parent.0,
            name: start..end,
            first_child: 0,
            children: 0,
            meta: FinalMeta { mode: meta.mode & ALL_MODE_BITS, mtime: meta.mtime, owner: meta.owner },
            state: AtomicU16::new(0),
        });
        if let Some(identities) = &mut self.identities {
            identities.push(Default::default());
        }
        Ok(DirId(id))
    }

    /// The directory with this path, `/` between components; the empty path is the root.
    pub(super) fn find(&self, path: &[u8]) -> Option<DirId> {
        let mut at = DirId::ROOT;
        if path.is_empty() {
            return Some(at);
        }
        for name in path.split(|&b| b == b'/') {
            let row = self.row(at);
            let (mut low, mut high) = (row.first_child, row.first_child + row.children);
            let end = high;
            while low < high {
                let middle = low + (high - low) / 2;
                if self.name(DirId(middle)) < name {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            if low == end || self.name(DirId(low)) != name {
                return None;
            }
            at = DirId(low);
        }
        Some(at)
    }

    /// How many there are, with the root.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn parent(&self, id: DirId) -> DirId {
        DirId(self.row(id).parent)
    }

    pub(super) fn name(&self, id: DirId) -> &[u8] {
        let range = &self.row(id).name;
        &self.names[range.start as usize..range.end as usize]
    }

    pub(super) fn meta(&self, id: DirId) -> FinalMeta {
        self.row(id).meta
    }

    pub(super) fn state(&self, id: DirId) -> u16 {
        self.row(id).state.load(Ordering::Acquire)
    }

    pub(super) fn mark(&self, id: DirId, bits: u16) {
        self.row(id).state.fetch_or(bits, Ordering::AcqRel);
    }

    pub(super) fn unmark(&self, id: DirId, bits: u16) {
        self.row(id).state.fetch_and(!bits, Ordering::AcqRel);
    }

    /// Notes which directory it is that is there, where somebody could put another in its place.
    pub(super) fn note_identity(&self, id: DirId, (device, inode): FileId) {
        if let Some(identities) = &self.identities {
            let [of_device, of_inode] = &identities[id.0 as usize];
            of_device.store(device, Ordering::Release);
            of_inode.store(inode, Ordering::Release);
        }
    }

    /// Whether a directory is the one that was noted, if one was.
    pub(super) fn is_it(&self, id: DirId, now: FileId) -> bool {
        self.identity(id).is_none_or(|noted| noted == now)
    }

    /// Which directory was noted, if one was.
    fn identity(&self, id: DirId) -> Option<FileId> {
        let noted = &self.identities.as_ref()?[id.0 as usize];
        let [device, inode] = noted.each_ref().map(|part| part.load(Ordering::Acquire));
        Some((device, inode)).filter(|noted| *noted != (0, 0))
    }

    /// Whether a directory that was noted of another's directories is this one.
    pub(super) fn has_child(&self, parent: DirId, now: FileId) -> bool {
        let row = self.row(parent);
        let mut children = (row.first_child..row.first_child + row.children).map(DirId);
        self.identities.is_some() && children.any(|child| self.identity(child) == Some(now))
    }

    /// Takes bits of the mode away that a directory was to have in the end.
    pub(super) fn restrict(&mut self, id: DirId, bits: u32) {
        self.rows[id.0 as usize].meta.mode &= bits;
    }

    /// Keeps the default ACL of a directory for the end.
    pub(super) fn keep_late(&mut self, id: DirId, value: &[u8]) -> Result<()> {
        self.late_bytes += value.len();
        if self.late_bytes > LATE_XATTR_BYTES {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the snapshot has more than 16 MiB of default ACLs on directories",
            ));
        }
        self.late.insert(id.0, value.to_vec());
        Ok(())
    }

    pub(super) fn late(&self, id: DirId) -> Option<&[u8]> {
        self.late.get(&id.0).map(Vec::as_slice)
    }

    /// The path of a name in a directory, relative to the root.
    pub(super) fn path_of(&self, directory: DirId, name: &[u8]) -> Vec<u8> {
        let mut chain = Vec::new();
        let mut at = directory;
        while at != DirId::ROOT {
            chain.push(at);
            at = self.parent(at);
        }
        let mut path = Vec::new();
        for &id in chain.iter().rev() {
            path.extend_from_slice(self.name(id));
            path.push(b'/');
        }
        path.extend_from_slice(name);
        if path.last() == Some(&b'/') {
            path.pop();
        }
        path
    }

    fn row(&self, id: DirId) -> &Row {
        &self.rows[id.0 as usize]
    }
}
