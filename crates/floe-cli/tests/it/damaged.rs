//! Stores of which something is damaged or lost, and what brings it back.

use std::fs;
use std::path::PathBuf;

use crate::attack::can;
use crate::environment::{User, listing, stdout};
use crate::report::report;

/// The objects of a kind in a user's store.
pub(crate) fn objects(user: &User, kind: &str) -> Vec<PathBuf> {
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

/// It can be read all the same.
#[test]
fn where_a_server_alone_writes_nobody_else_does() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let path = user.path(".local/share/floe/default/format.json");
    let record = fs::read_to_string(&path).unwrap();
    let (_, fields) = record.split_once('\n').unwrap();
    let fields = fields.replace(r#""writers": "direct""#, r#""writers": "server""#);
    let sum = floe_format::Sum128::of(fields.as_bytes());
    fs::write(&path, format!("{{\"sum\":\"{sum}\",\n{fields}")).unwrap();
    fs::write(user.path("tree/new"), "new").unwrap();
    for arguments in
        [&["push", &tree, "main"][..], &["push", &tree, "other"], &["tag", "main", "t"], &["rm", "main"]]
    {
        let told = user.stderr(&user.floe(arguments, 1));
        assert!(told.contains("only a server writes to the namespace `default`"), "{arguments:?}: {told}");
        assert!(told.contains("Push through that server"), "{arguments:?}: {told}");
    }
    user.floe(&["pull", "main", "back"], 0);
    user.floe(&["verify"], 0);
    assert_eq!(stdout(&user.floe(&["log", "main"], 0)).matches("main@").count(), 1);
}

/// Nothing is written to such a namespace, but what it has can be found and pulled.
#[test]
fn without_the_record_of_a_namespace_its_refs_are_told() {
    for damage in
        [|path: &PathBuf| fs::remove_file(path).unwrap(), |path: &PathBuf| fs::write(path, "{").unwrap()]
    {
        let user = User::new();
        let tree = user.tree("tree");
        user.floe(&["push", &tree, "first"], 0);
        user.floe(&["push", &tree, "other"], 0);
        damage(&user.path(".local/share/floe/default/format.json"));
        let listed = user.floe(&["ls"], 3);
        assert!(user.stderr(&listed).contains("`default/format.json`"), "{listed:?}");
        let listed = stdout(&listed);
        assert!(listed.contains("first@1") && listed.contains("other@1"), "{listed}");
        assert!(stdout(&user.floe(&["log", "other"], 0)).contains("other@1"));
        user.floe(&["pull", "other", "back"], 0);
        user.floe(&["push", &tree, "first"], 3);
    }
}

/// The only tail that is cached.
fn cached_tail(user: &User) -> PathBuf {
    let first = |path: PathBuf| fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
    first(first(user.path(".cache/floe/tails")))
}

/// What may become of a file of a cache.
fn damages(whole: &[u8]) -> Vec<Option<Vec<u8>>> {
    let flipped = (0..whole.len()).step_by(whole.len() / 24 + 1).map(|at| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x10;
        Some(bytes)
    });
    let cut = [0, 1, 127, 128, whole.len() / 2, whole.len() - 1].map(|length| Some(whole[..length].to_vec()));
    let others = [Some([whole, b"more"].concat()), Some(vec![0; whole.len()]), None];
    flipped.chain(cut).chain(others).collect()
}

#[test]
fn a_damaged_cache_of_tails_is_read_again() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let cached = cached_tail(&user);
    let whole = fs::read(&cached).unwrap();
    for (number, damage) in damages(&whole).into_iter().enumerate() {
        let damage = || match &damage {
            Some(bytes) => fs::write(&cached, bytes).unwrap(),
            None => fs::remove_file(&cached).unwrap(),
        };
        damage();
        fs::write(user.path("tree/new"), number.to_string()).unwrap();
        // Against the first push, all of which is in the pack whose tail is damaged.
        let other = format!("other-{number}");
        user.floe(&["tag", "main", &other], 0);
        let pushed = user.json(&["push", &tree, &other, "--json"]);
        assert_eq!(pushed["outcome"], "committed", "damage {number}");
        assert!(pushed["reused_file_count"].as_u64() > Some(0), "damage {number}: {pushed}");
        damage();
        user.floe(&["pull", &other, "back"], 0);
        assert_eq!(listing(&user.path("tree")), listing(&user.path("back")), "damage {number}");
        fs::write(&cached, &whole).unwrap();
    }
}

