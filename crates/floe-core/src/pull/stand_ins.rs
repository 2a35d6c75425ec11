//! Hard links to files that are not pulled: the first link to a file becomes that file, and the others links to it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use floe_format::{Body, Entry, EntryKind, compare_paths};

use crate::destination::{DirId, FileId, Tree, Verdict, Wanted};
use crate::reader::find_entries;
use crate::{Error, ErrorKind, Result};

use super::Pull;
use super::cache::stat_of;
use super::hashing::Hashing;
use super::links::{no_entry_is_no_file, no_file};
use super::restore::{below, wanted_kind, with_entry};
use super::selection::Selection;
use super::surveyed::{Decision, StandIns, Surveyed};

/// A hard link to a file that is not pulled.
#[derive(Debug)]
pub(super) struct OutsideLink {
    pub(super) ordinal: u64,
    pub(super) directory: DirId,
    pub(super) name: Vec<u8>,
    /// Its file's path in the snapshot.
    pub(super) target: Arc<[u8]>,
    pub(super) mode: u16,
    /// What is there, if that is a file of several names.
    pub(super) is: Option<FileId>,
}

/// A link that becomes the file.
struct StandIn {
    link: OutsideLink,
    file: Entry,
    verdict: Verdict,
}

/// A file's path below what is pulled, if it is pulled.
pub(super) fn pulled_path<'p>(top: &[u8], selection: &Selection, path: &'p [u8]) -> Option<&'p [u8]> {
    below(top, path).filter(|relative| selection.pick_path(relative).is_selected())
}

/// The one copy of a path.
pub(super) fn interned(paths: &mut HashSet<Arc<[u8]>>, path: &[u8]) -> Arc<[u8]> {
    if let Some(known) = paths.get(path) {
        return Arc::clone(known);
    }
    let path: Arc<[u8]> = path.into();
    paths.insert(Arc::clone(&path));
    path
}

impl Pull {
    /// Compares what is there of hard links to files that are not pulled with what they become.
    pub(super) fn survey_stand_ins(&self, tree: &Tree, surveyed: &mut Surveyed) -> Result<()> {
        let mut links = std::mem::take(&mut surveyed.outside);
        links.sort_unstable_by_key(|link| link.ordinal);
        let mut stand_ins: Vec<StandIn> = Vec::new();
        let mut by_target: HashMap<Arc<[u8]>, usize> = HashMap::new();
        let mut others = Vec::new();
        let modes = links.iter().map(|link| (&link.target[..], link.mode)).collect();
        let mut files = self.linked_files(&modes)?;
        for link in links {
            if let Some(&first) = by_target.get(&link.target) {
                others.push((first, link));
                continue;
            }
            let file = files.remove(&link.target[..]).ok_or_else(|| no_file(&link.target))?;
            by_target.insert(Arc::clone(&link.target), stand_ins.len());
            stand_ins.push(StandIn { link, file, verdict: Verdict::Create });
        }
        self.judge_stand_ins(tree, &mut stand_ins)?;
        for StandIn { link, file, verdict } in &stand_ins {
            let size = file.body.as_body().size();
            surveyed.count_stand_in(size);
            match verdict {
                Verdict::Keep => surveyed.keep_link(link.ordinal),
                // Still one of the links that are to be dealt with.
                Verdict::Fix => surveyed.set_decision(link.ordinal, Decision::Fix),
                _ => surveyed.count_written(size),
            }
        }
        for (first, link) in others {
            let StandIn { link: first, verdict, .. } = &stand_ins[first];
            if *verdict == Verdict::Keep && link.is.is_some() && link.is == first.is {
                surveyed.keep_link(link.ordinal);
            } else {
                surveyed.linked_anew.insert(link.directory);
            }
        }
        Ok(())
    }

    /// Counts the files that links to these become, which are given with the links' modes.
    pub(super) fn count_stand_ins(&self, targets: &HashMap<Vec<u8>, u16>) -> Result<StandIns> {
        let modes = targets.iter().map(|(target, mode)| (&target[..], *mode)).collect();
        let mut stand_ins = StandIns::default();
        for file in self.linked_files(&modes)?.values() {
            stand_ins.add(file.body.as_body().size());
        }
        Ok(stand_ins)
    }

    /// The files that hard links of these modes name, by their paths.
    fn linked_files(&self, modes: &HashMap<&[u8], u16>) -> Result<HashMap<Vec<u8>, Entry>> {
        let mut paths: Vec<&[u8]> = modes.keys().copied().collect();
        paths.sort_unstable_by(|a, b| compare_paths(a, b));
        let cache = self.options.cache_dir.as_deref();
        let files = self.work.wait(find_entries(&self.namespace, &self.snapshot, cache, &paths));
        let files = files.map_err(no_entry_is_no_file)?;
        let is_it =
            |file: &Entry| file.as_entry().kind() == EntryKind::File && modes[&file.path[..]] == file.mode;
        match files.iter().find(|file| !is_it(file)) {
            Some(other) => Err(no_file(&other.path)),
            None => Ok(files.into_iter().map(|file| (file.path.clone(), file)).collect()),
        }
    }

    /// Compares them by content, whatever the stat cache knows: it knows files by the paths that they have in a snapshot.
    fn judge_stand_ins(&self, tree: &Tree, stand_ins: &mut [StandIn]) -> Result<()> {
        let mut by_directory: HashMap<DirId, Vec<usize>> = HashMap::new();
        // In the order of the tree, so those of a directory are in the order of their names.
        for (number, stand_in) in stand_ins.iter().enumerate() {
            by_directory.entry(stand_in.link.directory).or_default().push(number);
        }
        let (mut worker, mut hashing) = (tree.worker(), Hashing::default());
        for (directory, numbers) in by_directory {
            let mut verdicts = Vec::new();
            {
                let xattrs: Vec<Vec<_>> = numbers
                    .iter()
                    .map(|&number| stand_ins[number].file.xattrs.as_xattrs().iter().collect())
                    .collect();
                let restore = self.restore();
                let plain = super::Restore { xattrs: false, ..restore };
                let wanted = numbers.iter().zip(&xattrs).map(|(&number, xattrs)| {
                    let StandIn { link, file, .. } = &stand_ins[number];
                    let meta = with_entry(&file.as_entry(), plain, |meta| meta.without_xattrs());
                    let xattrs = restore.xattrs.then_some(xattrs.as_slice());
                    Wanted {
                        name: &link.name,
                        kind: wanted_kind(&file.body.as_body(), DirId::ROOT),
                        meta: crate::destination::Meta { xattrs, ..meta },
                    }
                });
                let survey = worker.survey(directory, wanted, &mut |number, found| {
                    let Body::File { hash: Some(hash), .. } = stand_ins[numbers[number]].file.body.as_body()
                    else {
                        return Ok(false);
                    };
                    Ok(hashing.has_content(found, &stat_of(found.stat()), &hash, &self.work)?.is_some())
                })?;
                verdicts.extend(survey.verdicts);
            }
            if verdicts.len() != numbers.len() {
                return Err(Error::new(ErrorKind::Internal, "a survey without a verdict on each entry"));
            }
            for (number, verdict) in numbers.into_iter().zip(verdicts) {
                stand_ins[number].verdict = verdict;
            }
        }
        Ok(())
    }
}
