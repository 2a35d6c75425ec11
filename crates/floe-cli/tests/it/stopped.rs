//! `floe` stopped by strace at a system call, so that a test can change something at exactly that moment.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::attack::can;
use crate::environment::User;

/// A process that stops wherever a thread of it makes the call for a path.
pub(crate) struct Stopped {
    child: Child,
    trace: PathBuf,
}

impl Stopped {
    /// Whether there is a strace that can do it.
    pub(crate) fn is_possible() -> bool {
        can(&["strace", "-D", "-f", "-P", "x", "-o", "/dev/null", "-e", "trace=statx", "true"])
    }

    /// Runs `floe` until it has stopped at the first call for the path; `injected` is done to that call as well.
    pub(crate) fn at(user: &User, call: &str, path: &str, injected: &str, arguments: &[&str]) -> Self {
        let trace = user.path("trace");
        let _ = fs::remove_file(&trace);
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-P", path, "-e", &format!("trace={call}")]);
        command.args(["-e", &format!("inject={call}:signal=STOP{injected}:when=1"), "-o"]).arg(&trace);
        command.arg(env!("CARGO_BIN_EXE_floe")).args(arguments);
        command.env_clear().env("HOME", user.home()).current_dir(user.home());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stopped = Self { child, trace };
        while stopped.traced("stopped by SIGSTOP") == 0 {
            assert!(stopped.child.try_wait().unwrap().is_none(), "it makes no {call} for {path}");
            std::thread::yield_now();
        }
        stopped
    }

    fn traced(&self, what: &str) -> usize {
        fs::read_to_string(&self.trace).unwrap_or_default().matches(what).count()
    }

    /// Lets it go on to its end.
    pub(crate) fn go_on(mut self) -> Output {
        // Each thread that makes the call is stopped.
        let mut continued = 0;
        while self.child.try_wait().unwrap().is_none() {
            if continued < self.traced("--- SIGSTOP ") {
                continued += 1;
                kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
            }
            std::thread::yield_now();
        }
        self.child.wait_with_output().unwrap()
    }
}
