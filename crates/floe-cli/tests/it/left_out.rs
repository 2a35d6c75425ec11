//! What a push leaves out of a tree, and what it tells of that.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Command;

use floe_testkit::{bytes_of, skip, wait_until_trusted};
use rustix::fs::{XattrFlags, getxattr, setxattr};
use serde_json::Value;

use crate::attack::{can, told, unprivileged};
use crate::environment::{User, stdout};
use crate::report::report;
use crate::stopped::Stopped;

/// Makes all that is there that of [`unprivileged`].
fn give_away(user: &User) {
    if rustix::process::geteuid().is_root() {
        let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(user.home()).status();
        assert!(owned.unwrap().success());
    }
}

/// The directory where it is mounted stays.
#[test]
fn other_file_systems_are_left_out_on_request() {
    let user = User::new();
    user.tree("tree");
    fs::create_dir(user.path("tree/mounted")).unwrap();
    let place = user.path("tree/mounted");
    let place = place.to_str().unwrap();
    if !can(&["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", place]) {
        return;
    }
    // All in one namespace of mounts: what is mounted is gone after it.
    let script = format!(
        "set -e; mount -t tmpfs tmpfs {place}; mkdir {place}/directory; echo there >{place}/directory/file; \
         \"$0\" push tree all; \"$0\" push tree one --one-file-system; \
         \"$0\" diff one ./tree --one-file-system --exit-code; echo and; \"$0\" diff one ./tree"
    );
    let output = user.under(&["unshare", "-m", "sh", "-c", &script], &[]);
    assert!(output.status.success(), "{}", told(&output));
    let (_, differences) = std::str::from_utf8(&output.stdout).unwrap().split_once("and\n").unwrap();
    assert_eq!(differences, "A mounted/directory\nA mounted/directory/file\n");
    let below = |name: &str| stdout(&user.floe(&["ls", "-R", name], 0));
    let expected = "README.md\nlink\nmounted/\nsrc/\nsrc/deep/\nsrc/main.rs\nsrc/deep/data\n";
    assert_eq!(below("one"), expected);
    assert_eq!(below("all").lines().count(), expected.lines().count() + 2);
}

/// Of the root's own file system it stays, wherever it is mounted.
#[test]
fn a_file_mounted_from_another_file_system_is_left_out_on_request() {
    let user = User::new();
    user.tree("tree");
    fs::create_dir(user.path("other")).unwrap();
    for file in ["other-file", "same-file"] {
        fs::write(user.path("tree").join(file), "below").unwrap();
    }
    let other = user.path("other");
    let other = other.to_str().unwrap();
    if !can(&["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", other]) {
        return;
    }
    let script = "set -e; mount -t tmpfs tmpfs other; echo elsewhere >other/file; echo here >here; \
                  mount --bind other/file tree/other-file; mount --bind here tree/same-file; \
                  \"$0\" push tree all; \"$0\" push tree one --one-file-system; \
                  \"$0\" diff one ./tree --one-file-system --exit-code; echo and; \"$0\" diff one ./tree";
    let output = user.under(&["unshare", "-m", "sh", "-c", script], &[]);
    assert!(output.status.success(), "{}", told(&output));
    let (_, differences) = std::str::from_utf8(&output.stdout).unwrap().split_once("and\n").unwrap();
    assert_eq!(differences, "A other-file\n");
    for (name, file) in
        [("all:other-file", "elsewhere\n"), ("all:same-file", "here\n"), ("one:same-file", "here\n")]
    {
        assert_eq!(stdout(&user.floe(&["cat", name], 0)), file);
    }
    assert!(!stdout(&user.floe(&["ls", "one"], 0)).contains("other-file"));
}

