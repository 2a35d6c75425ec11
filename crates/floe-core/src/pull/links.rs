//! Hard links, made after all files.

use std::collections::HashMap;

use floe_format::{Entry, EntryKind, parent_and_name};

use crate::destination::{DirId, Tree, Worker};
use crate::reader::{Links, Reach, SegmentWalk, Sources, Span, find_entry, shown};
use crate::unpack::{plan_entry, run};
use crate::{Error, ErrorKind, Result};

use super::Pull;
use super::restore::below;
use super::write::{Writer, Written};

/// A hard link to be made.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) directory: DirId,
    pub(super) name: Vec<u8>,
    /// The path in the snapshot of the file that it is.
    pub(super) target: Vec<u8>,
    pub(super) mode: u16,
}

impl Pull {
    /// Checks the hard links that passed, and makes those that are selected. Of links whose file is not pulled, the first
    /// becomes that file and the others links to it.
    pub(super) fn make_links(
        &mut self,
        tree: &Tree,
        own: &mut Worker<'_>,
        links: Vec<Link>,
        passed: &mut Links,
        written: &mut Written,
    ) -> Result<()> {
        if passed.is_empty() {
            return Ok(());
        }
        self.each_entry(&mut |_, entry, _, parent| {
            passed.show(entry)?;
            Ok((entry.kind() == EntryKind::Directory).then_some(parent))
        })?;
        if self.span == Span::All {
            passed.finish()?;
        }
        let mut stand_ins: HashMap<Vec<u8>, (DirId, Vec<u8>)> = HashMap::new();
        for link in links {
            self.work.check()?;
            let inside = below(&self.top.path, &link.target)
                .filter(|relative| self.selection.pick_path(relative).is_selected());
            let place = match inside {
                Some(relative) => {
                    let (parent, name) = parent_and_name(relative);
                    let directory = tree.find(parent).filter(|_| passed.is_found(&link.target));
                    Some((directory.ok_or_else(|| no_file(&link.target))?, name.to_vec()))
                }
                None => stand_ins.get(&link.target).cloned(),
            };
            if let Some((directory, name)) = place {
                own.hard_link(link.directory, &link.name, directory, &name)?;
                continue;
            }
            let cache = self.options.cache_dir.as_deref();
            let file = self.work.wait(find_entry(&self.namespace, &self.snapshot, cache, &link.target))?;
            if file.as_entry().kind() != EntryKind::File || file.mode != link.mode {
                return Err(no_file(&link.target));
            }
            let place = (link.directory, link.name);
            written.add(self.write_entry(tree, &file, place.clone())?);
            stand_ins.insert(link.target, place);
        }
        Ok(())
    }

    /// Writes one entry that is no directory and no hard link, under a name of its own.
    pub(super) fn write_entry(&self, tree: &Tree, entry: &Entry, place: (DirId, Vec<u8>)) -> Result<Written> {
        let (namespace, snapshot) = (&self.namespace, &self.snapshot);
        let items = SegmentWalk::root_items(snapshot, &Span::Entry(entry.path.clone()));
        let cache = self.options.cache_dir.as_deref();
        let sources = Sources::open(namespace, snapshot, cache, &items, Reach::Data);
        let mut sources = self.work.wait(sources)?;
        let (restore, progress) = (self.restore(), &*self.progress);
        let ((), done) = run(
            &self.work,
            namespace,
            self.threads,
            |planner| {
                plan_entry(planner, snapshot, &mut sources, &entry.path)?;
                planner.flush()?;
                let fetched = planner.fetched_bytes();
                progress.fetched_bytes.fetch_add(fetched, std::sync::atomic::Ordering::Relaxed);
                Ok(())
            },
            || Writer::single(tree, place.clone(), restore, progress),
        )?;
        let mut written = Written::default();
        for mut done in done {
            // Their numbers are of another walk.
            done.sections.clear();
            written.add(done);
        }
        Ok(written)
    }
}

fn no_file(target: &[u8]) -> Error {
    let message = format!("the snapshot has a hard link to {}, which is no file of it", shown(target));
    Error::new(ErrorKind::Corrupt, message)
}
