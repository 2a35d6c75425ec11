//! Names as they are spelled, on file systems that find them however they are spelled.

use std::ffi::CStr;
use std::os::fd::AsFd;

use rustix::fs::{Dir, Mode, OFlags, openat};

/// Whether a name that was found in a directory is spelled so there, and not in another way that its file system takes for the
/// same; where that cannot be told, it is.
pub(super) fn is_spelled_so(directory: impl AsFd, name: &CStr) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let names = openat(directory, c".", flags, Mode::empty()).and_then(Dir::new);
    names.map_or(true, |mut names| names.any(|entry| entry.map_or(true, |entry| entry.file_name() == name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_spelled_otherwise_is_another() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(".FLOEIGNORE"), "").unwrap();
        let at = rustix::fs::open(root.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        assert!(is_spelled_so(&at, c".FLOEIGNORE") && !is_spelled_so(&at, c".floeignore"));
        // Where nothing can be listed.
        let none = std::fs::File::open("/dev/null").unwrap();
        assert!(is_spelled_so(&none, c".floeignore"));
    }
}
