//! Stores that do not answer, say no, or have no room.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use floe_testkit::{S3Server, bytes_of, skip};

use super::{can, told, unprivileged};
use crate::environment::{User, listing};
use crate::report::report;

impl User {
    /// Runs `floe` against `s3://floe/x` at this endpoint with this secret.
    fn on_s3(&self, endpoint: &str, secret: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = self.command(arguments);
        command
            .env("FLOE_STORE", "s3://floe/x")
            .env("FLOE_S3_ENDPOINT", endpoint)
            .env("FLOE_S3_ALLOW_HTTP", "1");
        command.env("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", secret);
        let output = command.env("AWS_REGION", "us-east-1").output().unwrap();
        (output.status.code(), told(&output))
    }
}

const COMMANDS: &[&[&str]] = &[&["push", "tree", "main"], &["pull", "main", "out"], &["verify"], &["ls"]];

#[test]
fn a_store_that_cannot_be_reached_is_told_so() {
    let user = User::new();
    user.tree("tree");
    // Nobody listens there: the port is closed as soon as it is known to be free.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fs::create_dir_all(user.path(".config/floe")).unwrap();
    fs::write(user.path(".config/floe/config.toml"), "[transfer.retry]\ntries = 2\n").unwrap();
    for arguments in COMMANDS {
        let (code, told) = user.on_s3(&format!("http://127.0.0.1:{port}"), "secret", arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {told}");
        assert!(told.contains("s3://floe/x") && told.contains("Check the store's location"), "{told}");
    }
    assert!(!user.path("out").exists());
}

#[test]
fn a_store_that_says_no_is_told_so() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = runtime.block_on(S3Server::start()).unwrap();
    let user = User::new();
    user.tree("tree");
    for arguments in COMMANDS {
        let (code, told) = user.on_s3(server.endpoint(), "not the secret", arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {told}");
        assert!(told.contains("403") && told.contains("credentials"), "{arguments:?}: {told}");
    }
    assert!(!user.path("out").exists());
    // With the right secret all is as before.
    let (code, told) = user.on_s3(server.endpoint(), S3Server::SECRET_KEY, COMMANDS[0]);
    assert_eq!(code, Some(0), "{told}");
}

/// Directories that their owner may not look into are written, and written over, by whoever is not root.
#[test]
fn closed_directories_are_pulled_over() {
    let Some(before) = unprivileged() else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("only root can push directories that their owner may not read");
    }
    let user = User::new();
    let modes = [0o000, 0o200, 0o333, 0o400, 0o500, 0o600, 0o700];
    let mode_of = |path: &str| fs::metadata(user.path(path)).unwrap().permissions().mode() & 0o7777;
    let close =
        |path: &str, mode| fs::set_permissions(user.path(path), fs::Permissions::from_mode(mode)).unwrap();
    user.tree("tree");
    for mode in modes {
        let directory = format!("tree/{mode:03o}");
        fs::create_dir_all(user.path(&format!("{directory}/below"))).unwrap();
        fs::write(user.path(&format!("{directory}/file")), "right").unwrap();
        fs::write(user.path(&format!("{directory}/below/file")), "right").unwrap();
        close(&format!("{directory}/below"), mode);
    }
    for mode in modes {
        close(&format!("tree/{mode:03o}"), mode);
    }
    user.floe(&["push", "tree", "main"], 0);
    assert!(can(&["chown", "-R", "65534:65534", user.home().to_str().unwrap()]));
    let pull = |arguments: &[&str]| user.under(before, &[&["pull", "main", "out"], arguments].concat());
    let check = || {
        for mode in modes {
            let directory = format!("out/{mode:03o}");
            assert_eq!((mode_of(&directory), mode_of(&format!("{directory}/below"))), (mode, mode));
            for file in ["file", "below/file"] {
                assert_eq!(fs::read(user.path(&format!("{directory}/{file}"))).unwrap(), b"right");
            }
        }
    };
    for change in [false, false, true] {
        if change {
            for mode in modes {
                fs::write(user.path(&format!("out/{mode:03o}/below/file")), "wrong, and longer").unwrap();
                fs::write(user.path(&format!("out/{mode:03o}/more")), "more").unwrap();
            }
        }
        let output = pull(&["--delete"]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        check();
        assert!(!user.path("out/000/more").exists());
    }
    // A rehearsal changes no mode: it says what it may not see, and counts it.
    let output = pull(&["--dry-run", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("`out/000` may not be looked into"), "{}", told(&output));
    let closed = modes.iter().filter(|&&mode| mode & 0o500 != 0o500).count() as u64;
    // Of those that may be looked into, what is in the directories below is seen.
    assert_eq!(report("pull", &output.stdout)["written_file_count"], 2 * closed);
    check();
}

/// Where everybody makes what they like.
#[test]
fn what_others_left_is_in_nobodys_way() {
    let Some(before) = unprivileged() else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("only root makes files for somebody else");
    }
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    assert!(can(&["chown", "-R", "65534:65534", user.home().to_str().unwrap()]));
    let shared = user.path("shared");
    for name in [".x.floe-0123456789abcdef/f", "there/.floe-0123456789abcdef-0.tmp/f"] {
        fs::create_dir_all(shared.join(name)).unwrap();
    }
    for path in [&shared, &shared.join("there")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o1777)).unwrap();
    }
    for arguments in [["main", "shared/x"], ["main", "shared/there"], ["main:README.md", "shared/there"]] {
        let output = user.under(before, &["pull", arguments[0], arguments[1]]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }
    assert!(shared.join(".x.floe-0123456789abcdef/f").exists());
    assert!(shared.join("there/.floe-0123456789abcdef-0.tmp/f").exists());
}

