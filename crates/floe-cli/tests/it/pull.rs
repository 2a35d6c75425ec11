//! `floe pull`.

use std::fs;
use std::path::Path;

use crate::environment::{User, shape};

/// Paths, kinds, modes, mtimes and contents below a directory, sorted.
fn listing(root: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let stat = fs::symlink_metadata(&path).unwrap();
            let content = match stat.file_type() {
                kind if kind.is_dir() => {
                    left.push(path.clone());
                    String::new()
                }
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
                _ => format!("{:?}", fs::read(&path).unwrap()),
            };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let (mode, seconds, nanos) = (stat.mode(), stat.mtime(), stat.mtime_nsec());
            found.push(format!("{name} {mode:o} {seconds}.{nanos} {content}"));
        }
    }
    found.sort();
    found
}

#[test]
fn what_was_pushed_comes_back() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let pulled = user.json(&["pull", "main", "back", "--json"]);
    assert_eq!((&pulled["outcome"], &pulled["files"]), (&"created".into(), &3.into()));
    assert_eq!(listing(&user.path("tree")), listing(&user.path("back")));
    insta::assert_json_snapshot!("pull", shape(&pulled));
    let again = user.json(&["pull", "main", "back", "--json"]);
    assert_eq!((&again["outcome"], &again["written_files"]), (&"unchanged".into(), &0.into()));
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
    assert_eq!((&would["outcome"], &would["written_files"]), (&"dry_run".into(), &1.into()));
    assert_eq!(fs::read(user.path("back/README.md")).unwrap(), b"changed");
    let kept = user.json(&["pull", "main", "back", "--json"]);
    assert_eq!((&kept["outcome"], &kept["written_files"]), (&"updated".into(), &1.into()));
    assert!(user.path("back/extra").exists());
    let removed = user.json(&["pull", "main", "back", "--delete", "--json"]);
    assert_eq!((&removed["outcome"], &removed["removed"]), (&"updated".into(), &1.into()));
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
