//! Directories that ignore case. Few systems have one, so directories are said to be such here.

use super::super::directories::state;
use super::*;

#[test]
fn what_is_one_name_is_not_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("old"), b"old").unwrap();
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let tree = over.tree();
    tree.directories().mark(DirId::ROOT, state::FOLDS);
    let mut worker = tree.worker();
    let [file, folder] =
        [&b"a file"[..], b"folder"].map(|name| tree.add_directory(DirId::ROOT, name, &FOLDER).unwrap());
    worker.make_directory(folder, None).unwrap();
    for name in [&b"old"[..], b"new", b"a file"] {
        worker.write_small_file(DirId::ROOT, name, &PLAIN, &[b"first"]).unwrap();
    }
    let refused = [
        worker.write_small_file(DirId::ROOT, b"NEW", &PLAIN, &[b"second"]),
        worker.symlink(DirId::ROOT, b"New", b"x", &PLAIN),
        worker.hard_link(DirId::ROOT, b"neW", DirId::ROOT, b"old"),
        // Here it stands for another spelling.
        worker.write_small_file(DirId::ROOT, b"folder", &PLAIN, &[b"second"]),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
    worker.make_directory(file, None).unwrap();
    assert_eq!(worker.finish(None).unwrap_err().kind(), ErrorKind::Invalid);
    drop(worker);
    drop(over);
    assert_eq!(names_in(dir.path()), ["a file", "folder", "new", "old"]);
    assert_eq!(fs::read(dir.path().join("new")).unwrap(), b"first");
    assert!(dir.path().join("a file").is_file() && dir.path().join("folder").is_dir());
}

/// A file of several names has the one that it is found by besides those that were written.
#[test]
fn the_names_of_hard_links_are_no_other_spellings_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), b"x").unwrap();
    for name in ["b", "c", "d", "f", "g"] {
        fs::hard_link(dir.path().join("a"), dir.path().join(name)).unwrap();
    }
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let tree = over.tree();
    tree.directories().mark(DirId::ROOT, state::FOLDS);
    let mut worker = tree.worker();
    let folder = tree.add_directory(DirId::ROOT, b"f", &FOLDER).unwrap();
    worker.make_directory(folder, None).unwrap();
    for name in [&b"b"[..], b"c"] {
        worker.hard_link(DirId::ROOT, name, DirId::ROOT, b"a").unwrap();
    }
    worker.write_small_file(DirId::ROOT, b"d", &PLAIN, &[b"other"]).unwrap();
    let refused = worker.write_small_file(DirId::ROOT, b"B", &PLAIN, &[b"other"]);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    fs::remove_file(dir.path().join("g")).unwrap();
    worker.finish(None).unwrap();
    assert!(dir.path().join("f").is_dir());
    assert_eq!(names_in(dir.path()), ["a", "b", "c", "d", "f"]);
    assert_eq!(fs::read(dir.path().join("c")).unwrap(), b"x");
}

#[test]
fn what_is_one_name_is_found_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let (tree, mut same) = (over.tree(), |_: usize, _: &ExistingFile<'_>| Ok(true));
    let id = tree.add_directory(DirId::ROOT, b"absent", &FOLDER).unwrap();
    let inner = tree.add_directory(id, b"inner", &FOLDER).unwrap();
    let mut worker = tree.worker();
    let files = [b"A", b"a"].map(|name| Wanted { name, kind: WantedKind::File(1), meta: PLAIN });
    for folds in [0, state::FOLDS] {
        tree.directories().mark(DirId::ROOT, folds);
        let wanted = [Wanted { name: b"absent", kind: WantedKind::Directory(id), meta: FOLDER }];
        worker.survey(DirId::ROOT, wanted, &mut same).unwrap();
        let wanted = [Wanted { name: b"inner", kind: WantedKind::Directory(inner), meta: FOLDER }];
        worker.survey(id, wanted, &mut same).unwrap();
        let surveyed = worker.survey(inner, files, &mut same).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(surveyed, if folds == 0 { Ok(()) } else { Err(ErrorKind::Invalid) });
    }
}

