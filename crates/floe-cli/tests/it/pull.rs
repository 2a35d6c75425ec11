//! `floe pull`.

mod places;
mod selected;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

use floe_testkit::bytes_of;

use crate::attack::can;
use crate::environment::{User, listing, shape};

#[test]
fn what_was_pushed_comes_back() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let pulled = user.json(&["pull", "main", "back", "--json"]);
    assert_eq!((&pulled["outcome"], &pulled["file_count"]), (&"created".into(), &3.into()));
    assert_eq!(listing(&user.path("tree")), listing(&user.path("back")));
    insta::assert_json_snapshot!("pull", shape(&pulled));
    let again = user.json(&["pull", "main", "back", "--json"]);
    assert_eq!((&again["outcome"], &again["written_file_count"]), (&"unchanged".into(), &0.into()));
}

/// As with a push, a dry run tells whether there is anything to do.
#[test]
fn a_dry_run_over_what_is_equal_is_unchanged() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    user.floe(&["pull", "main", "back"], 0);
    let would = |arguments: &[&str]| {
        let all = [&["pull", "-n", "--json"], arguments].concat();
        user.json(&all)["outcome"].as_str().unwrap().to_owned()
    };
    for arguments in [
        &["main", "back"][..],
        &["main", "back", "--delete"],
        &["main:src/main.rs", "back/src"],
        &["main:src", "back/src"],
    ] {
        assert_eq!(would(arguments), "unchanged", "{arguments:?}");
    }
    fs::write(user.path("back/extra"), "extra").unwrap();
    assert_eq!(would(&["main", "back", "--delete"]), "dry_run");
    let mode =
        |mode| fs::set_permissions(user.path("back/src/main.rs"), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o600);
    assert_eq!(
        (would(&["main", "back"]), would(&["main:src/main.rs", "back/src"])),
        ("dry_run".into(), "dry_run".into())
    );
}

#[test]
fn over_a_directory_only_what_differs_is_written() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    user.floe(&["pull", "main", "back"], 0);
    fs::write(user.path("back/README.md"), "changed").unwrap();
    fs::write(user.path("back/extra"), "extra").unwrap();
    let would = user.json(&["pull", "main", "back", "--delete", "--dry-run", "--json"]);
    assert_eq!((&would["outcome"], &would["written_file_count"]), (&"dry_run".into(), &1.into()));
    assert_eq!(fs::read(user.path("back/README.md")).unwrap(), b"changed");
    let kept = user.json(&["pull", "main", "back", "--json"]);
    assert_eq!((&kept["outcome"], &kept["written_file_count"]), (&"updated".into(), &1.into()));
    assert!(user.path("back/extra").exists());
    let removed = user.json(&["pull", "main", "back", "--delete", "--json"]);
    assert_eq!((&removed["outcome"], &removed["removed_name_count"]), (&"updated".into(), &1.into()));
    assert_eq!(listing(&user.path("tree")), listing(&user.path("back")));
}

#[test]
fn a_part_and_an_old_generation() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    fs::write(user.path("tree/src/main.rs"), "new").unwrap();
    user.floe(&["push", &tree, "main"], 0);
    user.floe(&["pull", "main@1:src", "old"], 0);
    assert_eq!(fs::read(user.path("old/main.rs")).unwrap(), b"fn main() {}\n");
    user.floe(&["pull", "main:src/main.rs", "one"], 0);
    assert_eq!(fs::read(user.path("one")).unwrap(), b"new");
    user.floe(&["pull", "main", "some", "--include", "*.rs"], 0);
    assert!(user.path("some/src/main.rs").exists() && !user.path("some/README.md").exists());
    let absent = user.floe(&["pull", "main:absent", "nowhere"], 1);
    assert!(user.stderr(&absent).contains("absent"), "{}", user.stderr(&absent));
    assert!(!user.path("nowhere").exists());
    user.floe(&["pull", "main:../x", "nowhere"], 2);
}

#[test]
fn i3_damaged_data_is_corrupt_and_nothing_appears() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main", "--cache-dir", "first"], 0);
    let packs = user.path(".local/share/floe/default/packs");
    for pack in fs::read_dir(packs).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let mut bytes = fs::read(&pack).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let middle = bytes.len() / 3;
        bytes[middle] ^= 1;
        fs::write(&pack, bytes).unwrap();
    }
    let corrupt = user.floe(&["pull", "main", "back", "--cache-dir", "second"], 3);
    assert!(user.stderr(&corrupt).contains("pack"), "{}", user.stderr(&corrupt));
    assert!(!user.path("back").exists());
}

