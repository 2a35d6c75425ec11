//! Pulls over what is there.

use super::*;

#[test]
fn in_place_is_one_pull_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = InPlace::open(dir.path(), settings()).unwrap();
    assert!(first.is_locked());
    assert_eq!(InPlace::open(dir.path(), settings()).unwrap_err().kind(), ErrorKind::Conflict);
    drop(first);
    InPlace::open(dir.path(), settings()).unwrap();
}

#[test]
fn in_place_a_full_directory_in_the_way_needs_delete() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("name/inner/empty")).unwrap();
    fs::write(dir.path().join("name/inner/file"), b"x").unwrap();
    let wanted = [Wanted { name: b"name", kind: WantedKind::File(1), meta: PLAIN }];
    let mut no = |_: usize, _: &ExistingFile<'_>| Ok(false);
    {
        let over = InPlace::open(dir.path(), settings()).unwrap();
        let mut worker = over.tree().worker();
        let error = worker.survey(DirId::ROOT, wanted, &mut no).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("/name`"), "{error}");
        // Whoever goes on nevertheless is stopped, and nothing is left of the attempt.
        assert!(worker.write_small_file(DirId::ROOT, b"name", &PLAIN, &[b"x"]).is_err());
        assert_eq!(names_in(dir.path()), ["name"]);
    }
    let over = InPlace::open(dir.path(), Settings { delete: true, ..settings() }).unwrap();
    let mut worker = over.tree().worker();
    let survey = worker.survey(DirId::ROOT, wanted, &mut no).unwrap();
    assert_eq!(survey.verdicts, [Verdict::Replace]);
    worker.write_small_file(DirId::ROOT, b"name", &PLAIN, &[b"x"]).unwrap();
    assert_eq!(fs::read(dir.path().join("name")).unwrap(), b"x");
    assert_eq!(names_in(dir.path()), ["name"]);
}

/// What is in it may be what is left out.
#[test]
fn a_directory_that_no_survey_saw_as_it_is_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("name");
    let fill = |path: &str| {
        fs::create_dir_all(name.join(path)).unwrap();
        fs::write(name.join(path).join("keep"), b"x").unwrap();
    };
    let again = |path: &str| {
        fs::remove_dir_all(&name).unwrap();
        fill(path);
    };
    let changes: [(bool, &dyn Fn()); 3] =
        [(false, &|| fill("inner")), (true, &|| fill("")), (true, &|| again("inner"))];
    for (is_there, change) in changes {
        if is_there {
            fill("inner");
        }
        let over = InPlace::open(dir.path(), Settings { delete: true, ..settings() }).unwrap();
        let mut worker = over.tree().worker();
        let wanted = [Wanted { name: b"name", kind: WantedKind::File(1), meta: PLAIN }];
        worker.survey(DirId::ROOT, wanted, &mut |_, _| Ok(false)).unwrap();
        worker.write_small_file(DirId::ROOT, b"file", &PLAIN, &[b"x"]).unwrap();
        change();
        for refused in [
            worker.write_small_file(DirId::ROOT, b"name", &PLAIN, &[b"x"]),
            worker.symlink(DirId::ROOT, b"name", b"x", &PLAIN),
            worker.hard_link(DirId::ROOT, b"name", DirId::ROOT, b"file"),
        ] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
        }
        assert_eq!(names_in(dir.path()), ["file", "name"]);
        // Where there is nothing in it, nothing is lost.
        fs::remove_dir_all(&name).unwrap();
        fs::create_dir(&name).unwrap();
        worker.write_small_file(DirId::ROOT, b"name", &PLAIN, &[b"x"]).unwrap();
        fs::remove_file(&name).unwrap();
    }
}

/// The snapshot may be as good as ever.
#[test]
fn a_file_to_be_linked_that_somebody_replaced_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let mut worker = over.tree().worker();
    worker.write_small_file(DirId::ROOT, b"file", &PLAIN, &[b"x"]).unwrap();
    fs::remove_file(dir.path().join("file")).unwrap();
    symlink("elsewhere", dir.path().join("file")).unwrap();
    let refused = worker.hard_link(DirId::ROOT, b"link", DirId::ROOT, b"file").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    assert_eq!(names_in(dir.path()), ["file"]);
}

