//! Names, sizes, times and modes that trees have where somebody means harm, or nobody thought of it; with few file
//! descriptors.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use floe_testkit::skip;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, mkdirat, mkfifoat, openat, utimensat};

use super::{can, told, tree};
use crate::environment::User;

/// Components that make a path of over 60,000 bytes.
const DEPTH: usize = 240;

fn many(root: &Path) {
    fs::create_dir(root.join("many")).unwrap();
    for number in 0..10_000 {
        File::create(root.join(format!("many/entry-{number}"))).unwrap();
    }
    for number in 0..10_000 {
        if number % 100 == 0 {
            fs::create_dir_all(root.join(format!("spread/{}", number / 100))).unwrap();
        }
        File::create(root.join(format!("spread/{}/{number}", number / 100))).unwrap();
    }
}

fn names(root: &Path) {
    let long = [b'x'; 255];
    let names: [&[u8]; 8] =
        [b"new\nline", b"\xff\xfe\x80", &long, b" ", b"-rf", b"\x01\x1b[31m", b"'\"$`\\", b"..."];
    for name in names {
        let directory = root.join("names").join(OsStr::from_bytes(name));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(OsStr::from_bytes(name)), name).unwrap();
        symlink(OsStr::from_bytes(name), directory.join("link")).unwrap();
    }
}

/// A path far longer than any that a system call takes.
fn deep(root: &Path) {
    let name = "d".repeat(250);
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat(CWD, root, flags, Mode::empty()).unwrap();
    for _ in 0..DEPTH {
        mkdirat(&at, &name, Mode::RWXU).unwrap();
        at = openat(&at, &name, flags, Mode::empty()).unwrap();
    }
    let file = openat(&at, "bottom", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    rustix::io::write(&file, b"the bottom").unwrap();
}

fn times_and_modes(root: &Path) {
    fs::create_dir(root.join("times")).unwrap();
    for (number, seconds) in
        [-1, -(1 << 31), 0, (1 << 31) - 1, 1 << 31, 1 << 32, 5_000_000_000].into_iter().enumerate()
    {
        let path = root.join(format!("times/{number}"));
        fs::write(&path, "timed").unwrap();
        let time = Timespec { tv_sec: seconds, tv_nsec: 123_456_789 };
        utimensat(CWD, &path, &Timestamps { last_access: time, last_modification: time }, AtFlags::empty())
            .unwrap();
    }
    fs::create_dir(root.join("modes")).unwrap();
    for mode in [0, 0o1, 0o111, 0o1777, 0o2755, 0o4755, 0o7777] {
        let path = root.join(format!("modes/file-{mode:o}"));
        fs::write(&path, "mode").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        // Whoever is not root can read no directory of less.
        let path = root.join(format!("modes/directory-{mode:o}"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), "in it").unwrap();
        let readable = if rustix::process::geteuid().is_root() { mode } else { mode | 0o700 };
        fs::set_permissions(&path, fs::Permissions::from_mode(readable)).unwrap();
    }
    if !rustix::process::geteuid().is_root() {
        skip("modes that only root can read");
        for mode in [0, 0o1, 0o111] {
            fs::remove_file(root.join(format!("modes/file-{mode:o}"))).unwrap();
        }
    }
}

fn kinds(root: &Path) {
    fs::create_dir_all(root.join("links/z")).unwrap();
    for number in 0..20 {
        let first = root.join(format!("links/a{number}"));
        fs::write(&first, "x".repeat(number * 5_000)).unwrap();
        fs::hard_link(&first, root.join(format!("links/z/b{number}"))).unwrap();
        fs::hard_link(&first, root.join(format!("many/link{number}"))).unwrap();
    }
    mkfifoat(CWD, root.join("fifo"), Mode::RUSR).unwrap();
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"in the middle", 1 << 29).unwrap();
    UnixListener::bind(root.join("socket")).unwrap();
    symlink("x".repeat(4_000), root.join("dangling")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
}

#[test]
fn whatever_a_tree_is_called_and_made_of_it_comes_back() {
    let few = ["sh", "-c", "ulimit -n 256 && exec \"$0\" \"$@\""];
    if !can(&["sh", "-c", "ulimit -n 256"]) {
        return;
    }
    let user = User::new();
    let root = user.path("source");
    fs::create_dir(&root).unwrap();
    many(&root);
    names(&root);
    deep(&root);
    times_and_modes(&root);
    kinds(&root);
    let expected = tree(&root);
    for arguments in [
        &["push", "source", "main"][..],
        &["pull", "main", "out", "--setuid"],
        &["verify"],
        // Again, in place; then the same from what came back.
        &["pull", "main", "out", "--setuid", "--delete"],
        &["push", "out", "copy"],
        &["diff", "main", "copy", "--exit-code"],
        &["archive", "main", "-o", "main.tar.zst"],
    ] {
        let output = user.under(&few, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", told(&output));
        // What the terminal is told is printable, whatever the names.
        assert!(!told(&output).contains('\u{1b}'), "{arguments:?}: {}", told(&output));
        if arguments[0] == "pull" {
            let found = tree(&user.path("out"));
            let shown = |path: &Vec<u8>| OsString::from(OsStr::from_bytes(&path[..path.len().min(80)]));
            for (path, what) in &expected {
                assert_eq!(found.get(path), Some(what), "{arguments:?}: {:?}", shown(path));
            }
            assert_eq!(found.len(), expected.len(), "{arguments:?}");
        }
    }
    assert!(expected.keys().any(|path| path.len() > 60_000));
    let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(user.path("out/sparse")).unwrap());
    assert!(blocks < 1_000, "the holes are filled: {blocks} blocks");
}
