//! What globs choose, and what is removed and replaced where they are given.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::attack::can;
use crate::environment::{User, listing};

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
        let told = user.stderr(&user.floe(&["pull", "main", "three", option, "./"], 2));
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

/// Where nothing is to be written a dry run finds nothing in the way.
/// Where that is to be made, nobody can be asked whether it may be written.
#[test]
fn hard_links_in_a_new_directory_are_foreseen() {
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    user.floe(&["pull", "main", "back"], 0);
    fs::create_dir(user.path("tree/new")).unwrap();
    for name in ["new/one", "new/two"] {
        fs::hard_link(user.path("tree/README.md"), user.path("tree").join(name)).unwrap();
    }
    user.floe(&["push", "tree", "main"], 0);
    let pull = ["pull", "main", "back", "--exclude", "/README.md", "--delete"];
    for in_the_way in [false, true] {
        if in_the_way {
            fs::remove_dir_all(user.path("back/new")).unwrap();
            fs::write(user.path("back/new"), "another").unwrap();
        }
        user.floe(&[&pull[..], &["--dry-run"]].concat(), 0);
        user.floe(&pull, 0);
        assert!(user.path("back/new/two").exists());
    }
}

#[test]
fn a_hard_link_that_is_the_file_already_needs_no_writing() {
    let Some(before) = crate::attack::unprivileged() else { return };
    let user = User::new();
    let tree = user.tree("tree");
    fs::hard_link(user.path("tree/README.md"), user.path("tree/linked")).unwrap();
    user.floe(&["push", &tree, "main", "--store", "store"], 0);
    user.floe(&["pull", "main", "back", "--exclude=/README.md", "--store", "store"], 0);
    for path in ["", "back"] {
        fs::set_permissions(user.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }
    can(&["chmod", "-R", "a+rX", user.path("store").to_str().unwrap()]);
    let dry_run = || {
        let caches = ["--store", "store", "--cache-dir", "/nonexistent/cache"];
        let pull = [&["pull", "main", "back", "-n", "--exclude=/README.md"][..], &caches].concat();
        let output = user.under(before, &pull);
        (output.status.code(), crate::attack::told(&output))
    };
    let (code, told) = dry_run();
    assert_eq!(code, Some(0), "{told}");
    if rustix::process::geteuid().is_root() {
        fs::write(user.path("back/linked"), "another").unwrap();
        let (code, told) = dry_run();
        assert!(code == Some(1) && told.contains("not permitted"), "{told}");
    }
}

/// That it is another is known only when all is compared.
#[test]
fn a_hard_link_that_is_to_be_another_needs_writing() {
    let Some(before) = crate::attack::unprivileged() else { return };
    if !rustix::process::geteuid().is_root() {
        return floe_testkit::skip("not root: what is somebody else's");
    }
    let user = User::new();
    let tree = user.tree("tree");
    for name in ["first", "second"] {
        fs::hard_link(user.path("tree/README.md"), user.path("tree").join(name)).unwrap();
    }
    user.floe(&["push", &tree, "main", "--store", "store"], 0);
    can(&["chmod", "-R", "a+rX", user.path("store").to_str().unwrap()]);
    for excluded in [&["--exclude=/README.md"][..], &[]] {
        user.floe(&[&["pull", "main", "back", "--store", "store"][..], excluded].concat(), 0);
        for path in ["", "back"] {
            fs::set_permissions(user.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let dry_run = || {
            let pull =
                ["pull", "main", "back", "-n", "--store", "store", "--cache-dir", "/nonexistent/cache"];
            let output = user.under(before, &[&pull[..], excluded].concat());
            (output.status.code(), crate::attack::told(&output))
        };
        let (code, told) = dry_run();
        assert_eq!(code, Some(0), "{told}");
        // As good a file, and of two names.
        let modified = fs::metadata(user.path("back")).unwrap().modified().unwrap();
        fs::rename(user.path("back/second"), user.path("away")).unwrap();
        can(&["cp", "-p", user.path("away").to_str().unwrap(), user.path("back/second").to_str().unwrap()]);
        fs::hard_link(user.path("back/second"), user.path("other")).unwrap();
        fs::File::open(user.path("back")).unwrap().set_modified(modified).unwrap();
        let (code, told) = dry_run();
        assert!(code == Some(1) && told.contains("cannot write in `back`: not permitted"), "{told}");
        for path in ["away", "other"] {
            fs::remove_file(user.path(path)).unwrap();
        }
        fs::remove_dir_all(user.path("back")).unwrap();
    }
}
