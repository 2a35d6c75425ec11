//! `floe pull`.

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

#[test]
fn what_is_excluded_is_not_pulled() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    user.floe(&["pull", "main", "back", "--exclude", "*.rs", "--exclude", "deep"], 0);
    assert!(user.path("back/README.md").exists() && user.path("back/src").exists());
    assert!(!user.path("back/src/main.rs").exists() && !user.path("back/src/deep").exists());
    user.floe(&["pull", "main", "only", "--include", "*.rs"], 0);
    assert!(user.path("only/src/main.rs").exists() && !user.path("only/README.md").exists());
}

#[test]
fn a_glob_with_a_slash_at_its_end_is_of_directories() {
    let user = User::new();
    for (path, content) in [("tree/a", "file"), ("tree/d/a/x", "below"), ("tree/d/b", "b")] {
        fs::create_dir_all(user.path(path).parent().unwrap()).unwrap();
        fs::write(user.path(path), content).unwrap();
    }
    user.floe(&["push", "tree", "main"], 0);
    user.floe(&["push", "tree", "less", "--exclude", "a/"], 0);
    user.floe(&["pull", "less", "less"], 0);
    for option in ["-q", "-n"] {
        user.floe(&["pull", "main", "more", "--exclude", "a/", option], 0);
    }
    let names = |path: &str| {
        let told = listing(&user.path(path));
        told.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("more"), ["a", "d", "d/b"]);
    assert_eq!(names("more"), names("less"));
    user.floe(&["pull", "main", "only", "--include", "a/"], 0);
    assert_eq!(names("only"), ["d", "d/a", "d/a/x"]);
    // Of what the snapshot does not have, too.
    fs::create_dir_all(user.path("more/e/a")).unwrap();
    fs::write(user.path("more/e/a/x"), "").unwrap();
    fs::create_dir_all(user.path("tree/e")).unwrap();
    fs::write(user.path("tree/e/y"), "").unwrap();
    fs::write(user.path("more/d/a"), "").unwrap();
    user.floe(&["push", "tree", "main"], 0);
    fs::create_dir(user.path("more/d/c")).unwrap();
    fs::write(user.path("more/d/c/a"), "").unwrap();
    user.floe(&["pull", "main", "more", "--exclude", "a/", "--delete"], 0);
    assert_eq!(names("more"), ["a", "d", "d/b", "e", "e/a", "e/a/x", "e/y"]);
    fs::remove_dir_all(user.path("more/e/a")).unwrap();
    fs::write(user.path("more/e/a"), "").unwrap();
    let pulled = user.json(&["pull", "main", "more", "--exclude", "a/", "--delete", "--json"]);
    assert_eq!(pulled["removed_name_count"], 1);
    assert!(!user.path("more/e/a").exists());
}

/// Also where the snapshot has nothing of the directory that it is in.
#[test]
fn what_is_excluded_is_not_removed() {
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    let paths = [("logs/deep/a.log", true), ("logs/deep/b/c", false), ("logs/d", false), ("old/a", false)];
    for (path, is_kept) in paths.map(|(path, is_kept)| (format!("out/{path}"), is_kept)) {
        let path = &path[..];
        fs::create_dir_all(user.path(path).parent().unwrap()).unwrap();
        fs::write(user.path(path), "").unwrap();
        let pull = ["pull", "main", "out", "--delete", "--exclude", "*.log"];
        let pulled = user.json(&[&pull[..], &["--dry-run", "--json"]].concat());
        assert_eq!(pulled["removed_name_count"], u64::from(!is_kept), "{path}");
        user.floe(&pull, 0);
        assert_eq!(user.path(path).exists(), is_kept, "{path}");
    }
    user.floe(&["pull", "main", "out", "--delete"], 0);
    assert!(!user.path("out/logs").exists());
}

