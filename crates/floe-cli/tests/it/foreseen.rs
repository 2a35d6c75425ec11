//! What dry runs show.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::environment::{User, listing, stdout};

/// Changes a directory in every way that a dry run tells apart.
fn change(user: &User, name: &str) {
    let at = |path: &str| user.path(&format!("{name}/{path}"));
    fs::write(at("README.md"), "changed").unwrap();
    fs::create_dir_all(at("new/deep")).unwrap();
    fs::write(at("new/deep/file"), "new").unwrap();
    fs::write(at("extra name"), "new").unwrap();
    fs::write(at("aaa"), "new").unwrap();
    fs::set_permissions(at("src/main.rs"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn lines(user: &User, arguments: &[&str]) -> Vec<String> {
    stdout(&user.floe(arguments, 0)).lines().map(str::to_owned).collect()
}

/// The changes of a report, as the lines are.
fn reported(user: &User, arguments: &[&str]) -> Vec<String> {
    let report = user.json(&[arguments, &["--json"]].concat());
    let line = |change: &serde_json::Value| {
        let letter = match change["change"].as_str().unwrap() {
            "added" => "A",
            "removed" => "D",
            "content" => "M",
            "metadata" => "m",
            other => panic!("{other}"),
        };
        format!("{letter} {}", change["path"].as_str().unwrap())
    };
    report["changes"].as_array().unwrap().iter().map(line).collect()
}

/// Two ways to find the same out: one compares a directory with a snapshot, the other a snapshot with a directory. What is
/// removed with its directory is told once.
#[test]
fn a_pull_shows_what_diff_finds() {
    let user = User::new();
    let tree = user.tree("tree");
    fs::hard_link(user.path("tree/README.md"), user.path("tree/hard")).unwrap();
    user.floe(&["push", &tree, "main"], 0);
    user.floe(&["pull", "main", "back"], 0);
    assert!(reported(&user, &["pull", "-n", "--delete", "main", "back"]).is_empty());
    change(&user, "back");
    fs::remove_file(user.path("back/link")).unwrap();
    fs::create_dir(user.path("back/link")).unwrap();
    fs::remove_file(user.path("back/hard")).unwrap();
    let before = listing(&user.path("back"));
    let mut diff = reported(&user, &["diff", "--times", "./back", "main"]);
    diff.retain(|change| !change.starts_with("D new/"));
    let foreseen = reported(&user, &["pull", "-n", "--delete", "main", "back"]);
    assert_eq!(foreseen, diff);
    for change in ["M README.md", "A hard", "M link", "D new", "D extra name", "m src/main.rs", "m ."] {
        assert!(foreseen.iter().any(|other| other == change), "{change}: {foreseen:?}");
    }
    let kept = reported(&user, &["pull", "-n", "main", "back"]);
    assert!(kept.iter().all(|change| !change.starts_with('D')) && kept.len() + 3 == foreseen.len());
    assert_eq!(lines(&user, &["pull", "-n", "main", "back"]), kept);
    assert_eq!(listing(&user.path("back")), before);
    // And it is what is done: nothing is left of it.
    user.floe(&["pull", "--delete", "main", "back"], 0);
    assert!(reported(&user, &["pull", "-n", "--delete", "main", "back"]).is_empty());
    assert_eq!(listing(&user.path("tree")), listing(&user.path("back")));
}

#[test]
fn a_pull_to_a_new_place_shows_all_that_is_selected() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let all: Vec<_> = lines(&user, &["ls", "-R", "main"])
        .iter()
        .map(|path| format!("A {}", path.trim_end_matches('/')))
        .collect();
    assert_eq!(lines(&user, &["pull", "-n", "main", "new"]), all);
    assert_eq!(lines(&user, &["pull", "-n", "main:src", "new"]), ["A deep", "A main.rs", "A deep/data"]);
    assert_eq!(
        lines(&user, &["pull", "-n", "main", "new", "--include", "main.rs"]),
        ["A src", "A src/main.rs"]
    );
    assert_eq!(lines(&user, &["pull", "-n", "main:src/main.rs", "other"]), ["A other"]);
    fs::write(user.path("other"), "x").unwrap();
    assert_eq!(lines(&user, &["pull", "-n", "main:src/main.rs", "other"]), ["M other"]);
    assert!(!user.path("new").exists());
}

#[test]
fn a_push_shows_what_diff_finds() {
    let user = User::new();
    let tree = user.tree("tree");
    let push = ["push", "-n", &tree, "main"];
    let all = ["A README.md", "A link", "A src", "A src/deep", "A src/main.rs", "A src/deep/data"];
    assert_eq!(reported(&user, &push), all);
    assert_eq!(lines(&user, &push), all);
    user.floe(&["push", &tree, "main"], 0);
    assert!(reported(&user, &push).is_empty());
    change(&user, "tree");
    fs::remove_dir_all(user.path("tree/new/deep")).unwrap();
    fs::remove_file(user.path("tree/src/main.rs")).unwrap();
    let directory = format!("./{tree}");
    for exclude in [&[][..], &["--exclude", "README.md"]] {
        let diff = reported(&user, &[&["diff", "--times", "main", &directory][..], exclude].concat());
        let foreseen = reported(&user, &[&push[..], exclude].concat());
        assert_eq!(foreseen, diff);
        assert!(foreseen.contains(&"D src/main.rs".into()) && foreseen.contains(&"A new".into()));
        let letter = if exclude.is_empty() { "M" } else { "D" };
        assert!(foreseen.contains(&format!("{letter} README.md")), "{foreseen:?}");
    }
    // Against what it is pushed against.
    user.floe(&["push", &tree, "other"], 0);
    assert!(!reported(&user, &push).is_empty());
    assert!(reported(&user, &["push", "-n", &tree, "third", "--base", "other"]).is_empty());
}

/// As the push would go on without it.
#[test]
fn a_damaged_base_is_no_failure() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    change(&user, "tree");
    for damage in ["packs", "snapshots"] {
        let objects = user.path(&format!(".local/share/floe/default/{damage}"));
        for object in walk(&objects) {
            let mut bytes = fs::read(&object).unwrap();
            // Locks are empty.
            let Some(late) = bytes.len().checked_sub(40) else { continue };
            bytes[late] ^= 1;
            fs::write(&object, bytes).unwrap();
        }
        fs::remove_dir_all(user.path(".cache")).unwrap();
        for full in [&[][..], &["--full"]] {
            let done = user.floe(&[&["push", "-n", "--json", &tree, "main"], full].concat(), 0);
            let report: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
            assert!(report["uploaded_bytes"].as_u64().unwrap() > 0);
            let told = user.stderr(&done);
            assert!(told.contains("what differs cannot be listed"), "{told}");
        }
    }
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_push_that_keeps_other_attributes_says_so() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let done = user.floe(&["push", "-n", &tree, "main", "--owner"], 0);
    assert!(user.stderr(&done).contains("other attributes are kept"), "{}", user.stderr(&done));
    let done = user.floe(&["push", "-n", &tree, "other", "--owner"], 0);
    assert!(!user.stderr(&done).contains("other attributes"), "{}", user.stderr(&done));
}
