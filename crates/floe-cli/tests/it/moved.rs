//! What is stored in other objects by the time it is read.

use std::fs;

use crate::attack::told;
use crate::environment::{User, stdout};
use crate::stopped::Stopped;

/// The paths of all packs of the user's store.
fn packs(user: &User) -> Vec<String> {
    let found = fs::read_dir(user.path(".local/share/floe/default/packs")).unwrap();
    let mut paths: Vec<_> = found.map(|pack| pack.unwrap().path().to_str().unwrap().to_owned()).collect();
    paths.retain(|path| !path.ends_with(".durable"));
    paths.sort();
    paths
}

/// Runs a command that finds the one pack of `main` gone, after `meanwhile` was done.
fn read(user: &User, arguments: &[&str], meanwhile: impl FnOnce()) -> std::process::Output {
    let before = packs(user);
    assert_eq!(before.len(), 1);
    let stopped = Stopped::at(user, "openat", &before[0], ":error=ENOENT", arguments);
    meanwhile();
    stopped.go_on()
}

#[test]
fn a_reader_that_meets_a_missing_pack_resolves_the_ref_again() {
    if !Stopped::is_possible() {
        return;
    }
    let commands: [&[&str]; 6] = [
        &["pull", "main", "out"],
        &["cat", "main:README.md"],
        &["ls", "main"],
        &["archive", "main", "-o", "main.tar.zst"],
        &["archive", "main"],
        &["diff", "main", "./tree", "--exit-code"],
    ];
    for arguments in commands {
        let user = User::new();
        user.tree("tree");
        user.floe(&["push", "tree", "main"], 0);
        // What is cached is not asked for.
        let arguments = [arguments, &["--cache-dir", "cold"]].concat();
        let output = read(&user, &arguments, || {
            user.floe(&["push", "tree", "main", "--full"], 0);
            assert_eq!(packs(&user).len(), 2);
        });
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        match arguments[0] {
            "pull" => assert_eq!(stdout(&user.floe(&["diff", "main", "./out", "--exit-code"], 0)), ""),
            "cat" => assert_eq!(output.stdout, b"# A tree\n"),
            "ls" => assert_eq!(output.stdout, b"README.md\nlink\nsrc/\n"),
            "archive" => assert_eq!(output.stdout.is_empty(), arguments.contains(&"-o")),
            _ => assert!(output.stdout.is_empty(), "{}", told(&output)),
        }
    }
}

/// What the first try wrote may be of the former generation alone.
#[test]
fn what_may_stay_of_the_former_generation_is_told() {
    if !Stopped::is_possible() {
        return;
    }
    for (more, is_told) in [(None, true), (Some("--delete"), false)] {
        let user = User::new();
        user.tree("tree");
        user.floe(&["push", "tree", "main"], 0);
        fs::create_dir(user.path("out")).unwrap();
        let arguments = ["pull", "main", "out", "--cache-dir", "cold"].into_iter().chain(more);
        let output = read(&user, &arguments.collect::<Vec<_>>(), || {
            user.floe(&["push", "tree", "main", "--full"], 0);
        });
        assert!(output.status.success(), "{}", told(&output));
        assert_eq!(told(&output).contains("--delete removes it"), is_told, "{}", told(&output));
    }
}

/// What has gone to a pipe cannot be taken back.
#[test]
fn what_may_have_been_given_out_is_not_given_out_again() {
    if !Stopped::is_possible() {
        return;
    }
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    let output = read(&user, &["archive", "main", "-o", "/dev/stdout", "--cache-dir", "cold"], || {
        user.floe(&["push", "tree", "main", "--full"], 0);
    });
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
}

/// Not for ever, and not what cannot have changed.
#[test]
fn a_missing_pack_is_told_where_the_ref_still_names_it() {
    if !Stopped::is_possible() {
        return;
    }
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    let id = user.json(&["show", "main", "--json"])["snapshot"].as_str().unwrap().to_owned();
    for reference in ["main", "main@1", &id] {
        let output = read(&user, &["pull", reference, "out", "--cache-dir", "cold"], || ());
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        assert!(told(&output).contains("the pack is missing"), "{}", told(&output));
        assert!(!user.path("out").exists());
    }
}
