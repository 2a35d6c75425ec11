//! What living pulls write below what is to be removed.

use super::*;

/// What is too much is not all removed: what others stage in it stays, and the directories that it is in.
#[test]
fn what_living_pulls_stage_below_stays() {
    let deep: std::path::PathBuf = std::iter::repeat_n("deep", 50).collect();
    for below in [Path::new("between"), &deep] {
        let dir = tempfile::tempdir().unwrap();
        let (top, inner) = (dir.path().join("extra"), dir.path().join("extra").join(below));
        for beside in ["a/b", "z", ".dest.floe-00000000000000ad/.x.floe-00000000000000ad/y"] {
            fs::create_dir_all(inner.join(beside)).unwrap();
            fs::write(inner.join(beside).join("file"), b"x").unwrap();
            fs::create_dir_all(top.join(beside)).unwrap();
        }
        let over = InPlace::open(dir.path(), Settings { delete: true, ..settings() }).unwrap();
        let mut worker = over.tree().worker();
        // Empty, and with entries; and one in what a killed one left.
        let left = inner.join(".dest.floe-00000000000000ad");
        let living = [&inner, &inner, &left].map(|at| {
            let other = Settings { token: 7, ..settings() };
            let staging = Staging::create(&at.join("living"), other).unwrap();
            staging.tree().worker().write_small_file(DirId::ROOT, b"file", &PLAIN, &[]).unwrap();
            staging
        });
        living[0].tree().worker().remove(DirId::ROOT, b"file").unwrap();
        assert!(!worker.remove(DirId::ROOT, b"extra").unwrap());
        assert_eq!(
            names_in(&inner),
            [".dest.floe-00000000000000ad", ".living.floe-0000000000000007", ".living.floe-0000000000000008"]
        );
        assert_eq!(names_in(&left), [".living.floe-0000000000000007"]);
        assert_eq!(names_in(&top), [below.iter().next().unwrap().to_str().unwrap()]);
        for staging in living {
            staging.tree().worker().write_small_file(DirId::ROOT, b"more", &PLAIN, &[]).unwrap();
        }
        assert!(worker.remove(DirId::ROOT, b"extra").unwrap());
        assert!(!top.exists());
    }
}

/// Nor is a directory emptied that another pull writes over.
#[test]
fn what_a_living_pull_writes_in_place_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("extra/inner");
    fs::create_dir_all(&inner).unwrap();
    fs::write(inner.join("file"), b"x").unwrap();
    let over = InPlace::open(dir.path(), Settings { delete: true, ..settings() }).unwrap();
    for open in [InPlace::open, InPlace::open_shared] {
        let living = open(&inner, settings()).unwrap();
        let refused = over.tree().worker().remove(DirId::ROOT, b"extra").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
        assert!(inner.join("file").exists());
        drop(living);
    }
    assert!(over.tree().worker().remove(DirId::ROOT, b"extra").unwrap());
}
