//! What bad luck gets at the command line: kills, full disks, closed doors, hostile names.

mod hostile;
mod killed;
mod refused;

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Output};

use floe_testkit::skip;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, readlinkat, statat};

use crate::environment::User;

impl User {
    /// Runs a program that runs `floe` with these arguments; `before` are the program and its own arguments.
    pub(crate) fn under(&self, before: &[&str], arguments: &[&str]) -> Output {
        let mut command = Command::new(before[0]);
        command.env_clear().env("HOME", self.home()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.current_dir(self.home()).args(&before[1..]).arg(env!("CARGO_BIN_EXE_floe")).args(arguments);
        command.output().unwrap()
    }
}

/// Whether a program is there and does this.
pub(crate) fn can(program: &[&str]) -> bool {
    let can =
        Command::new(program[0]).args(&program[1..]).output().is_ok_and(|output| output.status.success());
    if !can {
        skip(format_args!("`{}` fails", program.join(" ")));
    }
    can
}

/// Runs `floe` as somebody who is not root; whoever runs the tests otherwise. Nothing where that cannot be.
pub(crate) fn unprivileged() -> Option<&'static [&'static str]> {
    let before: &[&str] = if rustix::process::geteuid().is_root() {
        &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    } else {
        &["env"]
    };
    can(&[before, &[env!("CARGO_BIN_EXE_floe"), "--version"]].concat()).then_some(before)
}

pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Kind, mode, time and content of everything below a directory, by path; of a deep tree, too, and without following anything.
fn tree(root: &Path) -> HashMap<Vec<u8>, String> {
    let mut found = HashMap::new();
    let root = openat(CWD, root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let mut links = HashMap::new();
    // An open directory is replaced by its subdirectory where it has but one, so that depth costs no descriptors.
    let mut left = vec![(Vec::new(), root)];
    while let Some((path, directory)) = left.pop() {
        read(&path, &directory, &mut links, &mut found, &mut left);
    }
    found
}

fn read(
    path: &[u8],
    directory: &OwnedFd,
    links: &mut HashMap<u64, Vec<u8>>,
    found: &mut HashMap<Vec<u8>, String>,
    left: &mut Vec<(Vec<u8>, OwnedFd)>,
) {
    let mut names: Vec<CString> = Dir::read_from(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_owned())
        .filter(|name| ![&b"."[..], b".."].contains(&name.as_bytes()))
        .collect();
    names.sort();
    for name in names {
        let stat = statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        let path = [path, b"/", name.as_bytes()].concat();
        let open = |flags| openat(directory.as_fd(), &name, flags | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let first = links.entry(stat.st_ino).or_insert_with(|| path.clone()).clone();
                let mut file = std::fs::File::from(open(OFlags::RDONLY));
                let mut hash = std::hash::DefaultHasher::new();
                let (mut buffer, mut size) = (vec![0; 1 << 20], 0);
                loop {
                    let length = std::io::Read::read(&mut file, &mut buffer).unwrap();
                    if length == 0 {
                        break;
                    }
                    std::hash::Hasher::write(&mut hash, &buffer[..length]);
                    size += length;
                }
                let hash = std::hash::Hasher::finish(&hash);
                format!("file {size} {hash:x} {}", String::from_utf8_lossy(&first))
            }
            FileType::Directory => {
                left.push((path.clone(), open(OFlags::DIRECTORY | OFlags::NOFOLLOW)));
                "directory".to_owned()
            }
            FileType::Symlink => format!("-> {:?}", readlinkat(directory, &name, Vec::new()).unwrap()),
            // No snapshot holds one.
            FileType::Socket => continue,
            other => format!("{other:?}"),
        };
        let mode = if what.starts_with("->") { 0 } else { stat.st_mode };
        let what = format!("{mode:o} {}.{:09} {what}", stat.st_mtime, stat.st_mtime_nsec);
        found.insert(path, what);
    }
}
