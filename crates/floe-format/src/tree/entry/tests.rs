use super::*;

fn entry(body: Body<'_>) -> EntryRef<'_> {
    EntryRef {
        path: b"some/path",
        mode: if body.kind() == EntryKind::Symlink { 0o777 } else { 0o644 },
        mtime: None,
        owner: None,
        body,
        xattrs: Xattrs::default(),
    }
}

#[test]
fn what_an_entry_may_be() {
    let hash = Some(ContentHash::of(b"x"));
    let long = vec![b'x'; MAX_TARGET_BYTES + 1];
    let highest = MAX_DEVICE_NUMBER;
    for (body, good) in [
        (Body::Directory, true),
        (Body::Fifo, true),
        (Body::File { size: 0, hash: None }, true),
        (Body::File { size: 0, hash }, false),
        (Body::File { size: 1, hash: None }, false),
        (Body::File { size: MAX_FILE_BYTES, hash }, true),
        (Body::File { size: MAX_FILE_BYTES + 1, hash }, false),
        (Body::Symlink { target: b"" }, false),
        (Body::Symlink { target: b"../.." }, true),
        (Body::Symlink { target: b"a\0" }, false),
        (Body::Symlink { target: &long[1..] }, true),
        (Body::Symlink { target: &long }, false),
        (Body::HardLink { target: b"some/pat" }, true),
        (Body::HardLink { target: b"some/path" }, false),
        (Body::HardLink { target: b"some/path/x" }, false),
        (Body::HardLink { target: b"../x" }, false),
        (Body::CharDevice { major: highest, minor: 0 }, true),
        (Body::CharDevice { major: 0, minor: highest + 1 }, false),
        (Body::BlockDevice { major: 0, minor: highest }, true),
        (Body::BlockDevice { major: highest + 1, minor: 0 }, false),
    ] {
        assert_eq!(entry(body).validate(Kept::NONE).is_ok(), good, "{body:?}");
        assert_eq!(entry(body).to_entry().as_entry(), entry(body));
    }
    let mut file = entry(Body::Fifo);
    file.mode = 0o10000;
    assert!(file.validate(Kept::NONE).is_err());
    let mut link = entry(Body::Symlink { target: b"x" });
    link.mode = 0o755;
    assert!(link.validate(Kept::NONE).is_err());
}

#[test]
fn exactly_what_is_kept_is_there() {
    let all = Kept::MTIME | Kept::OWNER | Kept::XATTRS;
    let xattrs = XattrList::new([("user.a", "1")]).unwrap();
    let mut fifo = entry(Body::Fifo);
    assert!(fifo.validate(Kept::MTIME).is_err());
    fifo.mtime = Some(Timestamp { seconds: -1, nanos: 1_000_000_000 });
    assert!(fifo.validate(Kept::MTIME).is_err());
    fifo.mtime = Some(Timestamp { seconds: -1, nanos: 999_999_999 });
    assert!(fifo.validate(Kept::MTIME).is_ok());
    assert!(fifo.validate(Kept::NONE).is_err());
    assert!(fifo.validate(all).is_err());
    fifo.owner = Some(Owner { user: u32::MAX, group: 0 });
    assert!(fifo.validate(all).is_ok());
    fifo.xattrs = xattrs.as_xattrs();
    assert!(fifo.validate(all).is_ok());
    assert!(fifo.validate(Kept::MTIME | Kept::OWNER).is_err());
    assert_eq!(fifo.metadata_len(), b"some/path".len() + b"user.a1".len() + 8);

    let mut link = entry(Body::HardLink { target: b"a" });
    assert!(link.validate(all).is_ok());
    link.mtime = Some(Timestamp::default());
    assert!(link.validate(all).is_err());
    link.mtime = None;
    link.xattrs = xattrs.as_xattrs();
    assert!(link.validate(all).is_err());
    assert!(Kept::from_bits(8).is_err());
}

#[test]
fn what_is_reproducible() {
    let with_mode = |body, mode| EntryRef { mode, ..entry(body) }.is_reproducible();
    let file = Body::File { size: 0, hash: None };
    assert!(with_mode(file, 0o644) && with_mode(file, 0o755) && !with_mode(file, 0o600));
    assert!(with_mode(Body::Directory, 0o755) && !with_mode(Body::Directory, 0o644));
    assert!(with_mode(Body::Fifo, 0o644) && !with_mode(Body::Fifo, 0o755));
    assert!(!with_mode(Body::HardLink { target: b"a" }, 0o644));
    assert!(with_mode(Body::Symlink { target: b"a" }, 0o777));
    let mut timed = entry(file);
    timed.mtime = Some(Timestamp::default());
    assert!(!timed.is_reproducible());
}