#[test]
fn in_place_an_unfinished_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), b"old").unwrap();
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let mut worker = over.tree().worker();
    let file = worker.create_file(DirId::ROOT, b"file", &PLAIN, 3).unwrap();
    file.write_at(0, b"ne").unwrap();
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"old");
    let temporary = names_in(dir.path()).into_iter().find(|n| n != "file").unwrap();
    // Killed here, the next pull knows it for what it is.
    let survey = worker.survey(DirId::ROOT, [], &mut |_, _| Ok(true)).unwrap();
    assert_eq!(survey.stale, [temporary.into_bytes()]);
    assert_eq!(survey.extra, [b"file"]);
    drop(file);
    assert_eq!(names_in(dir.path()), ["file"]);
}

#[test]
fn what_a_living_pull_above_or_below_writes_is_not_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let (outer, inner) = (dir.path().join("outer"), dir.path().join("outer/between/inner"));
    fs::create_dir_all(inner.join("deep")).unwrap();
    let clear = |destination: &Path, way: &[&str]| {
        let over = InPlace::open(destination, settings()).unwrap();
        let mut at = DirId::ROOT;
        for name in way {
            at = over.tree().add_directory(at, name.as_bytes(), &PLAIN).unwrap();
        }
        let found = over.tree().worker().survey(at, [], &mut |_, _| Ok(true)).unwrap();
        let stale: Vec<_> = found.stale.into_iter().map(|name| (at, name)).collect();
        assert_eq!(stale.len(), 1);
        over.remove_stale(&stale);
    };
    let (below, deep) = (["between", "inner", "deep"], inner.join("deep"));
    let open = InPlace::open as fn(&Path, Settings) -> _;
    for (open, living, other, way) in [
        (open, &inner, &outer, &below[..]),
        (open, &outer, &inner, &below[2..]),
        // Who writes single names there.
        (InPlace::open_shared, &deep, &outer, &below),
    ] {
        let over: InPlace = open(living, settings()).unwrap();
        let left = inner.join("deep").join(String::from_utf8(over.tree().temporary_name()).unwrap());
        fs::write(&left, b"half").unwrap();
        clear(other, way);
        assert!(left.exists());
        drop(over);
        clear(other, way);
        assert!(!left.exists());
    }
}

#[test]
fn i6_in_place_a_file_with_names_outside_is_not_changed_through_them() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("dest");
    fs::create_dir(&dest).unwrap();
    fs::write(dir.path().join("outside"), b"x").unwrap();
    fs::hard_link(dir.path().join("outside"), dest.join("file")).unwrap();
    let before = fs::metadata(dir.path().join("outside")).unwrap();
    let over = InPlace::open(&dest, settings()).unwrap();
    let mut worker = over.tree().worker();
    let wanted = [Wanted { name: b"file", kind: WantedKind::File(1), meta: Meta { mode: 0o600, ..PLAIN } }];
    let survey = worker.survey(DirId::ROOT, wanted, &mut |_, _| Ok(true)).unwrap();
    assert_eq!(survey.verdicts, [Verdict::Replace]);
    worker.write_small_file(DirId::ROOT, b"file", &wanted[0].meta, &[b"y"]).unwrap();
    let after = fs::metadata(dir.path().join("outside")).unwrap();
    assert_eq!((after.mode(), after.mtime_nsec()), (before.mode(), before.mtime_nsec()));
    assert_eq!(fs::read(dir.path().join("outside")).unwrap(), b"x");
}

