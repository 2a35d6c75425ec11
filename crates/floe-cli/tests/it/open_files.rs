//! How many files are open at once: so few that no usual limit is met, however many packs a snapshot is in.

use std::fs;
use std::process::Command;

use crate::attack::told;
use crate::environment::User;

/// What a process may have open here; where nobody set a limit, it is 1,024.
const LIMIT: &str = "64";
/// Pushes, of which each adds a pack: more than may be open.
const PUSHES: usize = 80;

impl User {
    /// Runs `floe` with as few open files as the limit says.
    fn limited(&self, arguments: &[&str]) {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n $0 && exec \"$@\"", LIMIT, env!("CARGO_BIN_EXE_floe")]);
        command.args(arguments).env_clear().env("HOME", self.home()).current_dir(self.home());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
    }
}

#[test]
fn more_packs_than_files_may_be_open() {
    let user = User::new();
    for number in 0..PUSHES {
        // Deep enough that the directories are more than may be open, too.
        let directory = user.path("tree").join(format!("{number}/a/b/c"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("file"), format!("{number}\n").repeat(20_000)).unwrap();
        if number % 8 == 7 || number > PUSHES - 8 {
            user.limited(&["push", "tree", "main"]);
        } else {
            user.floe(&["push", "tree", "main"], 0);
        }
    }
    let packs = fs::read_dir(user.path(".local/share/floe/default/packs")).unwrap().count();
    assert!(packs >= PUSHES, "{packs} packs");
    let caches = user.path(".cache/floe");
    for with_caches in [true, false] {
        for arguments in [
            &["verify"][..],
            &["ls", "main"],
            &["pull", "main", "out", "--jobs", "2"],
            &["pull", "main", "out", "--jobs", "2"],
            &["diff", "main", "./out"],
            &["archive", "main", "-o", "main.tar"],
            &["push", "tree", "main"],
        ] {
            if !with_caches {
                assert!(!caches.exists() || fs::remove_dir_all(&caches).is_ok());
            }
            user.limited(arguments);
        }
        fs::remove_dir_all(user.path("out")).unwrap();
    }
}
