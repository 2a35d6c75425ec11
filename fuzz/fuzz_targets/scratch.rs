//! A directory for the files of one process, below `TMPDIR`, which is best in memory. It is left there.

use std::path::PathBuf;
use std::sync::OnceLock;

/// The directory, made anew where one was left behind.
pub fn directory() -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let directory = std::env::temp_dir().join(format!("floe-fuzz-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).unwrap();
        directory
    };
    DIRECTORY.get_or_init(make).clone()
}
