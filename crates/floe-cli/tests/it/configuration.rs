//! Settings and where they come from.

use std::time::Duration;

use crate::environment::{User, stdout};
use crate::report::report;

#[test]
fn show_with_nothing_set() {
    let user = User::new();
    let shown = stdout(&user.floe(&["config", "show"], 0));
    insta::assert_snapshot!(shown.replace(user.home().to_str().unwrap(), "[HOME]"));
}

#[test]
fn show_tells_origins() {
    let user = User::new();
    std::fs::create_dir_all(user.path(".config/floe")).unwrap();
    std::fs::write(user.path(".config/floe/config.toml"), "level = 6\n[transfer]\nmax_requests = 4\n")
        .unwrap();
    let output = user
        .command(&["config", "show", "--json", "--store", "/elsewhere"])
        .env("FLOE_NAMESPACE", "apps")
        .assert()
        .code(0);
    let report = report("config", &output.get_output().stdout);
    let settings = report["settings"].as_array().unwrap();
    let origin = |key: &str| {
        let setting = settings.iter().find(|setting| setting["key"] == key).unwrap();
        (setting["value"].clone(), setting["origin"].as_str().unwrap().to_owned())
    };
    assert_eq!(origin("store"), ("/elsewhere".into(), "flag".into()));
    assert_eq!(origin("namespace"), ("apps".into(), "environment".into()));
    assert_eq!(origin("level"), (6.into(), "file".into()));
    assert_eq!(origin("transfer.max_requests"), (4.into(), "file".into()));
    assert_eq!(origin("transfer.retry.tries"), (6.into(), "default".into()));
}

#[test]
fn a_place_that_would_be_another_one_in_each_directory_is_refused() {
    let user = User::new();
    let tree = user.tree("tree");
    std::fs::create_dir_all(user.path(".config/floe")).unwrap();
    for (said, key) in [
        ("store = \"~/st\"", "store"),
        ("store = \"st\"", "store"),
        ("cache_dir = \"~/cache\"", "cache_dir"),
        ("cache_dir = \"cache\"", "cache_dir"),
    ] {
        std::fs::write(user.path(".config/floe/config.toml"), said).unwrap();
        let told = user.stderr(&user.floe(&["push", &tree, "main"], 2));
        assert!(told.contains(&format!("`{key}`")) && told.contains("absolute"), "{told}");
    }
    std::fs::write(user.path(".config/floe/config.toml"), "").unwrap();
    for store in ["~/st", "~", "file:st", "s3:bucket"] {
        let told = user.stderr(&user.floe(&["push", &tree, "main", "--store", store], 2));
        assert!(told.contains(store), "{told}");
    }
    assert!(!user.path("~").exists() && !user.path("file:st").exists());
    for store in ["st", "./file:st", "a:b"] {
        user.floe(&["push", &tree, "main", "--store", store], 0);
        assert!(user.path(store).is_dir());
    }
}

#[test]
fn a_file_that_says_what_is_unknown_is_refused() {
    let user = User::new();
    std::fs::create_dir_all(user.path(".config/floe")).unwrap();
    std::fs::write(user.path(".config/floe/config.toml"), "stor = \"/x\"\n").unwrap();
    let refused = user.floe(&["ls"], 2);
    insta::assert_snapshot!(user.stderr(&refused));
}

#[test]
fn without_a_home_a_store_must_be_named() {
    let user = User::new();
    let refused = user.command(&["ls"]).env_remove("HOME").assert().code(2);
    insta::assert_snapshot!(user.stderr(&refused), @"
    error: there is no home directory to keep things in
    Set HOME, or name the directories with FLOE_STORE, FLOE_CACHE_DIR and XDG_CONFIG_HOME.
    ");
    let store = user.path("store").to_str().unwrap().to_owned();
    let cache = user.path("cache").to_str().unwrap().to_owned();
    let absent = user
        .command(&["ls"])
        .env_remove("HOME")
        .env("FLOE_STORE", store)
        .env("FLOE_CACHE_DIR", cache)
        .assert()
        .code(1);
    assert!(user.stderr(&absent).contains("no namespace"));
}

#[test]
fn a_limit_of_zero_takes_that_of_the_file_away() {
    let user = User::new();
    user.tree("tree");
    std::fs::create_dir_all(user.path(".config/floe")).unwrap();
    let limited = |arguments: &[&str], longest: u64| {
        let mut command = user.command(arguments);
        command.timeout(Duration::from_secs(longest)).assert()
    };
    let a_byte_a_second = |key: &str| {
        let settings = format!("[transfer]\n{key} = 1\n");
        std::fs::write(user.path(".config/floe/config.toml"), settings).unwrap();
    };
    a_byte_a_second("upload_bytes_per_second");
    limited(&["push", "tree", "main"], 1).interrupted();
    limited(&["push", "tree", "main", "--limit-upload", "0"], 60).code(0);
    a_byte_a_second("download_bytes_per_second");
    for arguments in [
        &["pull", "main", "back"][..],
        &["cat", "main:src/deep/data"],
        &["archive", "main", "-o", "main.tar"],
    ] {
        limited(arguments, 1).interrupted();
        limited(&[arguments, &["--limit-download", "0"]].concat(), 60).code(0);
    }
}
