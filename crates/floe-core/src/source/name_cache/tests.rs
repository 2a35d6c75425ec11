//! Made-up directories against what the file says, and real ones against what the kernel says.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::Arc;

use floe_testkit::wait_until_trusted;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::layout::{Item, header, tail};
use super::*;
use crate::source::{FileKind, FileTime, Walk, WalkOptions};

const LONG_AFTER: HashClock = HashClock::at(FileTime { seconds: 2_000_000_000, nanos: 0 });

fn stat(inode: u64) -> Stat {
    let root = rustix::fs::open("/", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    let time = |nanos| FileTime { seconds: 1_000_000_000, nanos };
    Stat { inode, device: 7, modified: time(1), changed: time(2), ..Stat::of_file(root).unwrap() }
}

fn names(list: &[(&[u8], Option<FileKind>)]) -> Names {
    let mut names = Names::default();
    for (name, kind) in list {
        names.push(&std::ffi::CString::new(*name).unwrap(), *kind).unwrap();
    }
    names
}

fn told(names: &Names) -> Vec<(Vec<u8>, Option<FileKind>)> {
    names.spans.iter().map(|span| (names.c_str(*span).to_bytes().to_vec(), span.kind)).collect()
}

/// What directory number `inode` holds.
fn names_of(inode: u64) -> Names {
    let many: Vec<_> = (0..inode * 10).map(|number| format!("{number:05}")).collect();
    let mut list: Vec<_> = many.iter().map(|name| (name.as_bytes(), Some(FileKind::File))).collect();
    list.push((b"of no kind", None));
    list.push((b"\xff\xfe not UTF-8", Some(FileKind::Directory)));
    names(&list)
}

/// A cache of these directories, kept.
fn cache_of(path: &Path, inodes: impl IntoIterator<Item = u64>) {
    let cache = NameCache::open(path.to_path_buf());
    for inode in inodes {
        cache.note(&stat(inode), &names_of(inode), LONG_AFTER);
    }
    cache.keep();
}

fn known(path: &Path, inodes: std::ops::Range<u64>) -> Vec<u64> {
    let cache = NameCache::open(path.to_path_buf());
    inodes
        .filter(|inode| match cache.find(&stat(*inode)) {
            Some(found) => {
                assert_eq!(told(&found), told(&names_of(*inode)));
                true
            }
            None => false,
        })
        .collect()
}

#[test]
fn what_was_noted_is_found_as_long_as_nothing_is_said_to_differ() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("caches/a.names");
    cache_of(&path, 0..20);
    assert_eq!(known(&path, 0..25), (0..20).collect::<Vec<_>>());

    let cache = NameCache::open(path);
    let same = stat(3);
    assert!(cache.find(&Stat { mode: 0o700, uid: 5, ..same }).is_some());
    let later = |time: FileTime, seconds, nanos| FileTime {
        seconds: time.seconds + seconds,
        nanos: time.nanos + nanos,
    };
    for other in [
        Stat { device: 8, ..same },
        Stat { inode: 1 << 40 | 3, ..same },
        Stat { size: same.size + 1, ..same },
        Stat { links: same.links + 1, ..same },
        Stat { modified: later(same.modified, 1, 0), ..same },
        Stat { modified: later(same.modified, 0, 1), ..same },
        Stat { changed: later(same.changed, 1, 0), ..same },
        Stat { changed: later(same.changed, 0, 1), ..same },
    ] {
        assert!(cache.find(&other).is_none(), "{other:?}");
    }
}

#[test]
fn what_had_just_changed_is_not_noted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.names");
    let cache = NameCache::open(path.clone());
    let recent = stat(1);
    let after = |nanos| HashClock::at(FileTime { nanos: recent.changed.nanos + nanos, ..recent.changed });
    cache.note(&recent, &names_of(1), after(20_000_000));
    cache.keep();
    assert!(!path.exists());
    cache.note(&recent, &names_of(1), after(20_000_001));
    cache.keep();
    assert_eq!(known(&path, 0..9), [1]);
}

