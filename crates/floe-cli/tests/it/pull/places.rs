//! Where a tree or a file is pulled to: what is there, and what may not be.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

use floe_testkit::skip;
use rustix::fs::FileType;

use crate::attack::can;
use crate::environment::{User, listing};

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
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, user.path("pipe"), mode).unwrap();
    std::os::unix::fs::symlink("pipe", user.path("link")).unwrap();
    for name in ["pipe", "link"] {
        let told = user.stderr(&user.floe(&["pull", "main:README.md", name], 1));
        assert!(told.contains("which a pull of one entry does not replace"), "{told}");
    }
    assert!(fs::metadata(user.path("link")).unwrap().file_type().is_fifo());
}

/// Nor does anything else that is no file; what is equal to it stays.
#[test]
fn no_single_entry_replaces_a_pipe_socket_or_device() {
    let user = User::new();
    let make = |path: &str, kind, device| {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, user.path(path), kind, mode, device)
    };
    fs::create_dir(user.path("tree")).unwrap();
    make("tree/pipe", FileType::Fifo, 0).unwrap();
    symlink("nowhere", user.path("tree/link")).unwrap();
    symlink("pipe", user.path("tree/to-pipe")).unwrap();
    user.floe(&["push", user.path("tree").to_str().unwrap(), "main"], 0);
    make("pipe", FileType::Fifo, 0).unwrap();
    make("socket", FileType::Socket, 0).unwrap();
    let refused = |entry: &str, place: &str| {
        let kind = || fs::symlink_metadata(user.path(place)).unwrap().file_type();
        let before = kind();
        for dry_run in [&["--dry-run"][..], &[]] {
            let source = format!("main:{entry}");
            let pull = [&["pull", &source, place], dry_run].concat();
            let told = user.stderr(&user.floe(&pull, 1));
            assert!(told.contains("which a pull of one entry does not replace"), "{entry} {place}: {told}");
        }
        assert_eq!(kind(), before, "{entry} {place}");
    };
    for (entry, place) in [("link", "pipe"), ("link", "socket"), ("pipe", "socket")] {
        refused(entry, place);
    }
    match make("device", FileType::CharacterDevice, rustix::fs::makedev(1, 3)) {
        Ok(()) => ["link", "pipe"].into_iter().for_each(|entry| refused(entry, "device")),
        Err(errno) => skip(format!("no device can be made: {errno}")),
    }
    user.floe(&["pull", "main:pipe", "pipe"], 0);
    for _ in 0..2 {
        user.floe(&["pull", "main:to-pipe", "to-pipe"], 0);
    }
    assert!(fs::symlink_metadata(user.path("pipe")).unwrap().file_type().is_fifo());
}

/// Nor by its own name where only its directory was said.
#[test]
fn no_single_entry_replaces_a_pipe_in_the_directory_that_it_is_pulled_to() {
    let user = User::new();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let make = |path: &str| rustix::fs::mkfifoat(rustix::fs::CWD, user.path(path), mode).unwrap();
    for name in ["tree", "pipes", "links"] {
        fs::create_dir(user.path(name)).unwrap();
    }
    fs::write(user.path("tree/file"), "content").unwrap();
    for (name, target) in [("tree/link", "nowhere"), ("tree/round", "round"), ("links/round", "round")] {
        symlink(target, user.path(name)).unwrap();
    }
    make("tree/pipe");
    user.floe(&["push", user.path("tree").to_str().unwrap(), "main"], 0);
    for name in ["file", "link", "pipe"] {
        make(&format!("pipes/{name}"));
        symlink(format!("../pipes/{name}"), user.path(&format!("links/{name}"))).unwrap();
    }
    for (entry, place) in [("file", "pipes"), ("link", "pipes"), ("file", "links"), ("pipe", "links")] {
        for dry_run in [&["--dry-run"][..], &[]] {
            let source = format!("main:{entry}");
            let told = user.stderr(&user.floe(&[&["pull", &source, place], dry_run].concat(), 1));
            let said = format!("{place}/{entry}` is a device, pipe or socket");
            assert!(told.contains(&said), "{told}");
        }
        assert!(fs::metadata(user.path(place).join(entry)).unwrap().file_type().is_fifo());
    }
    for (entry, place) in [("pipe", "pipes"), ("round", "links")] {
        user.floe(&["pull", &format!("main:{entry}"), place], 0);
    }
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
