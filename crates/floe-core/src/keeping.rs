//! What a snapshot keeps of what the kernel says about an entry.

use floe_format::{Entry, Kept, Meta, Owner, Timestamp};

use crate::source::{FileKind, Stat};

/// What of a source goes into the snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    pub(crate) kept: Kept,
    pub(crate) reproducible: bool,
}

impl Keeping {
    /// Keeps this, which is nothing where the snapshot is to be reproducible.
    pub(crate) fn new(kept: Kept, reproducible: bool) -> Self {
        Self { kept: if reproducible { Kept::NONE } else { kept }, reproducible }
    }

    /// Mode, and of time and owner what is kept.
    pub(crate) fn meta(self, stat: &Stat) -> Meta {
        Meta { mode: self.mode(stat), mtime: mtime(stat, self.kept), owner: owner(stat, self.kept) }
    }

    fn mode(self, stat: &Stat) -> u16 {
        let is_executable = stat.mode & 0o111 != 0;
        match (stat.kind, self.reproducible) {
            (FileKind::Symlink, _) => 0o777,
            (_, false) => stat.mode,
            (FileKind::Directory, true) => 0o755,
            (FileKind::File, true) if is_executable => 0o755,
            (_, true) => 0o644,
        }
    }
}

/// Makes an entry that of the file which was read: another one may have taken the place of what the walk found.
pub(crate) fn set_read(entry: &mut Entry, read: &Stat, kept: Kept) {
    (entry.mtime, entry.owner) = (mtime(read, kept), owner(read, kept));
}

fn owner(stat: &Stat, kept: Kept) -> Option<Owner> {
    kept.contains(Kept::OWNER).then_some(Owner { user: stat.uid, group: stat.gid })
}

/// The modification time, if it is kept.
fn mtime(stat: &Stat, kept: Kept) -> Option<Timestamp> {
    let modified = stat.modified;
    kept.contains(Kept::MTIME).then_some(Timestamp { seconds: modified.seconds, nanos: modified.nanos })
}