/// Also where the snapshot has a directory, of which the content turns out to be damaged.
#[test]
fn i3_over_a_directory_damaged_data_leaves_each_file_as_it_was() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    fs::create_dir(user.path("back")).unwrap();
    fs::write(user.path("back/src"), "old").unwrap();
    fs::write(user.path("back/README.md"), "old").unwrap();
    for pack in crate::damaged::objects(&user, "packs") {
        let mut bytes = fs::read(&pack).unwrap();
        bytes[60] ^= 1;
        fs::write(&pack, bytes).unwrap();
    }
    user.floe(&["pull", "main", "back"], 3);
    assert_eq!(fs::read(user.path("back/src")).unwrap(), b"old");
    let left = |name: &str| fs::read_dir(user.path("back")).unwrap().any(|e| e.unwrap().file_name() == *name);
    assert!(left("src") && left("README.md"));
    assert!(
        fs::read_dir(user.path("back")).unwrap().all(|entry| !entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(".floe"))
    );
}

#[test]
fn by_hash_finds_what_times_and_sizes_hide() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    user.floe(&["pull", "main", "back"], 0);
    let path = user.path("back/README.md");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "# a tree\n").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    let written = user.json(&["pull", "main", "back", "--by-hash", "--json"]);
    assert_eq!((&written["outcome"], &written["written_file_count"]), (&"updated".into(), &1.into()));
    assert_eq!(fs::read(&path).unwrap(), b"# A tree\n");
    let again = user.json(&["pull", "main", "back", "--by-hash", "--json"]);
    assert_eq!(again["outcome"], "unchanged");
}

#[test]
fn where_something_is_missing_it_says_so() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let missing = user.floe(&["pull", "main", "missing/back"], 1);
    insta::assert_snapshot!("pull_below_what_is_missing", user.stderr(&missing));
    assert!(!user.path("missing").exists());
    let absent = user.floe(&["pull", "main:absent", "back"], 1);
    insta::assert_snapshot!("pull_of_what_is_absent", user.stderr(&absent));
}

/// One system call for all files, and none for each.
#[test]
fn sync_is_one_call() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    // With it also the directory, for the new name in it.
    for (options, expected) in [(&[][..], &[][..]), (&["--sync"], &["syncfs", "fsync"])] {
        let destination = format!("to-{}", expected.len());
        let arguments = [&["pull", "main", &destination], options].concat();
        let Some(trace) = user.traced("trace=fsync,fdatasync,syncfs,sync", &arguments) else { return };
        let calls = trace.lines().filter_map(|line| line.split_whitespace().nth(1)?.split_once('('));
        let names: Vec<&str> = calls.map(|(name, _)| name).filter(|name| name.contains("sync")).collect();
        assert_eq!(names, expected, "{trace}");
    }
}

/// Others than the destination's own may be mounted below.
#[test]
fn sync_is_of_every_file_system_that_was_written() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    user.floe(&["pull", "main", "back"], 0);
    fs::create_dir(user.path("back/other")).unwrap();
    let mount = user.path("back/src");
    if !can(&["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", mount.to_str().unwrap()])
        || !can(&["strace", "-V"])
    {
        return;
    }
    // Files are missing in the mount; then a file's mode, and the mount's own, differ; then nothing.
    for (change, expected) in
        [("true", 2), ("chmod 600 back/src/main.rs", 2), ("chmod 711 back/src", 2), ("true", 1)]
    {
        let script = format!(
            "set -e; mount -t tmpfs tmpfs back/src; mount -t tmpfs tmpfs back/other; \
             [ -z \"$1\" ] || \"$0\" pull main back -q; {change}; \
             strace -f -o trace -e trace=syncfs \"$0\" pull main back --sync"
        );
        let is_first = change == "true" && expected == 2;
        let output =
            user.under(&["unshare", "-m", "sh", "-c", &script], if is_first { &[] } else { &["before"] });
        assert!(output.status.success(), "{}", crate::attack::told(&output));
        let trace = fs::read_to_string(user.path("trace")).unwrap();
        assert_eq!(
            trace.lines().filter(|line| line.contains("syncfs(")).count(),
            expected,
            "{change}: {trace}"
        );
    }
    let script = "set -e; mount -t tmpfs tmpfs back/src; \
                  strace -f -o trace -e trace=syncfs -e inject=syncfs:error=EIO:when=2 \"$0\" pull main back --sync";
    let output = user.under(&["unshare", "-m", "sh", "-c", script], &[]);
    let told = crate::attack::told(&output);
    assert!(output.status.code() == Some(1) && told.contains("cannot sync"), "{told}");
}

