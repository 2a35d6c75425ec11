//! From entries of a snapshot to what a destination is told.

use floe_format::{Body, Entry, EntryRef, Owner, Root, Timestamp, XattrList, Xattrs};

use crate::destination::{self, Device, Meta, Mtime, WantedKind, Xattr};

/// What of an entry is restored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restore {
    pub(super) owner: bool,
    pub(super) xattrs: bool,
}

/// The directory that is pulled, or the one entry.
#[derive(Clone, Debug)]
pub(super) struct Top {
    /// Its path in the snapshot; empty for the tree's own directory.
    pub(super) path: Vec<u8>,
    meta: floe_format::Meta,
    xattrs: XattrList,
    /// The entry, unless it is the tree's own directory.
    pub(super) entry: Option<Entry>,
}

impl Top {
    pub(super) fn of_root(root: &Root) -> Self {
        Self { path: Vec::new(), meta: root.directory, xattrs: root.xattrs.clone(), entry: None }
    }

    pub(super) fn of_entry(entry: Entry) -> Self {
        let meta = entry.as_entry().meta();
        Self { path: entry.path.clone(), meta, xattrs: entry.xattrs.clone(), entry: Some(entry) }
    }

    /// Hands out what it becomes.
    pub(super) fn with_meta<T>(&self, restore: Restore, use_it: impl FnOnce(&Meta<'_>) -> T) -> T {
        with_meta(self.meta, self.xattrs.as_xattrs(), restore, use_it)
    }

    /// A path of the snapshot, which is below this one, from here.
    pub(super) fn relative<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        below(&self.path, path).unwrap_or(path)
    }

    /// A path from here, in the snapshot.
    pub(super) fn absolute(&self, path: &[u8]) -> Vec<u8> {
        if self.path.is_empty() { path.to_vec() } else { [&self.path, &b"/"[..], path].concat() }
    }
}

/// The rest of a path below a directory.
pub(super) fn below<'p>(directory: &[u8], path: &'p [u8]) -> Option<&'p [u8]> {
    if directory.is_empty() {
        return Some(path);
    }
    match path.strip_prefix(directory)? {
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// Hands out what an entry becomes.
#[inline]
pub(super) fn with_entry<T>(
    entry: &EntryRef<'_>,
    restore: Restore,
    use_it: impl FnOnce(&Meta<'_>) -> T,
) -> T {
    with_meta(entry.meta(), entry.xattrs, restore, use_it)
}

#[inline]
fn with_meta<T>(
    meta: floe_format::Meta,
    xattrs: Xattrs<'_>,
    restore: Restore,
    use_it: impl FnOnce(&Meta<'_>) -> T,
) -> T {
    let list: Vec<Xattr<'_>> = if restore.xattrs { xattrs.iter().collect() } else { Vec::new() };
    use_it(&Meta {
        mode: meta.mode.into(),
        mtime: meta.mtime.map(mtime),
        owner: meta.owner.filter(|_| restore.owner).map(owner),
        recorded_owner: meta.owner.map(owner),
        xattrs: restore.xattrs.then_some(&list),
    })
}

fn mtime(time: Timestamp) -> Mtime {
    Mtime { seconds: time.seconds, nanoseconds: time.nanos }
}

fn owner(owner: Owner) -> destination::Owner {
    destination::Owner { user: owner.user, group: owner.group }
}

/// The device that an entry is.
pub(super) fn device(body: &Body<'_>) -> Option<Device> {
    match *body {
        Body::CharDevice { major, minor } => Some(Device { block: false, major, minor }),
        Body::BlockDevice { major, minor } => Some(Device { block: true, major, minor }),
        _ => None,
    }
}

/// What a survey is told an entry is; a directory has its id.
pub(super) fn wanted_kind<'a>(body: &Body<'a>, directory: destination::DirId) -> WantedKind<'a> {
    match *body {
        Body::Directory => WantedKind::Directory(directory),
        Body::File { size, .. } => WantedKind::File(size),
        Body::Symlink { target } => WantedKind::Symlink(target),
        Body::HardLink { .. } => WantedKind::HardLink,
        Body::Fifo => WantedKind::Fifo,
        Body::CharDevice { major, minor } => WantedKind::Device(Device { block: false, major, minor }),
        Body::BlockDevice { major, minor } => WantedKind::Device(Device { block: true, major, minor }),
    }
}