/// Where nothing told that names can be one: the same name, made by somebody else, stands for another spelling here.
#[test]
fn what_was_not_there_is_written_over_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("listed"), b"x").unwrap();
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let (tree, mut same) = (over.tree(), |_: usize, _: &ExistingFile<'_>| Ok(true));
    let [folder, new] =
        [&b"folder"[..], b"new"].map(|name| tree.add_directory(DirId::ROOT, name, &FOLDER).unwrap());
    let mut worker = tree.worker();
    let file = WantedKind::File(5);
    let wanted = [
        (&b"file"[..], file),
        (b"folder", WantedKind::Directory(folder)),
        (b"link", WantedKind::HardLink),
        (b"listed", file),
        (b"new", WantedKind::Directory(new)),
        (b"symlink", WantedKind::Symlink(b"x")),
    ];
    let wanted = wanted.map(|(name, kind)| Wanted { name, kind, meta: PLAIN });
    worker.survey(DirId::ROOT, wanted, &mut same).unwrap();
    worker.survey(new, [Wanted { name: b"file", kind: file, meta: PLAIN }], &mut same).unwrap();
    worker.make_directory(new, None).unwrap();
    worker.write_small_file(DirId::ROOT, b"listed", &PLAIN, &[b"first"]).unwrap();
    fs::hard_link(dir.path().join("listed"), dir.path().join("link")).unwrap();
    for name in ["file", "folder", "symlink", "new/file"] {
        fs::write(dir.path().join(name), b"first").unwrap();
    }
    let refused = [
        worker.write_small_file(DirId::ROOT, b"file", &PLAIN, &[b"other"]).map(drop),
        worker.hard_link(DirId::ROOT, b"file", DirId::ROOT, b"listed").map(drop),
        worker.hard_link(DirId::ROOT, b"link", DirId::ROOT, b"listed").map(drop),
        worker.symlink(DirId::ROOT, b"symlink", b"x", &PLAIN).map(drop),
        worker.make_directory(folder, None),
        worker.write_small_file(new, b"file", &PLAIN, &[b"other"]).map(drop),
    ];
    // What is listed under that very name is somebody else's.
    for (number, refused) in refused.into_iter().enumerate() {
        assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Conflict), "{number}");
    }
    // Of other letters there may be a spelling that is listed so.
    let both = ["\u{e9}", "\u{ea}"].map(|name| Wanted { name: name.as_bytes(), kind: file, meta: PLAIN });
    worker.survey(DirId::ROOT, both, &mut same).unwrap();
    fs::write(dir.path().join("\u{e9}"), b"first").unwrap();
    let refused = worker.write_small_file(DirId::ROOT, "\u{e9}".as_bytes(), &PLAIN, &[b"other"]);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    drop(worker);
    drop(over);
    for name in ["file", "folder", "link", "listed", "symlink", "new/file", "\u{e9}"] {
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"first", "{name}");
    }
    assert_eq!(names_in(dir.path()).len(), 7);
}

/// It is one with no other, and somebody else's file of that name is replaced as any.
#[test]
fn the_only_one_that_is_missing_is_written_over_what_came_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("listed"), b"x").unwrap();
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let mut worker = over.tree().worker();
    let wanted =
        [&b"file"[..], b"listed"].map(|name| Wanted { name, kind: WantedKind::File(1), meta: PLAIN });
    worker.survey(DirId::ROOT, wanted, &mut |_, _| Ok(true)).unwrap();
    fs::write(dir.path().join("file"), b"theirs").unwrap();
    worker.write_small_file(DirId::ROOT, b"file", &PLAIN, &[b"ours"]).unwrap();
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"ours");
}

/// What the snapshot does not have is never what was just written.
#[test]
fn another_spelling_of_what_was_written_is_known() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("extra"), b"old").unwrap();
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let tree = over.tree();
    let mut worker = tree.worker();
    assert!(!worker.is_written(DirId::ROOT, b"extra").unwrap());
    tree.directories().mark(DirId::ROOT, state::FOLDS);
    for name in [&b"one"[..], b"two"] {
        worker.write_small_file(DirId::ROOT, name, &PLAIN, &[b"new"]).unwrap();
    }
    for other in ["TWO", "another name of the same file"] {
        fs::hard_link(dir.path().join("two"), dir.path().join(other)).unwrap();
    }
    fs::rename(dir.path().join("one"), dir.path().join("\u{f6}ne")).unwrap();
    let written = ["extra", "\u{f6}ne", "TWO", "another name of the same file", "gone"]
        .map(|name| worker.is_written(DirId::ROOT, name.as_bytes()).unwrap());
    assert_eq!(written, [false, true, true, false, false]);
}

