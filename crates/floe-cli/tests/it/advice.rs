//! What a failure advises is what helps.

use std::fs;

use crate::damaged::objects;
use crate::environment::{User, stdout};

/// The last line of what a command tells that fails.
fn advice(user: &User, arguments: &[&str], code: i32) -> String {
    let told = user.stderr(&user.floe(arguments, code));
    told.lines().last().unwrap().to_owned()
}

#[test]
fn i1_a_damaged_ref_is_restored_or_left() {
    let user = User::new();
    let tree = user.tree("tree");
    for name in ["main", "whole"] {
        user.floe(&["push", &tree, name], 0);
    }
    let object = user.path(".local/share/floe/default/refs/main");
    let whole = fs::read(&object).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() - 10] ^= 1;
    let too_long = vec![b' '; (1 << 20) + 1];
    for damaged in [flipped, too_long, whole[..40].to_vec()] {
        fs::write(&object, &damaged).unwrap();
        for command in [
            &["push", &tree, "main"][..],
            &["push", &tree, "main", "--full"],
            &["push", &tree, "main", "--dry-run"],
            &["push", &tree, "other", "--base", "main"],
            &["tag", "whole", "main"],
            &["tag", "main", "other"],
            &["rm", "main"],
            &["log", "main"],
            &["show", "main"],
            &["pull", "main@1", "back"],
            &["ls"],
            &["verify"],
            &["verify", "main"],
        ] {
            let told = advice(&user, command, 3);
            assert!(told.contains("from a copy of the store, or push again to"), "{command:?}: {told}");
            assert!(!told.contains("--full"), "{command:?}: {told}");
        }
        assert_eq!(fs::read(&object).unwrap(), damaged);
    }
    // Either helps.
    user.floe(&["push", &tree, "third"], 0);
    fs::write(&object, whole).unwrap();
    user.floe(&["verify"], 0);
}

#[test]
fn i1_what_a_namespace_cannot_do_without_is_restored() {
    for (object, damaged) in [
        ("gc/state", None),
        ("gc/state", Some("{}")),
        ("format.json", None),
        ("format.json", Some("{\"sum\":\"0\",\n}")),
    ] {
        let user = User::new();
        let tree = user.tree("tree");
        user.floe(&["push", &tree, "main"], 0);
        let path = user.path(".local/share/floe/default").join(object);
        match damaged {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        for command in [
            &["push", &tree, "main"][..],
            &["push", &tree, "main", "--full"],
            &["tag", "main", "other"],
            &["rm", "main"],
            &["verify"],
        ] {
            let told = advice(&user, command, 3);
            assert!(told.starts_with("Restore ") && told.contains("from a copy of the store"), "{told}");
            assert!(!told.contains("--full"), "{object}, {command:?}: {told}");
        }
        // As the advice says.
        user.floe(&["pull", "main", "back"], 0);
        user.floe(&["push", &tree, "main", "--namespace", "other"], 0);
    }
}

#[test]
fn several_damages_have_an_advice_each() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    fs::write(user.path("tree/new"), "new").unwrap();
    user.floe(&["push", &tree, "other"], 0);
    let store = user.path(".local/share/floe/default");
    fs::write(store.join("refs/main"), "{}").unwrap();
    fs::write(store.join("refs/other~"), "x").unwrap();
    let told = advice(&user, &["ls"], 3);
    assert!(told.starts_with("Restore refs ") && told.ends_with(" there elsewhere."), "{told}");
    fs::remove_file(&objects(&user, "packs")[0]).unwrap();
    for part in ["--full", "Restore refs that cannot be read", "Move what Floe did not write"] {
        let told = advice(&user, &["verify"], 3);
        assert!(told.contains(part), "{told}");
    }
    let ls = advice(&user, &["ls"], 3);
    assert!(!ls.contains("--full"), "it looks at no pack: {ls}");
}

#[test]
fn what_only_deleting_removes_is_deleted_on_request() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    fs::create_dir_all(user.path("back/README.md/below")).unwrap();
    for command in [&["pull", "main", "back"][..], &["pull", "main:README.md", "back"]] {
        let told = advice(&user, command, 1);
        assert!(told.starts_with("Run the command again with --delete"), "{told}");
    }
    user.floe(&["pull", "main", "back", "--delete"], 0);
}