#[test]
fn owners_come_back_on_request() {
    let user = User::new();
    let tree = user.tree("tree");
    let given = user.path("tree/src");
    symlink("main.rs", given.join("link")).unwrap();
    // Only root may give files away.
    if !can(&["chown", "-Rh", "1234:5678", given.to_str().unwrap()]) {
        return;
    }
    user.floe(&["push", &tree, "main", "--owner"], 0);
    user.floe(&["push", &tree, "without"], 0);
    let owners = |name: &str| {
        ["README.md", "src", "src/main.rs", "src/link", "src/deep"].map(|below| {
            let stat = fs::symlink_metadata(user.path(name).join(below)).unwrap();
            (stat.uid(), stat.gid())
        })
    };
    let (ours, kept) = ([owners("tree")[0]; 5], owners("tree"));
    assert_eq!(kept[1..], [(1234, 5678); 4]);
    user.floe(&["pull", "main", "back"], 0);
    assert_eq!(owners("back"), ours);
    user.floe(&["pull", "without", "none", "--owner"], 0);
    assert_eq!(owners("none"), ours);
    user.floe(&["pull", "main", "owned", "--owner"], 0);
    assert_eq!(owners("owned"), kept);
    // Over what is there, too, where nothing else differs.
    let again = user.json(&["pull", "main", "back", "--owner", "--json"]);
    assert_eq!((&again["outcome"], &again["written_file_count"]), (&"updated".into(), &0.into()));
    assert_eq!(owners("back"), kept);
}

#[test]
fn device_nodes_are_made_on_request() {
    let user = User::new();
    let tree = user.tree("tree");
    let nodes = [("null", "c", 1, 3), ("src/disk", "b", 7, 99)];
    for (name, kind, major, minor) in nodes {
        let path = user.path("tree").join(name);
        let (major, minor) = (major.to_string(), minor.to_string());
        if !can(&["mknod", "-m", "640", path.to_str().unwrap(), kind, &major, &minor]) {
            return;
        }
    }
    user.floe(&["push", &tree, "main"], 0);
    let would = user.stderr(&user.floe(&["pull", "main", "without", "--dry-run"], 0));
    assert!(would.starts_with("left out: 2 device nodes; --devices makes them\nWould pull 3 "), "{would}");
    assert!(would.contains(" files to write; found in "), "{would}");
    for (globs, skipped) in [(&[][..], 2), (&["--devices"], 0), (&["--exclude", "/src"], 1)] {
        let would = [&["pull", "main", "without", "--dry-run", "--json"], globs].concat();
        assert_eq!(user.json(&would)["skipped_device_count"], skipped, "{globs:?}");
    }
    let without = user.floe(&["pull", "main", "without"], 0);
    let told = user.stderr(&without);
    assert!(told.starts_with("left out: 2 device nodes; --devices makes them\nPulled 3 files "), "{told}");
    assert!(!user.path("without/null").exists() && !user.path("without/src/disk").exists());
    let again = user.json(&["pull", "main", "without", "--json"]);
    assert_eq!((&again["outcome"], &again["skipped_device_count"]), (&"unchanged".into(), &2.into()));
    // In a new directory, and in one that is there.
    for name in ["with", "without"] {
        let made = user.json(&["pull", "main", name, "--devices", "--json"]);
        assert_eq!(made["skipped_device_count"], 0);
        for (node, kind, major, minor) in nodes {
            let stat = fs::symlink_metadata(user.path(name).join(node)).unwrap();
            assert_eq!((stat.file_type().is_char_device(), stat.mode() & 0o777), (kind == "c", 0o640));
            assert_eq!(stat.rdev(), rustix::fs::makedev(major, minor), "{node}");
        }
    }
}