/// What is found by a name that is not listed is judged as what is listed is.
#[test]
fn what_is_there_under_another_spelling_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["FILE", "FOLDER/keep"] {
        fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        fs::write(dir.path().join(name), b"x").unwrap();
    }
    fs::write(dir.path().join("a"), b"x").unwrap();
    let over = InPlace::open(dir.path(), Settings { delete: true, ..settings() }).unwrap();
    let tree = over.tree();
    tree.directories().mark(DirId::ROOT, state::FOLDS);
    let wanted =
        [&b"a"[..], b"file", b"folder"].map(|name| Wanted { name, kind: WantedKind::File(1), meta: PLAIN });
    let survey = tree.worker().survey(DirId::ROOT, wanted, &mut |number, _| {
        // What was listed is found by another name then.
        for name in ["file", "folder"].iter().filter(|_| number == 0) {
            fs::rename(dir.path().join(name.to_uppercase()), dir.path().join(name)).unwrap();
        }
        Ok(true)
    });
    let survey = survey.unwrap();
    assert_eq!(survey.verdicts[1..], [Verdict::Fix, Verdict::Replace]);
    assert_eq!((survey.respelled, survey.in_the_way), (vec![1, 2], vec![2]));
    assert_eq!(survey.ignores_case, Some(true));
    let mut worker = tree.worker();
    worker.write_small_file(DirId::ROOT, b"folder", &PLAIN, &[b"x"]).unwrap();
}

/// Where both are listed they are two names, whatever file they are of.
#[test]
fn names_of_one_file_that_differ_in_case_alone_may_both_be_there() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), b"x").unwrap();
    for name in ["README", "readme"] {
        fs::hard_link(dir.path().join("file"), dir.path().join(name)).unwrap();
    }
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let mut worker = over.tree().worker();
    for name in [&b"README"[..], b"readme"] {
        worker.hard_link(DirId::ROOT, name, DirId::ROOT, b"file").unwrap();
    }
    worker.write_small_file(DirId::ROOT, b"FILE", &PLAIN, &[b"y"]).unwrap();
    assert_eq!(names_in(dir.path()), ["FILE", "README", "file", "readme"]);
}

#[test]
fn what_a_directory_lists_is_found_by_the_file() {
    let above = tempfile::tempdir().unwrap();
    let at = |name: &str| above.path().join(name);
    std::fs::write(at("one"), "").unwrap();
    std::fs::write(at("stra\u{df}e"), "").unwrap();
    for other in ["STRASSE", "other"] {
        std::fs::hard_link(at("stra\u{df}e"), at(other)).unwrap();
    }
    let place = InPlace::open(above.path(), settings()).unwrap();
    let (mut worker, mut names_of) = (place.tree().worker(), None);
    let mut listed = |name: &str| worker.listed_as(DirId::ROOT, name.as_bytes(), &mut names_of).unwrap();
    assert_eq!(listed("one"), [b"one"]);
    assert_eq!(listed("absent"), [b""; 0]);
    let mut names = listed("STRASSE");
    names.sort();
    assert_eq!(names, ["STRASSE".as_bytes(), "stra\u{df}e".as_bytes()]);
}

/// Two names that are both listed are two, whatever they are names of; and nothing is followed on the way.
#[test]
fn where_case_counts_that_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("2024/Photos")).unwrap();
    for name in ["2024/IMG.JPG", "2024/Photos/1", "2024/Photos/\u{3c2}"] {
        fs::write(dir.path().join(name), b"x").unwrap();
    }
    fs::hard_link(dir.path().join("2024/IMG.JPG"), dir.path().join("2024/img.jpg")).unwrap();
    std::os::unix::fs::symlink("2024", dir.path().join("link")).unwrap();
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let tree = over.tree();
    for path in ["2024", "2024/IMG.JPG", "2024/Photos/1", "2024/Photos/\u{3c2}", "link/IMG.JPG", "gone/a"] {
        assert!(!tree.ignores_case_towards(path.as_bytes()), "{path}");
    }
    let mut worker = tree.worker();
    let survey = |worker: &mut crate::destination::Worker<'_>| {
        worker.survey(DirId::ROOT, [], &mut |_, _| Ok(true)).unwrap().ignores_case
    };
    assert_eq!(survey(&mut worker), Some(false));
    // Nothing but digits tells nothing.
    fs::remove_file(dir.path().join("link")).unwrap();
    assert_eq!(survey(&mut worker), None);
    assert!(!worker.is_one_name(DirId::ROOT, b"2024", b"2025").unwrap());
}

/// It need not be opened for that.
#[test]
fn nothing_is_there_where_a_directory_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("directory")).unwrap();
    let over = InPlace::open(dir.path(), settings()).unwrap();
    let tree = over.tree();
    let missing = tree.add_directory(DirId::ROOT, b"missing", &FOLDER).unwrap();
    tree.directories().mark(missing, state::ABSENT);
    let mut worker = tree.worker();
    let there = [(DirId::ROOT, &b"directory"[..]), (DirId::ROOT, b"other"), (missing, b"directory")]
        .map(|(directory, name)| worker.is_directory(directory, name).unwrap());
    assert_eq!(there, [true, false, false]);
}
