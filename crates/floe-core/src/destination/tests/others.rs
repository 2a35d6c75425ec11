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
    worker.tighten().unwrap();
    for (name, _, _, early) in modes {
        assert_eq!(mode(&dir.path().join(name)), early, "{name}");
    }
    worker.finish(None).unwrap();
    for (name, _, then, _) in modes {
        assert_eq!(mode(&dir.path().join(name)), then, "{name}");
    }
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