#[test]
fn a_file_stays_until_the_directory_in_its_place_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("name"), b"old").unwrap();
    for is_whole in [false, true] {
        let over = InPlace::open(dir.path(), settings()).unwrap();
        let tree = over.tree();
        let mut worker = tree.worker();
        let id = tree.add_directory(DirId::ROOT, b"name", &FOLDER).unwrap();
        let inner = tree.add_directory(id, b"inner", &FOLDER).unwrap();
        let wanted = [Wanted { name: b"name", kind: WantedKind::Directory(id), meta: FOLDER }];
        let survey = worker.survey(DirId::ROOT, wanted, &mut |_, _| Ok(true)).unwrap();
        assert_eq!(survey.verdicts, [Verdict::Replace]);
        let wanted = [Wanted { name: b"inner", kind: WantedKind::Directory(inner), meta: FOLDER }];
        worker.survey(id, wanted, &mut |_, _| Ok(true)).unwrap();
        worker.make_directory(id, Some(&[(b"user.x", b"1")])).unwrap();
        worker.make_directory(inner, None).unwrap();
        for directory in [id, inner] {
            worker.write_small_file(directory, b"file", &PLAIN, &[b"new"]).unwrap();
        }
        worker.hard_link(id, b"link", inner, b"file").unwrap();
        assert_eq!(fs::read(at("name")).unwrap(), b"old");
        // Killed here, the next pull knows what is left for what it is.
        let temporary = names_in(dir.path()).remove(0).into_bytes();
        assert_eq!(worker.survey(DirId::ROOT, [], &mut |_, _| Ok(true)).unwrap().stale, [temporary]);
        if is_whole {
            worker.finish(None).unwrap();
        }
        drop(worker);
        drop(over);
        assert_eq!(names_in(dir.path()), ["name"]);
        assert_eq!(at("name").is_dir(), is_whole);
    }
    assert_eq!(fs::read(at("name/inner/file")).unwrap(), b"new");
    assert_eq!(names_in(&at("name")), ["file", "inner", "link"]);
    for path in ["name", "name/inner"] {
        let stat = fs::metadata(at(path)).unwrap();
        assert_eq!((stat.mode() & 0o7777, stat.mtime()), (0o755, 1_000_000_000), "{path}");
    }
}

/// Whoever has it by then keeps it.
#[test]
fn what_took_the_place_of_a_file_meanwhile_stays() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for is_gone in [false, true] {
        fs::write(at("name"), b"old").unwrap();
        let over = InPlace::open(dir.path(), settings()).unwrap();
        let mut worker = over.tree().worker();
        let id = over.tree().add_directory(DirId::ROOT, b"name", &FOLDER).unwrap();
        worker.make_directory(id, None).unwrap();
        worker.write_small_file(id, b"file", &PLAIN, &[b"new"]).unwrap();
        fs::remove_file(at("name")).unwrap();
        if !is_gone {
            fs::create_dir(at("name")).unwrap();
            fs::write(at("name/theirs"), b"x").unwrap();
        }
        let changed = || fs::symlink_metadata(at("name")).map(|stat| (stat.ctime(), stat.ctime_nsec())).ok();
        let before = changed();
        let finished = worker.finish(None).map_err(|error| error.kind());
        // It was not even moved for a moment, in which the pull might be killed.
        assert!(is_gone || changed() == before);
        assert_eq!(finished, if is_gone { Ok(()) } else { Err(ErrorKind::Conflict) });
        drop(worker);
        drop(over);
        assert_eq!(names_in(dir.path()), ["name"]);
        assert_eq!(names_in(&at("name")), if is_gone { ["file"] } else { ["theirs"] });
        fs::remove_dir_all(at("name")).unwrap();
    }
}

/// What somebody does to one directory keeps no other closed.
#[test]
fn the_directories_beside_one_that_was_replaced_are_finished() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let mut worker = over.tree().worker();
    let open = Meta { mode: 0o777, ..FOLDER };
    for name in ["a", "b", "c", "d"] {
        let id = over.tree().add_directory(DirId::ROOT, name.as_bytes(), &open).unwrap();
        worker.make_directory(id, None).unwrap();
    }
    for name in ["b", "c"] {
        fs::rename(at(name), at(&format!("their {name}"))).unwrap();
        fs::create_dir(at(name)).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
    let error = worker.finish(Some(&open)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().starts_with("2 directories"), "{error}");
    let modes = ["a", "b", "c", "d", "."].map(|name| fs::metadata(at(name)).unwrap().mode() & 0o002);
    assert_eq!(modes, [2, 0, 0, 2, 2]);
}

