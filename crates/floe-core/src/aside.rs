//! Files of caches: whole or not there.

use std::fs;
use std::io::Write as _;
use std::path::Path;

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
