//! `floe` killed at many points of a push and of a pull; strace kills it as it enters a system call.

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use floe_testkit::{bytes_of, copy_tree};

use super::{can, told, tree};
use crate::environment::User;

/// Where a process is killed: the call, and the how manieth of a thread. After a blank may stand a path below the home
/// directory; then only calls for that path count, whichever thread makes them.
type Point = (&'static str, u32);

/// Where every pull is killed.
const PULL: &[Point] = &[
    ("clone3", 2),
    ("close", 20),
    ("exit", 1),
    ("exit_group", 1),
    ("fcntl", 20),
    ("flock", 1),
    ("flock", 2),
    ("ftruncate", 1),
    ("getdents64", 1),
    ("getdents64", 2),
    ("mkdirat", 1),
    ("pread64", 1),
    ("pwrite64", 1),
    ("pwrite64", 2),
    ("renameat2", 1),
    ("statx", 12),
    ("umask", 1),
    ("umask", 2),
    ("unshare", 1),
    ("utimensat", 1),
    ("utimensat", 2),
    ("utimensat", 3),
    ("write", 1),
    ("write", 5),
];

/// Where also one that makes the destination is.
const PULL_ANEW: &[Point] = &[
    ("fchmod", 1),
    ("mkdirat", 2),
    ("mkdirat", 3),
    ("mkdirat", 4),
    ("openat", 40),
    ("renameat2", 2),
    ("utimensat", 40),
    ("write", 20),
    ("write", 40),
];

/// And one that changes what is there.
const PULL_OVER: &[Point] = &[
    ("openat", 40),
    ("read", 30),
    ("renameat", 1),
    ("renameat", 2),
    ("renameat", 5),
    ("renameat", 10),
    ("renameat", 15),
    ("statx", 40),
    ("utimensat", 10),
];

/// Where writing a local store is killed.
const PUSH: &[Point] = &[
    ("clone3", 2),
    ("clone3", 5),
    ("close", 15),
    ("close", 25),
    ("exit", 1),
    ("exit_group", 1),
    ("fdatasync", 1),
    ("fdatasync", 2),
    ("flock", 1),
    ("flock", 2),
    ("fsync", 1),
    ("fsync", 2),
    ("ftruncate", 1),
    ("getdents64", 1),
    ("getdents64", 5),
    ("getdents64", 10),
    ("mkdir", 1),
    ("openat", 25),
    ("pwrite64", 1),
    ("pwrite64", 2),
    ("read", 25),
    ("rename", 1),
    ("rename", 2),
    ("renameat2", 1),
    ("statx", 30),
    ("statx", 100),
    ("openat .local/share/floe/default/refs", 1),
    ("fsync .local/share/floe/default/leases", 1),
    ("fsync .local/share/floe/default/packs", 1),
    ("fsync .local/share/floe/default/refs", 1),
    ("unlink", 1),
    ("unlink", 2),
    ("unlink", 3),
    ("utimensat", 1),
    ("write", 2),
    ("write", 5),
];

/// And one that makes the store.
const FIRST_PUSH: &[Point] = &[
    ("mkdir", 5),
    ("mkdir", 10),
    ("pwrite64", 3),
    ("pwrite64", 5),
    ("fdatasync", 3),
    ("fdatasync", 5),
    ("rename", 3),
    ("rename", 4),
    ("renameat2", 2),
    ("renameat2", 3),
    ("openat .local/share/floe/default/gc", 1),
    ("openat .local/share/floe/default/format.json", 1),
    ("openat .local/share/floe/default/gc/state", 1),
    ("fsync .local/share/floe/default/gc", 1),
    ("fsync .local/share/floe/default", 1),
    ("fsync .local/share/floe/default", 2),
    ("fsync .local/share/floe", 1),
];

/// Where a ref of a local store is moved.
const REF: &[Point] = &[
    ("clone3", 2),
    ("close", 1),
    ("exit_group", 1),
    ("fdatasync", 1),
    ("fdatasync", 2),
    ("flock", 1),
    ("mkdir", 1),
    ("openat", 5),
    ("pwrite64", 1),
    ("pwrite64", 2),
    ("read", 1),
    ("rename", 1),
    ("rename", 2),
    ("renameat2", 1),
    ("statx", 5),
    ("unlink", 1),
    ("write", 1),
    ("fsync .local/share/floe/default/leases", 1),
    ("fsync .local/share/floe/default/leases", 2),
    ("fsync .local/share/floe/default/leases", 3),
    ("fsync .local/share/floe/default/refs", 1),
    ("openat .local/share/floe/default/gc/state", 1),
    ("openat .local/share/floe/default/format.json", 1),
    ("openat .local/share/floe/default/leases", 1),
    ("openat .local/share/floe/default/refs", 1),
    ("openat .local/share/floe/default/refs/main", 1),
    ("openat .local/share/floe/default/refs/main", 2),
    ("openat .local/share/floe/default/refs/main", 3),
];

impl User {
    /// Runs `floe` once for each point, to be killed there, between what comes before and what must hold after it.
    fn killed_at(&self, points: &[Point], arguments: &[&str], before: impl Fn(), after: impl Fn(Point)) {
        let mut missed = Vec::new();
        for &at in points {
            before();
            if !self.killed(at, arguments) {
                missed.push(at);
            }
            after(at);
        }
        // Which thread does what is another one every time.
        let kills = points.len() - missed.len();
        assert!(kills >= 20, "only {kills} kills, and none at {missed:?}");
    }

    /// Runs `floe`, killed there; whether it was.
    fn killed(&self, at: Point, arguments: &[&str]) -> bool {
        let (call, number) = at;
        let (call, path) = call.split_once(' ').unwrap_or((call, ""));
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:signal=KILL:when={number}");
        let mut strace = vec!["strace", "-f", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let path = self.path(path);
        if path != self.path("") {
            strace.extend(["-P", path.to_str().unwrap()]);
        }
        let output = self.under(&strace, arguments);
        let killed = output.status.signal() == Some(9) || output.status.code() == Some(137);
        assert!(killed || output.status.success(), "{at:?}: {:?} {}", output.status, told(&output));
        killed
    }

    /// What stands beside a destination `out`.
    fn staged(&self) -> Vec<std::ffi::OsString> {
        let names = fs::read_dir(self.home()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".out")).collect()
    }
}

fn fill(root: &Path) {
    fs::create_dir_all(root.join("a/b/c")).unwrap();
    for file in 0..60 {
        fs::write(root.join(format!("a/f{file}")), format!("one {file} ").repeat(200)).unwrap();
        fs::write(root.join(format!("a/b/c/g{file}")), format!("two {file} ").repeat(200)).unwrap();
    }
    fs::write(root.join("large"), bytes_of(1, 3 << 20)).unwrap();
}

fn edit(root: &Path) {
    for file in (0..60).step_by(3) {
        fs::write(root.join(format!("a/f{file}")), format!("changed {file} ").repeat(300)).unwrap();
    }
    fs::remove_file(root.join("a/f1")).unwrap();
    fs::create_dir(root.join("new")).unwrap();
    fs::write(root.join("new/x"), "x").unwrap();
    let mut large = bytes_of(1, 3 << 20).to_vec();
    large.extend([b'y'; 5_000]);
    fs::write(root.join("large"), large).unwrap();
}

fn can_kill() -> bool {
    can(&["strace", "-f", "-o", "/dev/null", "-e", "trace=openat", "true"])
}

#[test]
fn i5_a_killed_pull_leaves_a_new_destination_whole_or_untouched() {
    if !can_kill() {
        return;
    }
    let user = User::new();
    fill(&user.path("source"));
    user.floe(&["push", "source", "main"], 0);
    let (source, out) = (tree(&user.path("source")), user.path("out"));
    let before = || {
        if out.exists() {
            fs::remove_dir_all(&out).unwrap();
        }
    };
    user.killed_at(&[PULL, PULL_ANEW].concat(), &["pull", "main", "out"], before, |at| {
        let whole = out.exists();
        if whole {
            assert_eq!(tree(&out), source, "{at:?}: the destination is a part");
        }
        user.floe(&["pull", "main", "out"], 0);
        assert_eq!(tree(&out), source, "{at:?}");
        assert!(whole || user.staged().is_empty(), "{at:?}: {:?} is left", user.staged());
    });
}

#[test]
fn i5_a_killed_pull_leaves_each_file_in_place_old_or_new() {
    if !can_kill() {
        return;
    }
    let user = User::new();
    let source = user.path("source");
    fill(&source);
    user.floe(&["push", "source", "main"], 0);
    let old = tree(&source);
    edit(&source);
    user.floe(&["push", "source", "main"], 0);
    let (new, out) = (tree(&source), user.path("out"));
    let mut expected: HashMap<_, _> = new.clone();
    // Without `--delete` what the snapshot has not stays; nothing else does.
    expected.insert(b"/a/f1".to_vec(), old[&b"/a/f1"[..]].clone());
    let before = || {
        if out.exists() {
            fs::remove_dir_all(&out).unwrap();
        }
        user.floe(&["pull", "main@1", "out"], 0);
    };
    user.killed_at(&[PULL, PULL_OVER].concat(), &["pull", "main", "out"], before, |at| {
        let now = tree(&out);
        let files = old.iter().filter(|(_, what)| !what.ends_with(" directory"));
        for (path, _) in files {
            assert!(now.contains_key(path), "{at:?}: {path:?} is gone");
        }
        for (path, what) in now {
            let is_temporary = String::from_utf8_lossy(&path).contains("/.floe-");
            let legal = [old.get(&path), new.get(&path)].contains(&Some(&what));
            // What is told of a directory is its time, which the files below it change.
            assert!(is_temporary || legal || what.ends_with(" directory"), "{at:?}: {path:?} is {what}");
        }
        user.floe(&["pull", "main", "out"], 0);
        assert_eq!(tree(&out), expected, "{at:?}");
    });
}

#[test]
fn i1_a_killed_push_leaves_a_clean_store_and_can_be_repeated() {
    if !can_kill() {
        return;
    }
    let user = User::new();
    let source = user.path("source");
    fill(&source);
    user.floe(&["push", "source", "main"], 0);
    copy_tree(user.path(".local"), user.path("before"));
    copy_tree(user.path(".cache"), user.path("cache-before"));
    edit(&source);
    let expected = tree(&source);
    let before = || {
        for (from, to) in [("before", ".local"), ("cache-before", ".cache")] {
            let _ = fs::remove_dir_all(user.path(to));
            copy_tree(user.path(from), user.path(to));
        }
    };
    user.killed_at(PUSH, &["push", "source", "main"], before, |at| {
        user.floe(&["verify"], 0);
        user.floe(&["show", "main@1"], 0);
        user.floe(&["push", "source", "main"], 0);
        user.floe(&["verify"], 0);
        let _ = fs::remove_dir_all(user.path("out"));
        user.floe(&["pull", "main", "out"], 0);
        assert_eq!(tree(&user.path("out")), expected, "{at:?}");
    });
}

/// What makes the store and the namespace is killed too.
#[test]
fn i1_a_killed_first_push_leaves_a_clean_store_or_none_and_can_be_repeated() {
    if !can_kill() {
        return;
    }
    let user = User::new();
    let source = user.path("source");
    fill(&source);
    let expected = tree(&source);
    let before = || {
        for directory in [".local", ".cache", "out"] {
            let _ = fs::remove_dir_all(user.path(directory));
        }
    };
    user.killed_at(&[PUSH, FIRST_PUSH].concat(), &["push", "source", "main"], before, |at| {
        let store = user.path(".local/share/floe/default");
        if store.join("format.json").exists() {
            user.floe(&["verify"], 0);
        }
        if store.join("refs/main").exists() {
            user.floe(&["pull", "main", "out"], 0);
            assert_eq!(tree(&user.path("out")), expected, "{at:?}: the snapshot is a part");
            fs::remove_dir_all(user.path("out")).unwrap();
        }
        user.floe(&["push", "source", "main"], 0);
        user.floe(&["verify"], 0);
        user.floe(&["pull", "main", "out"], 0);
        assert_eq!(tree(&user.path("out")), expected, "{at:?}");
    });
}

#[test]
fn i5_a_killed_tag_or_rm_leaves_a_ref_old_or_new_and_can_be_repeated() {
    if !can_kill() {
        return;
    }
    let user = User::new();
    let source = user.path("source");
    fill(&source);
    user.floe(&["push", "source", "main"], 0);
    edit(&source);
    user.floe(&["push", "source", "main"], 0);
    copy_tree(user.path(".local"), user.path("before"));
    let before = || {
        fs::remove_dir_all(user.path(".local")).unwrap();
        copy_tree(user.path("before"), user.path(".local"));
    };
    let generations = || {
        let log = user.json(&["log", "main", "--json"]);
        let generations = log["generations"].as_array().unwrap().clone();
        generations.into_iter().map(|made| made["snapshot"].clone()).collect::<Vec<_>>()
    };
    let old = generations();
    for (arguments, named) in
        [(&["tag", "main@1", "main"][..], old[1].clone()), (&["rm", "main"], serde_json::Value::Null)]
    {
        let new = [&[named], &old[..]].concat();
        user.killed_at(REF, arguments, before, |at| {
            user.floe(&["verify"], 0);
            let found = generations();
            let is_moved = found == new;
            assert!(is_moved || found == old, "{at:?}: {found:?}");
            // What is removed cannot be removed again.
            user.floe(arguments, i32::from(is_moved && arguments[0] == "rm"));
            user.floe(&["verify"], 0);
            assert_eq!(generations(), new, "{at:?}");
        });
    }
}