#[test]
fn the_own_store_in_the_way_is_left_out() {
    let user = User::new();
    for file in ["README.md", "store"] {
        fs::create_dir_all(user.path("tree")).unwrap();
        fs::write(user.path("tree").join(file), file).unwrap();
    }
    let store = ["--store", "back/store"];
    fs::create_dir(user.path("back")).unwrap();
    user.floe(&[&["push", "tree", "main"][..], &store].concat(), 0);
    let pull = [&["pull", "main", "back", "--delete"][..], &store].concat();
    let told = advice(&user, &pull, 1);
    assert!(told.starts_with("Leave that out with --exclude"), "{told}");
    user.floe(&[&pull[..], &["--exclude", "store"]].concat(), 0);
}

#[test]
fn what_is_no_file_is_to_be_looked_at() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let told = advice(&user, &["cat", "main:src"], 1);
    assert_eq!(told, "See what it is with `floe ls main:src`.");
}

#[test]
fn an_id_cut_too_short_is_told_from_a_name() {
    let user = User::new();
    let tree = user.tree("tree");
    let pushed = user.json(&["push", &tree, "main", "--json"]);
    let id = pushed["snapshot"].as_str().unwrap();
    for (digits, is_told) in [(11, true), (6, true), (5, false)] {
        let told = user.stderr(&user.floe(&["show", &id[..digits]], 1));
        let hint = "a snapshot's id is told by 12 of its digits or more";
        assert_eq!(told.contains(hint), is_told, "{digits}: {told}");
    }
    assert!(stdout(&user.floe(&["show", &id[..12]], 0)).contains(id));
}

/// Who misspells a path, a generation or a place for one is told what there is.
#[test]
fn what_is_not_there_has_names_like_it() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let log = "`floe log REF` lists the generations that a ref remembers.";
    let ls = "`floe ls REF` lists what the snapshot has at its top, `floe ls REF:PATH` what is in a directory of it.";
    let check = "Check the name; `floe ls` lists the refs of the namespace, `floe log REF` the generations of one, `floe ls REF` \
                 what is in it.";
    for (command, error, advice) in [
        (&["ls", "main:readme"][..], "the snapshot has no entry `readme`; there is `README.md`", ls),
        (&["cat", "main:src/mian.rs"], "the snapshot has no entry `src/mian.rs`; there is `src/main.rs`", ls),
        (&["ls", "main:absent"], "the snapshot has no entry `absent`", ls),
        (
            &["pull", "main:sr/deep/data", "out"],
            "the snapshot has no entry `sr/deep/data`: it has no `sr`; there is `src`",
            ls,
        ),
        (
            &["cat", "main:src/deeep/data"],
            "the snapshot has no entry `src/deeep/data`: it has no `src/deeep`; there is `src/deep`",
            ls,
        ),
        (
            &["ls", "main:README.md/x"],
            "the snapshot has no entry `README.md/x`: `README.md` is not a directory",
            ls,
        ),
        (&["show", "main@9"], "`main` has no generation 9 yet; it is at 1", log),
        (
            &["ls", "main/src"],
            "no ref is called `main/src`; `main` is one, and a path in it is written `main:src`",
            check,
        ),
        (&["ls", "man"], "no ref is called `man`; there is `main`", check),
    ] {
        let told = user.stderr(&user.floe(command, 1));
        assert_eq!(told, format!("error: {error}\n{advice}\n"), "{command:?}");
    }
    for (command, part) in [
        (
            &["ls", "main/"][..],
            "a reference does not end in `/`; `main` has the whole tree, `main:PATH` a part",
        ),
        (&["log", "main/"], "cannot name a ref: it ends in `/`; `main` can"),
        (&["diff", "main:src", "tree/"], "`main:src` is a part of a snapshot, and whole ones are compared"),
    ] {
        let told = user.stderr(&user.floe(command, 2));
        assert!(told.contains(part), "{command:?}: {told}");
    }
    assert_eq!(stdout(&user.floe(&["diff", "main:", "tree/"], 0)), "");
    user.floe(&["rm", "main"], 0);
    for asked in ["man", "main/src"] {
        let told = user.stderr(&user.floe(&["ls", asked], 1));
        let error = format!("error: no ref is called `{asked}`; there is `main` (removed)");
        assert_eq!(told, format!("{error}\n{check}\n"), "{asked}");
    }
}

#[test]
fn refs_are_listed_with_what_they_name() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main", "-m", "the first"], 0);
    let long = stdout(&user.floe(&["ls", "-l"], 0));
    let id = user.json(&["show", "main", "--json"])["snapshot"].as_str().unwrap().to_owned();
    assert!(long.ends_with(&format!("  {}\n    the first\n", &id[..16])), "{long}");
    assert_eq!(stdout(&user.floe(&["ls"], 0)).lines().count(), 1);
}
