//! `floe push` and what shows what it made: `ls`, `log`, `show`, `tag`, `rm`.

use std::fs;
use std::path::Path;

use floe_testkit::{bytes_of, wait_until_trusted};

use crate::damaged::objects;
use crate::environment::{User, shape, stdout};
use crate::groups::group_of;
use crate::report::report;

#[test]
fn reports_in_json() {
    let user = User::new();
    let tree = user.tree("tree");
    let pushed = user.json(&["push", &tree, "main", "-m", "first", "--label", "ci=7", "--json"]);
    insta::assert_json_snapshot!("push", shape(&pushed));
    insta::assert_json_snapshot!("ls_refs", shape(&user.json(&["ls", "--json"])));
    insta::assert_json_snapshot!("log", shape(&user.json(&["log", "main", "--json"])));
    insta::assert_json_snapshot!("show", shape(&user.json(&["show", "main", "--json"])));
    insta::assert_json_snapshot!("tag", shape(&user.json(&["tag", "main", "release", "--json"])));
    insta::assert_json_snapshot!("rm", shape(&user.json(&["rm", "release", "--json"])));
}

#[test]
fn a_second_push_of_the_same_changes_nothing() {
    let user = User::new();
    let tree = user.tree("tree");
    let first = user.json(&["push", &tree, "main", "--json"]);
    assert_eq!((&first["outcome"], &first["generation"]), (&"committed".into(), &1.into()));
    let second = user.json(&["push", &tree, "main", "--json"]);
    assert_eq!((&second["outcome"], &second["generation"]), (&"unchanged".into(), &1.into()));
    assert_eq!(first["snapshot"], second["snapshot"]);
    let again = user.floe(&["push", &tree, "main"], 0);
    assert!(user.stderr(&again).starts_with("Unchanged: 3 files"), "{}", user.stderr(&again));
    assert!(!user.stderr(&again).contains("message"), "{}", user.stderr(&again));
    for (flag, value) in [("-m", "lost"), ("--label", "ci=8")] {
        let told = user.stderr(&user.floe(&["push", &tree, "main", flag, value], 0));
        assert!(told.contains("Without a new generation, message and labels are not kept."), "{told}");
        let told = user.stderr(&user.floe(&["push", &tree, "main", flag, value, "--json"], 0));
        assert!(told.contains("Without a new generation, message and labels are not kept."), "{told}");
    }
    assert_eq!(user.json(&["log", "main", "--json"])["generations"].as_array().unwrap().len(), 1);
}

#[test]
fn a_label_has_one_value() {
    let user = User::new();
    let tree = user.tree("tree");
    let twice = ["push", &tree, "main", "--label", "env=prod", "--label", "env=test"];
    assert!(user.stderr(&user.floe(&twice, 2)).contains("`env` is given twice"));
    user.floe(&["log", "main"], 1);
}

#[test]
fn what_is_reused_of_a_file_that_changed_is_told() {
    let user = User::new();
    let content = bytes_of(1, 4 << 20);
    fs::create_dir(user.path("tree")).unwrap();
    fs::write(user.path("tree/image"), &content).unwrap();
    user.floe(&["push", "tree", "main"], 0);
    fs::write(user.path("tree/image"), [&content[..], b"more"].concat()).unwrap();
    let told = user.stderr(&user.floe(&["push", "tree", "main"], 0));
    let (_, reused) = told.split_once("Pushed 1 file (4.0 MiB): ").unwrap();
    let (share, _) = reused.split_once(" % of all bytes reused, ").unwrap();
    assert!((50..100).contains(&share.parse::<u32>().unwrap()), "{told}");
}

