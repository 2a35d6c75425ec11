//! How the process ends: interrupted, or with nobody reading.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use floe_testkit::{bytes_of, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use crate::environment::User;

impl User {
    /// `floe` with these arguments, to be started and watched.
    fn process(&self, arguments: &[&str]) -> Command {
        // Whoever runs the tests may ignore what is to be heeded.
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP,INT,TERM").arg(env!("CARGO_BIN_EXE_floe"));
        command.env_clear().env("HOME", self.home()).current_dir(self.home()).args(arguments);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// What is in a directory of the default namespace.
    fn objects(&self, directory: &str) -> Vec<String> {
        let path = self.path(".local/share/floe/default").join(directory);
        let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    /// A tree that takes long to move.
    fn big_tree(&self) {
        std::fs::create_dir_all(self.path("big")).unwrap();
        for number in 0..4 {
            // No compressor makes them shorter.
            std::fs::write(self.path("big").join(format!("{number}")), bytes_of(number, 3 << 20)).unwrap();
        }
    }

    /// A push that takes hours, under way: its lease is there.
    fn endless_push(&self) -> Child {
        self.big_tree();
        let push = self.process(&["push", "big", "main", "--limit-upload", "100"]).spawn().unwrap();
        self.wait_for_lease();
        push
    }

    fn wait_for_lease(&self) {
        // Before the namespace is made, what stands among the leases is a probe of the store.
        let namespace = self.path(".local/share/floe/default/format.json");
        wait_until("the push takes a lease", || namespace.exists() && !self.objects("leases").is_empty());
    }
}

fn interrupt(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn i5_an_interrupted_push_ends_its_lease_and_moves_nothing() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let user = User::new();
        let push = user.endless_push();
        interrupt(&push, signal);
        let (status, told) = ended(push);
        assert_eq!(status, Some(code), "{told}");
        assert!(told.starts_with("error: ") && told.contains("run the command again"), "{told}");
        assert_eq!(user.objects("leases"), [""; 0]);
        assert_eq!(user.objects("refs"), [""; 0]);
        let left = user.objects("../.tmp");
        assert!(left.iter().all(|name| name.starts_with("swap-")), "{left:?}");
    }
}

/// The pack moves at once, and takes five minutes of the bytes that may move.
#[test]
fn i5_a_push_interrupted_behind_a_large_pack_does_not_wait_for_it() {
    let user = User::new();
    std::fs::create_dir(user.path("tree")).unwrap();
    std::fs::write(user.path("tree/file"), bytes_of(1, 3 << 20)).unwrap();
    let push = user.process(&["push", "tree", "main", "--limit-upload", "10000"]).spawn().unwrap();
    wait_until("a pack is sent", || !user.objects("packs").is_empty());
    interrupt(&push, Signal::INT);
    let (status, told) = ended(push);
    // What is small may be done by then.
    assert!(matches!(status, Some(0 | 130)), "{told}");
    assert!(!told.contains("did not answer in time"), "{told}");
    assert_eq!(user.objects("leases"), [""; 0]);
}

#[test]
fn who_outlives_the_terminal_does_not_hang_up() {
    let user = User::new();
    user.big_tree();
    let arguments = ["push", "big", "main", "--limit-upload", "100"];
    let mut command = Command::new("nohup");
    command.arg(env!("CARGO_BIN_EXE_floe")).args(arguments).env_clear().env("HOME", user.home());
    command.current_dir(user.home()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let Ok(push) = command.spawn() else { return floe_testkit::skip("no nohup on this machine") };
    user.wait_for_lease();
    interrupt(&push, Signal::HUP);
    interrupt(&push, Signal::TERM);
    assert_eq!(ended(push).0, Some(143));
}

#[test]
fn an_interrupted_pull_leaves_nothing() {
    let user = User::new();
    user.big_tree();
    user.floe(&["push", "big", "main"], 0);
    let parent = user.path("parent");
    std::fs::create_dir(&parent).unwrap();
    let entries = || std::fs::read_dir(&parent).unwrap().count();
    let arguments = ["pull", "main", "parent/back", "--limit-download", "1KiB"];
    let pull = user.process(&arguments).spawn().unwrap();
    wait_until("the pull makes its staging", || entries() > 0);
    interrupt(&pull, Signal::INT);
    let (status, told) = ended(pull);
    assert_eq!(status, Some(130), "{told}");
    assert_eq!(entries(), 0);
}

/// Whoever asks it to stop would not know what became of the ref, and a lease would be left.
#[test]
fn a_ref_that_is_being_moved_is_moved_though_interrupted() {
    for (arguments, refs) in
        [(&["tag", "main", "other"][..], &["main@1", "other@1"][..]), (&["rm", "main"], &[])]
    {
        let user = User::new();
        let tree = user.tree("tree");
        user.floe(&["push", &tree, "main"], 0);
        // So that it stands still while it has its lease.
        let held = (0..64).map(|lock| {
            let path = user.path(&format!(".local/share/floe/.tmp/swap-{lock:02}.lock"));
            let file = File::options().create(true).truncate(false).write(true).open(path).unwrap();
            file.lock().unwrap();
            file
        });
        let held: Vec<File> = held.collect();
        let mut child = user.process(arguments).stdout(Stdio::null()).spawn().unwrap();
        wait_until("it takes a lease", || !user.objects("leases").is_empty());
        interrupt(&child, Signal::INT);
        let mut looks = 0..200_000;
        wait_until("it ends, or will not", || child.try_wait().unwrap().is_some() || looks.next().is_none());
        drop(held);
        let (status, told) = ended(child);
        assert!(matches!(status, Some(0 | 130)), "{arguments:?}: {told}");
        assert_eq!(user.objects("leases"), [""; 0], "{arguments:?}: {told}");
        let listed = user.floe(&["ls"], 0);
        let listed = std::str::from_utf8(&listed.get_output().stdout).unwrap();
        let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, refs, "{arguments:?}");
    }
}

/// By the thread that then begins the work, or a signal ends the process where it stands.
#[test]
fn signals_are_watched_for_before_anything_begins() {
    let user = User::new();
    let trace = user.path("trace");
    let mut command = Command::new("strace");
    // Only the first thread; whoever runs the tests may ignore a signal.
    command.args(["-o", trace.to_str().unwrap(), "-e", "trace=rt_sigaction"]);
    command.args(["env", "--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_floe"), "ls"]);
    command.env_clear().env("HOME", user.home()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let Ok(_) = command.output() else { return floe_testkit::skip("no strace on this machine") };
    let trace = std::fs::read_to_string(trace).unwrap();
    for signal in ["SIGINT", "SIGTERM", "SIGHUP"] {
        assert!(trace.contains(&format!("rt_sigaction({signal}, {{sa_handler=0x")), "{signal}: {trace}");
    }
}

/// A pipe, or named fifo, that takes little, and how much.
fn narrow(unread: &impl AsFd) -> u64 {
    // A page at least, whatever that is.
    rustix::pipe::fcntl_setpipe_size(unread, 1 << 12).unwrap() as u64
}

/// Starts a command whose output nobody reads from `unread`, and interrupts it once nothing more fits there.
fn interrupted_unread(command: &mut Command, unread: &impl AsFd, signal: Signal) -> (Option<i32>, String) {
    let room = narrow(unread);
    let mut child = command.spawn().unwrap();
    wait_until("nothing more fits", || rustix::io::ioctl_fionread(unread).unwrap() == room);
    interrupt(&child, signal);
    wait_until("it ends", || child.try_wait().unwrap().is_some());
    ended(child)
}

/// A tree of which the names are more than a narrow pipe takes, and the content of `big`.
fn tree_to_be_shown(user: &User) {
    std::fs::create_dir(user.path("tree")).unwrap();
    for number in 0..600 {
        std::fs::write(user.path("tree").join(format!("{number:0240}")), bytes_of(number, 1000)).unwrap();
    }
    std::fs::write(user.path("tree/big"), bytes_of(1, 2 << 20)).unwrap();
    std::fs::create_dir(user.path("none")).unwrap();
    user.floe(&["push", "tree", "main"], 0);
}

/// Whoever asks it to stop does not have to end the one that reads from it first, nor to ask twice.
#[test]
fn a_command_that_nobody_reads_from_can_be_interrupted() {
    let user = User::new();
    tree_to_be_shown(&user);
    for arguments in [
        &["ls", "-R", "main"][..],
        &["cat", "main:big"],
        &["diff", "main", "./none"],
        &["pull", "-n", "main", "new"],
        &["push", "-n", "tree", "other"],
        &["archive", "main"],
    ] {
        let (unread, stdout) = std::io::pipe().unwrap();
        let (status, told) = interrupted_unread(user.process(arguments).stdout(stdout), &unread, Signal::INT);
        assert_eq!(status, Some(130), "{arguments:?}: {told}");
        assert!(!told.contains("did not answer in time"), "{arguments:?}: {told}");
    }
}

#[test]
fn an_archive_to_a_fifo_that_nobody_reads_can_be_interrupted() {
    let user = User::new();
    tree_to_be_shown(&user);
    let path = user.path("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let unread = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap();
    let mut archive = user.process(&["archive", "main", "-o", "fifo"]);
    let (status, told) = interrupted_unread(&mut archive, &unread, Signal::INT);
    assert_eq!(status, Some(130), "{told}");
    assert!(!told.contains("did not answer in time"), "{told}");
}

#[test]
fn a_list_of_damages_that_nobody_reads_can_be_interrupted() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    for number in 0..600 {
        let name = format!(".local/share/floe/default/refs/{number:0200}");
        std::fs::write(user.path(&name), "not a ref").unwrap();
    }
    let (unread, stdout) = std::io::pipe().unwrap();
    let (status, told) = interrupted_unread(user.process(&["verify"]).stdout(stdout), &unread, Signal::INT);
    assert_eq!(status, Some(130), "{told}");
    assert!(!told.contains("did not answer in time"), "{told}");
}

/// Then not even the failure can be told.
#[test]
fn a_command_with_one_pipe_for_all_that_nobody_reads_can_be_interrupted() {
    let user = User::new();
    tree_to_be_shown(&user);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        for arguments in [&["ls", "-R", "main"][..], &["cat", "main:big"]] {
            let (unread, out) = std::io::pipe().unwrap();
            let mut command = user.process(arguments);
            command.stdout(out.try_clone().unwrap()).stderr(out);
            let (status, _) = interrupted_unread(&mut command, &unread, signal);
            assert_eq!(status, Some(code), "{arguments:?}");
        }
    }
}

/// Of which nobody can be told.
#[test]
fn a_standard_error_that_takes_nothing_is_no_failure() {
    let user = User::new();
    let tree = user.tree("tree");
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let closed = || std::io::pipe().unwrap().1;
    for arguments in [&["push", &tree, "main", "-v"][..], &["pull", "main", "out", "-v"], &["verify", "-vv"]]
    {
        for told in [Stdio::from(full()), Stdio::from(closed())] {
            let status = user.process(arguments).stdout(Stdio::null()).stderr(told).status().unwrap();
            assert_eq!(status.code(), Some(0), "{arguments:?}");
        }
    }
    let leases = user.path(".local/share/floe/default/leases");
    // What is hidden are marks of the local store.
    let left = std::fs::read_dir(leases).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| !name.as_encoded_bytes().starts_with(b".")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_closed_output_ends_quietly() {
    let user = User::new();
    let tree = user.tree("tree");
    user.floe(&["push", &tree, "main"], 0);
    for arguments in [&["log", "main"][..], &["ls", "--json"], &["completions", "bash"], &["config", "show"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let command = user.process(arguments).stdout(writer).spawn().unwrap();
        assert_eq!(ended(command), (Some(0), String::new()), "{arguments:?}");
    }
}
