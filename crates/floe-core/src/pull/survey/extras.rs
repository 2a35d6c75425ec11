//! What a destination has and the snapshot does not, and what stays of it.

use super::super::group::Group;
use super::super::left_out::Place;
use super::Surveyor;
use crate::Result;

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
        let place = Place { directory: group.directory, name: &name, path: &path };
        match self.left_out().removable_below(&mut self.worker, place, picked)? {
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
        let path = group.path_of(name);
        let place = Place { directory: group.directory, name, path: &path };
        self.left_out().refuse(&mut self.worker, place, group.picked)
    }
}