/// Also below what is not, and that stays.
#[test]
fn what_is_included_is_removed_wherever_it_is() {
    let user = User::new();
    for path in ["tree/d/x", "out/d/y", "out/b/d/z", "out/b/c/d/keep.log", "out/b/c/d/y", "out/b/e", "out/f"]
    {
        fs::create_dir_all(user.path(path).parent().unwrap()).unwrap();
        fs::write(user.path(path), "").unwrap();
    }
    user.floe(&["push", "tree", "main"], 0);
    let pull = ["pull", "main", "out", "--include", "d", "--exclude", "*.log", "--json"];
    for (option, removed, left) in [("--by-hash", 0, true), ("--delete", 3, false)] {
        for dry_run in [&["-n"][..], &[]] {
            let pulled = user.json(&[&pull[..], &[option], dry_run].concat());
            assert_eq!(pulled["removed_name_count"], removed, "{option} {dry_run:?}");
        }
        for path in ["d/y", "b/d", "b/c/d/y"] {
            assert_eq!(user.path("out").join(path).exists(), left, "{path}");
        }
        for path in ["d/x", "b/c/d/keep.log", "b/e", "f"] {
            assert!(user.path("out").join(path).exists(), "{path}");
        }
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

/// Nor where the snapshot has something else in the place of the directory that it is in.
#[test]
fn what_is_excluded_is_not_replaced() {
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    for (kept, exclude) in
        [("README.md/deep/a.log", "*.log"), ("link/a", "link/"), ("README.md/a", "README.md/a")]
    {
        let path = user.path("out").join(kept);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        let refused = user.floe(&["pull", "main", "out", "--delete", "--exclude", exclude], 1);
        assert!(user.stderr(&refused).contains("holds what is left out"), "{kept}");
        assert!(path.exists() && !user.path("out/src").exists(), "{kept}");
        user.floe(&["pull", "main", "out", "--delete", "--exclude", "*.other"], 0);
        assert!(!path.exists(), "{kept}");
        fs::remove_dir_all(user.path("out")).unwrap();
    }
}

/// There is nothing to be kept in a directory that is not there.
#[test]
fn a_hard_link_in_a_new_directory_comes_whatever_is_excluded() {
    let user = User::new();
    fs::create_dir_all(user.path("tree/new")).unwrap();
    fs::write(user.path("tree/file"), "x").unwrap();
    fs::hard_link(user.path("tree/file"), user.path("tree/new/link")).unwrap();
    user.floe(&["push", "tree", "main"], 0);
    for (is_file, exclude) in [(false, "nothing"), (false, "file"), (true, "nothing")] {
        fs::create_dir(user.path("out")).unwrap();
        fs::write(user.path("out/old"), "").unwrap();
        if is_file {
            fs::write(user.path("out/new"), "").unwrap();
        }
        for dry_run in [&["-n"][..], &[]] {
            user.floe(&[&["pull", "main", "out", "--exclude", exclude][..], dry_run].concat(), 0);
        }
        assert_eq!(fs::read(user.path("out/new/link")).unwrap(), b"x", "{exclude}");
        fs::remove_dir_all(user.path("out")).unwrap();
    }
}

/// Nor by a single file.
#[test]
fn what_is_excluded_is_not_replaced_by_a_single_file() {
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    for (kept, exclude) in
        [("README.md/deep/a.log", "*.log"), ("README.md/a", "README.md/"), ("README.md/a/b", "README.md/a")]
    {
        let path = user.path("out").join(kept);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        let pull =
            |exclude: &'static str| ["pull", "main:README.md", "out", "--delete", "--exclude", exclude];
        for dry_run in [&["-n"][..], &[]] {
            let refused = user.floe(&[&pull(exclude)[..], dry_run].concat(), 1);
            assert!(user.stderr(&refused).contains("holds what is left out"), "{kept}");
            assert!(path.exists(), "{kept}");
        }
        user.floe(&pull("*.other"), 0);
        assert!(user.path("out/README.md").is_file(), "{kept}");
        fs::remove_dir_all(user.path("out")).unwrap();
    }
}

/// A file that was asked for and does not come would be missed late.
#[test]
fn a_single_file_that_the_globs_leave_out_is_refused() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    for globs in [
        &["--exclude", "main.rs"][..],
        &["--exclude", "*.rs"],
        &["--include", "nothing"],
        &["--include", "*.rs", "--exclude", "/main.rs"],
        &["--include", "main.rs/"],
        &["--exclude", "*.rs", "--dry-run"],
    ] {
        let told = user.stderr(&user.floe(&[&["pull", "main:src/main.rs", "out"], globs].concat(), 1));
        assert!(
            told.contains("`src/main.rs` is all that is to be pulled, and the globs leave it out"),
            "{told}"
        );
        assert!(!user.path("out").exists());
    }
    // Globs are of what is pulled, and that is its name.
    for globs in [&["--include", "*.rs"][..], &["--exclude", "src"], &["--exclude", "main.rs/"]] {
        let told = user.stderr(&user.floe(&[&["pull", "main:src/main.rs", "out"], globs].concat(), 0));
        assert!(!told.contains("warning"), "{told}");
        fs::remove_file(user.path("out")).unwrap();
    }
}

#[test]
fn a_single_file_is_not_pulled_as_what_was_said_to_be_a_directory() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    for place in ["new/", "new//", "new/.", "new/./"] {
        let told = user.stderr(&user.floe(&["pull", "main:README.md", place], 1));
        assert!(
            told.contains(&format!("there is no directory `{place}` to write `README.md` into")),
            "{told}"
        );
        assert!(!user.path("new").exists());
    }
    fs::create_dir(user.path("new")).unwrap();
    for place in ["new/", "new/.", "new"] {
        user.floe(&["pull", "main:README.md", place], 0);
        fs::remove_file(user.path("new/README.md")).unwrap();
    }
}

