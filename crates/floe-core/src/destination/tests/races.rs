//! Another process that swaps directories for symlinks while a tree is written.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::*;

/// Tells the other thread to stop, also when an assertion fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes into `dest/a/b` while `a`, or `b`, is again and again a symlink to a directory outside; returns how often that
/// was met.
fn write_while_swapped(dir: &Path, tree: &Tree, dest: &Path, swapped: &str) -> (usize, usize) {
    let outside = dir.join("outside");
    let target = dest.join(swapped);
    let link = dir.join(format!("link-{}", swapped.replace('/', "-")));
    symlink(&outside, &link).unwrap();
    let a = tree.find(b"a").unwrap();
    let b = tree.find(b"a/b").unwrap();
    let stop = AtomicBool::new(false);
    let (mut done, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Twice, so that the directory is back in the end.
                for _ in 0..2 {
                    renameat_with(CWD, &target, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                }
            }
        });
        let _stop = StopOnDrop(&stop);
        for number in 0..20_000_u32 {
            // A new worker holds nothing open.
            let mut worker = tree.worker();
            let name = format!("file-{swapped}-{number}").replace('/', "-").into_bytes();
            let results = [
                worker.write_small_file(b, &name, &PLAIN, &[b"x"]).map(|_| ()),
                worker.symlink(a, &name, b"x", &PLAIN).map(|_| ()),
                worker.remove(a, b"victim").map(|_| ()),
                worker.remove(b, b"victim").map(|_| ()),
                worker.survey(b, [], &mut |_, _| Ok(true)).map(|survey| {
                    assert!(!survey.extra.contains(&b"precious".to_vec()), "read through a symlink");
                }),
            ];
            for result in results {
                match result {
                    Ok(()) => done += 1,
                    Err(error) => {
                        assert_eq!(
                            error.kind(),
                            ErrorKind::Conflict,
                            "{error}: {:?}",
                            std::error::Error::source(&error)
                        );
                        refused += 1;
                    }
                }
            }
            if done > 500 && refused > 500 {
                break;
            }
        }
    });
    (done, refused)
}

#[test]
fn i6_a_symlink_swapped_in_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir_all(outside.join("b")).unwrap();
    for name in ["precious", "victim", "b/precious", "b/victim"] {
        fs::write(outside.join(name), b"x").unwrap();
    }
    for in_place in [false, true] {
        let dest = dir.path().join(format!("dest-{in_place}"));
        let place = Written::open(&dest, in_place);
        let tree = place.tree();
        let a = tree.add_directory(DirId::ROOT, b"a", &FOLDER).unwrap();
        let b = tree.add_directory(a, b"b", &FOLDER).unwrap();
        let mut worker = tree.worker();
        worker.make_directory(a, None).unwrap();
        worker.make_directory(b, None).unwrap();
        drop(worker);
        let written = if in_place {
            dest.clone()
        } else {
            let staged = names_in(dir.path()).into_iter().find(|n| n.starts_with(".dest-")).unwrap();
            dir.path().join(staged)
        };
        for swapped in ["a", "a/b"] {
            let (done, refused) = write_while_swapped(dir.path(), tree, &written, swapped);
            assert!(done > 0 && refused > 0, "{swapped}: {done} done, {refused} refused");
            fs::remove_file(dir.path().join(format!("link-{}", swapped.replace('/', "-")))).unwrap();
        }
        for directory in ["", "b"] {
            let mut expected = vec!["precious", "victim"];
            expected.extend((directory.is_empty()).then_some("b"));
            expected.sort_unstable();
            assert_eq!(names_in(&outside.join(directory)), expected);
        }
    }
}

#[test]
fn i6_removal_does_not_follow_what_is_swapped_in() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let precious: Vec<_> = (0..50).map(|n| format!("precious-{n:02}")).collect();
    for name in &precious {
        fs::write(outside.join(name), b"x").unwrap();
    }
    let dest = dir.path().join("dest");
    fs::create_dir(&dest).unwrap();
    symlink(&outside, dir.path().join("link")).unwrap();
    let over = InPlace::open(&dest, settings()).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // It fails while the directory is not there.
                let _ = renameat_with(
                    CWD,
                    dest.join("top/sub"),
                    CWD,
                    dir.path().join("link"),
                    RenameFlags::EXCHANGE,
                );
            }
        });
        let _stop = StopOnDrop(&stop);
        let mut worker = over.tree().worker();
        for _ in 0..300 {
            fs::create_dir_all(dest.join("top/sub/inner")).ok();
            for n in 0..5 {
                fs::write(dest.join(format!("top/file-{n}")), b"x").ok();
            }
            // It may fail, as long as it fails here.
            let _ = worker.remove(DirId::ROOT, b"top");
        }
    });
    let mut found = names_in(&outside);
    // The test itself makes `inner` through the link.
    found.retain(|name| name != "inner");
    assert_eq!(found, precious);
}

#[test]
fn an_empty_directory_stays_until_something_is_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (name, spare) = (dir.path().join("name"), dir.path().join("spare"));
    fs::create_dir(&name).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut was_missing = false;
            while !stop.load(Ordering::Relaxed) {
                was_missing |= fs::symlink_metadata(&name).is_err();
            }
            was_missing
        });
        let stopping = StopOnDrop(&stop);
        let over = InPlace::open(dir.path(), settings()).unwrap();
        let mut worker = over.tree().worker();
        for _ in 0..500 {
            worker.write_small_file(DirId::ROOT, b"name", &PLAIN, &[b"x"]).unwrap();
            assert_eq!(fs::read(&name).unwrap(), b"x");
            assert_eq!(names_in(dir.path()), ["name"]);
            fs::create_dir(&spare).unwrap();
            if renameat_with(CWD, &name, CWD, &spare, RenameFlags::EXCHANGE).is_err() {
                return skip("names cannot be exchanged");
            }
            fs::remove_file(&spare).unwrap();
        }
        drop(stopping);
        assert!(!looking.join().unwrap());
    });
}
