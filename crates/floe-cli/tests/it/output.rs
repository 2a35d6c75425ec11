//! What goes where: data to standard output, all else to standard error; what a terminal is shown.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use floe_testkit::bytes_of;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};

use crate::damaged::objects;
use crate::environment::{User, stdout};

fn user_with_a_push() -> User {
    let user = User::new();
    user.tree("tree");
    user.floe(&["push", "tree", "main"], 0);
    user
}

impl User {
    /// What `floe` shows on a terminal that is its standard error, and with what it exits.
    fn on_a_terminal(&self, variables: &[(&str, &str)], arguments: &[&str]) -> (String, Option<i32>) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = openpt(flags).unwrap();
        unlockpt(&terminal).unwrap();
        let peer = ioctl_tiocgptpeer(&terminal, flags).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
        command.env_clear().env("HOME", self.home()).env("TERM", "xterm").envs(variables.iter().copied());
        command.current_dir(self.home()).args(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(peer).spawn().unwrap();
        // It keeps the other end open.
        drop(command);
        let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
        // When nobody has the other end any more, it is an error to read.
        while let Ok(length @ 1..) = File::from(terminal.try_clone().unwrap()).read(&mut buffer) {
            shown.extend_from_slice(&buffer[..length]);
        }
        (String::from_utf8(shown).unwrap(), child.wait().unwrap().code())
    }
}

/// Whether a text sets colors or weights, which other escape sequences do not.
fn has_color(shown: &str) -> bool {
    let mut sequences = shown.split("\x1b[").skip(1);
    sequences.any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}

#[test]
fn what_is_done_is_told_on_standard_error_alone() {
    let user = user_with_a_push();
    for arguments in [
        &["ls", "main", "--json"][..],
        &["cat", "main:README.md"],
        &["tag", "main", "main"],
        &["push", "tree", "main"],
        &["verify"],
    ] {
        let mut lines = Vec::new();
        let mut data = Vec::new();
        for options in [&[][..], &["-v"], &["-vv"]] {
            let done = user.floe(&[arguments, options].concat(), 0);
            let told = user.stderr(&done);
            assert!(!told.contains('\x1b'), "{told}");
            lines.push(told.lines().count());
            data.push(stdout(&done));
        }
        assert!(lines.is_sorted_by(|less, more| less < more), "{arguments:?}: {lines:?}");
        assert!(data.windows(2).all(|two| two[0] == two[1]), "{arguments:?}: {data:?}");
    }
    // What changes the store is named when it is asked for once.
    let told = user.stderr(&user.floe(&["tag", "main", "other", "-v"], 0));
    assert!(told.contains("refs/other") && told.contains("INFO") && !told.contains("DEBUG"), "{told}");
}

#[test]
fn quiet_tells_data_alone() {
    let user = User::new();
    user.tree("tree");
    let _socket = UnixListener::bind(user.path("tree/socket")).unwrap();
    let data = |arguments: &[&str]| {
        let done = user.floe(&[arguments, &["-q"]].concat(), 0).stderr("");
        stdout(&done)
    };
    for _ in ["committed", "unchanged"] {
        assert!(data(&["push", "tree", "main"]).starts_with("main@1 "));
        assert!(data(&["tag", "main", "other"]).starts_with("other@1 "));
        assert_eq!(data(&["pull", "main", "back"]), "");
    }
    for arguments in [
        &["push", "tree", "new", "--dry-run"][..],
        &["ls"],
        &["ls", "main"],
        &["log", "main"],
        &["show", "main"],
        &["cat", "main:README.md"],
        &["archive", "main", "--format", "tar"],
        &["config", "show"],
    ] {
        assert!(!data(arguments).is_empty(), "{arguments:?}");
    }
    for arguments in [
        &["push", "tree", "main", "--dry-run"][..],
        &["diff", "main", "other"],
        &["archive", "main", "-o", "main.tar"],
        &["verify"],
        &["rm", "other"],
    ] {
        assert_eq!(data(arguments), "", "{arguments:?}");
    }
    let failed = user.floe(&["show", "other", "-q"], 1).stdout("");
    assert!(user.stderr(&failed).starts_with("error: "));
}

/// `floe verify | head -1`: whoever reads no further still learns how it ended.
#[test]
fn whoever_reads_no_further_gets_the_same_exit_code() {
    let user = user_with_a_push();
    let unread = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
        command.env_clear().env("HOME", user.home()).current_dir(user.home()).args(arguments);
        command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::null()).status().unwrap().code()
    };
    assert_eq!(unread(&["verify"]), Some(0));
    fs::write(user.path("tree/README.md"), "# Another\n").unwrap();
    assert_eq!(unread(&["diff", "main", "./tree"]), Some(0));
    assert_eq!(unread(&["diff", "main", "./tree", "--exit-code"]), Some(1));
    fs::remove_file(objects(&user, "packs").remove(0)).unwrap();
    assert_eq!(unread(&["verify"]), Some(3));
    assert_eq!(unread(&["verify", "--json"]), Some(3));
}

#[test]
fn a_terminal_is_shown_colors_unless_it_wants_none() {
    let user = user_with_a_push();
    for (arguments, code) in [
        (&["show", "absent"][..], 1),
        (&["nonsense"], 2),
        (&["tag", "main", "main", "-v"], 0),
        (&["tag", "main", "main"], 0),
    ] {
        let is_plain = code == 0 && arguments.len() == 3;
        for variables in [&[][..], &[("NO_COLOR", "")]] {
            let (shown, exited) = user.on_a_terminal(variables, arguments);
            assert_eq!((has_color(&shown), exited), (!is_plain, Some(code)), "{arguments:?}: {shown}");
        }
        let (shown, exited) = user.on_a_terminal(&[("NO_COLOR", "1")], arguments);
        assert!(!shown.is_empty() && !shown.contains('\x1b'), "{arguments:?}: {shown}");
        assert_eq!(exited, Some(code));
    }
}

#[test]
fn a_push_shows_on_a_terminal_how_far_it_is() {
    let user = User::new();
    fs::create_dir(user.path("tree")).unwrap();
    fs::write(user.path("tree/noise"), bytes_of(1, 1 << 20)).unwrap();
    // After it, nothing goes to the store for two seconds.
    let push = |name: &'static str| ["push", "tree", name, "--limit-upload", "512KiB", "--namespace", name];
    let (shown, code) = user.on_a_terminal(&[("NO_COLOR", "1")], &push("shown"));
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("Pushing [") && shown.contains(", 0 % reused, "), "{shown:?}");
    // It is wiped away at the end.
    let (before, last) = shown.rsplit_once("\x1b[2K").unwrap();
    assert!(before.contains("Pushing") && last.contains("Pushed 1 file (1.0 MiB)"), "{shown:?}");
    assert!(!last.contains("Pushing") && !has_color(&shown), "{shown:?}");
    let (shown, code) = user.on_a_terminal(&[], &[&push("quiet")[..], &["-q"]].concat());
    assert_eq!((shown.as_str(), code), ("", Some(0)));
    // Lines that tell of what is done would tear it.
    let (shown, code) = user.on_a_terminal(&[], &[&push("told")[..], &["-v"]].concat());
    assert!(shown.contains("refs/told") && !shown.contains("Pushing"), "{shown:?}");
    assert_eq!(code, Some(0));
    let told = user.stderr(&user.floe(&push("elsewhere"), 0));
    assert!(told.starts_with("Pushed 1 file (1.0 MiB)") && told.lines().count() == 1, "{told:?}");
}