#[test]
fn a_push_onto_a_base_with_damaged_metadata_stores_everything_anew() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let pack = objects(&user, "packs").remove(0);
    let whole = fs::read(&pack).unwrap();
    let start = whole.len() - fs::read(cached_tail(&user)).unwrap().len();
    for at in (start..whole.len()).step_by(37) {
        let name = format!("damaged-{at}");
        user.floe(&["tag", "main", &name], 0);
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(&pack, bytes).unwrap();
        fs::remove_dir_all(user.path(".cache/floe")).unwrap();
        fs::write(user.path("tree/new"), at.to_string()).unwrap();
        let pushed = user.floe(&["push", &tree, &name], 0);
        let told = user.stderr(&pushed);
        assert!(told.contains("everything is stored anew"), "byte {at}: {told}");
        user.floe(&["pull", &name, "back"], 0);
        assert_eq!(listing(&user.path("tree")), listing(&user.path("back")), "byte {at}");
        fs::write(&pack, &whole).unwrap();
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

#[test]
fn what_is_no_ref_hides_no_ref() {
    let user = User::new();
    let tree = user.tree("tree");
    for name in ["a", "b/c"] {
        user.floe(&["push", &tree, name], 0);
    }
    let refs = user.path(".local/share/floe/default/refs");
    fs::write(refs.join("a~"), "x\n").unwrap();
    fs::create_dir(refs.join("b")).unwrap();
    fs::write(refs.join("b/c"), "not where the ref of this name is").unwrap();
    let strays = ["default/refs/a~", "default/refs/b/c"];
    let listed = user.floe(&["ls"], 3);
    let names: Vec<_> = stdout(&listed).lines().map(|line| line[..5].trim().to_owned()).collect();
    assert_eq!(names, ["a@1", "b/c@1"]);
    let verified = user.floe(&["verify"], 3);
    for stray in strays {
        let told = format!("damaged: {stray}: it is where only refs may be");
        assert!(user.stderr(&listed).contains(&told), "{}", user.stderr(&listed));
        assert!(stdout(&verified).contains(&told), "{}", stdout(&verified));
    }
    let report: serde_json::Value =
        serde_json::from_str(&stdout(&user.floe(&["verify", "--json"], 3))).unwrap();
    assert_eq!(
        (&report["ref_count"], &report["snapshot_count"]),
        (&2.into(), &2.into()),
        "all else is looked at"
    );
    // Names that look alike are found all the same.
    let told = user.stderr(&user.floe(&["pull", "aa", "out"], 1));
    assert!(told.contains("`a`"), "{told}");
    user.floe(&["pull", "b/c", "out"], 0);
}

#[test]
fn what_is_no_snapshot_hides_no_snapshot() {
    let user = User::new();
    let tree = user.tree("tree");
    let pushed = user.json(&["push", &tree, "main", "--json"]);
    let id = pushed["snapshot"].as_str().unwrap();
    let snapshots = user.path(".local/share/floe/default/snapshots").join(id);
    fs::write(snapshots.join("backup~"), "x").unwrap();
    user.floe(&["pull", &id[..12], "out"], 0);
}

#[test]
fn i1_a_push_brings_back_a_snapshot_object_that_is_gone_or_damaged() {
    let overwrite: fn(&PathBuf) = |path| fs::write(path, "damaged").unwrap();
    for damage in [overwrite, |path| fs::remove_file(path).unwrap()] {
        let user = User::new();
        let tree = user.tree("tree");
        let pushed = user.json(&["push", &tree, "main", "--json"]);
        damage(&layout_of(&user, "main"));
        for command in [&["pull", "main", "back"][..], &["ls", "main"], &["tag", "main", "other"]] {
            let told = user.stderr(&user.floe(command, 3));
            assert!(told.contains("--full"), "{told}");
        }
        // With its caches a push need not look at the object.
        fs::remove_dir_all(user.path(".cache/floe")).unwrap();
        let again = user.floe(&["push", &tree, "main", "--json"], 0);
        assert!(user.stderr(&again).contains("everything is stored anew"), "{}", user.stderr(&again));
        let report: serde_json::Value = serde_json::from_str(&stdout(&again)).unwrap();
        assert_eq!((&report["outcome"], &report["reused_file_count"]), (&"committed".into(), &0.into()));
        assert_eq!(report["snapshot"], pushed["snapshot"]);
        user.floe(&["pull", "main", "back"], 0);
        assert_eq!(listing(&user.path("tree")), listing(&user.path("back")));
    }
}

#[test]
fn i1_a_tag_brings_back_a_snapshot_whose_object_is_gone() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "a"], 0);
    user.floe(&["push", &tree, "b", "--full"], 0);
    let lost = layout_of(&user, "b");
    assert_ne!(lost, layout_of(&user, "a"), "one snapshot in two places");
    assert_eq!(user.json(&["tag", "a@1", "b", "--json"])["outcome"], "unchanged", "both are whole");
    fs::remove_file(lost).unwrap();
    user.floe(&["pull", "b", "back"], 3);
    let tagged = user.json(&["tag", "a@1", "b", "--json"]);
    assert_eq!((&tagged["outcome"], &tagged["generation"]), (&"committed".into(), &2.into()));
    user.floe(&["pull", "b", "back"], 0);
    assert_eq!(listing(&user.path("tree")), listing(&user.path("back")));
}