#[test]
fn what_was_not_asked_about_is_dropped_when_something_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.names");
    cache_of(&path, 0..10);
    let inode = fs::metadata(&path).unwrap().ino();
    let ask = |found: &[u64], new: &[u64]| {
        let cache = NameCache::open(path.clone());
        for number in found {
            assert!(cache.find(&stat(*number)).is_some());
        }
        for number in new {
            cache.note(&stat(*number), &names_of(*number), LONG_AFTER);
        }
        cache.keep();
        known(&path, 0..30)
    };
    assert_eq!(ask(&[2], &[]), (0..10).collect::<Vec<_>>());
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "nothing is written where nothing is new");
    assert_eq!(ask(&[1, 2, 3, 7, 9], &[20, 4]), [1, 2, 3, 4, 7, 9, 20]);
    assert_eq!(ask(&[20, 9, 4], &[21, 21]), [4, 9, 20, 21], "one that is noted twice is there once");
    assert_eq!(ask(&[], &[5]), [5]);
}

#[test]
fn of_two_writers_one_gives_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.names");
    let [one, other] = [NameCache::open(path.clone()), NameCache::open(path.clone())];
    one.note(&stat(1), &names_of(1), LONG_AFTER);
    other.note(&stat(2), &names_of(2), LONG_AFTER);
    one.note(&stat(3), &names_of(3), LONG_AFTER);
    other.keep();
    one.keep();
    assert_eq!(known(&path, 0..9), [1, 3]);
    // Whoever still reads a cache that was replaced finds what it said, or nothing once it is written over.
    let reader = NameCache::open(path.clone());
    cache_of(&path, 0..9);
    assert_eq!(told(&reader.find(&stat(1)).unwrap()), told(&names_of(1)));
    cache_of(&path, 10..19);
    assert!(reader.find(&stat(1)).is_none_or(|found| told(&found) == told(&names_of(1))));
}

#[test]
fn i7_a_damaged_cache_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.names");
    cache_of(&path, 0..3);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        assert!(known(&path, 0..3).len() < 3, "byte {at}");
        fs::write(&path, &whole[..at]).unwrap();
        assert_eq!(known(&path, 0..3), [0; 0], "{at} bytes of it");
    }
}

/// A cache with right sums of one record that no writer writes.
fn forged(path: &Path, record: &[u8], count: u32, change: impl FnOnce(&mut Item)) {
    let mut item = Item::new(key(&stat(1)), header().len() as u64, &names(&[]), record).unwrap();
    item.names = count;
    change(&mut item);
    fs::write(path, [&header()[..], record, &tail(&[item])].concat()).unwrap();
}

#[test]
fn i7_records_that_are_none_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.names");
    let find = || NameCache::open(path.clone()).find(&stat(1));
    forged(&path, b"ab\0c\0\x02\0\x02\x01\0\0", 2, |_| ());
    let good: [(Vec<u8>, _); 2] = [(b"ab".to_vec(), Some(FileKind::File)), (b"c".to_vec(), None)];
    assert_eq!(told(&find().unwrap()), good);
    let records: [(&[u8], u32); 15] = [
        (b"b\0a\0\x01\0\x02\x01\0\x02", 2),
        (b"a\0a\0\x01\0\x02\x01\0\x02", 2),
        (b"a\0\x01\0\x08", 1),
        (b"a\0\x01\0\xff", 1),
        (b".\0\x01\0\x01", 1),
        (b"..\0\x02\0\x01", 1),
        (b"a/b\0\x03\0\x01", 1),
        (b"\0\0\0\x01", 1),
        (b"a\0b\0\x03\0\x02", 1),
        (b"ab\0\x01\0\x02", 1),
        (b"ab\0\x09\0\x02", 1),
        (b"ab\0\xff\xff\x02", 1),
        (b"abc\x02\0\x02", 1),
        (b"a\0\x01\0\x02", 2),
        (b"a\0\x01\0\x02", u32::MAX),
    ];
    for (record, count) in records {
        forged(&path, record, count, |_| ());
        assert!(find().is_none(), "{record:?}");
    }
    let record = b"a\0\x01\0\x02";
    let ways: [fn(&mut Item); 5] = [
        |item| item.offset = 0,
        |item| item.offset += 1,
        |item| item.offset = u64::MAX,
        |item| item.length = u32::MAX,
        |item| item.length = 1 << 30,
    ];
    for change in ways {
        forged(&path, record, 1, change);
        assert!(find().is_none());
    }
    forged(&path, record, 1, |_| ());
    assert!(find().is_some());
}

/// All that a walk finds.
fn walked(root: &Path, names: Option<&Arc<NameCache>>) -> Vec<(Vec<u8>, Vec<u8>, Stat)> {
    let options = WalkOptions { names: names.cloned(), ..WalkOptions::default() };
    let mut found = Vec::new();
    for listing in Walk::new(root, &options).unwrap() {
        let listing = listing.unwrap();
        found.extend(
            listing.children().map(|child| (listing.path().to_vec(), child.name.to_vec(), *child.stat)),
        );
    }
    found
}

