//! Failures: what is said, how each ends, what the process exits with.

use crate::environment::{User, stdout};

#[test]
fn a_store_without_the_namespace() {
    let user = User::new();
    for arguments in [&["ls"][..], &["log", "main"], &["show", "main"], &["rm", "main"]] {
        let absent = user.floe(arguments, 1);
        insta::assert_snapshot!("no_namespace", user.stderr(&absent));
    }
}

#[test]
fn what_cannot_be_is_usage() {
    let user = User::new();
    user.tree("tree");
    for arguments in [
        &[][..],
        &["show"],
        &["show", "a b"],
        &["show", "main@x"],
        &["rm", "0123456789ab"],
        &["ls", "--namespace", "a/b"],
        &["ls", "-q", "-v"],
        &["push", "tree", "main", "--exclude", "["],
        &["ls", "--store", "s3://"],
        &["ls", "--store", "file://relative"],
    ] {
        user.floe(arguments, 2).stdout("");
    }
    let long = "x".repeat(20_000);
    user.floe(&["push", "tree", "main", "-m", &long], 2).stdout("");
    let tar = user.command(&["push", "-", "main", "--gitignore"]).write_stdin("").output();
    assert_eq!(tar.unwrap().status.code(), Some(2));
    std::fs::write(user.path("file"), "").unwrap();
    let told = user.stderr(&user.floe(&["push", "tree", "main", "--store", "file"], 2));
    assert!(told.contains("the store file is not a directory"), "{told}");
    user.floe(&["push", "tree", "main"], 0);
    user.floe(&["pull", "main:README.md", "-"], 2);
    user.floe(&["push", "tree", "main", "--exclude-from", "/dev/zero"], 2);
    let told = user.stderr(&user.floe(&["pull", "main", "tree/README.md"], 1));
    assert!(told.contains("Pull to another place"), "{told}");
    for arguments in
        [&["pull", "main", "out", "--include", "["][..], &["diff", "main", "./tree", "--exclude", "["]]
    {
        let refused = user.stderr(&user.floe(arguments, 2).stdout(""));
        assert!(refused.contains("Correct the pattern"), "{refused}");
    }
}

#[test]
fn an_unknown_kind_of_store_is_named() {
    let user = User::new();
    let refused = user.floe(&["ls", "--store", "ftp://x/y"], 2);
    insta::assert_snapshot!(user.stderr(&refused));
    // Whoever said so.
    let told = user.command(&["ls"]).env("FLOE_STORE", "ftp://x/y").output().unwrap();
    assert_eq!(told.status.code(), Some(2), "{told:?}");
    let configuration = user.path(".config/floe/config.toml");
    std::fs::create_dir_all(configuration.parent().unwrap()).unwrap();
    std::fs::write(configuration, "store = \"ftp://x/y\"").unwrap();
    let told = user.command(&["ls"]).env_remove("FLOE_STORE").output().unwrap();
    assert_eq!(told.status.code(), Some(2), "{told:?}");
}

#[test]
fn every_refused_argument_ends_with_advice() {
    let user = User::new();
    for arguments in
        [&["ls", "main@x"][..], &["ls", "a b"], &["cat", "main:.."], &["rm", "main@x"], &["log", ""]]
    {
        let told = user.stderr(&user.floe(arguments, 2));
        assert!(told.ends_with("\n\nFor more information, try '--help'.\n"), "{told}");
    }
}

/// Where it is easily taken for another.
#[test]
fn what_was_meant_is_advised() {
    let user = User::new();
    user.tree("t/a");
    user.floe(&["push", "t/a", "demo"], 0);
    for (arguments, code, advice) in [
        (&["diff", "t/a", "demo"][..], 1, "Write ./t/a for the directory of that name."),
        (&["diff", "demo", "t/a"], 1, "Write ./t/a for the directory of that name."),
        (&["log", "demo@1"], 2, "only `demo`, without `@1`, can be named here"),
        (&["verify", "demo@1"], 2, "only `demo`, without `@1`, can be named here"),
        (&["show", "demo:src"], 2, "only `demo`, without `:src`, can be named here"),
        (&["cat", "demo:src"], 1, "See what it is with `floe ls demo:src`."),
    ] {
        let told = user.stderr(&user.floe(arguments, code).stdout(""));
        assert!(told.contains(advice), "{arguments:?}: {told}");
    }
    // A directory of that name explains nothing that is damaged.
    user.floe(&["push", "t/a", "t"], 0);
    std::fs::write(user.path(".local/share/floe/default/refs/t"), "torn").unwrap();
    assert!(!user.stderr(&user.floe(&["diff", "t", "demo"], 3)).contains("Write ./t"));
}

/// A program is told of failures in the same words, and of the kind.
#[test]
fn a_failure_is_reported_in_json() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    let failed = |arguments: &[&str], code: i32| -> serde_json::Value {
        let done = user.floe(&[arguments, &["--json"]].concat(), code);
        assert_eq!(stdout(&done), "");
        let told = user.stderr(&done);
        assert_eq!(told.lines().count(), 1, "{told}");
        let report: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(report["exit_code"], code);
        assert!(!report["advice"].as_str().unwrap().is_empty());
        report
    };
    let missing = failed(&["pull", "mian", "out"], 1);
    assert_eq!(missing["kind"], "not_found");
    assert!(missing["error"].as_str().unwrap().contains("main"), "{missing}");
    let nowhere = failed(&["push", "nowhere", "main"], 1);
    assert_eq!(nowhere["kind"], "not_found");
    assert_eq!(nowhere["causes"].as_array().unwrap().len(), 1, "{nowhere}");
    assert_eq!(failed(&["archive", "main"], 2)["kind"], "usage");
    std::fs::write(user.path("out"), "x").unwrap();
    assert_eq!(failed(&["pull", "main", "out"], 1)["kind"], "invalid");
    assert_eq!(failed(&["ls", "--store", "ftp://x/y"], 2)["kind"], "unsupported");
}
