//! Floe's own directories, met by whatever path.

use super::*;

/// Settings that know a directory for Floe's own.
fn with_own(path: &Path) -> Settings {
    let stat = fs::metadata(path).unwrap();
    Settings { delete: true, own: vec![(stat.dev(), stat.ino())], ..settings() }
}

#[test]
fn what_is_floes_own_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    // Also one that is empty, and one deeper than directories are kept open.
    for (own, is_filled) in [("top/store", true), ("top/store", false), ("top", true), ("top", false)] {
        let own = dir.path().join(own);
        fs::create_dir_all(&own).unwrap();
        if is_filled {
            fs::write(own.join("object"), b"x").unwrap();
        }
        let over = InPlace::open(dir.path(), with_own(&own)).unwrap();
        let mut worker = over.tree().worker();
        let removed = worker.remove(DirId::ROOT, b"top").unwrap_err();
        assert_eq!(removed.kind(), ErrorKind::Invalid, "{removed}");
        assert!(removed.to_string().contains("the store or the caches"), "{removed}");
        assert!(worker.write_small_file(DirId::ROOT, b"top", &PLAIN, &[b"x"]).is_err());
        assert!(own.exists() && own.join("object").exists() == is_filled);
        drop(worker);
        drop(over);
        fs::remove_dir_all(dir.path().join("top")).unwrap();
    }
    let deep: std::path::PathBuf = std::iter::repeat_n("d", 60).collect();
    let deep = dir.path().join("top").join(deep);
    fs::create_dir_all(&deep).unwrap();
    let over = InPlace::open(dir.path(), with_own(&deep)).unwrap();
    assert!(over.tree().worker().remove(DirId::ROOT, b"top").is_err());
    // Nothing is moved on the way, which not every file system does.
    assert!(deep.exists());
    assert_eq!(names_in(&dir.path().join("top")), ["d"]);
}

#[test]
fn what_is_floes_own_is_not_written_in() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("store");
    fs::create_dir(&own).unwrap();
    let over = InPlace::open(dir.path(), with_own(&own)).unwrap();
    let id = over.tree().add_directory(DirId::ROOT, b"store", &FOLDER).unwrap();
    let wanted = [Wanted { name: b"store", kind: WantedKind::Directory(id), meta: FOLDER }];
    let refused = over.tree().worker().survey(DirId::ROOT, wanted, &mut |_, _| Ok(true)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    for open in [InPlace::open, InPlace::open_shared] {
        assert_eq!(open(&own, with_own(&own)).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

/// As where a directory ignores case, and the survey found no such name.
#[test]
fn what_is_floes_own_is_not_taken_for_a_directory_that_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("store");
    fs::create_dir(&own).unwrap();
    let over = InPlace::open(dir.path(), with_own(&own)).unwrap();
    let id = over.tree().add_directory(DirId::ROOT, b"store", &FOLDER).unwrap();
    let refused = over.tree().worker().make_directory(id, None).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
}
