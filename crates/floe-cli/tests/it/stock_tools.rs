//! What other programs make of what is stored.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use floe_testkit::{bytes_of, skip};

use crate::environment::{User, listing};

/// A tree with a bit of everything that a stock `tar` keeps.
fn user_with_a_push() -> User {
    let user = User::new();
    user.tree("tree");
    let root = user.path("tree");
    fs::write(root.join("empty"), "").unwrap();
    fs::create_dir(root.join("bare")).unwrap();
    fs::hard_link(root.join("README.md"), root.join("src/linked")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    fs::set_permissions(root.join("src/main.rs"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(root.join("big"), bytes_of(1, 3_000_000)).unwrap();
    fs::create_dir(root.join("many")).unwrap();
    for number in 0..500 {
        fs::write(root.join(format!("many/{number}")), format!("number {number}\n").repeat(number)).unwrap();
    }
    user.floe(&["push", "tree", "main"], 0);
    user.floe(&["pull", "main", "pulled"], 0);
    assert!(listing(&root) == listing(&user.path("pulled")));
    user
}

/// Runs a program, which must end well; false where there is none.
fn ran(program: &str, arguments: &[&str], directory: &Path) -> bool {
    let Ok(output) = Command::new(program).args(arguments).current_dir(directory).output() else {
        skip(format_args!("no {program} on this machine"));
        return false;
    };
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn the_reader_written_from_the_format_alone_extracts_what_pull_does() {
    let user = user_with_a_push();
    if !ran("python3", &["-c", "import zstandard"], user.home()) {
        return;
    }
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/floe_read.py");
    ran("python3", &[reader, ".local/share/floe", "default", "main", "read"], user.home());
    assert!(listing(&user.path("pulled")) == listing(&user.path("read")));
}

/// A listing without times, which a tree's tar has none of.
fn without_times(listing: Vec<String>) -> Vec<String> {
    let without = |line: String| {
        line.split(' ')
            .enumerate()
            .filter(|(at, _)| *at != 2)
            .map(|(_, part)| part.to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    listing.into_iter().map(without).collect()
}

#[test]
fn tar_and_zstd_accept_an_archive() {
    let user = user_with_a_push();
    let expected = without_times(listing(&user.path("pulled")));
    user.floe(&["archive", "main", "-o", "named.tar.zst"], 0);
    let streamed = user.floe(&["archive", "main"], 0);
    fs::write(user.path("streamed.tar.zst"), &streamed.get_output().stdout).unwrap();
    for name in ["named", "streamed"] {
        let archive = format!("{name}.tar.zst");
        if !ran("zstd", &["-t", "-q", &archive], user.home()) {
            return;
        }
        fs::create_dir(user.path(name)).unwrap();
        ran("tar", &["--zstd", "-xpf", &archive, "-C", name], user.home());
        assert!(expected == without_times(listing(&user.path(name))), "{archive}");
    }
    user.floe(&["archive", "main", "-o", "plain.tar"], 0);
    fs::create_dir(user.path("plain")).unwrap();
    ran("tar", &["-xpf", "plain.tar", "-C", "plain"], user.home());
    assert!(expected == without_times(listing(&user.path("plain"))));
}
