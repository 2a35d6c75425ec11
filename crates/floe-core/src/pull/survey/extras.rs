//! What a destination has and the snapshot does not, and what stays of it.

use super::super::group::Group;
use super::super::selection::Picked;
use super::Surveyor;
use crate::reader::shown;
use crate::{Error, ErrorKind, Remedy, Result};

impl Surveyor<'_> {
    /// Notes what may be removed where the snapshot does not have a name.
    pub(super) fn note_extra(&mut self, group: &Group, name: Vec<u8>) -> Result<()> {
        let path = group.path_of(&name);
        let worker = &mut self.worker;
        let is_directory = || worker.is_directory(group.directory, &name);
        let picked = self.selection.pick_extra(group.picked, &path, is_directory)?;
        if !picked.is_selected() || self.own.stands_at(&path) {
            return Ok(());
        }
        match self.removable_below(group, &name, picked)? {
            Some(removable) => {
                self.found.extra.extend(removable.into_iter().map(|path| (group.directory, path)));
            }
            None => self.found.extra.push((group.directory, name)),
        }
        Ok(())
    }

    /// Refuses to write something else where a directory is that is left out, or holds what is.
    ///
    /// # Errors
    /// `Invalid` where that is so.
    pub(super) fn refuse_left_out(&mut self, group: &Group, name: &[u8]) -> Result<()> {
        if !self.selection.leaves_out() || !self.worker.is_directory(group.directory, name)? {
            return Ok(());
        }
        let path = group.path_of(name);
        let picked = self.selection.pick_extra(group.picked, &path, || Ok(true))?;
        if !picked.is_left_out() && self.removable_below(group, name, picked)?.is_none() {
            return Ok(());
        }
        let message = format!(
            "the snapshot has something else where the directory {} is, and that holds what is left out",
            shown(&path)
        );
        Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::LeaveOut))
    }

    /// What may be removed below a directory of which something stays: what is left out, and the directories that it is in.
    fn removable_below(
        &mut self,
        group: &Group,
        name: &[u8],
        picked: Picked,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        if !self.selection.leaves_out() {
            return Ok(None);
        }
        let Self { worker, selection, own, work, .. } = self;
        worker.removable_below(group.directory, name, &mut |below, is_directory| {
            work.check()?;
            let path = group.path_of(below);
            let picked = selection.pick_extra(picked, &path, || Ok(is_directory))?;
            Ok(picked.is_left_out() || own.stands_at(&path))
        })
    }
}
