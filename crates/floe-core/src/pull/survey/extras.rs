//! What a destination has and the snapshot does not, and what stays of it.

use floe_format::OwnedBody;

use super::super::group::Group;
use super::super::left_out::{LeftOut, Place};
use super::Surveyor;
use crate::Result;
use crate::destination::{Survey, Verdict};

impl Surveyor<'_> {
    /// Notes what may be removed where the snapshot does not have a name.
    pub(super) fn note_extra(&mut self, group: &Group, left_out: LeftOut<'_>, name: Vec<u8>) -> Result<()> {
        let path = group.path_of(&name);
        let worker = &mut self.worker;
        let is_directory = || worker.is_directory(group.directory, &name);
        let picked = self.selection.pick_extra(group.picked, &path, left_out.ignores_case, is_directory)?;
        if !picked.is_selected() || self.own.stands_at(&path) {
            return Ok(());
        }
        let place = Place { directory: group.directory, name: &name, path: &path };
        match left_out.removable_below(&mut self.worker, place, picked)? {
            Some(removable) => {
                self.found.extra.extend(removable.into_iter().map(|path| (group.directory, path)));
            }
            None => self.found.extra.push((group.directory, name)),
        }
        Ok(())
    }

    /// Refuses to write over what is left out, or something else in the place of a directory that holds what is.
    ///
    /// # Errors
    /// `Invalid` where that is so.
    pub(super) fn refuse_left_out(
        &mut self,
        group: &Group,
        left_out: LeftOut<'_>,
        survey: &Survey,
    ) -> Result<()> {
        for &number in &survey.respelled {
            let is_directory = matches!(group.entries[number].body, OwnedBody::Directory);
            let is_left_alone = matches!(survey.verdicts[number], Verdict::Keep | Verdict::Skip);
            if is_directory || !is_left_alone {
                let name = group.name(number);
                let place = Place { directory: group.directory, name, path: &group.path_of(name) };
                left_out.refuse_respelled(&mut self.worker, place, group.picked)?;
            }
        }
        for &number in &survey.in_the_way {
            let name = group.name(number);
            let place = Place { directory: group.directory, name, path: &group.path_of(name) };
            left_out.refuse(&mut self.worker, place, group.picked)?;
        }
        Ok(())
    }
}