#[test]
fn a_walk_sees_each_change_of_a_real_directory() {
    // Of a kind whose directories are known to be stamped.
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let root = directory.path().join("tree");
    for name in ["a/x", "a/y", "b/x", "c/d/e/x"] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    let at = |name: &str| root.join(name);
    let exchange = |one: &str, other: &str| {
        renameat_with(CWD, at(one), CWD, at(other), RenameFlags::EXCHANGE).unwrap();
    };
    let changes: [(&str, &dyn Fn(), usize); 11] = [
        ("nothing", &|| (), 6),
        ("a file is written in place", &|| fs::write(at("a/x"), "other").unwrap(), 6),
        (
            "a file is saved by rename",
            &|| {
                fs::write(at("a/.x"), "more").unwrap();
                fs::rename(at("a/.x"), at("a/x")).unwrap();
            },
            5,
        ),
        ("a new file", &|| fs::write(at("c/d/new"), "").unwrap(), 5),
        ("a file goes", &|| fs::remove_file(at("a/y")).unwrap(), 5),
        ("a file moves", &|| fs::rename(at("b/x"), at("c/moved")).unwrap(), 4),
        ("a directory moves", &|| fs::rename(at("c/d/e"), at("a/e")).unwrap(), 3),
        ("a link", &|| symlink("nowhere", at("a/link")).unwrap(), 5),
        ("two change places", &|| exchange("a/e", "c/moved"), 3),
        (
            "a file becomes a directory",
            &|| {
                fs::remove_file(at("c/d/new")).unwrap();
                fs::create_dir(at("c/d/new")).unwrap();
            },
            5,
        ),
        ("the root has another", &|| fs::write(at("z"), "").unwrap(), 6),
    ];
    let open = || {
        // What changes within a tick of the clock is not believed.
        wait_until_trusted(directory.path());
        Arc::new(NameCache::of_source(&directory.path().join("cache"), &root))
    };
    let known = open();
    assert_eq!(walked(&root, Some(&known)), walked(&root, None));
    known.keep();
    for (what, change, unchanged) in changes {
        change();
        let known = open();
        assert_eq!(walked(&root, Some(&known)), walked(&root, None), "{what}");
        let found = known.found.iter().filter(|found| found.load(Ordering::Relaxed)).count();
        assert_eq!(found, unchanged, "{what}");
        known.keep();
    }
}

/// As where a key for encrypted names came or went: the directory is as it was, and what it was to hold is not there.
#[test]
fn a_name_that_is_not_found_makes_the_walk_read_the_directory() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let root = directory.path().join("tree");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("real"), "").unwrap();
    wait_until_trusted(directory.path());
    let open = || Arc::new(NameCache::of_source(&directory.path().join("cache"), &root));
    let stat = Stat::of_file(File::open(&root).unwrap()).unwrap();
    let other = names(&[(b"other", Some(FileKind::File))]);
    let wrong = open();
    wrong.note(&stat, &other, HashClock::of_names(File::open(&root).unwrap()).unwrap().unwrap());
    wrong.keep();
    let known = open();
    assert_eq!(told(&known.find(&stat).unwrap()), told(&other));
    assert_eq!(walked(&root, Some(&known)), walked(&root, None));
    known.keep();
    assert_eq!(told(&open().find(&stat).unwrap()), [(b"real".to_vec(), Some(FileKind::File))]);
}

#[test]
fn whole_seconds_are_not_noted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.names");
    let cache = NameCache::open(path.clone());
    let whole = Stat { changed: FileTime { seconds: 1_000_000_000, nanos: 0 }, ..stat(1) };
    let now = HashClock::of_names(File::open("/dev/shm").unwrap()).unwrap().unwrap();
    cache.note(&whole, &names_of(1), now);
    cache.keep();
    assert!(!path.exists());
}

#[test]
fn a_cache_that_was_kept_is_kept_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.names");
    cache_of(&path, 0..3);
    let cache = NameCache::open(path.clone());
    assert!(cache.find(&stat(1)).is_some());
    cache.note(&stat(5), &names_of(5), LONG_AFTER);
    cache.keep();
    // What it reads is what would be written over now.
    cache.note(&stat(6), &names_of(6), LONG_AFTER);
    cache.keep();
    assert_eq!(known(&path, 0..9), [1, 5]);
}
