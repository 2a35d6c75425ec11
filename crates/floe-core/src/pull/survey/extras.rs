//! What a destination has and the snapshot does not, and what stays of it.

use std::collections::HashMap;

use floe_format::OwnedBody;

use super::super::group::Group;
use super::super::left_out::{LeftOut, Place};
use super::super::selection::Picked;
use super::Surveyor;
use crate::Result;
use crate::destination::{Survey, Verdict};

impl Surveyor<'_> {
    /// Notes what may be removed where the snapshot does not have a name: where the globs do not include it, what they
    /// include below it.
    pub(super) fn note_extra(&mut self, group: &Group, left_out: LeftOut<'_>, name: Vec<u8>) -> Result<()> {
        let path = group.path_of(&name);
        let worker = &mut self.worker;
        let is_directory = || worker.is_directory(group.directory, &name);
        let picked = self.selection.pick_extra(group.picked, &path, left_out.ignores_case, is_directory)?;
        if picked.is_left_out() || self.own.stands_at(&path) {
            return Ok(());
        }
        let place = Place { directory: group.directory, name: &name, path: &path, listed: &[] };
        if picked.is_selected() {
            return self.note_removable(left_out, place, picked);
        }
        let deletes = self.worker.tree().settings().delete;
        if !deletes || !self.worker.is_directory(group.directory, &name)? {
            return Ok(());
        }
        let mut included = Vec::new();
        let Self { worker, selection, own, work, .. } = self;
        worker.look_below(group.directory, &name, &mut |below, is_directory| {
            work.check()?;
            let path = group.path_of(below);
            let picked = selection.pick_extra(picked, &path, left_out.ignores_case, || Ok(is_directory))?;
            if picked.is_left_out() || own.stands_at(&path) {
                return Ok(false);
            }
            if picked.is_selected() {
                included.push((below.to_vec(), picked));
            }
            Ok(!picked.is_selected())
        })?;
        for (name, picked) in included {
            let path = group.path_of(&name);
            let place = Place { directory: group.directory, name: &name, path: &path, listed: &[] };
            self.note_removable(left_out, place, picked)?;
        }
        Ok(())
    }

    /// Notes what may be removed of what the globs include.
    fn note_removable(&mut self, left_out: LeftOut<'_>, place: Place<'_>, picked: Picked) -> Result<()> {
        match left_out.removable_below(&mut self.worker, place, picked)? {
            Some(removable) => {
                self.found.extra.extend(removable.into_iter().map(|path| (place.directory, path)));
            }
            None => self.found.extra.push((place.directory, place.name.to_vec())),
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
        if !self.selection.leaves_out() {
            return Ok(());
        }
        let mut names_of = None;
        let mut listed = HashMap::new();
        for &number in &survey.respelled {
            let names = self.worker.listed_as(group.directory, group.name(number), &mut names_of)?;
            let paths: Vec<_> = names.iter().map(|name| group.path_of(name)).collect();
            let is_directory = matches!(group.entries[number].body, OwnedBody::Directory);
            let is_left_alone = matches!(survey.verdicts[number], Verdict::Keep | Verdict::Skip);
            if is_directory || !is_left_alone {
                let name = group.name(number);
                let path = &group.path_of(name);
                let place = Place { directory: group.directory, name, path, listed: &paths };
                left_out.refuse_respelled(&mut self.worker, place, group.picked)?;
            }
            listed.insert(number, paths);
        }
        for &number in &survey.in_the_way {
            let name = group.name(number);
            let listed = listed.get(&number).map(Vec::as_slice).unwrap_or_default();
            let place = Place { directory: group.directory, name, path: &group.path_of(name), listed };
            left_out.refuse(&mut self.worker, place, group.picked)?;
        }
        Ok(())
    }
}
