//! Names of one file that agree, and those that do not.

use floe_format::{Entry, Kept, OwnedBody, XattrList};

use super::*;
use crate::source::FileTime;

const OWNED: Keeping = Keeping { kept: Kept::OWNER, reproducible: false };
const PLAIN: Keeping = Keeping { kept: Kept::NONE, reproducible: false };

fn stat() -> Stat {
    let time = FileTime { seconds: 5, nanos: 7 };
    Stat {
        size: 5,
        inode: 9,
        device: 1,
        special: 0,
        modified: time,
        changed: time,
        links: 3,
        uid: 0,
        gid: 0,
        mode: 0o644,
        kind: FileKind::File,
    }
}

/// For names of which it is not asked whether the first is still there.
fn unasked(_: &[u8]) -> bool {
    unreachable!("nothing came or went")
}

/// What the second name is, where the kernel says this of it, and the first is still there or not.
fn second(other: Stat, keeping: Keeping, is_there: bool) -> Name {
    let mut names = FirstNames::default();
    assert_eq!(names.add(&stat(), b"a", keeping, unasked), Name::First);
    names.add(&other, b"z", keeping, |first| {
        assert_eq!(first, b"a");
        is_there
    })
}

#[test]
fn a_later_name_is_a_link_only_to_what_the_first_one_was() {
    let later = FileTime { seconds: 6, nanos: 0 };
    let touched = Stat { changed: later, ..stat() };
    let link = || [true, false].map(|_| Name::Another(b"a".to_vec()));
    let perhaps = || [Name::Another(b"a".to_vec()), Name::Changed];
    let changed = || [Name::Changed, Name::Changed];
    for (other, keeping, expected) in [
        (stat(), OWNED, link()),
        (Stat { mode: 0o600, ..touched }, PLAIN, changed()),
        (Stat { mode: 0o600, links: 4, ..touched }, PLAIN, changed()),
        (Stat { size: 6, links: 4, ..touched }, PLAIN, changed()),
        (Stat { modified: later, links: 4, ..touched }, PLAIN, changed()),
        (Stat { uid: 1, links: 4, ..touched }, OWNED, changed()),
        (Stat { gid: 1, links: 4, ..touched }, OWNED, changed()),
        (Stat { gid: 1, links: 4, ..touched }, PLAIN, perhaps()),
        // For all that is known another file, which got the inode.
        (touched, PLAIN, changed()),
        // A name came, and one went.
        (Stat { links: 4, ..touched }, OWNED, perhaps()),
        (Stat { links: 2, ..touched }, OWNED, perhaps()),
        (Stat { links: 4, ..stat() }, OWNED, link()),
    ] {
        let names = [true, false].map(|is_there| second(other, keeping, is_there));
        assert_eq!(names, expected, "{other:?}");
    }
}

#[test]
fn a_file_is_forgotten_with_its_last_name() {
    let mut names = FirstNames::default();
    assert_eq!(names.add(&stat(), b"a", OWNED, unasked), Name::First);
    for path in [b"b", b"c"] {
        assert_eq!(names.add(&stat(), path, OWNED, unasked), Name::Another(b"a".to_vec()));
    }
    assert!(names.files.is_empty());
    assert_eq!(names.add(&Stat { links: 1, ..stat() }, b"d", OWNED, unasked), Name::Only);
    assert_eq!(names.add(&stat(), b"d", Keeping { reproducible: true, ..PLAIN }, unasked), Name::Only);
    assert!(names.files.is_empty());
}

#[test]
fn a_link_is_checked_against_its_file() {
    let entry = |path: &str, mode, body| Entry {
        path: path.into(),
        mode,
        mtime: None,
        owner: None,
        body,
        xattrs: XattrList::default(),
    };
    let file = |path, mode| entry(path, mode, OwnedBody::File { size: 0, hash: None });
    let link = |path, mode, to: &str| entry(path, mode, OwnedBody::HardLink { target: to.into() });
    let mut check = LinkCheck::default();
    check.add(&file("a", 0o644).as_entry(), true).unwrap();
    check.add(&file("b", 0o644).as_entry(), false).unwrap();
    check.add(&link("z", 0o644, "a").as_entry(), false).unwrap();
    for wrong in [link("z", 0o600, "a"), link("z", 0o644, "b"), link("z", 0o644, "c"), link("z", 0o644, "z")]
    {
        let error = check.add(&wrong.as_entry(), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{wrong:?}");
    }
}
