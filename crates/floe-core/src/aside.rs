//! Files of caches: whole or not there.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// Reads a file, and hands it out too; nothing where there is none, or it has more bytes than it may.
pub(crate) fn read_within(path: &Path, max_bytes: u64) -> Option<(fs::File, Vec<u8>)> {
    let mut file = fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    if length > max_bytes {
        return None;
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(length).ok()?).ok()?;
    // It may have become longer meanwhile.
    (&mut file).take(max_bytes).read_to_end(&mut bytes).ok()?;
    Some((file, bytes))
}

/// Reads a file of text, of at most a line.
pub(crate) fn read_line(path: &Path) -> Option<String> {
    const MAX_LINE_BYTES: u64 = 4096;
    String::from_utf8(read_within(path, MAX_LINE_BYTES)?.1).ok()
}

/// Writes a file under another name and gives it its own when it is whole.
pub(crate) fn write_aside(directory: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let aside = directory.join(format!(".{name}.{}", std::process::id()));
    let mut file = match fs::File::create(&aside) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(directory)?;
            fs::File::create(&aside)?
        }
        other => other?,
    };
    let written = file.write_all(bytes).and_then(|()| fs::rename(&aside, directory.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_it_may_be_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        assert!(read_within(&path, 10).is_none());
        for (length, is_read) in [(0, true), (1, true), (10, true), (11, false), (1 << 42, false)] {
            fs::File::create(&path).unwrap().set_len(length).unwrap();
            let read = read_within(&path, 10).map(|(_, bytes)| bytes.len() as u64);
            assert_eq!(read, is_read.then_some(length));
        }
    }
}
