//! A home directory of its own for every test, so that no setting of whoever runs it matters.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;

use crate::report::report;

/// A user of Floe with nothing set up.
pub(crate) struct User {
    home: tempfile::TempDir,
}

impl User {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// A path below the home directory.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// `floe` with these arguments, run in the home directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
        command.env_clear().env("HOME", self.home()).current_dir(self.home()).args(arguments);
        command
    }

    /// Runs `floe` and expects this exit code.
    pub(crate) fn floe(&self, arguments: &[&str], code: i32) -> Assert {
        self.command(arguments).assert().code(code)
    }

    /// Runs `floe` and returns which of these system calls it made; nothing where that cannot be seen.
    pub(crate) fn traced(&self, calls: &str, arguments: &[&str]) -> Option<String> {
        let trace = self.path("trace");
        let mut command = std::process::Command::new("strace");
        command.args(["-f", "-y", "-e", calls, "-o"]).arg(&trace).arg(env!("CARGO_BIN_EXE_floe"));
        command.args(arguments).env_clear().env("HOME", self.home()).current_dir(self.home());
        let Ok(status) = command.status() else {
            floe_testkit::skip("no strace on this machine");
            return None;
        };
        assert!(status.success());
        Some(fs::read_to_string(&trace).unwrap())
    }

    /// Runs `floe` and returns its JSON report.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        report(arguments[0], &self.floe(arguments, 0).get_output().stdout)
    }

    /// What went to standard error, with the home directory called so.
    pub(crate) fn stderr(&self, assert: &Assert) -> String {
        let text = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        text.replace(self.home().to_str().unwrap(), "[HOME]")
    }
}

/// What went to standard output.
pub(crate) fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

/// The keys of a report and the kinds of their values; of a list, those of its first element.
pub(crate) fn shape(value: &Value) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "boolean".into(),
        Value::Number(number) => if number.is_u64() { "integer" } else { "number" }.into(),
        Value::String(_) => "string".into(),
        Value::Array(list) => list.first().map(shape).into_iter().collect(),
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
    }
}

impl User {
    /// Writes a small tree and returns its path.
    pub(crate) fn tree(&self, name: &str) -> String {
        let root = self.path(name);
        std::fs::create_dir_all(root.join("src/deep")).unwrap();
        std::fs::write(root.join("README.md"), "# A tree\n").unwrap();
        std::fs::write(root.join("src/main.rs"), "fn main() {}\n").unwrap();
        std::fs::write(root.join("src/deep/data"), vec![7; 100_000]).unwrap();
        std::os::unix::fs::symlink("README.md", root.join("link")).unwrap();
        name.to_owned()
    }
}

/// Paths, kinds, modes, mtimes and contents below a directory, sorted.
pub(crate) fn listing(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let stat = fs::symlink_metadata(&path).unwrap();
            let content = match stat.file_type() {
                kind if kind.is_dir() => {
                    left.push(path.clone());
                    String::new()
                }
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
                _ => format!("{:?}", fs::read(&path).unwrap()),
            };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let (mode, seconds, nanos) = (stat.mode(), stat.mtime(), stat.mtime_nsec());
            found.push(format!("{name} {mode:o} {seconds}.{nanos} {content}"));
        }
    }
    found.sort();
    found
}
