//! Ignore files that were perhaps not written to their end when they were obeyed.

use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::offload::pause;
use crate::push::assemble::Ended;
use crate::push::input::InputFiles;
use crate::push::work::changed;
use crate::source::{Child, DirectoryId, ListedDirectory, Listing, Stat, join, rewrite_time};

/// An ignore file that had been written just before its rules were read; or was not there in a directory that had just
/// changed.
#[derive(Debug)]
pub(in crate::push) struct YoungRules {
    pub(super) directory: Vec<u8>,
    pub(super) id: DirectoryId,
    pub(super) name: &'static str,
    pub(super) stat: Option<Stat>,
    /// What had just changed: the file, or the directory.
    pub(super) changed: Stat,
}

impl YoungRules {
    /// Those of a listing.
    pub(super) fn of(listing: &Listing) -> impl Iterator<Item = Self> {
        let directory = listing.directory();
        listing.young_rules().iter().map(move |(name, stat)| Self {
            directory: directory.path.to_vec(),
            id: directory.id,
            name,
            stat: *stat,
            changed: stat.unwrap_or(*listing.stat()),
        })
    }

    /// Checks, when all was read, that it is what it was: who had only begun to rewrite it is done by then, or is waited
    /// for.
    pub(in crate::push) fn check(
        &self,
        files: &mut InputFiles,
        cancel: &CancellationToken,
    ) -> Result<(), Ended> {
        pause(cancel, self.changed.until_as_old_as(rewrite_time(self.stat.as_ref())))?;
        let directory = ListedDirectory { path: &self.directory, id: self.id };
        let name = self.name.as_bytes();
        let is_still = match &self.stat {
            Some(stat) => files.is_still(directory, &Child { name, stat }),
            None => files.is_absent(directory, name),
        };
        if is_still.map_err(Ended::Failed)? {
            return Ok(());
        }
        Err(Ended::Changed(changed(&join(&self.directory, name))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::source::SourceFiles;

    #[test]
    fn who_is_to_stop_does_not_wait_for_an_ignore_file() {
        let source = tempfile::tempdir().unwrap();
        let path = source.path().join(".floeignore");
        std::fs::write(&path, "").unwrap();
        let stat = Stat::of_path(&path).unwrap();
        let id = DirectoryId::of(&Stat::of_path(source.path()).unwrap());
        let rules =
            YoungRules { directory: Vec::new(), id, name: ".floeignore", stat: Some(stat), changed: stat };
        let mut files = InputFiles::Directory(SourceFiles::open(source.path()).unwrap());
        let cancel = CancellationToken::new();
        assert!(rules.check(&mut files, &cancel).is_ok());
        cancel.cancel();
        let ended = rules.check(&mut files, &cancel);
        assert!(
            matches!(&ended, Err(Ended::Failed(error)) if error.kind() == ErrorKind::Cancelled),
            "{ended:?}"
        );
    }
}