/// Nobody else is to blame for a path that leads nowhere.
#[test]
fn a_destination_that_cannot_be_is_no_lost_race() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    fs::write(user.path("file"), "").unwrap();
    symlink("file", user.path("to-file")).unwrap();
    symlink("loop", user.path("loop")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, user.path("pipe"), mode).unwrap();
    for (place, why) in [
        ("file/x", "`file` is not a directory"),
        ("file/x/y", "`file` is not a directory"),
        ("file/", "`file` is not a directory"),
        ("./tree/../file/.", "`./tree/../file` is not a directory"),
        ("to-file/x", "`to-file` is not a directory"),
        ("pipe/x", "`pipe` is not a directory"),
        ("loop", "`loop` is a symlink that leads nowhere"),
        ("loop/x", "`loop` is a symlink that leads nowhere"),
    ] {
        for source in ["main", "main:README.md"] {
            let told = user.stderr(&user.floe(&["pull", source, place], 1));
            assert!(told.contains(why) && !told.contains("another pull"), "{source} {place}: {told}");
        }
    }
}

/// It may be a mount, or stand where its user may make nothing.
#[test]
fn an_empty_directory_is_used_as_it_is() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    fs::create_dir_all(user.path("above/there")).unwrap();
    let identity = || {
        let stat = fs::metadata(user.path("above/there")).unwrap();
        (stat.ino(), stat.uid())
    };
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(user.path("above/there"), Some(12_345), Some(12_345)).unwrap();
    }
    let before = identity();
    let pulled = user.json(&["pull", "main", "above/there", "--json"]);
    assert_eq!((&pulled["outcome"], &pulled["written_file_count"]), (&"created".into(), &3.into()));
    assert_eq!(identity(), before);
    assert_eq!(listing(&user.path("above/there")), listing(&user.path("tree")));
    assert_eq!(fs::read_dir(user.path("above")).unwrap().count(), 1);
    assert_eq!(user.json(&["pull", "main", "above/there", "--json"])["outcome"], "unchanged");
}