#[test]
fn a_changed_file_makes_a_generation() {
    let user = User::new();
    let tree = user.tree("tree");
    let first = user.json(&["push", &tree, "main", "--json"]);
    fs::write(user.path("tree/src/main.rs"), "fn main() { }\n").unwrap();
    let pushed = user.floe(&["push", &tree, "main", "-m", "wider"], 0);
    let snapshot = user.json(&["show", "main", "--json"])["snapshot"].clone();
    assert_eq!(stdout(&pushed), format!("main@2 {}\n", snapshot.as_str().unwrap()));
    let told = user.stderr(&pushed);
    assert!(told.starts_with("Pushed 3 files (97.7 KiB): 2 files and 9"), "{told}");
    assert!(told.contains(" % of all bytes reused, "), "{told}");
    assert_ne!(snapshot, first["snapshot"]);
    let log = stdout(&user.floe(&["log", "main"], 0));
    assert!(log.contains("main@2") && log.contains("    wider") && log.contains("main@1"), "{log}");
}

#[test]
fn a_dry_run_leaves_nothing_in_the_store() {
    let user = User::new();
    let tree = user.tree("tree");
    let told = user.json(&["push", &tree, "main", "--dry-run", "--json"]);
    assert_eq!((&told["outcome"], &told["generation"]), (&"dry_run".into(), &serde_json::Value::Null));
    assert_eq!(told["layout"], serde_json::Value::Null, "there is none before it is written");
    assert!(!user.path(".local/share/floe").exists());
    user.floe(&["log", "main"], 1);
    let pushed = user.json(&["push", &tree, "main", "--json"]);
    assert!(user.path(".local/share/floe").exists());
    // Where a push would change nothing, that is what it tells.
    let told = user.json(&["push", &tree, "main", "--dry-run", "--json"]);
    assert_eq!((&told["outcome"], &told["generation"]), (&"unchanged".into(), &1.into()));
    assert_eq!(told["layout"], pushed["layout"]);
}

#[test]
fn how_much_faster_a_push_was_is_told_of_what_was_reused() {
    let user = User::new();
    fs::create_dir(user.path("empty")).unwrap();
    let tree = user.tree("tree");
    for source in ["empty", &tree] {
        let told = user.stderr(&user.floe(&["push", source, source], 0));
        assert!(told.contains(" nothing reused, ") && !told.contains("faster"), "{told}");
    }
    for number in 0..20 {
        fs::write(user.path(&format!("tree/{number}")), bytes_of(number, 40_000)).unwrap();
    }
    user.floe(&["push", &tree, &tree], 0);
    fs::write(user.path("tree/README.md"), "# Another\n").unwrap();
    let told = user.stderr(&user.floe(&["push", &tree, &tree], 0));
    assert!(told.contains(" times faster than sending everything."), "{told}");
    // All of it is in the base.
    let told = user.stderr(&user.floe(&["push", &tree, "other", "--base", &tree, "--dry-run"], 0));
    assert!(told.contains(": 23 files and 100 % of all bytes reused, "), "{told}");
    // The headers beside small files say where they are.
    fs::create_dir_all(user.path("small/a")).unwrap();
    for number in 0..300 {
        fs::write(user.path(&format!("small/a/{number}")), bytes_of(number, 3_000)).unwrap();
    }
    user.floe(&["push", "small", "small"], 0);
    fs::rename(user.path("small/a"), user.path("small/b")).unwrap();
    let told = user.stderr(&user.floe(&["push", "small", "small"], 0));
    assert!(told.contains(": 300 files unchanged, but stored again, "), "{told}");
}

#[test]
fn equal_content_is_an_equal_snapshot_when_reproducible() {
    let user = User::new();
    let (one, other) = (user.tree("one"), user.tree("other"));
    let snapshot = |tree: &str, name: &str| {
        user.json(&["push", tree, name, "--reproducible", "--json"])["snapshot"].clone()
    };
    assert_eq!(snapshot(&one, "one"), snapshot(&other, "other"));
    user.floe(&["push", &one, "one", "--reproducible", "--owner"], 2);
}

#[test]
fn what_is_excluded_is_not_pushed() {
    let user = User::new();
    let tree = user.tree("tree");
    fs::write(user.path("patterns"), "deep\n").unwrap();
    fs::write(user.path("tree/.gitignore"), "*.md\n").unwrap();
    let files = |arguments: &[&str]| {
        let all = [&["push", &tree, "main", "--json"], arguments].concat();
        user.json(&all)["file_count"].as_u64().unwrap()
    };
    assert_eq!(files(&[]), 4);
    assert_eq!(files(&["--exclude", "*.rs"]), 3);
    assert_eq!(files(&["--exclude-from", "patterns"]), 3);
    assert_eq!(files(&["--gitignore"]), 3);
    assert_eq!(files(&["--exclude-larger-than", "64KiB"]), 3);
    user.floe(&["push", &tree, "main", "--exclude-from", "absent"], 1);
    user.floe(&["push", &tree, "main", "--exclude-larger-than", "much"], 2);
}

