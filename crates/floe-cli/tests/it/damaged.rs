//! Stores of which something is damaged or lost, and what brings it back.

use std::fs;
use std::path::PathBuf;

use crate::environment::{User, listing, stdout};
use crate::report::report;

fn objects(user: &User, kind: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(user.path(".local/share/floe/default").join(kind)).unwrap();
    let paths = found.map(|entry| entry.unwrap().path());
    // What is being written is hidden.
    paths.filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.')).collect()
}

/// Flips a bit in the middle of what is before a pack's tail.
fn flip(path: &PathBuf) {
    let mut bytes = fs::read(path).unwrap();
    bytes[60] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn i1_a_full_push_brings_back_what_was_damaged_or_lost() {
    for damage in [flip as fn(&PathBuf), |path| fs::remove_file(path).unwrap()] {
        let user = User::new();
        let tree = user.tree("tree");
        user.floe(&["push", &tree, "main"], 0);
        let pack = objects(&user, "packs").remove(0);
        damage(&pack);
        let told = user.stderr(&user.floe(&["verify"], 3));
        assert!(told.contains("--full"), "{told}");
        assert_eq!(
            user.json(&["push", &tree, "main", "--json"])["outcome"],
            "unchanged",
            "it looks at no pack"
        );
        user.floe(&["pull", "main", "back"], 3);
        let full = user.json(&["push", &tree, "main", "--full", "--json"]);
        assert_eq!((&full["outcome"], &full["reused_file_count"]), (&"committed".into(), &0.into()));
        let before = user.json(&["log", "main", "--json"]);
        assert_eq!(full["snapshot"], before["generations"][1]["snapshot"], "the same in other packs");
        user.floe(&["pull", "main", "back"], 0);
        assert_eq!(listing(&user.path("tree")), listing(&user.path("back")));
        // From here on pushes build on what is whole.
        fs::write(user.path("tree/new"), "new").unwrap();
        user.floe(&["push", &tree, "main"], 0);
        user.floe(&["pull", "main", "back"], 0);
        assert_eq!(listing(&user.path("tree")), listing(&user.path("back")));
    }
}

#[test]
fn what_lost_a_pack_gets_no_other_name() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    fs::remove_file(&objects(&user, "packs")[0]).unwrap();
    let told = user.stderr(&user.floe(&["tag", "main", "other"], 3));
    assert!(told.contains("is gone") && told.contains("--full"), "{told}");
}

#[test]
fn a_damaged_ref_does_not_hide_the_others() {
    let user = User::new();
    let tree = user.tree("tree");
    for name in ["a", "b", "c"] {
        user.floe(&["push", &tree, name], 0);
    }
    let damaged = objects(&user, "refs").into_iter().find(|path| path.ends_with("b")).unwrap();
    fs::write(&damaged, "{}").unwrap();
    let listed = user.floe(&["ls"], 3);
    let names: Vec<_> = stdout(&listed).lines().map(|line| line[..3].to_owned()).collect();
    assert_eq!(names, ["a@1", "c@1"]);
    let told = user.stderr(&listed);
    assert!(told.contains("damaged: b: ") && told.contains("1 ref cannot be read"), "{told}");
    let report = report("ls", &user.floe(&["ls", "--json"], 3).get_output().stdout);
    assert_eq!(report["refs"].as_array().unwrap().len(), 2);
    assert_eq!(report["damages"][0]["ref"], "b");
}