/// Who pulls single files to one place at once is not kept waiting, nor away.
#[test]
fn single_files_are_pulled_side_by_side() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    fs::create_dir(user.path("out")).unwrap();
    let lock = fs::File::open(user.path("out")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared).unwrap();
    user.floe(&["pull", "main:README.md", "out"], 0);
    // But not into what a whole tree is being pulled to.
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let told = user.stderr(&user.floe(&["pull", "main:README.md", "out"], 4));
    assert!(told.contains("another pull is writing"), "{told}");
}

/// A device or pipe is somebody's, as `/dev/null` is everybody's.
#[test]
fn a_file_does_not_replace_a_pipe() {
    use std::os::unix::fs::FileTypeExt;
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, user.path("pipe"), mode).unwrap();
    std::os::unix::fs::symlink("pipe", user.path("link")).unwrap();
    for name in ["pipe", "link"] {
        let told = user.stderr(&user.floe(&["pull", "main:README.md", name], 1));
        assert!(told.contains("which a pull does not replace by a file"), "{told}");
    }
    assert!(fs::metadata(user.path("link")).unwrap().file_type().is_fifo());
}

/// What a killed pull to an empty directory left in it goes when the next one ends.
#[test]
fn what_a_killed_pull_left_in_an_empty_directory_is_cleared() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let left = user.path("back/.floe-0123456789abcdef-0.tmp");
    fs::create_dir_all(left.join("d")).unwrap();
    fs::write(left.join("d/half"), "hal").unwrap();
    user.floe(&["pull", "main", "back"], 0);
    assert_eq!(listing(&user.path("back")), listing(&user.path("tree")));
}

/// Nobody else is to blame, and to try again does not help.
#[test]
fn a_place_where_nothing_can_be_made_is_no_lost_race() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let told = user.stderr(&user.floe(&["pull", "main", "/proc/x"], 1));
    assert!(
        told.contains("no directory can be made in `/proc`") && told.contains("Check the path"),
        "{told}"
    );
    for place in [".", "new"] {
        let script = format!("mkdir gone && cd gone && rmdir ../gone && exec \"$0\" pull main {place}");
        let output = user.under(&["sh", "-c", &script], &[]);
        let told = crate::attack::told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(!told.contains("another pull") && !told.contains("somebody else"), "{told}");
    }
}

/// What would fail at once is not promised.
#[test]
fn a_dry_run_looks_where_the_destination_is_to_be() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    symlink("nowhere", user.path("dangling")).unwrap();
    for place in ["missing/back", "missing/deep/back", "dangling/", "dangling/back", "dangling"] {
        let told = ["-q", "-n"].map(|option| user.stderr(&user.floe(&["pull", "main", place, option], 1)));
        assert_eq!(told[0], told[1], "{place}");
    }
    user.floe(&["pull", "main", "new", "-n"], 0);
    user.floe(&["pull", "main", "new/", "-n"], 0);
    let Some(before) = crate::attack::unprivileged() else { return };
    fs::create_dir(user.path("closed")).unwrap();
    fs::set_permissions(user.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(user.home(), fs::Permissions::from_mode(0o755)).unwrap();
    let caches = ["--cache-dir", "/nonexistent/cache"];
    let output = user.under(before, &[&["pull", "main", "closed/new", "-n"][..], &caches].concat());
    let told = crate::attack::told(&output);
    assert!(output.status.code() == Some(1) && told.contains("not permitted"), "{told}");
}

/// To run the command again does not help.
#[test]
fn a_hard_link_across_a_mount_is_no_lost_race() {
    let user = User::new();
    let tree = user.tree("tree");
    fs::hard_link(user.path("tree/README.md"), user.path("tree/src/linked")).unwrap();
    user.floe(&["push", &tree, "main"], 0);
    user.floe(&["pull", "main", "back"], 0);
    let mount = user.path("back/src");
    if !can(&["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", mount.to_str().unwrap()]) {
        return;
    }
    let script = "mount -t tmpfs tmpfs back/src; exec \"$0\" pull main back \"$@\"";
    let output = user.under(&["unshare", "-m", "sh", "-c", script], &[]);
    let told = crate::attack::told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("`back/src/linked`: a mount is between it and its file `back/README.md`"),
        "{told}"
    );
    let output = user.under(&["unshare", "-m", "sh", "-c", script], &["--exclude=linked"]);
    assert_eq!(output.status.code(), Some(0), "{}", crate::attack::told(&output));
}

