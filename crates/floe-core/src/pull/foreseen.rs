//! Telling what a pull over an existing directory would do.

use floe_format::{EntryKind, compare_paths};

use crate::Result;
use crate::destination::Tree;
use crate::diff::ChangeKind;
use crate::offload::Teller;

use super::Pull;
use super::options::Foreseen;
use super::surveyed::{Decision, Surveyed};
use super::tree::Dir;

impl Pull {
    /// Tells in the canonical order what a survey found to be done.
    pub(super) fn tell_foreseen(
        &mut self,
        tree: &Tree,
        surveyed: &mut Surveyed,
        teller: &Teller<Foreseen>,
    ) -> Result<()> {
        let extra = if self.options.delete { std::mem::take(&mut surveyed.extra) } else { Vec::new() };
        let path_of = |(directory, name): (_, Vec<u8>)| tree.path_of(directory, &name);
        let mut extra: Vec<_> = extra.into_iter().map(path_of).collect();
        if surveyed.is_equal() && extra.is_empty() {
            return Ok(());
        }
        extra.sort_unstable_by(|a, b| compare_paths(a, b));
        let mut extra = extra.into_iter().peekable();
        let removed = |path: &Vec<u8>| teller.tell(Foreseen::new(ChangeKind::Removed, path));
        if surveyed.top_differs {
            teller.tell(Foreseen::new(ChangeKind::Metadata, b""))?;
        }
        let worker = tree.worker();
        let mut number = 0;
        self.each_entry(&mut |ordinal, entry, relative, parent| {
            let mut directory = None;
            if entry.kind() == EntryKind::Directory {
                number += 1;
                directory = Some(Dir { id: surveyed.directories[number as usize], number, ..parent });
            }
            let kind = match surveyed.decision(ordinal) {
                Decision::Create => ChangeKind::Added,
                Decision::Replace => ChangeKind::Content,
                Decision::Fix => ChangeKind::Metadata,
                // What is to be set of a directory that is there is known of the directory.
                Decision::Keep if directory.is_some_and(|directory| worker.differs(directory.id)) => {
                    ChangeKind::Metadata
                }
                Decision::Keep | Decision::Skip => return Ok(directory),
            };
            while let Some(before) = extra.next_if(|extra| compare_paths(extra, relative).is_lt()) {
                removed(&before)?;
            }
            teller.tell(Foreseen::new(kind, relative))?;
            Ok(directory)
        })?;
        extra.try_for_each(|path| removed(&path))
    }
}
