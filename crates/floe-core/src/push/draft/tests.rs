//! A big file that is not what the walk found when it is read.

use floe_format::{ContentHash, Entry, Owner, XattrList};

use super::*;
use crate::source::{FileKind, FileTime, HashClock, Stat};

#[test]
fn a_big_file_has_time_and_owner_of_what_was_read() {
    let owner = |user, group| Some(Owner { user, group });
    let entry = Entry {
        path: b"big".to_vec(),
        mode: 0o644,
        mtime: None,
        owner: owner(1, 2),
        body: OwnedBody::File { size: 70_000, hash: None },
        xattrs: XattrList::default(),
    };
    let run = Run { count: 1, plain_len: 512, id: FrameId::of(b"") };
    let mut draft = Draft::new(Vec::new());
    draft.push(Unit { entries: Entries::Given(vec![entry]), run, base: None });
    assert!(draft.waits_for_hash());
    let stat = Stat {
        size: 70_000,
        inode: 1,
        device: 1,
        special: 0,
        modified: FileTime { seconds: 7, nanos: 0 },
        changed: FileTime::default(),
        links: 1,
        uid: 3,
        gid: 4,
        mode: 0o644,
        kind: FileKind::File,
    };
    let hash = ContentHash::from_bytes([5; 32]);
    draft.set_last_read(&ReadFile { hash, stat, hashing_began: HashClock::at(stat.modified) }, Kept::OWNER);
    assert!(!draft.waits_for_hash());
    let entry = draft.units[0].entries().next().unwrap();
    assert_eq!((entry.owner, entry.mtime), (owner(3, 4), None));
}