/// Somebody may close to themselves what is theirs.
#[test]
fn what_its_owner_may_not_read_is_pulled_over() {
    let Some(before) = crate::attack::unprivileged() else { return };
    let user = User::new();
    let mode = |path: &str, mode| {
        fs::set_permissions(user.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    fs::set_permissions(user.home(), fs::Permissions::from_mode(0o777)).unwrap();
    let floe = |arguments: &[&str], code: i32| {
        let output = user.under(before, arguments);
        let told = crate::attack::told(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        told
    };
    let tree = user.tree("tree");
    fs::write(user.path("tree/empty"), "").unwrap();
    if let Err(e) =
        rustix::fs::setxattr(user.path("tree/empty"), "user.floe", b"x", rustix::fs::XattrFlags::empty())
    {
        return floe_testkit::skip(format_args!("no extended attributes in the temporary directory: {e}"));
    }
    mode("tree/empty", 0o200);
    let status =
        std::process::Command::new("chmod").args(["0300", user.path("tree").to_str().unwrap()]).status();
    assert!(status.unwrap().success());
    if !rustix::process::geteuid().is_root() {
        return floe_testkit::skip("not root: to push what its owner may not read");
    }
    // As root, who reads all.
    user.floe(&["push", &tree, "main", "--xattrs", "--store", "store"], 0);
    can(&["chmod", "-R", "a+rX", user.path("store").to_str().unwrap()]);
    for options in [&["--xattrs"][..], &["--xattrs", "--delete"]] {
        for _ in 0..3 {
            floe(
                &[&["pull", "main", "back", "--store", "store", "--cache-dir", "cache"], options].concat(),
                0,
            );
            let now = |path: &str| fs::metadata(user.path(path)).unwrap().mode() & 0o7777;
            assert_eq!((now("back"), now("back/empty")), (0o300, 0o200));
        }
    }
    // What may be left out below what nobody may look into is told of.
    fs::create_dir(user.path("back/extra")).unwrap();
    mode("back/extra", 0o700);
    let arguments =
        ["pull", "main", "back", "--delete", "--exclude=*.log", "--store", "store", "--cache-dir", "cache"];
    let told = floe(&arguments, 0);
    assert!(told.contains("`back/extra` may not be looked into, and stays"), "{told}");
    assert!(user.path("back/extra").exists());
}

#[test]
fn what_the_shell_forbids_leaves_nothing_behind() {
    let Some(before) = crate::attack::unprivileged() else { return };
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main", "--store", "store"], 0);
    fs::create_dir(user.path("empty")).unwrap();
    for path in ["", "empty"] {
        fs::set_permissions(user.path(path), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let names = |path: &str| fs::read_dir(user.path(path)).unwrap().count();
    let all = names("");
    // The cache is a file too.
    let floe = |script: &str| {
        let script = format!("{script} \"$0\" pull main --store store --cache-dir /nonexistent/cache \"$@\"");
        user.under(&[before, &["sh", "-c", &script]].concat(), &[])
    };
    for place in ["new", "empty"] {
        let output = floe(&format!("set -- {place}; ulimit -f 20;"));
        let told = crate::attack::told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("data`: no file of this size may be made there"), "{told}");
        assert_eq!((names(""), names("empty")), (all, 0), "{place}");
    }
    for place in ["new", "empty"] {
        let output = floe(&format!("set -- {place}; umask 0777;"));
        assert_eq!(output.status.code(), Some(0), "{}", crate::attack::told(&output));
        assert_eq!(listing(&user.path(place)), listing(&user.path("tree")));
    }
    assert_eq!(names(""), all + 1);
}

#[test]
fn what_an_inclusion_does_not_find_is_told() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let told =
        user.stderr(&user.floe(&["pull", "main", "one", "--include", "./src/deep", "--include", "no*"], 0));
    assert!(told.contains("warning: --include no* matched nothing\nPulled 1 file "), "{told}");
    assert_eq!(user.stderr(&user.floe(&["pull", "main", "one", "--include", "*.md", "-q"], 0)), "");
    for arguments in
        [&["pull", "main", "two", "--include", "x"][..], &["pull", "main", "one", "--include", "x", "-n"]]
    {
        let told = user.stderr(&user.floe(arguments, 0));
        assert!(told.starts_with("warning: --include x matched nothing\n"), "{told}");
    }
    for option in ["--include", "--exclude"] {
        user.floe(&["pull", "main", "three", option, ""], 2);
        let told = user.stderr(&user.floe(&["pull", "main", "three", option, "./"], 1));
        assert!(told.contains("a glob that is empty names nothing"), "{told}");
    }
    assert!(!user.path("three").exists());
}

#[test]
fn what_cannot_be_removed_keeps_nothing_else_from_it() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    user.floe(&["pull", "main", "back"], 0);
    for name in ["a mount", "src/another", "src/last"] {
        fs::create_dir(user.path("back").join(name)).unwrap();
    }
    let mount = user.path("back/a mount");
    if !can(&["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", mount.to_str().unwrap()]) {
        return;
    }
    let script = "set -e; mount -t tmpfs tmpfs 'back/a mount'; \"$0\" pull main back --delete || code=$?; \
                  for d in another other; do mkdir back/$d; mount -t tmpfs tmpfs back/$d; done; \
                  \"$0\" pull main back --delete || true; exit $code";
    let output = user.under(&["unshare", "-m", "sh", "-c", script], &[]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot remove `back/a mount`: a mount point is there"), "{told}");
    assert!(told.contains("3 names that the snapshot does not have could not be removed"), "{told}");
    for name in ["a mount", "another", "other"] {
        fs::remove_dir(user.path("back").join(name)).unwrap();
    }
    assert_eq!(listing(&user.path("back")), listing(&user.path("tree")));
}

#[test]
fn what_killed_pulls_of_single_files_left_is_cleared_by_the_next() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    fs::create_dir(user.path("out")).unwrap();
    fs::write(user.path("out/.floe-0123456789abcdef-0.tmp"), "half").unwrap();
    user.floe(&["pull", "main:README.md", "out", "--dry-run"], 0);
    assert_eq!(fs::read_dir(user.path("out")).unwrap().count(), 1);
    user.floe(&["pull", "main:README.md", "out"], 0);
    assert_eq!(fs::read_dir(user.path("out")).unwrap().count(), 1);
    assert!(user.path("out/README.md").exists());
}

/// What is mounted below is not the destination's, also where single names of it are looked at.
#[test]
fn delete_leaves_what_is_mounted_below() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let reset = || {
        for directory in ["back/extra/mounted", "other"] {
            fs::create_dir_all(user.path(directory)).unwrap();
        }
        for file in ["other/data", "other/keep.log", "back/extra/file"] {
            fs::write(user.path(file), "x").unwrap();
        }
    };
    reset();
    let (from, to) = (user.path("other"), user.path("back/extra/mounted"));
    if !can(&["unshare", "-m", "mount", "--bind", from.to_str().unwrap(), to.to_str().unwrap()]) {
        return;
    }
    for exclude in ["--exclude=*.log", "--exclude=nothing"] {
        reset();
        let script = "mount --bind other back/extra/mounted && ! \"$0\" pull main back --delete \"$1\"";
        let output = user.under(&["unshare", "-m", "sh", "-c", script], &[exclude]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("a mount point is there"), "{said}");
        assert!(user.path("other/data").exists() && !user.path("back/extra/file").exists(), "{exclude}");
    }
}
