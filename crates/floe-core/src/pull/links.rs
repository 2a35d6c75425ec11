//! Hard links, made after all files.

use std::collections::HashMap;

use floe_format::{Entry, EntryKind};

use crate::destination::{DirId, Tree, Wanted, Worker};
use crate::reader::{Links, Reach, SegmentWalk, Sources, Span, shown};
use crate::source::CacheSections;
use crate::unpack::{plan_entry, run};
use crate::{Error, ErrorKind, Result};

use super::Pull;
use super::link_list::{LinkList, LinkTarget};
use super::restore::{wanted_kind, with_entry};
use super::surveyed::{Decision, StandIns, Surveyed};
use super::write::{Writer, Written};

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
        let mut stand_ins: HashMap<u32, (DirId, Vec<u8>)> = HashMap::new();
        for link in links.iter() {
            self.work.check()?;
            let (number, target) = match link.target {
                LinkTarget::Pulled(directory, name) => {
                    let path = self.top.absolute(&tree.path_of(directory, name));
                    if !passed.is_found(&path) {
                        return Err(no_file(&path));
                    }
                    own.hard_link(link.directory, link.name, directory, name)?;
                    continue;
                }
                LinkTarget::Outside(number, target) => (number, target),
            };
            if let Some((directory, name)) = stand_ins.get(&number) {
                own.hard_link(link.directory, link.name, *directory, name)?;
                continue;
            }
            let place = (link.directory, link.name.to_vec());
            match surveyed.map_or(Decision::Write, |surveyed| surveyed.decision(link.ordinal)) {
                Decision::Keep | Decision::Skip => {}
                Decision::Fix => {
                    let file = self.linked_file(target, link.mode)?;
                    let kind = wanted_kind(&file.body.as_body(), place.0);
                    with_entry(&file.as_entry(), self.restore(), |meta| {
                        own.fix(place.0, &Wanted { name: &place.1, kind, meta: *meta })
                    })?;
                }
                Decision::Write => {
                    let file = self.linked_file(target, link.mode)?;
                    if surveyed.is_none() {
                        counted.add(file.body.as_body().size());
                    }
                    written.add(self.write_entry(tree, &file, place.clone())?);
                }
            }
            stand_ins.insert(number, place);
        }
        Ok(counted)
    }

    /// Writes one entry that is no directory and no hard link, under a name of its own.
    pub(super) fn write_entry(&self, tree: &Tree, entry: &Entry, place: (DirId, Vec<u8>)) -> Result<Written> {
        let (namespace, snapshot) = (&self.namespace, &self.snapshot);
        let items = SegmentWalk::root_items(snapshot, &Span::Entry(entry.path.clone()));
        let cache = self.options.cache_dir.as_deref();
        let sources = Sources::open(namespace, snapshot, cache, &items, Reach::Data);
        let mut sources = self.work.wait(sources)?;
        let (restore, progress) = (self.restore(), &*self.progress);
        let (fetched_bytes, done) = run(
            &self.work,
            namespace,
            self.threads,
            |planner| {
                plan_entry(planner, snapshot, &mut sources, &entry.path)?;
                planner.flush()?;
                let fetched = planner.fetched_bytes();
                progress.fetched_bytes.fetch_add(fetched, std::sync::atomic::Ordering::Relaxed);
                Ok(fetched)
            },
            || Writer::single(tree, place.clone(), restore, progress),
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

pub(super) fn no_file(target: &[u8]) -> Error {
    let message = format!("the snapshot has a hard link to {}, which is no file of it", shown(target));
    Error::new(ErrorKind::Corrupt, message)
}
