//! Modes, owners, extended attributes and ACLs.

use super::*;

#[test]
fn setuid_and_devices_come_on_request_only() {
    if !is_root("owners and device nodes") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for asked in [false, true] {
        let dest = dir.path().join(format!("{asked}"));
        let settings = Settings { special_bits: asked, devices: asked, ..settings() };
        let staging = Staging::create(&dest, settings).unwrap();
        let mut worker = staging.tree().worker();
        let meta = Meta { mode: 0o6755, owner: Some(Owner { user: 7, group: 8 }), ..PLAIN };
        worker.write_small_file(DirId::ROOT, b"file", &meta, &[b"x"]).unwrap();
        worker.fifo(DirId::ROOT, b"fifo", &meta).unwrap();
        worker.symlink(DirId::ROOT, b"link", b"x", &meta).unwrap();
        let null = Device { block: false, major: 1, minor: 3 };
        let device = worker.device(DirId::ROOT, b"null", null, &meta);
        let folder =
            staging.tree().add_directory(DirId::ROOT, b"folder", &Meta { mode: 0o3777, ..meta }).unwrap();
        worker.make_directory(folder, None).unwrap();
        worker.finish(None).unwrap();
        drop(worker);
        staging.commit(false).unwrap();
        let mode = |name: &str| fs::symlink_metadata(dest.join(name)).unwrap().mode() & 0o7777;
        let expected = if asked { 0o6755 } else { 0o755 };
        assert_eq!((mode("file"), mode("fifo"), mode("folder")), (expected, expected, 0o3777));
        for name in ["file", "fifo", "link", "folder"] {
            let stat = fs::symlink_metadata(dest.join(name)).unwrap();
            assert_eq!((stat.uid(), stat.gid(), stat.mtime()), (7, 8, 1_000_000_000), "{name}");
        }
        if asked {
            assert_eq!(device.unwrap().unwrap().kind, Kind::Device(null));
        } else {
            assert_eq!(device.unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}

#[test]
fn extended_attributes_are_set_and_refusals_are_noted() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("dest");
    let probe = dir.path().join("probe");
    fs::write(&probe, b"").unwrap();
    if rustix::fs::setxattr(&probe, "user.a", b"", rustix::fs::XattrFlags::empty()).is_err() {
        skip("no user xattrs in the temporary directory");
        return;
    }
    let staging = Staging::create(&dest, settings()).unwrap();
    let mut worker = staging.tree().worker();
    let xattrs: &[Xattr<'_>] = &[(b"user.a", b"1"), (b"user.b", b"")];
    let meta = Meta { xattrs: Some(xattrs), mode: 0o444, ..PLAIN };
    worker.write_small_file(DirId::ROOT, b"file", &meta, &[b"x"]).unwrap();
    let folder = staging.tree().add_directory(DirId::ROOT, b"folder", &meta).unwrap();
    worker.make_directory(folder, Some(xattrs)).unwrap();
    // A symlink cannot have `user.` attributes, and nobody has this kind.
    worker.symlink(DirId::ROOT, b"link", b"x", &meta).unwrap();
    worker
        .write_small_file(
            DirId::ROOT,
            b"odd",
            &Meta { xattrs: Some(&[(b"nobody.knows", b"")]), ..PLAIN },
            &[],
        )
        .unwrap();
    worker.finish(Some(&Meta { mode: 0o755, ..meta })).unwrap();
    drop(worker);
    assert_eq!(staging.tree().complaints().count, 3);
    assert!(staging.tree().complaints().first[0].contains("user.a"));
    staging.commit(false).unwrap();
    let value = |path: &Path, name: &str| {
        let mut buffer = [0; 8];
        rustix::fs::getxattr(path, name, &mut buffer[..]).map(|n| buffer[..n].to_vec())
    };
    for path in [dest.clone(), dest.join("file"), dest.join("folder")] {
        assert_eq!(value(&path, "user.a").unwrap(), b"1");
        assert_eq!(value(&path, "user.b").unwrap(), b"");
    }

    // In place: compared, set and taken away.
    let over = InPlace::open(&dest, settings()).unwrap();
    let mut worker = over.tree().worker();
    let other: &[Xattr<'_>] = &[(b"user.b", b"2")];
    let wanted = |xattrs| {
        [Wanted { name: b"file", kind: WantedKind::File(1), meta: Meta { xattrs: Some(xattrs), ..meta } }]
    };
    let mut yes = |_: usize, _: &ExistingFile<'_>| Ok(true);
    let survey = worker.survey(DirId::ROOT, wanted(xattrs), &mut yes).unwrap();
    assert_eq!(survey.verdicts, [Verdict::Keep]);
    let survey = worker.survey(DirId::ROOT, wanted(other), &mut yes).unwrap();
    assert_eq!(survey.verdicts, [Verdict::Fix]);
    worker.fix(DirId::ROOT, &wanted(other)[0]).unwrap();
    for (xattrs, differs) in [(xattrs, false), (other, true)] {
        let over = InPlace::open_shared(dir.path(), settings()).unwrap();
        let id = over.tree().add_directory(DirId::ROOT, b"dest", &FOLDER).unwrap();
        let kind = WantedKind::Directory(id);
        let wanted = [Wanted { name: b"dest", kind, meta: Meta { xattrs: Some(xattrs), ..FOLDER } }];
        let mut worker = over.tree().worker();
        worker.survey(DirId::ROOT, wanted, &mut yes).unwrap();
        assert_eq!(worker.differs(id), differs);
    }
    assert!(value(&dest.join("file"), "user.a").is_err());
    assert_eq!(value(&dest.join("file"), "user.b").unwrap(), b"2");
}

const DEFAULT_ACL: &str = "system.posix_acl_default";
pub(super) const ACL: &str = "system.posix_acl_access";
/// The id of an entry of an ACL that needs none.
pub(super) const NOBODY: u32 = u32::MAX;

/// An ACL of these entries: tag, permissions, id.
pub(super) fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        acl.extend_from_slice(&tag.to_le_bytes());
        acl.extend_from_slice(&permissions.to_le_bytes());
        acl.extend_from_slice(&id.to_le_bytes());
    }
    acl
}

fn set_default_acl(path: &Path, acl: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::setxattr(path, DEFAULT_ACL, acl, rustix::fs::XattrFlags::empty())
}

fn value(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut buffer = [0; 256];
    rustix::fs::getxattr(path, name, &mut buffer[..]).ok().map(|length| buffer[..length].to_vec())
}

#[test]
fn in_place_a_default_acl_stays_and_what_is_made_there_has_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let gives = acl(&[(1, 7, NOBODY), (2, 7, 1234), (4, 5, NOBODY), (0x10, 7, NOBODY), (0x20, 5, NOBODY)]);
    let own = acl(&[(1, 6, NOBODY), (2, 4, 1234), (4, 4, NOBODY), (0x10, 4, NOBODY), (0x20, 0, NOBODY)]);
    for name in ["equal", "unwanted"] {
        fs::create_dir(at(name)).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for name in ["equal", "unwanted", "."] {
        if set_default_acl(&at(name), &gives).is_err() {
            skip("no ACLs in the temporary directory");
            return;
        }
    }
    let default: &[Xattr<'_>] = &[(DEFAULT_ACL.as_bytes(), &gives)];
    let none: &[Xattr<'_>] = &[];
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let mut worker = over.tree().worker();
    let folders = [(&b"equal"[..], default), (b"new", default), (b"unwanted", none)].map(|(name, xattrs)| {
        let meta = Meta { xattrs: Some(xattrs), mtime: None, ..FOLDER };
        (over.tree().add_directory(DirId::ROOT, name, &meta).unwrap(), name, meta)
    });
    let wanted = folders.map(|(id, name, meta)| Wanted { name, kind: WantedKind::Directory(id), meta });
    worker.survey(DirId::ROOT, wanted, &mut |_, _| Ok(true)).unwrap();
    let changed = || fs::metadata(at("equal")).map(|stat| (stat.ctime(), stat.ctime_nsec())).unwrap();
    let before = changed();
    for (id, _, meta) in folders {
        worker.make_directory(id, meta.xattrs).unwrap();
    }
    assert_eq!(changed(), before, "nothing was done to it");
    let defaults = || ["equal", "new", "unwanted", "."].map(|name| value(&at(name), DEFAULT_ACL));
    let then = [Some(gives.clone()), Some(gives.clone()), None, Some(gives.clone())];
    // Whoever is killed from here on leaves them so.
    assert_eq!(defaults(), then);
    assert_eq!(value(&at("new"), ACL), None);
    let plain = Meta { mode: 0o640, xattrs: Some(none), ..PLAIN };
    let with_acl = Meta { xattrs: Some(&[(ACL.as_bytes(), &own)]), ..plain };
    for id in folders.map(|(id, ..)| id).into_iter().chain([DirId::ROOT]) {
        worker.write_small_file(id, b"file", &plain, &[b"x"]).unwrap();
        worker.write_small_file(id, b"with an ACL", &with_acl, &[b"x"]).unwrap();
        worker.fifo(id, b"fifo", &plain).unwrap();
        let big = worker.create_file(id, b"big", &plain, 1).unwrap();
        // Nobody reads by what it was given what is not for them.
        let temporary = names_in(&at("equal")).into_iter().find(|name| name.starts_with(".floe"));
        if let Some(temporary) = temporary {
            assert_eq!(fs::metadata(at("equal").join(temporary)).unwrap().mode() & 0o077, 0);
        }
        worker.finish_file(big, &plain).unwrap();
    }
    worker.finish(None).unwrap();
    assert_eq!(defaults(), then);
    for directory in ["equal", "new", "unwanted", "."].map(at) {
        for name in ["file", "with an ACL", "fifo", "big"] {
            let path = directory.join(name);
            let expected = (name == "with an ACL").then(|| own.clone());
            assert_eq!(value(&path, ACL), expected, "{}", path.display());
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640, "{}", path.display());
        }
    }
    assert_eq!(over.tree().complaints().count, 0);
    // Where extended attributes are not restored, it has what the directory gives.
    worker.write_small_file(DirId::ROOT, b"file", &PLAIN, &[b"x"]).unwrap();
    assert!(value(&at("file"), ACL).is_some());
}

#[test]
fn a_default_acl_above_changes_no_mode() {
    let dir = tempfile::tempdir().unwrap();
    // user::rwx group::--- mask::--- other::---
    let acl = acl(&[(1, 7, NOBODY), (4, 0, NOBODY), (0x20, 0, NOBODY)]);
    if set_default_acl(dir.path(), &acl).is_err() {
        skip("no ACLs in the temporary directory");
        return;
    }
    let dest = dir.path().join("dest");
    let staging = Staging::create(&dest, settings()).unwrap();
    let mut worker = staging.tree().worker();
    let folder = staging.tree().add_directory(DirId::ROOT, b"folder", &FOLDER).unwrap();
    let late: &[Xattr<'_>] = &[(b"system.posix_acl_default", &acl)];
    worker.make_directory(folder, Some(late)).unwrap();
    worker.write_small_file(folder, b"file", &PLAIN, &[]).unwrap();
    worker.finish(Some(&FOLDER)).unwrap();
    drop(worker);
    staging.commit(false).unwrap();
    let mode = |name: &str| fs::metadata(dest.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("folder"), mode("folder/file")), (0o755, 0o644));
    let mut buffer = [0; 64];
    let length =
        rustix::fs::getxattr(dest.join("folder"), "system.posix_acl_default", &mut buffer[..]).unwrap();
    assert_eq!(buffer[..length], acl);
    // In place the ACL is still there while files are written.
    let over = InPlace::open(&dest, settings()).unwrap();
    let folder = over.tree().add_directory(DirId::ROOT, b"folder", &FOLDER).unwrap();
    let mut worker = over.tree().worker();
    worker.make_directory(folder, None).unwrap();
    worker.write_small_file(folder, b"new", &PLAIN, &[]).unwrap();
    assert_eq!(mode("folder/new"), 0o644);
    // An empty directory that gives it to what is made in it is written in place, for only there it is compared.
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let there = InPlace::open(&empty, settings()).unwrap();
    assert!(Staging::within(&there, &empty, settings()).unwrap().is_none());
    rustix::fs::removexattr(&empty, "system.posix_acl_default").unwrap();
    assert!(Staging::within(&there, &empty, settings()).unwrap().is_some());
}

/// It gives its owner no `w`, by its mode and by its ACL.
#[test]
fn a_read_only_directory_with_an_acl_is_written_in() {
    let dir = tempfile::tempdir().unwrap();
    let own = acl(&[(1, 5, NOBODY), (2, 7, 1234), (4, 5, NOBODY), (0x10, 5, NOBODY), (0x20, 5, NOBODY)]);
    if rustix::fs::setxattr(dir.path(), ACL, &own, rustix::fs::XattrFlags::empty()).is_err() {
        return skip("no ACLs in the temporary directory");
    }
    for in_place in [false, true] {
        let above = tempfile::tempdir().unwrap();
        let dest = above.path().join("dest");
        unprivileged(above.path(), || {
            let written = Written::open(&dest, in_place);
            let mut worker = written.tree().worker();
            let xattrs: &[Xattr<'_>] = &[(ACL.as_bytes(), &own)];
            let meta = Meta { mode: 0o555, xattrs: Some(xattrs), ..FOLDER };
            let id = written.tree().add_directory(DirId::ROOT, b"folder", &meta).unwrap();
            worker.make_directory(id, Some(xattrs)).unwrap();
            worker.write_small_file(id, b"file", &PLAIN, &[b"x"]).unwrap();
            worker.finish(None).unwrap();
            assert_eq!(written.tree().complaints().count, 0);
            drop(worker);
            written.commit();
        });
        let folder = dest.join("folder");
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o7777, 0o555);
        assert_eq!((value(&folder, ACL), names_in(&folder)), (Some(own.clone()), vec!["file".to_owned()]));
    }
}

#[test]
fn what_a_default_acl_closes_is_written_in() {
    let dir = tempfile::tempdir().unwrap();
    for owner in [5, 0] {
        let above = tempfile::tempdir_in(dir.path()).unwrap();
        let closed = acl(&[(1, owner, NOBODY), (4, 5, NOBODY), (0x20, 5, NOBODY)]);
        if set_default_acl(above.path(), &closed).is_err() {
            return skip("no ACLs in the temporary directory");
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for xattrs in [None, Some(&[(&b"user.x"[..], &b"1"[..])][..])] {
            let meta = Meta { xattrs, ..FOLDER };
            let name = if xattrs.is_some() { "with" } else { "without" };
            unprivileged(above.path(), || {
                let over = InPlace::open(above.path(), settings()).unwrap();
                let mut worker = over.tree().worker();
                let id = over.tree().add_directory(DirId::ROOT, name.as_bytes(), &meta).unwrap();
                let inner = over.tree().add_directory(id, b"inner", &meta).unwrap();
                worker.make_directory(id, xattrs).unwrap();
                worker.make_directory(inner, xattrs).unwrap();
                worker.write_small_file(inner, b"file", &PLAIN, &[b"x"]).unwrap();
                worker.finish(None).unwrap();
                assert_eq!(over.tree().complaints().count, 0);
            });
            for path in [name, &format!("{name}/inner")].map(|path| above.path().join(path)) {
                assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o755, "{}", path.display());
                assert_eq!(value(&path, "user.x").is_some(), xattrs.is_some());
            }
        }
    }
}

/// The ACL comes with a mode by which no other extended attribute may be set.
#[test]
fn a_read_only_file_gets_its_acl_and_all_else() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path();
    let own = acl(&[(1, 4, NOBODY), (2, 4, 1234), (4, 4, NOBODY), (0x10, 4, NOBODY), (0x20, 4, NOBODY)]);
    if rustix::fs::setxattr(dest, ACL, &own, rustix::fs::XattrFlags::empty()).is_err() {
        return skip("no ACLs in the temporary directory");
    }
    rustix::fs::removexattr(dest, ACL).unwrap();
    fs::set_permissions(dest, fs::Permissions::from_mode(0o755)).unwrap();
    unprivileged(dest, || {
        let xattrs: &[Xattr<'_>] = &[(ACL.as_bytes(), &own), (b"user.x", b"1")];
        let meta = Meta { mode: 0o444, xattrs: Some(xattrs), ..PLAIN };
        let over = InPlace::open(dest, settings()).unwrap();
        let mut worker = over.tree().worker();
        worker.write_small_file(DirId::ROOT, b"written", &meta, &[b"x"]).unwrap();
        fs::write(dest.join("fixed"), b"x").unwrap();
        let wanted = Wanted { name: b"fixed", kind: WantedKind::File(1), meta };
        let survey = worker.survey(DirId::ROOT, [wanted], &mut |_, _| Ok(true)).unwrap();
        assert_eq!(survey.verdicts, [Verdict::Fix]);
        worker.fix(DirId::ROOT, &wanted).unwrap();
        assert_eq!(over.tree().complaints().first, [""; 0]);
    });
    for path in ["written", "fixed"].map(|name| dest.join(name)) {
        assert_eq!((value(&path, ACL), value(&path, "user.x")), (Some(own.clone()), Some(b"1".to_vec())));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o444);
    }
}

/// It is equal whatever is in it, and of its extended attributes nothing may be read.
#[test]
fn an_empty_file_that_may_not_be_read_gets_its_attributes() {
    let dir = tempfile::tempdir().unwrap();
    for (before, then) in [(0o000, 0o644), (0o200, 0o000)] {
        let (path, xattrs): (_, &[Xattr<'_>]) = (dir.path().join("file"), &[(b"user.x", b"1")]);
        let fixed = unprivileged(dir.path(), || {
            fs::write(&path, b"").unwrap();
            if rustix::fs::setxattr(&path, "user.y", b"", rustix::fs::XattrFlags::empty()).is_err() {
                skip("no user xattrs in the temporary directory");
                return false;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
            let meta = Meta { mode: then, xattrs: Some(xattrs), ..PLAIN };
            let over = InPlace::open(dir.path(), settings()).unwrap();
            let mut worker = over.tree().worker();
            let wanted = Wanted { name: b"file", kind: WantedKind::File(0), meta };
            let survey = worker.survey(DirId::ROOT, [wanted], &mut |_, _| Ok(true)).unwrap();
            assert_eq!(survey.verdicts, [Verdict::Fix]);
            worker.fix(DirId::ROOT, &wanted).unwrap();
            assert_eq!(over.tree().complaints().count, 0);
            true
        });
        if fixed && is_root("to look at it") {
            assert_eq!((value(&path, "user.x"), value(&path, "user.y")), (Some(b"1".to_vec()), None));
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, then);
        }
        fs::remove_file(&path).unwrap();
    }
}