/// The snapshot object that a ref names.
fn layout_of(user: &User, name: &str) -> PathBuf {
    let logged = user.json(&["log", name, "--json"]);
    let named = |key: &str| logged["generations"][0][key].as_str().unwrap().to_owned();
    let snapshots = user.path(".local/share/floe/default/snapshots");
    snapshots.join(named("snapshot")).join(named("layout"))
}

/// The sum in the first line is made right again.
fn edit_sealed(path: &PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    let (_, fields) = text.split_once('\n').unwrap();
    assert!(fields.contains(from), "{fields}");
    let fields = fields.replacen(from, to, 1);
    let sum = floe_format::Sum128::of(fields.as_bytes());
    fs::write(path, format!("{{\"sum\":\"{sum}\",\n{fields}")).unwrap();
}

#[test]
fn what_is_too_new_is_not_damaged_and_is_left_alone() {
    for (from, to) in [("\"features\": []", "\"features\": [\"x\"]"), ("\"format\": 1", "\"format\": 2")] {
        let user = User::new();
        let tree = user.tree("tree");
        for name in ["a", "b"] {
            user.floe(&["push", &tree, name], 0);
        }
        let path = user.path(".local/share/floe/default/refs/b");
        edit_sealed(&path, from, to);
        let before = fs::read(&path).unwrap();
        let advice = "Use a version of Floe";
        for command in [
            &["push", &tree, "b"][..],
            &["push", &tree, "b", "--full"],
            &["push", &tree, "b", "--dry-run"],
            &["tag", "a", "b"],
            &["tag", "b", "c"],
            &["rm", "b"],
            &["log", "b"],
            &["show", "b"],
            &["pull", "b", "out"],
            &["ls", "b"],
            &["verify", "b"],
        ] {
            let told = user.stderr(&user.floe(command, 1));
            assert!(told.contains(advice) && !told.contains("--full"), "{command:?}: {told}");
        }
        assert_eq!(fs::read(&path).unwrap(), before);
        let listed = user.floe(&["ls"], 1);
        assert!(stdout(&listed).starts_with("a@1"), "{}", stdout(&listed));
        assert!(user.stderr(&listed).contains("too new: b: "), "{}", user.stderr(&listed));
        let verified = user.floe(&["verify"], 1);
        assert!(stdout(&verified).starts_with("unsupported: default/refs/b: "), "{}", stdout(&verified));
        assert!(user.stderr(&verified).contains(advice), "{}", user.stderr(&verified));
        let report: serde_json::Value =
            serde_json::from_str(&stdout(&user.floe(&["verify", "--json"], 1))).unwrap();
        assert_eq!(
            (&report["unsupported"][0]["object"], &report["snapshot_count"]),
            (&"default/refs/b".into(), &1.into())
        );
        assert_eq!(
            (&report["damages"], &report["unreferenced_packs"]),
            (&Vec::<u8>::new().into(), &Vec::<u8>::new().into())
        );
        // What is damaged besides is said, too, and weighs more.
        fs::write(user.path(".local/share/floe/default/refs/a"), "{}").unwrap();
        for command in ["ls", "verify"] {
            user.floe(&[command], 3);
        }
    }
}

/// Whoever may not read one pack still learns what is wrong with another.
#[test]
fn what_was_found_before_verify_was_broken_off_is_told() {
    if !can(&["strace", "-V"]) {
        return;
    }
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let first = objects(&user, "packs").remove(0);
    user.floe(&["push", &tree, "other", "--full"], 0);
    let second = objects(&user, "packs").into_iter().find(|path| *path != first).unwrap();
    flip(&first);
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", second.to_str().unwrap()];
    let inject = ["-e", "trace=openat", "-e", "inject=openat:error=EACCES"];
    let output = user.under(&[&strace[..], &inject].concat(), &["verify"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let id = first.file_name().unwrap().to_str().unwrap();
    assert!(told.contains(&format!("damaged: default/packs/{id}: ")) && told.contains("error: "), "{told}");
}