#[test]
fn a_removed_ref_is_brought_back() {
    let user = User::new();
    let tree = user.tree("tree");
    let snapshot = user.json(&["push", &tree, "main", "--json"])["snapshot"].clone();
    let removed = user.floe(&["rm", "main", "-m", "gone"], 0);
    insta::assert_snapshot!(user.stderr(&removed));
    user.floe(&["show", "main"], 1);
    assert_eq!(stdout(&user.floe(&["ls"], 0)), "");
    let back = user.floe(&["tag", "main@1", "main"], 0);
    assert_eq!(stdout(&back), format!("main@3 {}\n", snapshot.as_str().unwrap()));
    let id = &snapshot.as_str().unwrap()[..12];
    assert_eq!(user.json(&["tag", id, "main", "--json"])["outcome"], "unchanged");
    assert_eq!(user.json(&["tag", id, "release/1", "--json"])["generation"], 1);
}

#[test]
fn a_name_that_is_not_there_names_near_misses() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    for arguments in
        [&["show", "mian"][..], &["log", "mian"], &["rm", "mian"], &["tag", "mian", "x"], &["verify", "mian"]]
    {
        let missing = user.floe(arguments, 1).stdout("");
        insta::assert_snapshot!("near_misses", user.stderr(&missing));
    }
    // What is only short is near to nothing.
    user.floe(&["tag", "main", "d"], 0);
    for name in ["ig", "0751d6acf53"] {
        assert!(!user.stderr(&user.floe(&["log", name], 1)).contains("there is"), "{name}");
    }
}

#[test]
fn a_source_that_is_not_there() {
    let user = User::new();
    let absent = user.floe(&["push", "absent", "main"], 1);
    insta::assert_snapshot!(user.stderr(&absent));
}

#[test]
fn a_namespace_sees_its_own_refs() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main", "--namespace", "apps"], 0);
    assert_eq!(user.json(&["ls", "--namespace", "apps", "--json"])["refs"][0]["ref"], "main");
    user.floe(&["ls"], 1);
}

#[test]
fn a_damaged_ref_is_corrupt() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let object = user.path(".local/share/floe/default/refs/main");
    let mut bytes = fs::read(&object).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    fs::write(&object, bytes).unwrap();
    for arguments in [&["show", "main"][..], &["ls"], &["log", "main"]] {
        let corrupt = user.floe(arguments, 3).stdout("");
        assert!(user.stderr(&corrupt).contains("refs/main"), "{}", user.stderr(&corrupt));
    }
}

#[test]
fn a_tar_on_standard_input_is_pushed() {
    let user = User::new();
    let tree = user.tree("tree");
    let pushed = user.json(&["push", &tree, "main", "--reproducible", "--json"]);
    user.floe(&["archive", "main", "-o", "tree.tar"], 0);
    let tar = fs::read(user.path("tree.tar")).unwrap();
    let push = || user.command(&["push", "-", "other", "--reproducible", "--json"]);
    let from_tar = push().write_stdin(tar.clone()).assert().code(0);
    let from_tar = report("push", &from_tar.get_output().stdout);
    assert_eq!(from_tar["snapshot"], pushed["snapshot"]);
    let cut = push().write_stdin(&tar[..tar.len() - 512]).assert().code(1);
    assert!(user.stderr(&cut).contains("cut short"), "{}", user.stderr(&cut));
    let nothing = push().write_stdin("").assert().code(1);
    assert!(user.stderr(&nothing).contains("the input is empty"), "{}", user.stderr(&nothing));
    let refused = user.command(&["push", "-", "other", "--gitignore"]).write_stdin(tar).assert().code(2);
    assert!(user.stderr(&refused).contains("but not by .gitignore files"), "{}", user.stderr(&refused));
}

