//! What a destination has and the snapshot does not, and what stays of it.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;

use floe_format::OwnedBody;

use super::super::group::{Group, path_below};
use super::super::left_out::{LeftOut, Place};
use super::super::selection::Picked;
use super::surveyor::Surveyor;
use crate::Result;
use crate::destination::{Survey, Verdict, in_one_spelling};

impl Surveyor<'_> {
    /// Notes what may be removed where the snapshot does not have a name: where the globs do not include it, what they
    /// include below it.
    pub(super) fn note_extra(&mut self, group: &Group, left_out: LeftOut<'_>, name: Vec<u8>) -> Result<()> {
        let path = group.path_of(&name);
        let above = self.compared.listed(group.directory);
        let listed: Vec<_> = above.iter().map(|above| path_below(above, &name)).collect();
        let place = Place { directory: group.directory, name: &name, path: &path, listed: &listed };
        let worker = &mut self.worker;
        let picked =
            left_out.pick(place, group.picked, &mut || worker.is_directory(group.directory, &name))?;
        if picked.is_left_out() || left_out.holds_own(place) {
            return Ok(());
        }
        if picked.is_selected() {
            return self.note_removable(left_out, place, picked);
        }
        let deletes = self.worker.tree().settings().delete;
        if !deletes || !self.worker.is_directory(group.directory, &name)? {
            return Ok(());
        }
        let mut included = Vec::new();
        let Self { worker, work, .. } = self;
        worker.look_below(group.directory, &name, &mut |below, is_directory| {
            work.check()?;
            let picked = left_out.pick_below(place, picked, below, is_directory)?;
            let Some(picked) = picked.filter(|picked| !picked.is_left_out()) else { return Ok(false) };
            if picked.is_selected() {
                included.push((below.to_vec(), picked));
            }
            Ok(!picked.is_selected())
        })?;
        for (name, picked) in included {
            let path = group.path_of(&name);
            let listed: Vec<_> = above.iter().map(|above| path_below(above, &name)).collect();
            let place = Place { directory: group.directory, name: &name, path: &path, listed: &listed };
            self.note_removable(left_out, place, picked)?;
        }
        Ok(())
    }

    /// Those of names that are no other spellings of what the snapshot has and the globs do not select.
    pub(super) fn that_the_snapshot_lacks(
        &mut self,
        group: &Group,
        mut extra: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>> {
        if group.unselected.is_empty() || extra.is_empty() {
            return Ok(extra);
        }
        // There may be as many as a directory has entries: of each a number is kept.
        let hashes = RandomState::new();
        let spelled =
            |name: &[u8]| str::from_utf8(name).ok().map(|name| hashes.hash_one(in_one_spelling(name, true)));
        let names = group.unselected.iter().enumerate();
        let mut unselected: Vec<(u64, usize)> =
            names.filter_map(|(number, name)| Some((spelled(name)?, number))).collect();
        unselected.sort_unstable();
        let mut kept = Ok(());
        extra.retain(|name| {
            let Some(one) = spelled(name) else { return true };
            let first = unselected.partition_point(|(other, _)| *other < one);
            let alike = unselected[first..].iter().take_while(|(other, _)| *other == one);
            let mut others =
                alike.map(|(_, number)| &group.unselected[*number][..]).filter(|other| *other != &name[..]);
            !others.any(|other| match self.worker.is_one_name(group.directory, name, other) {
                Ok(is_one) => is_one,
                Err(error) => {
                    kept = Err(error);
                    false
                }
            })
        });
        kept.map(|()| extra)
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
        if !self.selection.leaves_out() && self.own.is_none() {
            return Ok(());
        }
        let listed = self.listed_paths(group, survey)?;
        for (&number, paths) in &listed {
            let is_directory = matches!(group.entries[number].body, OwnedBody::Directory);
            let is_left_alone = match survey.verdicts[number] {
                Verdict::Create | Verdict::Link => true,
                Verdict::Keep | Verdict::Skip => !is_directory,
                _ => false,
            };
            if !is_left_alone {
                let name = group.name(number);
                let path = &group.path_of(name);
                let place = Place { directory: group.directory, name, path, listed: paths };
                left_out.refuse_respelled(&mut self.worker, place, group.picked)?;
            }
            if let (true, Some(path)) = (is_directory, paths.first()) {
                self.compared.note_listed(group.entries[number].id, path.clone());
            }
        }
        for &number in &survey.in_the_way {
            let name = group.name(number);
            let listed = listed.get(&number).map(Vec::as_slice).unwrap_or_default();
            let place = Place { directory: group.directory, name, path: &group.path_of(name), listed };
            left_out.refuse(&mut self.worker, place, group.picked)?;
        }
        Ok(())
    }

    /// The paths that entries have as the destination lists them, of those of which that is another than in the snapshot.
    fn listed_paths(&mut self, group: &Group, survey: &Survey) -> Result<BTreeMap<usize, Vec<Vec<u8>>>> {
        let above = self.compared.listed(group.directory);
        let respelled: HashSet<usize> = survey.respelled.iter().copied().collect();
        let numbers: Vec<usize> = match above {
            Some(_) => (0..group.entries.len()).collect(),
            None => survey.respelled.clone(),
        };
        let above = above.as_deref().unwrap_or(&group.path);
        let mut names_of = None;
        let mut listed = BTreeMap::new();
        for number in numbers {
            let name = group.name(number);
            let names = match respelled.contains(&number) {
                true => self.worker.listed_as(group.directory, name, &mut names_of)?,
                false => vec![name.to_vec()],
            };
            listed.insert(number, names.iter().map(|name| path_below(above, name)).collect());
        }
        Ok(listed)
    }
}
