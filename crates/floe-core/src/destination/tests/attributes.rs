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

#[test]
fn a_default_acl_above_changes_no_mode() {
    let dir = tempfile::tempdir().unwrap();
    // user::rwx group::--- mask::--- other::---
    let acl: Vec<u8> = [2_u32.to_le_bytes().to_vec()]
        .into_iter()
        .chain([(1_u16, 7_u16), (4, 0), (0x20, 0)].iter().map(|&(tag, perm)| {
            let mut entry = tag.to_le_bytes().to_vec();
            entry.extend_from_slice(&perm.to_le_bytes());
            entry.extend_from_slice(&u32::MAX.to_le_bytes());
            entry
        }))
        .flatten()
        .collect();
    if rustix::fs::setxattr(dir.path(), "system.posix_acl_default", &acl, rustix::fs::XattrFlags::empty())
        .is_err()
    {
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