/// Who may read a file is nothing to drop in silence.
#[test]
fn acls_that_a_tar_has_as_text_are_told_to_be_left_out() {
    let user = User::new();
    let tree = user.tree("tree");
    let tar = |options: &[&str]| {
        let mut tar = std::process::Command::new("tar");
        let tar = tar
            .args(["--format=pax", "-cf", "-", "-C"])
            .arg(user.path(&tree))
            .args(options)
            .arg(".")
            .output()
            .unwrap();
        assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
        tar.stdout
    };
    let text = "--pax-option=SCHILY.acl.access:=user::rw-";
    let both = &format!("{text},SCHILY.xattr.system.posix_acl_access:=binary");
    for (from, options, warnings) in [
        (text, &["--xattrs"][..], 1),
        (text, &[], 0),
        (both, &["--xattrs"], 0),
        ("--sort=name", &["--xattrs"], 0),
    ] {
        let push =
            user.command(&[&["push", "-", "main"], options].concat()).write_stdin(tar(&[from])).assert();
        let told = user.stderr(&push.code(0));
        assert_eq!(told.matches("left out: the ACLs of").count(), warnings, "{from} {options:?}: {told}");
    }
}

#[test]
fn a_file_is_no_source() {
    let user = User::new();
    fs::write(user.path("file"), "x").unwrap();
    let refused = user.floe(&["push", "file", "main"], 1);
    insta::assert_snapshot!("a_file_is_no_source", user.stderr(&refused));
}

#[test]
fn a_higher_level_stores_less() {
    let user = User::new();
    let text: String =
        (0..40_000).map(|number: u64| format!("line {} of {}\n", number * number % 977, number)).collect();
    fs::create_dir(user.path("tree")).unwrap();
    fs::write(user.path("tree/text"), text).unwrap();
    let uploaded = |name: &str, options: &[&str]| {
        let mut arguments = vec!["push", "tree", "main", "--json", "--namespace", name];
        arguments.extend(options);
        user.json(&arguments)["uploaded_bytes"].as_u64().unwrap()
    };
    let (fast, usual, small) =
        (uploaded("a", &["--level", "1"]), uploaded("b", &[]), uploaded("c", &["--level", "19"]));
    assert!(small < usual && usual != fast, "{fast} {usual} {small}");
}

#[test]
fn a_named_base_is_pushed_against() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let alone = user.json(&["push", &tree, "alone", "--json", "--dry-run", "--base", "main"]);
    assert_eq!(alone["reused_file_count"], alone["file_count"]);
    fs::write(user.path("tree/new"), "new").unwrap();
    let other = user.json(&["push", &tree, "other", "--json", "--base", "main"]);
    assert_eq!(other["reused_file_count"].as_u64().unwrap() + 1, other["file_count"].as_u64().unwrap());
}

#[test]
fn cache_directories_are_left_out_on_request() {
    let user = User::new();
    let tree = user.tree("tree");
    fs::write(user.path("tree/src/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n").unwrap();
    let all = user.json(&["push", &tree, "all", "--json", "--dry-run"]);
    let fewer = user.json(&["push", &tree, "fewer", "--json", "--dry-run", "--exclude-caches"]);
    assert_eq!((&all["file_count"], &fewer["file_count"]), (&4.into(), &2.into()));
}

/// What has not changed is neither opened nor listed: a directory costs opening it and asking about what is in it.
#[test]
fn a_second_push_opens_the_group_of_what_changed() {
    let user = User::new();
    // A file system whose directories are known to be stamped.
    let shared = Path::new("/dev/shm");
    let tree = tempfile::tempdir_in(shared).unwrap();
    let root = tree.path().to_str().unwrap();
    for number in 0..2000 {
        let directory = tree.path().join(format!("{:02}", number % 20));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(number.to_string()), bytes_of(number, 3000)).unwrap();
    }
    wait_until_trusted(shared);
    user.floe(&["push", root, "main"], 0);
    let [pack] = &objects(&user, "packs")[..] else { panic!("it is in several packs") };
    let group = group_of(pack, "07/1007");
    // Of the same size, so that the groups stay what they are.
    fs::write(format!("{root}/07/1007"), bytes_of(2_000, 3000)).unwrap();
    wait_until_trusted(shared);
    let Some(trace) = user.traced("trace=openat,getdents64", &["push", root, "main"]) else { return };
    let (listed, opened): (Vec<_>, Vec<_>) =
        trace.lines().filter(|line| line.contains(root)).partition(|line| line.contains("getdents64"));
    assert!(listed.is_empty(), "{listed:?}");
    // Named by what it returned, which is on a line of its own where another thread came in between.
    let file = |line: &&str| {
        let (_, returned) = line.rsplit_once(" = ")?;
        let (_, path) = returned.split_once(&format!("<{root}/"))?;
        let path = path.trim_end_matches('>');
        tree.path().join(path).is_file().then(|| path.to_owned())
    };
    let mut files: Vec<_> = opened.iter().filter_map(file).collect();
    files.sort();
    assert!((2..80).contains(&group.len()) && group.contains("07/1007"), "{group:?}");
    assert_eq!(files, group.into_iter().collect::<Vec<_>>());
}

