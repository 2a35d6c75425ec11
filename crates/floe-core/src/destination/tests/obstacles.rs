//! What a dry run finds that would keep the pull from writing.

use rustix::fs::IFlags;

use super::*;

/// What a dry run would say of a directory in which these are wanted.
fn looked(directory: &Path, wanted: &[Wanted<'_>]) -> std::result::Result<(), ErrorKind> {
    let over = InPlace::open_shared(directory, Settings { looks_only: true, ..settings() }).unwrap();
    let mut worker = over.tree().worker();
    let survey = worker.survey(DirId::ROOT, wanted.iter().copied(), &mut |_, _| Ok(true));
    survey.map(drop).map_err(|error| error.kind())
}

fn file(name: &str) -> Wanted<'_> {
    Wanted { name: name.as_bytes(), kind: WantedKind::File(1), meta: Meta { mtime: None, ..PLAIN } }
}

/// Makes a file that is as it is wanted.
fn make_equal(path: &Path) {
    fs::write(path, b"x").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_closed_directory_is_found_before_something_is_to_be_written_there() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    for path in [&ours, &theirs] {
        fs::create_dir(path).unwrap();
        make_equal(&path.join("equal"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let is_root = is_root("what is somebody else's");
    unprivileged(&ours, || {
        assert_eq!(looked(&ours, &[file("equal")]), Ok(()));
        // The pull makes it writable.
        assert_eq!(looked(&ours, &[file("new")]), Ok(()));
        if is_root {
            assert_eq!(looked(&theirs, &[file("equal")]), Ok(()));
            assert_eq!(looked(&theirs, &[file("new")]), Err(ErrorKind::Denied));
            assert_eq!(Staging::check(&theirs.join("new")).unwrap_err().kind(), ErrorKind::Denied);
        }
    });
    if is_root {
        assert_eq!(looked(&theirs, &[file("new")]), Ok(()));
    }
}

/// As what holds something that is left out.
#[test]
fn a_closed_directory_of_which_something_stays_is_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let closed = dir.path().join("old/closed");
    unprivileged(dir.path(), || {
        fs::create_dir_all(closed.join("folder/inner")).unwrap();
        for name in ["junk", "keep"] {
            fs::write(closed.join(name), b"x").unwrap();
        }
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
        let now = || fs::metadata(&closed).map(|stat| (stat.mode(), stat.modified().unwrap())).unwrap();
        let before = now();
        let over = InPlace::open(dir.path(), Settings { delete: true, ..settings() }).unwrap();
        let mut worker = over.tree().worker();
        for path in [&b"old/closed/junk"[..], b"old/closed/folder"] {
            worker.foresee_removal(DirId::ROOT, path).unwrap();
            assert!(worker.remove_path(DirId::ROOT, path).unwrap());
        }
        assert_eq!((names_in(&closed), now()), (vec!["keep".into()], before));
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    });
}

#[test]
fn a_closed_directory_of_ones_own_is_filled_if_it_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    unprivileged(dir.path(), || {
        let closed = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        closed(0o555);
        let over = InPlace::open(dir.path(), settings()).unwrap();
        let staging = Staging::within(&over, dir.path(), settings()).unwrap().unwrap();
        let mut worker = staging.tree().worker();
        worker.write_small_file(DirId::ROOT, b"file", &PLAIN, &[b"x"]).unwrap();
        worker.finish(None).unwrap();
        drop(worker);
        staging.commit(false).unwrap();
        over.tree().worker().finish(Some(&Meta { mode: 0o555, ..FOLDER })).unwrap();
        let mode = fs::metadata(dir.path()).unwrap().mode() & 0o7777;
        assert_eq!((names_in(dir.path()), mode), (vec!["file".into()], 0o555));
        closed(0o755);
    });
}

#[test]
fn a_closed_directory_is_as_it_was_where_nothing_comes_to_it() {
    let dir = tempfile::tempdir().unwrap();
    unprivileged(dir.path(), || {
        let closed = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        let now = || fs::metadata(dir.path()).map(|stat| (stat.mode() & 0o7777, stat.mtime())).unwrap();
        fs::File::open(dir.path()).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        for is_taken in [false, true] {
            closed(0o555);
            let over = InPlace::open(dir.path(), settings()).unwrap();
            let staging = Staging::within(&over, dir.path(), settings()).unwrap().unwrap();
            let mut worker = staging.tree().worker();
            worker.write_small_file(DirId::ROOT, b"file", &PLAIN, &[b"x"]).unwrap();
            drop(worker);
            if is_taken {
                fs::write(dir.path().join("file"), "theirs").unwrap();
                assert_eq!(staging.commit(false).unwrap_err().kind(), ErrorKind::Conflict);
                assert_eq!((names_in(dir.path()), now().0), (vec!["file".into()], 0o555));
                assert_ne!(now().1, 0);
            } else {
                drop(staging);
                assert_eq!((names_in(dir.path()), now()), (Vec::new(), (0o555, 0)));
            }
        }
        closed(0o755);
    });
}

#[test]
fn what_others_may_not_replace_is_found_in_a_sticky_directory() {
    if !is_root("what is somebody else's") {
        return;
    }
    let (dir, nobodys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(dir.path().join("file"), b"longer").unwrap();
    unprivileged(nobodys.path(), || {
        assert_eq!(looked(dir.path(), &[file("new")]), Ok(()));
        assert_eq!(looked(dir.path(), &[file("file")]), Err(ErrorKind::Denied));
    });
    assert_eq!(looked(dir.path(), &[file("file")]), Ok(()));
}

#[test]
fn what_is_flagged_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, path) = (dir.path().join("folder"), dir.path().join("folder/file"));
    fs::create_dir(&folder).unwrap();
    make_equal(&path);
    let differs = Wanted { meta: Meta { mode: 0o600, ..PLAIN }, ..file("file") };
    let other = Wanted { kind: WantedKind::File(2), ..differs };
    for flag in [IFlags::IMMUTABLE, IFlags::APPEND] {
        for (flagged, wanted, expected) in [
            (&folder, file("file"), Ok(())),
            (&folder, differs, Ok(())),
            (&folder, other, Err(ErrorKind::Denied)),
            (&folder, file("new"), Err(ErrorKind::Denied)),
            (&path, file("file"), Ok(())),
            (&path, differs, Err(ErrorKind::Denied)),
            (&path, other, Err(ErrorKind::Denied)),
            (&path, file("new"), Ok(())),
        ] {
            if !set_flag(flagged, flag) {
                return;
            }
            let looked = looked(&folder, &[wanted]);
            let check = Staging::check(&folder.join("new")).map_err(|error| error.kind());
            set_flag(flagged, IFlags::empty());
            assert_eq!(looked, expected, "{flag:?} {wanted:?}");
            assert_eq!(check, if flagged == &folder { Err(ErrorKind::Denied) } else { Ok(()) });
        }
        // What is to get another mode, and what is to go.
        set_flag(&folder, flag);
        let over = InPlace::open(dir.path(), Settings { looks_only: true, ..settings() }).unwrap();
        let mut worker = over.tree().worker();
        let meta = Meta { mode: 0o700, ..FOLDER };
        let id = over.tree().add_directory(DirId::ROOT, b"folder", &meta).unwrap();
        let wanted = Wanted { name: b"folder", kind: WantedKind::Directory(id), meta };
        let survey = worker.survey(DirId::ROOT, [wanted], &mut |_, _| Ok(true)).map(drop);
        let removals = [&b"folder"[..], b"folder/file"].map(|path| worker.foresee_removal(DirId::ROOT, path));
        let over = InPlace::open_shared(&folder, Settings { looks_only: true, ..settings() });
        let root = over.map(|over| over.tree().worker().root_differs(&meta));
        set_flag(&folder, IFlags::empty());
        for found in [survey, root.unwrap().map(drop)].into_iter().chain(removals) {
            assert_eq!(found.unwrap_err().kind(), ErrorKind::Denied);
        }
        worker.foresee_removal(DirId::ROOT, b"folder/file").unwrap();
    }
}

#[test]
fn where_no_directories_are_made_is_found() {
    for place in ["/proc/new", "/sys/new"] {
        let refused = Staging::check(Path::new(place)).unwrap_err();
        assert_eq!(refused.kind(), Staging::create(Path::new(place), settings()).unwrap_err().kind());
    }
}
