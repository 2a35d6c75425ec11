//! What others may do in a destination meanwhile, and what of theirs is left alone.

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn others_do_not_write_in_a_new_directory_before_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let modes = [(&b"a"[..], 0o1777), (b"b", 0o2775), (b"c", 0o070), (b"d", 0o755)];
    let mut worker = over.tree().worker();
    for (name, mode) in modes {
        let id = over.tree().add_directory(DirId::ROOT, name, &Meta { mode, ..FOLDER }).unwrap();
        worker.make_directory(id, None).unwrap();
    }
    let modes_now = || ["a", "b", "c", "d"].map(|name| mode(&dir.path().join(name)));
    assert_eq!(modes_now(), [0o755, 0o755, 0o750, 0o755]);
    worker.finish(None).unwrap();
    assert_eq!(modes_now(), modes.map(|(_, mode)| mode));
}

#[test]
fn others_lose_rights_before_anything_is_written_and_get_them_after() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let modes = [("a", 0o777, 0o755, 0o755), ("b", 0o777, 0o1777, 0o1777), ("c", 0o700, 0o777, 0o700)];
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let ids = modes.map(|(name, now, then, _)| {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(now)).unwrap();
        let meta = Meta { mode: then, ..FOLDER };
        (over.tree().add_directory(DirId::ROOT, name.as_bytes(), &meta).unwrap(), name, meta)
    });
    let wanted =
        ids.map(|(id, name, meta)| Wanted { name: name.as_bytes(), kind: WantedKind::Directory(id), meta });
    let mut worker = over.tree().worker();
    worker.survey(DirId::ROOT, wanted, &mut |_, _| Ok(true)).unwrap();
    worker.tighten(&Meta { mode: 0o1775, ..FOLDER }).unwrap();
    for (name, _, _, early) in modes {
        assert_eq!(mode(&dir.path().join(name)), early, "{name}");
    }
    assert_eq!(mode(dir.path()), 0o1775);
    worker.finish(None).unwrap();
    for (name, _, then, _) in modes {
        assert_eq!(mode(&dir.path().join(name)), then, "{name}");
    }
}

#[test]
fn directories_change_owners_before_anything_is_written_in_them() {
    if !is_root("owners") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("dest");
    let (there, root, then) = (
        dest.join("there"),
        Owner { user: 0, group: 0 },
        Meta { owner: Some(Owner { user: 7, group: 8 }), ..FOLDER },
    );
    fs::create_dir_all(&there).unwrap();
    let owner =
        |path: &Path| fs::metadata(path).map(|stat| Owner { user: stat.uid(), group: stat.gid() }).unwrap();
    let over = InPlace::open(&dest, settings()).unwrap();
    let id = over.tree().add_directory(DirId::ROOT, b"there", &then).unwrap();
    let wanted = [Wanted { name: b"there", kind: WantedKind::Directory(id), meta: then }];
    let mut worker = over.tree().worker();
    worker.survey(DirId::ROOT, wanted, &mut |_, _| Ok(true)).unwrap();
    assert_eq!([owner(&dest), owner(&there)], [root; 2]);
    worker.tighten(&then).unwrap();
    assert_eq!([Some(owner(&dest)), Some(owner(&there))], [then.owner; 2]);
}

#[test]
fn a_file_of_more_names_that_was_put_there_is_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (outside, dest) = (dir.path().join("outside"), dir.path().join("dest"));
    fs::create_dir(&dest).unwrap();
    for path in [&outside, &dest.join("file")] {
        fs::write(path, b"x").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let over = InPlace::open(&dest, settings()).unwrap();
    let mut worker = over.tree().worker();
    let wanted = [Wanted { name: b"file", kind: WantedKind::File(1), meta: PLAIN }];
    let survey = worker.survey(DirId::ROOT, wanted, &mut |_, _| Ok(true)).unwrap();
    assert_eq!(survey.verdicts, [Verdict::Fix]);
    fs::remove_file(dest.join("file")).unwrap();
    fs::hard_link(&outside, dest.join("file")).unwrap();
    let before = fs::metadata(&outside).unwrap();
    assert_eq!(worker.fix(DirId::ROOT, &wanted[0]).unwrap_err().kind(), ErrorKind::Conflict);
    let after = fs::metadata(&outside).unwrap();
    assert_eq!((after.mode(), after.mtime_nsec()), (before.mode(), before.mtime_nsec()));
}

/// The names of a directory that a survey finds too many.
fn extra(over: &InPlace) -> Vec<String> {
    let survey = over.tree().worker().survey(DirId::ROOT, [], &mut |_, _| Ok(true)).unwrap();
    survey.extra.into_iter().map(|name| String::from_utf8(name).unwrap()).collect()
}