/// For what changes behind the back of times and sizes.
#[test]
fn by_hash_every_file_is_read() {
    let user = User::new();
    user.tree("tree");
    // Else they are too young for the cache to be believed.
    wait_until_trusted(user.home());
    user.floe(&["push", "tree", "main"], 0);
    for (command, reads) in [
        (&["push", "tree", "main"][..], false),
        (&["push", "tree", "main", "--by-hash"], true),
        (&["diff", "main", "./tree", "--exit-code"], false),
        (&["diff", "main", "./tree", "--exit-code", "--by-hash"], true),
    ] {
        let Some(trace) = user.traced("trace=openat", command) else { return };
        for file in ["README.md", "main.rs", "data"] {
            assert_eq!(trace.contains(&format!("\"{file}\"")), reads, "{file} {command:?}: {trace}");
        }
    }
    assert_eq!(user.json(&["push", "tree", "main", "--by-hash", "--json"])["outcome"], "unchanged");
}

#[test]
fn a_removed_ref_is_listed_when_asked_for() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    user.floe(&["push", &tree, "gone"], 0);
    user.floe(&["rm", "gone"], 0);
    let plain = stdout(&user.floe(&["ls"], 0));
    assert!(plain.contains("main@1") && !plain.contains("gone"), "{plain}");
    let all = stdout(&user.floe(&["ls", "--removed"], 0));
    assert!(all.contains("main@1") && all.contains("`floe tag gone@1 gone` brings it back"), "{all}");
    let refs = |arguments: &[&str]| user.json(arguments)["refs"].as_array().unwrap().clone();
    let told = refs(&["ls", "--removed", "--json"]);
    assert_eq!((&told[0]["ref"], &told[0]["removed"]), (&"gone".into(), &true.into()));
    assert_eq!((&told[0]["snapshot"], told[0].get("file_count")), (&serde_json::Value::Null, None));
    assert_eq!(told[1]["removed"], false);
    assert_eq!(refs(&["ls", "--json"]).len(), 1);
}

#[test]
fn a_log_shows_as_many_as_asked_for() {
    let user = User::new();
    let tree = user.tree("tree");
    for number in 0..3 {
        fs::write(user.path("tree/number"), number.to_string()).unwrap();
        user.floe(&["push", &tree, "main"], 0);
    }
    let log = stdout(&user.floe(&["log", "-n", "2", "main"], 0));
    let ids: Vec<_> = log.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(ids.len(), 2, "{log}");
    // What is shown of an id is a reference.
    let shown = |reference: &str| user.json(&["show", reference, "--json"])["snapshot"].clone();
    assert_eq!([shown(ids[0]), shown(ids[1])], [shown("main@3"), shown("main@2")]);
    assert_eq!(user.json(&["log", "main", "-n", "1", "--json"])["generations"].as_array().unwrap().len(), 1);
    user.floe(&["log", "main", "-n", "0"], 2);
}
