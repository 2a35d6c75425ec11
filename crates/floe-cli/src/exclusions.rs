//! Options that say which entries of a directory are left out.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use clap::Args;
use floe_core::source::{ExcludeFile, Exclusions, OwnDirectory};

use crate::failure::{Code, Failure};
use crate::quantities::ByteCount;

/// What of a directory is left out, besides what its `.floeignore` files say.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExclusionArguments {
    /// Leave out what matches a pattern in gitignore syntax; may be repeated
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Leave out what matches a pattern in this file; may be repeated
    #[arg(long, value_name = "FILE")]
    exclude_from: Vec<PathBuf>,
    /// Heed the .gitignore files in the tree, as the .floeignore files
    #[arg(long)]
    gitignore: bool,
    /// Leave out what is in directories with a CACHEDIR.TAG
    #[arg(long)]
    exclude_caches: bool,
    /// Leave out files of more than this
    #[arg(long, value_name = "SIZE")]
    exclude_larger_than: Option<ByteCount>,
    /// Leave out what is on other file systems
    #[arg(long)]
    one_file_system: bool,
    /// The files with patterns as they were read, once: a pipe has them once.
    #[arg(skip)]
    files: Arc<OnceLock<Vec<ExcludeFile>>>,
}

/// The most bytes that are read of a file with patterns.
const MAX_BYTES: u64 = 16 << 20;

impl ExclusionArguments {
    /// The exclusions that these say, and Floe's own directories; files with patterns are read, unless they were before, for
    /// these or a clone of them.
    pub(crate) fn read(self, own: Vec<OwnDirectory>) -> Result<Exclusions, Failure> {
        let files = match self.files.get() {
            Some(files) => files.clone(),
            None => {
                let files = self.read_files()?;
                self.files.get_or_init(|| files).clone()
            }
        };
        Ok(Exclusions {
            globs: self.exclude,
            files,
            gitignore: self.gitignore,
            caches: self.exclude_caches,
            larger_than_bytes: self.exclude_larger_than.map(|size| size.0),
            one_file_system: self.one_file_system,
            own,
        })
    }

    fn read_files(&self) -> Result<Vec<ExcludeFile>, Failure> {
        let mut files = Vec::with_capacity(self.exclude_from.len());
        for path in &self.exclude_from {
            let name = path.display().to_string();
            let mut contents = Vec::new();
            File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut contents)).map_err(
                |e| {
                    Failure::io(format!("cannot read {name}"), e)
                        .advise("Name a readable file with --exclude-from.")
                },
            )?;
            if contents.len() as u64 > MAX_BYTES {
                let message =
                    format!("{name} has more than {}, which no file with patterns has", ByteCount(MAX_BYTES));
                return Err(Failure::new(
                    Code::Usage,
                    message,
                    "Name a file with patterns with --exclude-from.",
                ));
            }
            files.push(ExcludeFile { name, contents });
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    /// As of a command that reads again.
    #[test]
    fn what_a_pipe_says_is_known_to_clones_too() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"*.o\n").unwrap();
        drop(writer);
        let arguments = ExclusionArguments {
            exclude: Vec::new(),
            exclude_from: vec![format!("/proc/self/fd/{}", reader.as_raw_fd()).into()],
            gitignore: false,
            exclude_caches: false,
            exclude_larger_than: None,
            one_file_system: false,
            files: Arc::default(),
        };
        for arguments in [arguments.clone(), arguments] {
            let read = arguments.read(Vec::new()).unwrap();
            assert_eq!(read.files.iter().map(|file| &file.contents[..]).collect::<Vec<_>>(), [b"*.o\n"]);
        }
    }
}
