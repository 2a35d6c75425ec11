//! How much memory moving data takes: as much as is configured, however much it is.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use floe_testkit::bytes_of;

use crate::attack::{can, told};
use crate::environment::User;

/// What every command keeps to, in KiB.
const MOST: u64 = 300 << 10;
/// What its buffers may be of that, in KiB.
const BUFFERS: u64 = 128 << 10;

/// Runs a command, of which it tells the home directory first, and prints the most memory it had at once, in KiB.
const PEAK: &str = "import resource, subprocess, sys
code = subprocess.call(sys.argv[2:], env={'HOME': sys.argv[1]}, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)";

impl User {
    /// The most memory that `floe` has at once, in KiB.
    fn peak(&self, input: Stdio, arguments: &[&str]) -> u64 {
        let mut command = Command::new("python3");
        command.args(["-c", PEAK]).arg(self.home()).arg(env!("CARGO_BIN_EXE_floe")).args(arguments);
        let output = command.current_dir(self.home()).stdin(input).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        let peak = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        assert!(peak <= MOST, "{arguments:?} takes {peak} KiB");
        peak
    }
}

/// One file of so many MiB that no compressor makes shorter, and many small ones.
fn fill(root: &Path, mebibytes: usize) {
    for directory in 0..30 {
        let directory = root.join(format!("d{directory}"));
        fs::create_dir_all(&directory).unwrap();
        for file in 0..100 {
            let line = format!("{file} in {}\n", directory.display());
            fs::write(directory.join(format!("f{file}")), line.repeat(file)).unwrap();
        }
    }
    let mut large = File::create(root.join("large")).unwrap();
    for block in 0..mebibytes {
        large.write_all(&bytes_of((mebibytes + block) as u64, 1 << 20)).unwrap();
    }
}

#[test]
fn i8_memory_is_bounded_whatever_is_moved() {
    if !can(&["python3", "-c", "import resource"]) {
        return;
    }
    let user = User::new();
    fill(&user.path("large"), 400);
    fill(&user.path("small"), 100);
    let nothing = Stdio::null;
    let large = user.peak(nothing(), &["push", "large", "main"]);
    let small = user.peak(nothing(), &["push", "small", "small"]);
    // Little data does not fill all buffers.
    let filled = small.max(BUFFERS);
    assert!(2 * large <= 3 * filled, "{large} KiB for 400 MiB, {small} KiB for 100 MiB");
    user.peak(nothing(), &["verify", "main"]);
    user.peak(nothing(), &["pull", "main", "out"]);
    assert_eq!(fs::metadata(user.path("out/large")).unwrap().len(), 400 << 20);
    fs::remove_dir_all(user.path("out")).unwrap();
    user.peak(nothing(), &["archive", "main", "-o", "main.tar"]);
    let tar = File::open(user.path("main.tar")).unwrap();
    // Nothing of it is there yet.
    user.peak(tar.into(), &["push", "-", "main", "--namespace", "tars"]);
}

/// A small tar asks for a gigabyte of paths, none of which is kept longer than it is needed.
#[test]
fn i8_memory_is_bounded_however_deep_a_tree_is() {
    const DEEP: &str = "import sys, tarfile
with tarfile.open(sys.argv[1], 'w', format=tarfile.PAX_FORMAT) as tar:
    tar.addfile(tarfile.TarInfo('a/' * 32_000 + 'file'))";
    if !can(&["python3", "-c", "import resource"]) {
        return;
    }
    let user = User::new();
    let path = user.path("deep.tar");
    assert!(Command::new("python3").args(["-c", DEEP]).arg(&path).status().unwrap().success());
    user.peak(File::open(&path).unwrap().into(), &["push", "-", "deep"]);
}