#[test]
fn what_a_living_pull_stages_beside_is_no_extra() {
    let dir = tempfile::tempdir().unwrap();
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let living = Staging::create(&dir.path().join("dest"), settings()).unwrap();
    assert_eq!(names_in(dir.path()), [".dest.floe-000000000000f10e"]);
    assert_eq!(extra(&over), [""; 0]);
    drop(living);
    let others = [".dest.floe-000000000000f10e", ".floe-000000000000f10e", ".x.floe-f10e"];
    for name in others {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    assert_eq!(extra(&over), others);
}

#[test]
fn what_is_staged_beside_is_removed_by_who_has_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let over = InPlace::open(dir.path(), Settings { delete: true, ..settings() }).unwrap();
    let staged = dir.path().join(".dest.floe-00000000000000ad");
    // Somebody has made it and has not locked it yet when it is found.
    fs::create_dir(&staged).unwrap();
    assert_eq!(extra(&over), [".dest.floe-00000000000000ad"]);
    let lock = fs::File::open(&staged).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut worker = over.tree().worker();
    let mut remove = || worker.remove(DirId::ROOT, b".dest.floe-00000000000000ad");
    // Neither empty nor with entries.
    assert!(!remove().unwrap());
    fs::create_dir(staged.join("inner")).unwrap();
    fs::write(staged.join("inner/file"), b"x").unwrap();
    assert!(!remove().unwrap());
    assert!(staged.join("inner/file").exists());
    // Nor is one replaced.
    let mut worker = over.tree().worker();
    assert!(worker.write_small_file(DirId::ROOT, b".dest.floe-00000000000000ad", &PLAIN, &[b"x"]).is_err());
    assert_eq!(names_in(dir.path()), [".dest.floe-00000000000000ad"]);
    drop(lock);
    assert!(remove().unwrap());
    assert_eq!(names_in(dir.path()), [""; 0]);
    // What only has such a name is removed as anything else.
    symlink("nowhere", &staged).unwrap();
    assert!(remove().unwrap());
    assert_eq!(names_in(dir.path()), [""; 0]);
}

#[test]
fn a_pull_that_is_to_stop_removes_nothing_but_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, dest) = (Settings { delete: true, ..settings() }, dir.path().join("dest"));
    fs::create_dir_all(dir.path().join("full/inner")).unwrap();
    fs::write(dir.path().join("file"), b"x").unwrap();
    let over = InPlace::open(dir.path(), settings.clone()).unwrap();
    let staging = Staging::create(&dest, settings.clone()).unwrap();
    let mut worker = staging.tree().worker();
    worker.write_small_file(DirId::ROOT, b"file", &PLAIN, &[b"x"]).unwrap();
    drop(worker);
    settings.stop.cancel();
    let mut worker = over.tree().worker();
    for name in [&b"file"[..], b"full"] {
        assert_eq!(worker.remove(DirId::ROOT, name).unwrap_err().kind(), ErrorKind::Cancelled);
    }
    let replaced = worker.write_small_file(DirId::ROOT, b"full", &PLAIN, &[b"x"]).unwrap_err();
    assert_eq!(replaced.kind(), ErrorKind::Cancelled);
    drop(staging);
    assert_eq!(names_in(dir.path()), ["file", "full"]);
}

/// Who writes single names clears what was left of them, where nobody else does the same.
#[test]
fn left_files_are_cleared_by_who_is_alone() {
    let dir = tempfile::tempdir().unwrap();
    let names = [".floe-00000000000000ad-0.tmp", ".floe-00000000000000ad-1.tmp"];
    fs::write(dir.path().join(names[0]), b"half").unwrap();
    fs::create_dir(dir.path().join(names[1])).unwrap();
    let found: Vec<_> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    let one = InPlace::open_shared(dir.path(), settings()).unwrap();
    let another = InPlace::open_shared(dir.path(), settings()).unwrap();
    one.remove_stale_files(&found).unwrap();
    assert_eq!(names_in(dir.path()), names);
    drop(another);
    one.remove_stale_files(&found).unwrap();
    assert_eq!(names_in(dir.path()), [names[1]]);
    // And it is held as before.
    InPlace::open_shared(dir.path(), settings()).unwrap();
    assert_eq!(InPlace::open(dir.path(), settings()).unwrap_err().kind(), ErrorKind::Conflict);
}

/// A file that somebody else has mapped stays theirs to write, whatever is done to its owner and mode.
#[test]
fn what_others_can_write_is_replaced_where_it_would_get_rights() {
    use std::os::unix::fs::chown;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    if !is_root("who is not replaces all that is of others") {
        return;
    }
    chown(&file, Some(65534), Some(65534)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let root = Owner { user: 0, group: 0 };
    let theirs = Owner { user: 65534, group: 65534 };
    for (mode, owner, expected) in [
        (0o644, None, Verdict::Fix),
        (0o644, Some(theirs), Verdict::Fix),
        (0o755, Some(root), Verdict::Replace),
        (0o4755, None, Verdict::Replace),
        (0o2755, Some(theirs), Verdict::Replace),
    ] {
        let over = InPlace::open(dir.path(), Settings { special_bits: true, ..settings() }).unwrap();
        let meta = Meta { mode, owner, recorded_owner: Some(theirs), ..PLAIN };
        let wanted = [Wanted { name: b"file", kind: WantedKind::File(1), meta }];
        let survey = over.tree().worker().survey(DirId::ROOT, wanted, &mut |_, _| Ok(true)).unwrap();
        assert_eq!(survey.verdicts, [expected], "{mode:o} {owner:?}");
    }
}
