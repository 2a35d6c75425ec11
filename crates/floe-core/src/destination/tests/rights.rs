//! Who may do what between the steps in which something gets its owner, mode and ACL, and to what those are given.

use std::os::fd::AsFd;

use rustix::fs::{XattrFlags, getxattr, setxattr};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::super::attributes::Handle;
use super::attributes::{ACL, NOBODY, acl};
use super::*;

const OTHER: Owner = Owner { user: 0, group: 42 };

fn us() -> Owner {
    Owner { user: rustix::process::geteuid().as_raw(), group: rustix::process::getegid().as_raw() }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// An ACL by which somebody has all, the group what is given here, and the mode's group bits are `mask`.
fn acl_of(group: u16, mask: u16) -> Vec<u8> {
    acl(&[(1, 7, NOBODY), (2, 7, 65534), (4, group, NOBODY), (0x10, mask, NOBODY), (0x20, 0, NOBODY)])
}

/// One that no kernel takes: somebody is named, and there is no mask.
fn refused_acl(group: u16) -> Vec<u8> {
    acl(&[(1, 7, NOBODY), (2, 7, 65534), (4, group, NOBODY), (0x20, 0, NOBODY)])
}

fn can_set_acl(path: &Path, acl: &[u8]) -> bool {
    let can = setxattr(path, ACL, acl, XattrFlags::empty()).is_ok();
    if !can {
        skip("no ACLs in the temporary directory");
    }
    can
}

fn has_acl(path: &Path) -> bool {
    getxattr(path, ACL, &mut [0; 256][..]).is_ok()
}

/// The path of the one temporary file in a directory.
fn temporary(directory: &Path) -> std::path::PathBuf {
    directory.join(names_in(directory).into_iter().find(|name| name.starts_with(".floe")).unwrap())
}

/// The mode is meant for the owner and group that come after, and not for those that it is made with.
#[test]
fn what_is_to_have_an_owner_or_an_acl_is_nobody_elses_until_then() {
    let dir = tempfile::tempdir().unwrap();
    let acl = acl_of(0, 6);
    let with_acl: &[Xattr<'_>] = &[(ACL.as_bytes(), &acl)];
    let owner = Some(us());
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let mut worker = over.tree().worker();
    for (name, owner, xattrs) in [("a", owner, None), ("b", None, Some(with_acl))] {
        let meta = Meta { mode: 0o660, owner, xattrs, ..PLAIN };
        let file = worker.create_file(DirId::ROOT, b"file", &meta, 0).unwrap();
        assert_eq!(mode(&temporary(dir.path())), 0o600);
        worker.finish_file(file, &meta).unwrap();
        assert_eq!(mode(&dir.path().join("file")), 0o660);
        // What has no content is made and given away in one call.
        assert_eq!(worker.early_permissions(DirId::ROOT, &meta), 0o700);
        let folder = Meta { mode: 0o770, ..meta };
        let id = over.tree().add_directory(DirId::ROOT, name.as_bytes(), &folder).unwrap();
        worker.make_directory(id, xattrs).unwrap();
        assert_eq!(mode(&dir.path().join(name)), 0o700);
    }
    worker.finish(None).unwrap();
    for name in ["a", "b"] {
        assert_eq!(mode(&dir.path().join(name)), 0o770);
    }
    assert_eq!(has_acl(&dir.path().join("b")), over.tree().complaints().count == 0);
}

#[test]
fn where_an_acl_is_refused_the_group_has_no_more_than_it_says() {
    let dir = tempfile::tempdir().unwrap();
    for in_place in [false, true] {
        let dest = dir.path().join(format!("{in_place}"));
        let written = Written::open(&dest, in_place);
        let tree = written.tree();
        let mut worker = tree.worker();
        for (name, group) in [("none", 0), ("reads", 4)] {
            let acl = refused_acl(group);
            let xattrs: &[Xattr<'_>] = &[(ACL.as_bytes(), &acl)];
            let meta = Meta { mode: 0o760, xattrs: Some(xattrs), ..PLAIN };
            worker.write_small_file(DirId::ROOT, name.as_bytes(), &meta, &[b"x"]).unwrap();
            worker.fifo(DirId::ROOT, format!("fifo {name}").as_bytes(), &meta).unwrap();
            let folder = format!("z {name}");
            let id = tree.add_directory(DirId::ROOT, folder.as_bytes(), &meta).unwrap();
            worker.make_directory(id, Some(xattrs)).unwrap();
        }
        let root_acl = refused_acl(0);
        let root = Meta { mode: 0o770, xattrs: Some(&[(ACL.as_bytes(), &root_acl)]), ..PLAIN };
        worker.finish(Some(&root)).unwrap();
        assert_eq!(tree.complaints().count, 7);
        drop(worker);
        written.commit();
        let modes = ["none", "fifo none", "z none", "reads", "fifo reads", "z reads"];
        assert_eq!(modes.map(|name| mode(&dest.join(name))), [0o700, 0o700, 0o700, 0o740, 0o740, 0o740]);
        assert_eq!(mode(&dest), 0o700);
    }
}

#[test]
fn an_acl_that_goes_leaves_the_group_nothing_of_what_it_gave() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    if !can_set_acl(&file, &acl_of(0, 6)) {
        return;
    }
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let worker = over.tree().worker();
    let handle = Handle::place(over.tree().root.as_fd(), b"file").unwrap();
    assert_eq!(mode(&file), 0o760);
    assert!(worker.bring_xattrs(&handle, DirId::ROOT, b"file", &[]).unwrap().is_some());
    assert_eq!((has_acl(&file), mode(&file)), (false, 0o700));
}

/// By its mode alone it is as it should be.
#[test]
fn an_acl_of_a_directory_gives_nothing_while_something_is_written_there() {
    let dir = tempfile::tempdir().unwrap();
    let (dest, there) = (dir.path().join("dest"), dir.path().join("dest/there"));
    fs::create_dir_all(&there).unwrap();
    for path in [&dest, &there] {
        if !can_set_acl(path, &acl_of(7, 7)) {
            return;
        }
        set_mode(path, 0o770);
    }
    let over = InPlace::open(&dest, settings()).unwrap();
    let mut worker = over.tree().worker();
    let meta = Meta { mode: 0o770, xattrs: Some(&[]), ..FOLDER };
    let id = over.tree().add_directory(DirId::ROOT, b"there", &meta).unwrap();
    let wanted = [Wanted { name: b"there", kind: WantedKind::Directory(id), meta }];
    worker.survey(DirId::ROOT, wanted, &mut |_, _| Ok(true)).unwrap();
    worker.tighten(&meta).unwrap();
    for path in [&dest, &there] {
        assert_eq!((has_acl(path), mode(path)), (true, 0o700));
    }
    worker.make_directory(id, meta.xattrs).unwrap();
    worker.finish(Some(&meta)).unwrap();
    for path in [&dest, &there] {
        assert_eq!((has_acl(path), mode(path)), (false, 0o770));
    }
    // One that stays gives what it gives.
    let kept = acl_of(7, 7);
    setxattr(&dest, ACL, &kept, XattrFlags::empty()).unwrap();
    let with_acl: &[Xattr<'_>] = &[(ACL.as_bytes(), &kept)];
    worker.tighten(&Meta { xattrs: Some(with_acl), ..meta }).unwrap();
    assert_eq!(mode(&dest), 0o770);
}

/// The new owner's group never has what only the old one has.
#[test]
fn rights_are_taken_away_before_the_owner_changes() {
    if !is_root("owners") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    set_mode(&file, 0o670);
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let wanted = |owner| {
        let meta = Meta { mode: 0o604, owner: Some(owner), ..PLAIN };
        Wanted { name: b"file", kind: WantedKind::File(1), meta }
    };
    std::thread::scope(|scope| {
        let may_not = scope.spawn(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::CHOWN);
            set_capabilities(None, sets).unwrap();
            let mut worker = over.tree().worker();
            let wanted = wanted(Owner { user: 7, group: 8 });
            let survey = worker.survey(DirId::ROOT, [wanted], &mut |_, _| Ok(true)).unwrap();
            assert_eq!(survey.verdicts, [Verdict::Fix]);
            worker.fix(DirId::ROOT, &wanted).unwrap_err().kind()
        });
        assert_eq!(may_not.join().unwrap(), ErrorKind::Denied);
    });
    assert_eq!(mode(&file), 0o600);
    let mut worker = over.tree().worker();
    worker.survey(DirId::ROOT, [wanted(OTHER)], &mut |_, _| Ok(true)).unwrap();
    worker.fix(DirId::ROOT, &wanted(OTHER)).unwrap();
    let stat = fs::metadata(&file).unwrap();
    assert_eq!((mode(&file), stat.uid(), stat.gid()), (0o604, 0, 42));
}

/// Where others may write they can put something of their own there after it was looked at.
#[test]
fn only_what_was_looked_at_is_fixed() {
    let dir = tempfile::tempdir().unwrap();
    let (tool, others) = (dir.path().join("tool"), dir.path().join("others"));
    let over = InPlace::open(dir.path(), Settings { special_bits: true, ..settings() }).unwrap();
    let mut worker = over.tree().worker();
    let recorded_owner = Some(us());
    let meta = Meta { mode: 0o4755, recorded_owner, ..PLAIN };
    let wanted = Wanted { name: b"tool", kind: WantedKind::File(1), meta };
    let replace = |_: &Path| fs::rename(&others, &tool).unwrap();
    let write = |tool: &Path| fs::write(tool, b"y").unwrap();
    for change in [&replace as &dyn Fn(&Path), &write] {
        for path in [&tool, &others] {
            fs::write(path, b"x").unwrap();
            set_mode(path, 0o755);
        }
        let survey = worker.survey(DirId::ROOT, [wanted], &mut |_, _| Ok(true)).unwrap();
        assert_eq!(survey.verdicts, [Verdict::Fix]);
        change(&tool);
        assert_eq!(worker.fix(DirId::ROOT, &wanted).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(mode(&tool), 0o755);
    }
    worker.survey(DirId::ROOT, [wanted], &mut |_, _| Ok(true)).unwrap();
    worker.fix(DirId::ROOT, &wanted).unwrap();
    assert_eq!(mode(&tool), 0o4755);
}

/// Who may write above them renames them; what is in one is not for those whom the mode of the other lets in.
#[test]
fn a_directory_in_the_place_of_another_does_not_get_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let mut worker = over.tree().worker();
    let folders = [("made", 0o755), ("private", 0o700), ("pub", 0o755)].map(|(name, mode)| {
        let meta = Meta { mode, ..FOLDER };
        (over.tree().add_directory(DirId::ROOT, name.as_bytes(), &meta).unwrap(), name, meta)
    });
    for (_, name, meta) in &folders[1..] {
        fs::create_dir(at(name)).unwrap();
        set_mode(&at(name), meta.mode);
    }
    let wanted = folders.map(|(id, name, meta)| Wanted {
        name: name.as_bytes(),
        kind: WantedKind::Directory(id),
        meta,
    });
    worker.survey(DirId::ROOT, wanted, &mut |_, _| Ok(true)).unwrap();
    for (id, ..) in folders {
        worker.make_directory(id, None).unwrap();
    }
    fs::write(at("private/file"), b"x").unwrap();
    for name in ["pub", "made"] {
        let swap = || {
            for (from, to) in [("private", "aside"), (name, "private"), ("aside", name)] {
                fs::rename(at(from), at(to)).unwrap();
            }
        };
        swap();
        let refused = worker.finish(None).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
        // Nor is anything written there, nor an attribute set.
        let private = folders[1].0;
        assert_eq!(worker.make_directory(private, Some(&[])).unwrap_err().kind(), ErrorKind::Conflict);
        let written = worker.write_small_file(private, b"new", &PLAIN, &[b"x"]);
        assert_eq!(written.unwrap_err().kind(), ErrorKind::Conflict);
        worker.tighten(&FOLDER).unwrap();
        assert_eq!(mode(&at(name)), 0o700, "{name}");
        swap();
    }
    worker.finish(None).unwrap();
    assert_eq!(folders.map(|(_, name, _)| mode(&at(name))), [0o755, 0o700, 0o755]);
}

/// They lend the rights of the owner that the snapshot has, and nobody else's.
#[test]
fn setuid_and_setgid_are_for_the_owner_that_they_were_for() {
    let dir = tempfile::tempdir().unwrap();
    let another = Owner { user: us().user ^ 1, ..us() };
    let another_group = Owner { group: us().group ^ 1, ..us() };
    let mut given = vec![(None, Some(us()), 0o7755), (None, None, 0o7755)];
    given.extend([another, another_group].map(|recorded| (None, Some(recorded), 0o1755)));
    given.push((Some(us()), Some(us()), 0o7755));
    for (number, (owner, recorded_owner, expected)) in given.into_iter().enumerate() {
        let meta = Meta { mode: 0o7755, owner, recorded_owner, ..PLAIN };
        let settings = Settings { special_bits: true, ..settings() };
        let left_out = u64::from(expected != 0o7755);
        let fresh = dir.path().join(format!("fresh {number}"));
        let staging = Staging::create(&fresh, settings.clone()).unwrap();
        let mut worker = staging.tree().worker();
        worker.write_small_file(DirId::ROOT, b"file", &meta, &[b"x"]).unwrap();
        worker.fifo(DirId::ROOT, b"fifo", &meta).unwrap();
        worker.symlink(DirId::ROOT, b"link", b"x", &meta).unwrap();
        worker.finish(None).unwrap();
        drop(worker);
        assert_eq!(staging.tree().complaints().count, 2 * left_out);
        staging.commit(false).unwrap();
        assert_eq!([mode(&fresh.join("file")), mode(&fresh.join("fifo"))], [expected; 2]);
        // What is equal but for that stays, what has them loses them, and what is written over is as if it were new.
        for (before, verdict) in [(0o1755, Verdict::Fix), (0o7755, Verdict::Fix), (0o755, Verdict::Fix)] {
            set_mode(&fresh.join("file"), before);
            let over = InPlace::open(&fresh, settings.clone()).unwrap();
            let mut worker = over.tree().worker();
            let wanted = Wanted { name: b"file", kind: WantedKind::File(1), meta };
            let verdicts = worker.survey(DirId::ROOT, [wanted], &mut |_, _| Ok(true)).unwrap().verdicts;
            let verdict = if before == expected { Verdict::Keep } else { verdict };
            assert_eq!(verdicts, [verdict], "{before:o} {owner:?} {recorded_owner:?}");
            if verdict == Verdict::Fix {
                worker.fix(DirId::ROOT, &wanted).unwrap();
            }
            assert_eq!(mode(&fresh.join("file")), expected);
            let complaints = over.tree().complaints();
            assert_eq!(complaints.count, left_out, "{complaints:?}");
            worker.write_small_file(DirId::ROOT, b"file", &meta, &[b"x"]).unwrap();
            assert_eq!(mode(&fresh.join("file")), expected);
        }
    }
}
