//! Stores on servers of every kind, as users meet them; `.ci/run stores` starts them.

use std::collections::BTreeSet;
use std::env;

use assert_cmd::Command;

use crate::environment::{User, listing, stdout};
use crate::s3::asserts_all;

/// The bucket that `FLOE_TEST_STORE` names.
fn bucket() -> String {
    env::var("FLOE_TEST_STORE").expect("FLOE_TEST_STORE names a bucket")
}

impl User {
    /// `floe` at a location, with what this process's environment says of the clouds.
    fn on_server(&self, location: &str, arguments: &[&str]) -> Command {
        const CLOUDS: [&str; 5] = ["AWS_", "AZURE_", "GOOGLE_", "STORAGE_EMULATOR_HOST", "FLOE_S3_"];
        let mut command = self.command(arguments);
        command.envs(env::vars().filter(|(name, _)| CLOUDS.iter().any(|cloud| name.starts_with(cloud))));
        command.env("FLOE_STORE", location);
        command
    }
}

#[test]
#[ignore = "needs a server: `.ci/run stores`"]
fn store_server_holds_what_is_pushed() {
    let user = User::new();
    let location = format!("{}/workflow-{}", bucket(), std::process::id());
    let floe = |arguments: &[&str]| stdout(&user.on_server(&location, arguments).assert().code(0));
    let tree = user.tree("tree");
    // So much that does not compress that the pack goes in parts.
    std::fs::write(user.path("tree/noise"), floe_testkit::bytes_of(5, 9_000_000)).unwrap();
    asserts_all(&floe(&["push", &tree, "main"]), &["main@1 "]);
    std::fs::write(user.path("tree/README.md"), "# Two\n").unwrap();
    let pushed: serde_json::Value =
        serde_json::from_str(&floe(&["push", &tree, "main", "-m", "two", "--json"])).unwrap();
    assert_eq!((&pushed["ref"], &pushed["generation"]), (&"main".into(), &2.into()), "{pushed}");
    assert!(pushed["uploaded_bytes"].as_u64().unwrap() < 100_000, "{pushed}");

    floe(&["pull", "main", "there"]);
    assert_eq!(listing(&user.path("there")), listing(&user.path(&tree)));
    // Over what is there, and without what is remembered.
    floe(&["pull", "main@1", "there", "--cache-dir", "elsewhere"]);
    assert_eq!(std::fs::read_to_string(user.path("there/README.md")).unwrap(), "# A tree\n");
    floe(&["pull", "main", "there"]);
    assert_eq!(listing(&user.path("there")), listing(&user.path(&tree)));

    assert_eq!(floe(&["cat", "main:README.md"]), "# Two\n");
    assert_eq!(floe(&["diff", "main@1", "main"]), "M README.md\n");
    asserts_all(&floe(&["log", "main"]), &["two"]);
    floe(&["tag", "main@1", "release/1.0"]);
    let names: Vec<_> =
        floe(&["ls"]).lines().map(|line| line.split([' ', '@']).next().unwrap().to_owned()).collect();
    assert_eq!(names, ["main", "release/1.0"]);
    assert_eq!(floe(&["ls", "main"]).lines().count(), 4);
    floe(&["verify"]);
    floe(&["rm", "main"]);
    assert!(!floe(&["ls"]).contains("main"));
    floe(&["verify"]);
    floe(&["pull", "release/1.0", "former"]);
    assert_eq!(std::fs::read_to_string(user.path("former/README.md")).unwrap(), "# A tree\n");
}

#[test]
#[ignore = "needs a server: `.ci/run stores`"]
fn store_server_without_the_bucket_says_so() {
    let user = User::hasty();
    let tree = user.tree("tree");
    let location = format!("{}-that-is-not-there/x", bucket());
    for arguments in [&["push", &tree, "main"][..], &["ls"], &["pull", "main", "there"]] {
        let told = user.stderr(&user.on_server(&location, arguments).assert().code(1).stdout(""));
        asserts_all(&told, &["error: ", "-that-is-not-there"]);
    }
    let told = user.stderr(&user.on_server(&location, &["push", &tree, "main"]).assert().code(1));
    asserts_all(&told, &["there is no such bucket"]);
}

/// i2, by processes, on a server that decides races.
#[test]
#[ignore = "needs a server: `.ci/run stores`"]
fn store_server_i2_processes_race() {
    let user = User::new();
    let location = format!("{}/race-{}", bucket(), std::process::id());
    let trees: Vec<_> = (0..16).map(|racer| user.tree(&format!("tree-{racer}"))).collect();
    let mut committed = 0;
    for round in 0..3 {
        for (racer, tree) in trees.iter().enumerate() {
            std::fs::write(user.path(tree).join("who"), format!("{racer} of round {round}")).unwrap();
        }
        let codes: Vec<_> = std::thread::scope(|scope| {
            let racing: Vec<_> = trees
                .iter()
                .map(|tree| {
                    let mut push = user.on_server(&location, &["push", tree, "main", "-q"]);
                    scope.spawn(move || push.output().unwrap())
                })
                .collect();
            racing.into_iter().map(|push| push.join().unwrap()).collect()
        });
        let mut generations = BTreeSet::new();
        for push in codes {
            let told = String::from_utf8_lossy(&push.stderr);
            match push.status.code() {
                Some(0) => {
                    let line = String::from_utf8(push.stdout).unwrap();
                    assert!(generations.insert(line.split(' ').next().unwrap().to_owned()), "{line}");
                }
                Some(4) => assert!(told.contains("was moved by somebody else"), "{told}"),
                code => panic!("{code:?}: {told}"),
            }
        }
        committed += generations.len();
        let expected = format!("main@{committed}");
        assert!(generations.contains(&expected), "{expected} is not the newest of {generations:?}");
    }
}

#[test]
#[ignore = "needs a server: `.ci/run stores`"]
fn azure_server_does_what_the_credentials_may() {
    let user = User::hasty();
    let tree = user.tree("tree");
    let location = format!("{}/denied-{}", bucket(), std::process::id());
    user.on_server(&location, &["push", &tree, "main"]).assert().code(0);
    std::fs::write(user.path("tree/README.md"), "# Another\n").unwrap();
    let read_only =
        env::var("FLOE_TEST_AZURE_READ_ONLY").expect("a signature is in FLOE_TEST_AZURE_READ_ONLY");
    for (variable, secret) in [("AZURE_STORAGE_KEY", "d3Jvbmc="), ("AZURE_STORAGE_SAS_TOKEN", &read_only)] {
        let floe = |arguments: &[&str]| user.on_server(&location, arguments).env(variable, secret).assert();
        let refused = |arguments: &[&str], words: &[&str]| {
            let told = user.stderr(&floe(arguments).code(1).stdout(""));
            asserts_all(&told, &[&["error: ", "403 ", "credentials"], words].concat());
            assert!(!told.contains(secret) && !told.contains("sig="), "{told}");
        };
        let writes = [&["push", &tree, "main"][..], &["tag", "main", "other"], &["rm", "main"]];
        if secret == read_only {
            writes.iter().for_each(|write| refused(write, &["default/leases/", "may not do that"]));
            floe(&["pull", "main", "there"]).code(0);
            assert_eq!(std::fs::read_to_string(user.path("there/README.md")).unwrap(), "# A tree\n");
            floe(&["verify"]).code(0);
        } else {
            let commands = [&writes[..], &[&["ls"], &["verify"]]].concat();
            commands.iter().for_each(|command| refused(command, &["403 Auth"]));
        }
    }
}