/// As many threads as are asked for, and the same tree by each number of them.
#[test]
fn jobs_are_threads_that_write() {
    let user = User::new();
    let tree = user.tree("tree");
    for number in 0..300 {
        let directory = user.path(&format!("tree/{}", number % 7));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(number.to_string()), bytes_of(number, 50_000)).unwrap();
    }
    user.floe(&["push", &tree, "main"], 0);
    // Each thread that writes has a umask of its own, which it asks for.
    let threads = |jobs: &str, name: &str| {
        let trace = user.traced("trace=unshare", &["pull", "main", name, "--jobs", jobs])?;
        assert!(listing(&user.path(name)) == listing(&user.path("tree")), "{jobs} threads");
        Some(trace.lines().filter(|line| line.contains("CLONE_FS")).count())
    };
    let (Some(one), Some(three)) = (threads("1", "one"), threads("3", "three")) else { return };
    assert_eq!(three, one + 2);
    user.floe(&["pull", "main", "none", "--jobs", "0"], 2);
}

#[test]
fn extended_attributes_come_back_on_request() {
    let user = User::new();
    let tree = user.tree("tree");
    let (name, value) = ("user.floe", b"value");
    let flags = rustix::fs::XattrFlags::empty();
    match rustix::fs::setxattr(user.path("tree/README.md"), name, value, flags) {
        Ok(()) => {}
        Err(errno) => return floe_testkit::skip(format!("no extended attributes here: {errno}")),
    }
    let read = |path: &str| {
        let mut found = [0; 64];
        rustix::fs::getxattr(user.path(path), name, &mut found).ok().map(|length| found[..length].to_vec())
    };
    user.floe(&["push", &tree, "without"], 0);
    user.floe(&["push", &tree, "with", "--xattrs"], 0);
    for (snapshot, option, expected) in [
        ("with", &["--xattrs"][..], Some(value.to_vec())),
        ("with", &[], None),
        ("without", &["--xattrs"], None),
    ] {
        user.floe(&[&["pull", snapshot, "back"], option].concat(), 0);
        assert_eq!(read("back/README.md"), expected, "{snapshot} {option:?}");
        fs::remove_dir_all(user.path("back")).unwrap();
    }
}

/// Where a server has the file, it says only when that is closed that there is no room for it.
#[test]
fn what_is_said_when_a_file_is_closed_is_heard() {
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    fs::create_dir(user.path("out")).unwrap();
    fs::write(user.path("out/other"), "").unwrap();
    let pull = |strace: &[&str]| {
        let mut pull = std::process::Command::new("strace");
        pull.args(["-f", "-y", "-qq", "-o", "log"]).args(strace).arg(env!("CARGO_BIN_EXE_floe"));
        pull.args(["pull", "main", "out"]).env_clear().env("HOME", user.home()).current_dir(user.home());
        pull.output()
    };
    let place = user.path("out/README.md");
    let inject = ["-P", place.to_str().unwrap(), "-e", "trace=close", "-e", "inject=close:error=EDQUOT"];
    let Ok(output) = pull(&inject) else { return floe_testkit::skip("no strace on this machine") };
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot write") && told.contains("README.md"), "{told}");
    // The name of another file is taken only after that.
    fs::write(&place, "old").unwrap();
    assert!(pull(&["-e", "trace=close,renameat,renameat2"]).unwrap().status.success());
    let log = fs::read_to_string(user.path("log")).unwrap();
    // Its temporary name and its own, of all but the symlink, which is not open.
    let moved = log.split("renameat").skip(1).map(|call| call.split('"').collect::<Vec<_>>());
    let moved: Vec<&str> = moved.filter(|call| call[3] != "link").map(|call| call[1]).collect();
    assert_eq!(moved.len(), 3, "{log}");
    for name in moved {
        let renamed = log.find(&format!("\"{name}\"")).unwrap();
        let closed = log.lines().find(|line| line.contains("close(") && line.contains(name));
        let closed = closed.map(|line| line.as_ptr() as usize - log.as_ptr() as usize);
        assert!(closed.is_some_and(|closed| closed < renamed), "{name}: {log}");
    }
}
