//! The keys of reports that other tests see empty: they are only ever added to.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use serde_json::{Map, Value};

use crate::environment::{User, shape, stdout};
use crate::report::report;

#[test]
fn entries_of_every_kind() {
    let user = User::new();
    user.tree("tree");
    let root = user.path("tree");
    fs::write(root.join(OsStr::from_bytes(b"not \xff text")), "x").unwrap();
    fs::hard_link(root.join("README.md"), root.join("src/linked")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("fifo"), mode).unwrap();
    user.floe(&["push", "tree", "main", "--owner"], 0);
    let listed = user.json(&["ls", "-R", "main", "--json"]);
    // All keys that entries of a kind have.
    let mut kinds = Map::new();
    for entry in listed["entries"].as_array().unwrap() {
        let keys = kinds.entry(entry["kind"].as_str().unwrap()).or_insert_with(|| Map::new().into());
        keys.as_object_mut().unwrap().extend(shape(entry).as_object().unwrap().clone());
    }
    insta::assert_json_snapshot!("entries", Value::from(kinds));
}

#[test]
fn damages_and_unreferenced_packs() {
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    let packs = user.path(".local/share/floe/default/packs");
    fs::write(packs.join("0".repeat(32)), "no pack").unwrap();
    fs::write(user.path(".local/share/floe/default/gc/state"), "no state").unwrap();
    for options in [&[][..], &["--quick"]] {
        let damaged = user.floe(&[&["verify", "--json"], options].concat(), 3);
        let report = report("verify", &damaged.get_output().stdout);
        assert_eq!(report["damages"][0]["object"], "default/gc/state");
        assert_eq!(report["unreferenced_packs"][0], "0".repeat(32));
        insta::assert_json_snapshot!("verify_damaged", shape(&report));
    }
}

#[test]
fn settings_and_their_origins() {
    let user = User::new();
    let report: Value = user.json(&["config", "show", "--json"]);
    insta::assert_json_snapshot!("config_show", shape(&report));
}

/// And what people are shown of refs: how old they are, how big, where they came from.
#[test]
fn refs_are_shown_with_age_and_size() {
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main", "-m", "a message", "--label", "commit=abc"], 0);
    let refs = stdout(&user.floe(&["ls"], 0));
    for part in ["main", "97.7 KiB"] {
        assert!(refs.contains(part), "{part}: {refs}");
    }
    // On a machine that is busy a second may have gone by.
    assert!(refs.ends_with("now\n") || refs.ends_with(" ago\n"), "{refs}");
    let shown = stdout(&user.floe(&["show", "main"], 0));
    for part in ["main", "a message", "commit", "abc", "97.7 KiB"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}