/// As those of a Go module cache, and others that are installed to be read.
#[test]
fn directories_that_may_not_be_written_are_pulled_into_an_empty_one() {
    let Some(before) = unprivileged() else { return };
    let user = User::new();
    user.tree("tree");
    for mode in [0o555, 0o500, 0o755] {
        let directory = user.path(&format!("tree/{mode:o}"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("file"), "content").unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
    }
    user.floe(&["push", "tree", "main"], 0);
    fs::create_dir(user.path("out")).unwrap();
    if rustix::process::geteuid().is_root() {
        assert!(can(&["chown", "-R", "65534:65534", user.home().to_str().unwrap()]));
    }
    for outcome in ["created", "unchanged"] {
        let output = user.under(before, &["pull", "main", "out", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert_eq!(report("pull", &output.stdout)["outcome"], outcome);
        assert_eq!(listing(&user.path("out")), listing(&user.path("tree")));
    }
}

/// Only its owner sets a directory's mode and time; what is in it is written by whoever may.
#[test]
fn a_directory_of_somebody_else_is_pulled_into() {
    let Some(before) = unprivileged() else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("only root makes directories for somebody else");
    }
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    assert!(can(&["chown", "-R", "65534:65534", user.home().to_str().unwrap()]));
    for filled in [false, true] {
        let out = user.path(if filled { "filled" } else { "empty" });
        fs::create_dir_all(out.join(if filled { "src" } else { "" })).unwrap();
        if filled {
            // Of content that is right and a time that is not.
            fs::write(out.join("README.md"), "# A tree\n").unwrap();
            fs::set_permissions(out.join("src"), fs::Permissions::from_mode(0o777)).unwrap();
        }
        fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).unwrap();
        let output = user.under(before, &["pull", "main", out.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert!(told(&output).contains("cannot restore the mode of"), "{}", told(&output));
        let all = |root: &std::path::Path| -> Vec<String> {
            let lines = listing(root).into_iter();
            // Those of directories have no content at their ends.
            lines.filter(|line| !line.ends_with(' ')).collect()
        };
        assert_eq!(all(&out), all(&user.path("tree")));
    }
}

#[test]
fn a_directory_that_may_not_be_written_or_read_is_told_so() {
    let Some(before) = unprivileged() else { return };
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    fs::write(user.path("tree/secret"), "secret").unwrap();
    fs::write(user.path("tree/secret2"), "secret").unwrap();
    for name in ["tree/secret", "tree/secret2"] {
        fs::set_permissions(user.path(name), fs::Permissions::from_mode(0o0)).unwrap();
    }
    if rustix::process::geteuid().is_root() {
        for path in ["", ".local", ".local/share"] {
            chown(user.path(path), Some(65534), Some(65534)).unwrap();
        }
        let owned =
            std::process::Command::new("chown").args(["-R", "65534:65534"]).arg(user.path("tree")).status();
        let owned = owned.unwrap();
        assert!(owned.success());
    }
    let store = user.path(".local/share/floe");
    let log = told(&user.under(before, &["log", "main"]));
    // What cannot be read is named, all of it, and nothing is committed.
    let opened = |mode| {
        let status = std::process::Command::new("chmod").args(["-R", mode]).arg(&store).status().unwrap();
        assert!(status.success());
    };
    opened("a+rwX");
    let output = user.under(before, &["push", "tree", "main"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    for named in ["2 entries cannot be read", "secret: ", "secret2: ", "Permission denied"] {
        assert!(told(&output).contains(named), "{}", told(&output));
    }
    assert_eq!(told(&user.under(before, &["log", "main"])), log);
    let output = user.under(before, &["push", "tree", "main", "--skip-unreadable"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));

    fs::remove_file(user.path("tree/secret")).unwrap();
    opened("a-w");
    let output = user.under(before, &["push", "tree", "main"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("ermission"), "{}", told(&output));
    opened("go-rwx");
    if rustix::process::geteuid().is_root() {
        for arguments in [&["pull", "main", "out"][..], &["verify"], &["ls"]] {
            let output = user.under(before, arguments);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", told(&output));
            assert!(told(&output).contains("ermission"), "{arguments:?}: {}", told(&output));
        }
    } else {
        skip("only root can have somebody else's store");
    }
    opened("u+w");
    user.floe(&["verify"], 0);
}

#[test]
fn a_full_disk_is_told_and_changes_nothing() {
    let user = User::new();
    let place = user.path("small");
    fs::create_dir(&place).unwrap();
    let place = place.to_str().unwrap();
    let mounts = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place];
    if !can(&mounts) {
        return;
    }
    user.tree("tree");
    user.tree("large");
    fs::write(user.path("large/noise"), bytes_of(1, 300_000)).unwrap();
    // All in one namespace of mounts: the disk is gone after it.
    let script = format!(
        "mount -t tmpfs -o size=200k tmpfs {place} && export FLOE_STORE=file://{place} && \
         \"$0\" push tree main && \"$0\" push large main; echo \"push $?\"; \"$0\" verify; echo \"verify $?\"; \
         \"$0\" pull main out; echo \"pull $?\"; cat /dev/zero >{place}/fill 2>/dev/null; \
         \"$0\" pull main {place}/out; echo \"again $?\"; ls -A {place} | grep out; rm {place}/fill; \"$0\" push tree main; echo \"repeated $?\""
    );
    let output = user.under(&["unshare", "-m", "sh", "-c", &script], &[]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = told(&output);
    for line in ["push 1", "verify 0", "pull 0", "again 1", "repeated 0"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}\n{told}");
    }
    assert!(told.contains("no space left") && told.contains("Make room"), "{told}");
    assert!(!shown.contains(".out") && !shown.contains("\nout"), "a failed pull leaves something: {shown}");
    assert!(user.path("out/README.md").exists());
}