/// Its neighbours, before it and after, may fill segments.
#[test]
fn a_big_file_that_cannot_be_read_is_left_out_wherever_it_is() {
    let Some(before) = unprivileged() else { return };
    let user = User::new();
    let root = user.path("tree");
    fs::create_dir_all(root.join("many")).unwrap();
    for number in 0..3000 {
        fs::write(root.join(format!("many/{number:04}")), number.to_string().repeat(20)).unwrap();
    }
    for name in ["big", "many/1500"] {
        fs::write(root.join(name), "big ".repeat(30_000)).unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    give_away(&user);
    let output = user.under(before, &["push", "tree", "main", "--skip-unreadable", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let report = report("push", &output.stdout);
    assert_eq!((report["skipped"].as_array().unwrap().len(), &report["file_count"]), (2, &2999.into()));
}

/// Its content comes all the same, and is none of the file before.
#[test]
fn what_cannot_be_read_before_a_big_file_is_left_out() {
    let Some(before) = unprivileged() else { return };
    let user = User::new();
    let root = user.path("tree");
    fs::create_dir_all(&root).unwrap();
    for number in 100..300 {
        fs::write(root.join(format!("a{number}")), number.to_string().repeat(330)).unwrap();
    }
    fs::write(root.join("b"), "not to be read").unwrap();
    fs::set_permissions(root.join("b"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::write(root.join("c"), bytes_of(1, 100_000)).unwrap();
    give_away(&user);
    // Or hashes are not remembered.
    wait_until_trusted(&root);
    let arguments = ["push", "tree", "main", "--skip-unreadable", "--json"];
    let output = user.under(before, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let report = report("push", &output.stdout);
    assert_eq!((&report["skipped"][0]["path"], &report["file_count"]), (&"b".into(), &201.into()));
}

/// An ignore file that is not there may not be asked about either.
#[test]
fn a_directory_that_may_be_listed_alone_is_kept_without_what_is_in_it() {
    let Some(before) = unprivileged() else { return };
    let user = User::new();
    user.tree("tree");
    fs::create_dir_all(user.path("tree/closed/below")).unwrap();
    fs::write(user.path("tree/closed/inner"), "not to be read").unwrap();
    fs::set_permissions(user.path("tree/closed"), fs::Permissions::from_mode(0o444)).unwrap();
    give_away(&user);
    let arguments = ["push", "tree", "main", "--skip-unreadable", "--json"];
    let output = user.under(before, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let report = report("push", &output.stdout);
    let skipped: Vec<_> = report["skipped"].as_array().unwrap().iter().map(|one| &one["path"]).collect();
    assert_eq!(skipped, ["closed/below", "closed/inner"]);
    fs::set_permissions(user.path("tree/closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn what_cannot_be_read_is_listed_with_the_reason() {
    let Some(before) = unprivileged() else { return };
    let user = User::new();
    user.tree("tree");
    let root = user.path("tree");
    let raw = OsStr::from_bytes(b"raw \xff");
    fs::create_dir(root.join("closed")).unwrap();
    for file in [OsStr::new("closed/inner"), OsStr::new("src/secret"), raw] {
        fs::write(root.join(file), "secret").unwrap();
    }
    let _sockets = ["socket", "src/socket"].map(|name| UnixListener::bind(root.join(name)).unwrap());
    let set_mode = |name: &OsStr, mode| {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for name in [OsStr::new("closed"), OsStr::new("src/secret"), raw] {
        set_mode(name, 0);
    }
    give_away(&user);
    let arguments = ["push", "tree", "main", "--skip-unreadable"];
    let output = user.under(before, &[&arguments[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let report = report("push", &output.stdout);
    let skipped = report["skipped"].as_array().unwrap();
    let denied = "Permission denied (os error 13)";
    let expected = BTreeMap::from([("closed", denied), ("raw \u{fffd}", denied), ("src/secret", denied)]);
    let text = |entry: &Value, key| entry[key].as_str().unwrap().to_owned();
    let found: BTreeMap<_, _> = skipped.iter().map(|e| (text(e, "path"), text(e, "error"))).collect();
    assert!(found.iter().map(|(path, error)| (path.as_str(), error.as_str())).eq(expected), "{found:?}");
    let raw_hex = skipped.iter().find_map(|entry| entry["path_hex"].as_str());
    assert_eq!((skipped.len(), raw_hex), (3, Some("72617720ff")));
    assert_eq!(
        (&report["skipped_socket_count"], &report["file_count"], &report["entry_count"]),
        (&2.into(), &3.into(), &7.into())
    );
    // Of a directory that cannot be read, it itself is kept.
    let listed = stdout(&user.floe(&["ls", "-R", "main"], 0));
    assert_eq!(listed, "README.md\nclosed/\nlink\nsrc/\nsrc/deep/\nsrc/main.rs\nsrc/deep/data\n");
    assert_eq!(user.json(&["log", "main", "--json"])["generations"][0]["skipped_count"], 3);

    let output = user.under(before, &arguments);
    let told = told(&output);
    for line in ["closed: ", "raw \\xff: ", "src/secret: "].map(|path| format!("left out: {path}{denied}")) {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    assert!(told.contains("left out: 2 sockets\nUnchanged: 3 files "), "{told}");
    // So that whoever is not root can remove it.
    set_mode(OsStr::new("closed"), 0o700);
}

/// Its listing tells of it already.
#[test]
fn a_directory_whose_attributes_cannot_be_read_is_kept_without_them() {
    let Some(before) = unprivileged() else { return };
    let user = User::new();
    user.tree("tree");
    let closed = [("tree/closed", 0o000), ("tree/src/entered", 0o300)];
    for (path, _) in closed {
        fs::create_dir(user.path(path)).unwrap();
        if let Err(e) = setxattr(user.path(path), "user.floe", b"kept", XattrFlags::empty()) {
            skip(format!("this file system has no extended attributes: {e}"));
            return;
        }
    }
    let set_modes = |mode_of: fn(u32) -> u32| {
        for (path, mode) in closed {
            fs::set_permissions(user.path(path), fs::Permissions::from_mode(mode_of(mode))).unwrap();
        }
    };
    set_modes(|mode| mode);
    give_away(&user);
    let arguments = ["push", "tree", "main", "--xattrs", "--json"];
    let output = user.under(before, &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("2 entries cannot be read"), "{}", told(&output));

    let output = user.under(before, &[&arguments[..], &["--skip-unreadable"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let report = report("push", &output.stdout);
    let skipped: Vec<_> = report["skipped"].as_array().unwrap().iter().map(|one| &one["path"]).collect();
    assert_eq!((skipped.len(), &report["file_count"]), (2, &3.into()), "{skipped:?}");
    assert!(skipped.iter().all(|path| ["closed", "src/entered"].contains(&path.as_str().unwrap())));
    let listed = user.under(before, &["ls", "-R", "main"]);
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.contains("closed/\n") && listed.contains("src/entered/\n"), "{listed}");
    set_modes(|_| 0o700);
}

/// It is as if it had never been there.
#[test]
fn what_vanishes_meanwhile_is_not_listed() {
    if !Stopped::is_possible() {
        return;
    }
    let user = User::new();
    user.tree("tree");
    let vanishing = user.path("tree/src/vanishing");
    fs::write(&vanishing, "for a moment").unwrap();
    // It stops when it has asked about the file, before it opens it.
    let stopped = Stopped::at(&user, "statx", "vanishing", "", &["push", "tree", "main", "--json"]);
    fs::remove_file(&vanishing).unwrap();
    let output = stopped.go_on();
    assert!(output.status.success(), "{}", told(&output));
    let report = report("push", &output.stdout);
    assert_eq!((&report["skipped"], &report["file_count"]), (&Value::Array(Vec::new()), &3.into()));
    assert!(!stdout(&user.floe(&["ls", "-R", "main"], 0)).contains("vanishing"));
}

/// Wherever they are called what: a store in the source would be pushed into itself, and no push be like the one before.
#[test]
fn the_store_and_the_caches_are_no_part_of_the_source() {
    let user = User::new();
    user.tree("tree");
    let own = [(".cache/floe", "the caches"), (".local/share/floe", "the store")];
    let first = user.floe(&["push", ".", "home"], 0);
    for (path, what) in own {
        let line = format!("left out: {path}: {what} of this very command\n");
        assert!(user.stderr(&first).contains(&line), "{line}: {}", user.stderr(&first));
    }
    assert!(user.stderr(&user.floe(&["push", ".", "home"], 0)).contains("\nUnchanged: 3 files "));
    let listed = stdout(&user.floe(&["ls", "-R", "home"], 0));
    assert!(listed.contains(".local/share/\n") && !listed.contains("floe"), "{listed}");
    // They are not as if they were missing, nor does the ref say that something could not be read.
    assert_eq!(stdout(&user.floe(&["diff", "home", ".", "--exit-code"], 0)), "");
    let report = user.json(&["push", ".", "home", "--json"]);
    let skipped: Vec<_> = report["skipped"].as_array().unwrap().iter().map(|one| &one["path"]).collect();
    assert_eq!(skipped, own.map(|(path, _)| path));
    assert_eq!(user.json(&["log", "home", "--json"])["generations"][0]["skipped_count"], 0);

    // By another name, and where there is nothing yet.
    std::os::unix::fs::symlink("new", user.path("link")).unwrap();
    fs::create_dir(user.path("new")).unwrap();
    let arguments = ["push", ".", "home", "--store", "link/store", "--cache-dir", "link/caches"];
    let told = user.stderr(&user.floe(&arguments, 0));
    for line in ["left out: new/caches: the caches", "left out: new/store: the store"] {
        assert!(told.contains(line), "{told}");
    }
    let told = user.stderr(&user.floe(&["push", ".local/share/floe", "x"], 1));
    assert!(told.contains("/floe is the store of this very command"), "{told}");
    for (below, what) in [
        (".local/share/floe/default", "the store"),
        (".local/share/floe/default/packs", "the store"),
        (".cache/floe/stats", "the caches"),
    ] {
        fs::create_dir_all(user.path(below)).unwrap();
        let told = user.stderr(&user.floe(&["push", below, "x"], 1));
        assert!(told.contains(&format!("{below} lies in {what} of this very command")), "{told}");
    }
}

/// It is tried once, not once for each name.
#[test]
fn a_file_of_many_names_that_cannot_be_read_is_left_out_under_all_of_them() {
    const NAMES: usize = 40;
    let Some(before) = unprivileged() else { return };
    let user = User::new();
    user.tree("tree");
    let first = user.path("tree/00");
    fs::write(&first, "not to be read").unwrap();
    fs::set_permissions(&first, fs::Permissions::from_mode(0o000)).unwrap();
    for name in 1..NAMES {
        fs::hard_link(&first, user.path("tree").join(format!("{name:02}"))).unwrap();
    }
    give_away(&user);
    let output = user.under(before, &["push", "tree", "main", "--skip-unreadable"]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("left out: ")).count(), NAMES, "{told}");
    let listed = user.under(before, &["ls", "main"]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "README.md\nlink\nsrc/\n");
}

/// Without it all is planned again, and what was read by then is not read again.
#[test]
fn what_cannot_be_read_does_not_make_all_else_be_read_twice() {
    const BYTES: usize = 24 << 20;
    let Some(before) = unprivileged() else { return };
    let user = User::new();
    fs::create_dir_all(user.path("tree/small")).unwrap();
    fs::write(user.path("tree/large"), bytes_of(1, BYTES / 2)).unwrap();
    for number in 0..512 {
        fs::write(user.path(&format!("tree/small/{number}")), bytes_of(2 + number, BYTES / 1024)).unwrap();
    }
    fs::write(user.path("tree/small/secret"), "secret").unwrap();
    fs::set_permissions(user.path("tree/small/secret"), fs::Permissions::from_mode(0o000)).unwrap();
    give_away(&user);
    // Or hashes are not remembered.
    wait_until_trusted(&user.path("tree"));
    // What a process reads counts for who waits for it.
    let script = "\"$0\" push tree main --skip-unreadable && cat /proc/$$/io";
    let output = user.under(&[before, &["sh", "-c", script]].concat(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("left out: small/secret"), "{}", told(&output));
    let counts = String::from_utf8_lossy(&output.stdout);
    let read_bytes = counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    let read_bytes: usize = read_bytes.parse().unwrap();
    assert!(read_bytes < BYTES * 5 / 4, "{read_bytes} bytes were read of {BYTES}");
}

/// All of it, or the namespace alone.
#[test]
fn a_store_mounted_in_the_tree_is_left_out() {
    for place in [".local/share/floe", ".local/share/floe/default"] {
        let user = User::new();
        user.tree("tree");
        fs::create_dir(user.path("tree/mounted")).unwrap();
        user.floe(&["push", "tree", "main"], 0);
        let (from, to) = (user.path(place), user.path("tree/mounted"));
        if !can(&["unshare", "-m", "mount", "--bind", from.to_str().unwrap(), to.to_str().unwrap()]) {
            return;
        }
        let script = format!(
            "set -e; mount --bind {place} tree/mounted; \"$0\" push tree main; \"$0\" ls main; ! \"$0\" push tree/mounted x"
        );
        let output = user.under(&["unshare", "-m", "sh", "-c", &script], &[]);
        assert!(output.status.success(), "{place}: {}", told(&output));
        let left_out = "left out: mounted: the store of this very command";
        assert!(told(&output).contains(left_out), "{place}: {}", told(&output));
        assert!(!String::from_utf8_lossy(&output.stdout).contains("mounted"), "{place}");
    }
}

/// What has no way to its extended attributes but `/proc` is told, not stored without them.
#[test]
fn extended_attributes_are_stored_where_there_is_no_proc() {
    let user = User::new();
    user.tree("tree");
    fs::remove_file(user.path("tree/link")).unwrap();
    for path in ["tree/README.md", "tree/src", "tree"] {
        if let Err(e) = setxattr(user.path(path), "user.floe", b"kept", XattrFlags::empty()) {
            return skip(format_args!("no extended attributes here: {e}"));
        }
    }
    if !can(&["unshare", "-m", "mount", "-t", "tmpfs", "none", "/proc"]) {
        return;
    }
    let script = "set -e; mount -t tmpfs none /proc; \"$0\" push tree main --xattrs; ln -s README.md tree/link; \
                  ! \"$0\" push tree linked --xattrs";
    let output = user.under(&["unshare", "-m", "sh", "-c", script], &[]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("link can be read only where /proc is mounted"), "{}", told(&output));
    user.floe(&["pull", "main", "out", "--xattrs"], 0);
    for path in ["out/README.md", "out/src", "out"] {
        let mut value = [0; 8];
        assert_eq!(getxattr(user.path(path), "user.floe", &mut value[..]), Ok(4), "{path}");
    }
}

#[test]
fn a_pull_neither_writes_to_the_store_nor_removes_it() {
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    for place in [".local/share/floe", ".local/share/floe/new/below", ".local/share/floe/default/packs/"] {
        let told = user.stderr(&user.floe(&["pull", "main", place], 1));
        assert!(told.contains("lies in the store") && told.contains("only Floe's own files"), "{told}");
    }
    // The snapshot has neither of the directories that the store and the caches are in.
    fs::create_dir(user.path("tree/.cache")).unwrap();
    fs::write(user.path("tree/.cache/other"), "no cache of Floe's").unwrap();
    user.floe(&["push", "tree", "cached"], 0);
    user.floe(&["pull", "cached", ".", "--delete"], 0);
    assert!(user.path("README.md").exists() && !user.path("tree").exists());
    assert!(user.path(".cache/floe").exists() && user.path(".cache/other").exists());
    user.floe(&["verify"], 0);
    fs::remove_dir_all(user.path(".cache")).unwrap();
    // What would have to go for a file.
    fs::create_dir(user.path("files")).unwrap();
    fs::write(user.path("files/.local"), "a file").unwrap();
    user.floe(&["push", "files", "files"], 0);
    let told = user.stderr(&user.floe(&["pull", "files", ".", "--delete"], 1));
    assert!(told.contains(".local") && told.contains("which the store or the caches are in"), "{told}");
    user.floe(&["verify"], 0);
}

/// Neither for one file, nor where the snapshot has a directory of that name.
#[test]
fn a_store_in_the_destination_stays() {
    let user = User::new();
    user.tree("tree");
    fs::create_dir_all(user.path("out/src/store")).unwrap();
    let store = ["--store", "out/src/store"];
    let floe = |arguments: &[&str], code| user.floe(&[arguments, &store].concat(), code);
    floe(&["push", "tree", "main"], 0);
    fs::create_dir(user.path("files")).unwrap();
    fs::write(user.path("files/src"), "a file").unwrap();
    floe(&["push", "files", "files"], 0);
    fs::create_dir_all(user.path("directories/src/store")).unwrap();
    fs::write(user.path("directories/src/store/file"), "").unwrap();
    floe(&["push", "directories", "directories"], 0);
    for arguments in [
        &["pull", "files:src", "out", "--delete"][..],
        &["pull", "files:src", "out", "--delete", "--dry-run"],
        &["pull", "files:src", "out/src", "--delete"],
        &["pull", "files", "out", "--delete"],
        &["pull", "directories", "out"],
        &["pull", "directories", "out", "--delete"],
        &["pull", "directories:src", "out/src", "--dry-run"],
    ] {
        // A single file goes into a directory.
        let is_written = arguments[2] == "out/src" && arguments[1] == "files:src";
        let told = user.stderr(&floe(arguments, i32::from(!is_written)));
        assert!(is_written || told.contains("the store or the caches"), "{arguments:?}: {told}");
        floe(&["verify"], 0);
        assert!(!user.path("out/src/store/file").exists());
    }
    floe(&["pull", "directories", "out", "--exclude", "store"], 0);
}

/// Seen through a mount, paths do not tell.
#[test]
fn a_store_behind_a_mount_stays() {
    let user = User::new();
    user.tree("tree");
    fs::create_dir_all(user.path("out/sub")).unwrap();
    fs::create_dir_all(user.path("bound")).unwrap();
    let (from, to) = (user.path("out/sub"), user.path("bound"));
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    if !can(&["unshare", "-m", "mount", "--bind", from, to]) {
        return;
    }
    let script = "set -e; mount --bind out/sub bound; export FLOE_STORE=$PWD/bound/store; \"$0\" push tree main; \
                  code=0; \"$0\" pull main out --delete || code=$?; \"$0\" verify; exit $code";
    let output = user.under(&["unshare", "-m", "sh", "-c", script], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("the store or the caches"), "{}", told(&output));
    assert!(user.path("out/README.md").exists());
    // A part of it is as much its own.
    for (part, to) in [("default", "bound"), ("default/packs", "bound"), ("default", "out/src")] {
        let destination = to.split('/').next().unwrap();
        let script = format!(
            "set -e; export FLOE_STORE=$PWD/out/sub/store; mount --bind out/sub/store/{part} {to}; \
             code=0; \"$0\" pull main {destination} --delete || code=$?; \"$0\" verify; exit $code"
        );
        let output = user.under(&["unshare", "-m", "sh", "-c", &script], &[]);
        assert_eq!(output.status.code(), Some(1), "{part} {to}: {}", told(&output));
    }
}

/// Without it the next command would find no store.
#[test]
fn the_symlink_that_leads_to_the_store_stays() {
    let user = User::new();
    user.tree("tree");
    for directory in ["out", "real"] {
        fs::create_dir(user.path(directory)).unwrap();
    }
    std::os::unix::fs::symlink("../real", user.path("out/way")).unwrap();
    let store = ["--store", "out/way/store"];
    user.floe(&[&["push", "tree", "main"][..], &store].concat(), 0);
    fs::write(user.path("out/extra"), "").unwrap();
    user.floe(&[&["pull", "main", "out", "--delete"][..], &store].concat(), 0);
    assert!(!user.path("out/extra").exists());
    user.floe(&[&["verify"][..], &store].concat(), 0);
}

/// A dry run lists what the push then does, also of what it cannot read.
#[test]
fn a_dry_run_lists_what_is_left_out() {
    let Some(before) = unprivileged() else { return };
    let user = User::new();
    user.tree("tree");
    let root = user.path("tree");
    fs::create_dir(root.join("closed")).unwrap();
    for file in ["closed/inner", "secret", "other"] {
        fs::write(root.join(file), "secret").unwrap();
    }
    let has_xattrs = setxattr(root.join("closed"), "user.color", b"blue", XattrFlags::empty()).is_ok();
    if !has_xattrs {
        skip("no extended attributes here");
    }
    give_away(&user);
    let arguments = ["push", "tree", "main", "--skip-unreadable", "--xattrs"];
    let push = |options: &[&str]| {
        let output = user.under(before, &[&arguments[..], options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    push(&[]);
    for name in ["closed", "secret"] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    fs::write(root.join("other"), "changed").unwrap();
    let listed = push(&["-n"]);
    push(&[]);
    assert_eq!(listed, stdout(&user.floe(&["diff", "--times", "main@1", "main@2"], 0)));
    for change in ["D closed/inner", "D secret", "M other"] {
        assert!(listed.lines().any(|line| line == change), "{listed}");
    }
}