/// The directory that it is in may be closed in the end.
#[test]
fn what_does_not_get_its_place_is_not_left() {
    let dir = tempfile::tempdir().unwrap();
    let (above, file) = (dir.path().join("above"), dir.path().join("above/name"));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    unprivileged(dir.path(), || {
        fs::create_dir(&above).unwrap();
        fs::write(&file, b"old").unwrap();
        let over = InPlace::open(dir.path(), settings()).unwrap();
        let mut worker = over.tree().worker();
        let closed = Meta { mode: 0o555, ..FOLDER };
        let id = over.tree().add_directory(DirId::ROOT, b"above", &closed).unwrap();
        let name = over.tree().add_directory(id, b"name", &closed).unwrap();
        for (directory, name, kind) in [
            (DirId::ROOT, &b"above"[..], WantedKind::Directory(id)),
            (id, b"name", WantedKind::Directory(name)),
        ] {
            worker.survey(directory, [Wanted { name, kind, meta: closed }], &mut |_, _| Ok(true)).unwrap();
        }
        worker.make_directory(id, None).unwrap();
        worker.make_directory(name, None).unwrap();
        worker.write_small_file(name, b"file", &PLAIN, &[b"new"]).unwrap();
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        fs::write(file.join("theirs"), b"x").unwrap();
        assert_eq!(worker.finish(None).unwrap_err().kind(), ErrorKind::Conflict);
    });
    assert_eq!(mode(&above), 0o555);
    assert_eq!((names_in(&above), names_in(&file)), (vec!["name".to_owned()], vec!["theirs".to_owned()]));
}

#[test]
fn what_is_somebody_elses_under_a_temporary_name_stays() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("name"), b"old").unwrap();
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let mut worker = over.tree().worker();
    let id = over.tree().add_directory(DirId::ROOT, b"name", &FOLDER).unwrap();
    worker.make_directory(id, None).unwrap();
    let temporary = dir.path().join(&names_in(dir.path())[0]);
    fs::rename(&temporary, dir.path().join("ours")).unwrap();
    fs::create_dir(&temporary).unwrap();
    fs::write(temporary.join("theirs"), b"x").unwrap();
    drop(worker);
    drop(over);
    assert_eq!(names_in(&temporary), ["theirs"]);
}

/// Who may set mode and time of a directory is told where that fails; of another's they stay as they are.
#[test]
fn only_of_somebody_elses_directories_the_mode_may_stay() {
    if !is_root("owners and flags") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().join("there");
    fs::create_dir(&there).unwrap();
    for owner in [0, 65534] {
        std::os::unix::fs::chown(&there, Some(owner), Some(owner)).unwrap();
        let over = InPlace::open(dir.path(), settings()).unwrap();
        let mut worker = over.tree().worker();
        let meta = Meta { mode: 0o700, ..FOLDER };
        let id = over.tree().add_directory(DirId::ROOT, b"there", &meta).unwrap();
        let wanted = Wanted { name: b"there", kind: WantedKind::Directory(id), meta };
        worker.survey(DirId::ROOT, [wanted], &mut |_, _| Ok(true)).unwrap();
        if !set_flag(&there, rustix::fs::IFlags::IMMUTABLE) {
            return;
        }
        let finished = worker.finish(None);
        set_flag(&there, rustix::fs::IFlags::empty());
        let (expected, told) = if owner == 0 { (Err(ErrorKind::Denied), 0) } else { (Ok(()), 2) };
        assert_eq!(finished.map_err(|error| error.kind()), expected);
        assert_eq!(over.tree().complaints().count, told);
    }
}

/// So whoever is killed, or cannot go on, leaves one of them there.
#[test]
fn a_file_has_its_place_before_the_directory_that_was_there_is_emptied() {
    use rustix::fs::inotify;
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("name/inner")).unwrap();
    let over = InPlace::open(dir.path(), Settings { delete: true, ..settings() }).unwrap();
    let mut worker = over.tree().worker();
    let wanted = Wanted { name: b"name", kind: WantedKind::File(1), meta: PLAIN };
    worker.survey(DirId::ROOT, [wanted], &mut |_, _| Ok(true)).unwrap();
    let events = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&events, dir.path(), inotify::WatchFlags::DELETE).unwrap();
    worker.write_small_file(DirId::ROOT, b"name", &PLAIN, &[b"x"]).unwrap();
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&events, &mut buffer);
    let gone = events.next().unwrap().file_name().unwrap().to_bytes().to_vec();
    assert!(names::is_temporary(&gone), "{}", names::shown(&gone));
    assert!(events.next().is_err());
    assert_eq!(names_in(dir.path()), ["name"]);
}
