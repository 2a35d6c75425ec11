//! Hard links, made after all files.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use floe_format::{EntryKind, EntryRef, compare_paths};

use crate::destination::{DirId, Tree, Wanted, Worker};
use crate::reader::{Links, NamedWalk, Reach, Sources, Span, shown};
use crate::source::CacheSections;
use crate::unpack::{plan_entries, run};
use crate::{Error, ErrorKind, Result};

use super::Pull;
use super::link_list::{Link, LinkList, LinkTarget};
use super::restore::{wanted_kind, with_entry};
use super::surveyed::{Decision, StandIns, Surveyed};
use super::write::{Places, Writer, Written};

impl Pull {
    /// Checks the hard links that passed, and makes those that are selected. Of links whose file is not pulled, the first
    /// becomes that file, as far as a survey found that it is not, and the others links to it. Those files are returned.
    pub(super) fn make_links(
        &mut self,
        tree: &Tree,
        surveyed: Option<&Surveyed>,
        own: &mut Worker<'_>,
        links: &LinkList,
        passed: &mut Links,
        written: &mut Written,
    ) -> Result<StandIns> {
        let mut counted = surveyed.map(|surveyed| surveyed.stand_ins).unwrap_or_default();
        if passed.is_empty() {
            return Ok(counted);
        }
        self.each_entry(&mut |_, entry, _, parent| {
            passed.show(entry)?;
            Ok((entry.kind() == EntryKind::Directory).then_some(parent))
        })?;
        if self.span == Span::All {
            passed.finish()?;
        }
        let mut stand_ins: HashMap<u32, StandIn<'_>> = HashMap::new();
        let mut to_be_linked = Vec::new();
        for link in links.iter() {
            self.work.check()?;
            match link.target {
                LinkTarget::Pulled(directory, name) => {
                    let path = self.top.absolute(&tree.path_of(directory, name));
                    if !passed.is_found(&path) {
                        return Err(no_file(&path));
                    }
                    own.hard_link(link.directory, link.name, directory, name)?;
                }
                LinkTarget::Outside(number, target) => match stand_ins.entry(number) {
                    Entry::Occupied(_) => to_be_linked.push((link, number)),
                    Entry::Vacant(vacant) => {
                        let decision =
                            surveyed.map_or(Decision::Create, |surveyed| surveyed.decision(link.ordinal));
                        vacant.insert(StandIn { link, target, decision });
                    }
                },
            }
        }
        let (files, wrote) = self.write_stand_ins(tree, own, stand_ins.values())?;
        if surveyed.is_none() {
            counted = files;
        }
        written.add(wrote);
        for (link, number) in to_be_linked {
            self.work.check()?;
            let first = &stand_ins[&number].link;
            own.hard_link(link.directory, link.name, first.directory, first.name)?;
        }
        Ok(counted)
    }

    /// Writes files that are not pulled themselves where the first links to them are, as far as was decided; all in one pass,
    /// for there may be many.
    fn write_stand_ins<'l>(
        &self,
        tree: &Tree,
        own: &mut Worker<'_>,
        stand_ins: impl Iterator<Item = &'l StandIn<'l>>,
    ) -> Result<(StandIns, Written)> {
        let wanted = stand_ins.filter(|one| one.decision.is_written() || one.decision == Decision::Fix);
        let wanted: HashMap<&[u8], &StandIn<'_>> = wanted.map(|one| (one.target, one)).collect();
        let places: Places = wanted
            .values()
            .map(|one| (one.target.to_vec(), (one.link.directory, one.link.name.to_vec())))
            .collect();
        let (mut files, restore) = (StandIns::default(), self.restore());
        let written = self.write_elsewhere(tree, &places, &mut |entry| {
            let StandIn { link, decision, .. } = wanted[entry.path];
            if entry.kind() != EntryKind::File || entry.mode != link.mode {
                return Err(no_file(entry.path));
            }
            files.add(entry.body.size());
            if *decision == Decision::Fix {
                let kind = wanted_kind(&entry.body, link.directory);
                with_entry(entry, restore, |meta| {
                    own.fix(link.directory, &Wanted { name: link.name, kind, meta: *meta })
                })?;
            }
            Ok(decision.is_written())
        });
        Ok((files, written.map_err(no_entry_is_no_file)?))
    }

    /// Writes one entry that is no directory and no hard link, under a name of its own.
    pub(super) fn write_entry(
        &self,
        tree: &Tree,
        entry: &floe_format::Entry,
        place: (DirId, Vec<u8>),
    ) -> Result<Written> {
        self.write_elsewhere(tree, &Places::from([(entry.path.clone(), place)]), &mut |_| Ok(true))
    }

    /// Writes entries that are no directories and no hard links where `places` says, as far as `wants` says so when it is shown
    /// them.
    fn write_elsewhere(
        &self,
        tree: &Tree,
        places: &Places,
        wants: &mut dyn FnMut(&EntryRef<'_>) -> Result<bool>,
    ) -> Result<Written> {
        let (namespace, snapshot) = (&self.namespace, &self.snapshot);
        let mut paths: Vec<&[u8]> = places.keys().map(Vec::as_slice).collect();
        paths.sort_unstable_by(|a, b| compare_paths(a, b));
        if paths.is_empty() {
            return Ok(Written::default());
        }
        let items = NamedWalk::root_items(snapshot, &paths);
        let cache = self.options.cache_dir.as_deref();
        let sources = Sources::open(namespace, snapshot, cache, &items, Reach::Data);
        let mut sources = self.work.wait(sources)?;
        let (restore, progress) = (self.restore(), &*self.progress);
        let (fetched_bytes, done) = run(
            &self.work,
            namespace,
            self.threads,
            |planner| {
                plan_entries(planner, snapshot, &mut sources, &paths, wants)?;
                planner.flush()?;
                let fetched = planner.fetched_bytes();
                progress.fetched_bytes.fetch_add(fetched, std::sync::atomic::Ordering::Relaxed);
                Ok(fetched)
            },
            || Writer::elsewhere(tree, places, restore, progress),
        )?;
        let mut written = Written { fetched_bytes, ..Written::default() };
        for mut done in done {
            // Their numbers are of another walk.
            done.sections = CacheSections::default();
            written.add(done);
        }
        Ok(written)
    }
}

/// A hard link that becomes its file, which is not pulled, and what is to be done for that.
struct StandIn<'l> {
    link: Link<'l>,
    /// The file's path in the snapshot.
    target: &'l [u8],
    decision: Decision,
}

/// That a hard link's file is not there is the snapshot's fault.
pub(super) fn no_entry_is_no_file(error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    Error::new(ErrorKind::Corrupt, "the snapshot has a hard link to what is no file of it").with_source(error)
}

pub(super) fn no_file(target: &[u8]) -> Error {
    let message = format!("the snapshot has a hard link to {}, which is no file of it", shown(target));
    Error::new(ErrorKind::Corrupt, message)
}
