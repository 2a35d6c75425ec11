//! Writing a tree: the pass over a snapshot's segments that makes directories and has the rest unpacked.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use floe_format::{Body, EntryKind, EntryRef, Segment, parent_and_name};

use crate::destination::{DirId, Tree, Worker};
use crate::diff::ChangeKind;
use crate::reader::{Links, SegmentWalk, TreeCheck};
use crate::unpack::{Planner, run};
use crate::{Error, Result};

use super::link_list::LinkList;
use super::options::{Foreseen, PullOutcome, Pulled};
use super::restore::{device, wanted_kind, with_entry};
use super::selection::{Picked, Selection};
use super::stand_ins::pulled_path;
use super::surveyed::{Decision, StandIns, Surveyed};
use super::write::{Writer, Written};
use super::{Pull, PullOptions};
use crate::destination::Wanted;

/// A directory of the snapshot, as a pass goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dir {
    pub(super) id: DirId,
    /// Its number among the directories, from 0 for the top.
    pub(super) number: u32,
    pub(super) picked: Picked,
}

/// Is shown an entry: its number in the walk, its path below the top, and its directory.
type EachEntry<'a> = dyn FnMut(u64, &EntryRef<'_>, &[u8], Dir) -> Result<Option<Dir>> + 'a;

/// What was written, and counted on the way.
#[derive(Debug, Default)]
pub(super) struct WrittenTree {
    pub(super) entries: u64,
    pub(super) files_in_all: u64,
    pub(super) file_bytes: u64,
    pub(super) written_files: u64,
    pub(super) written_bytes: u64,
    pub(super) skipped_devices: u64,
    pub(super) fetched_bytes: u64,
    /// Names that the snapshot does not have.
    pub(super) removed: u64,
    pub(super) sections: crate::source::CacheSections,
}

impl Pull {
    /// The top directory.
    pub(super) fn top_dir(&self) -> Dir {
        Dir { id: DirId::ROOT, number: 0, picked: self.selection.top() }
    }

    /// Which directories have to be there for what is selected, by their numbers; none where all do.
    pub(super) fn needed_directories(&mut self) -> Result<Option<Vec<bool>>> {
        if self.selection.is_all() {
            return Ok(None);
        }
        let (mut needed, mut parents) = (vec![true], vec![0u32]);
        let top = self.top_dir();
        let Self { selection, work, .. } = self;
        let (selection, work) = (selection.clone(), work.clone());
        self.each_entry(&mut |_, entry, relative, parent: Dir| {
            work.check()?;
            let is_directory = entry.kind() == EntryKind::Directory;
            let picked = selection.pick(parent.picked, relative, is_directory);
            if picked.is_selected() {
                let mut at = parent.number;
                while !std::mem::replace(&mut needed[at as usize], true) {
                    at = parents[at as usize];
                }
            }
            if !is_directory {
                return Ok(None);
            }
            // There are fewer than 2^32: a destination numbers them so.
            let number = u32::try_from(needed.len()).unwrap_or(u32::MAX);
            needed.push(picked.is_selected());
            parents.push(parent.number);
            Ok(Some(Dir { number, picked, ..top }))
        })?;
        Ok(Some(needed))
    }

    /// Shows every entry of what is pulled, with its number in the walk, its path below the top and its directory; the
    /// answer for a directory is what it is to its own entries.
    pub(super) fn each_entry(&mut self, each: &mut EachEntry<'_>) -> Result<()> {
        let top = self.top_dir();
        let Self { snapshot, sources, span, top: path, work, .. } = self;
        let mut walk = SegmentWalk::new(snapshot, span.clone());
        let mut check = TreeCheck::new(snapshot.root(), span, top);
        let mut first = 0;
        while let Some(listed) = work.wait(walk.next(&mut sources.metadata))? {
            let segment = Segment::parse(&listed.plain)
                .map_err(|e| Error::from(e).in_object(format_args!("segment {}", listed.item.id)))?;
            check.segment(&listed, &segment)?;
            let mut entries = segment.entries();
            for number in first.. {
                let Some(entry) = entries.next()? else { break };
                if span.place(entry.path).is_lt() {
                    check.pass_over(entry.path);
                    continue;
                } else if span.place(entry.path).is_gt() {
                    continue;
                }
                let parent = check.entry(&entry, &mut |_, _| Ok(()))?;
                if let Some(directory) = each(number, &entry, path.relative(entry.path), parent)? {
                    check.add_directory(entry.path, directory);
                }
            }
            first += segment.entry_count() as u64;
        }
        check.finish(&mut |_, _| Ok(())).map(drop)
    }

    /// Counts what would be written to a new destination.
    pub(super) fn count(&mut self) -> Result<Pulled> {
        let needed = self.needed_directories()?;
        let (selection, devices) = (self.selection.clone(), self.options.devices);
        let mut counted = WrittenTree::default();
        let mut number = 0u32;
        let (top, mut outside) = (self.top.path.clone(), HashMap::new());
        let teller = self.teller.clone();
        self.each_entry(&mut |_, entry, relative, parent| {
            let is_directory = entry.kind() == EntryKind::Directory;
            let picked = selection.pick(parent.picked, relative, is_directory);
            number += u32::from(is_directory);
            let is_needed = is_directory && needed.as_ref().is_some_and(|needed| needed[number as usize]);
            if picked.is_selected() || is_needed {
                counted.count(entry);
                let is_skipped = !devices && device(&entry.body).is_some();
                counted.skipped_devices += u64::from(is_skipped);
                if let Some(teller) = teller.as_ref().filter(|_| !is_skipped) {
                    teller.tell(Foreseen::new(ChangeKind::Added, relative))?;
                }
                if let Body::HardLink { target } = entry.body
                    && pulled_path(&top, &selection, target).is_none()
                {
                    outside.insert(target.to_vec(), entry.mode);
                }
            }
            Ok(is_directory.then_some(Dir { number, picked, ..parent }))
        })?;
        counted.add(self.count_stand_ins(&outside)?);
        let mut pulled = self.pulled(&counted, PullOutcome::DryRun);
        (pulled.written_files, pulled.written_bytes) = (pulled.files, pulled.file_bytes);
        Ok(pulled)
    }

    /// What is answered of what was written.
    pub(super) fn pulled(&self, written: &WrittenTree, outcome: PullOutcome) -> Pulled {
        Pulled {
            outcome,
            entries: written.entries,
            files: written.files_in_all,
            file_bytes: written.file_bytes,
            written_files: written.written_files,
            written_bytes: written.written_bytes,
            removed: written.removed,
            unmatched: self.selection.unmatched(),
            skipped_devices: written.skipped_devices,
            fetched_bytes: written.fetched_bytes,
            complaints: crate::destination::Complaints::default(),
        }
    }

    /// Writes the tree; over an existing one what its survey says. The top gets its attributes where `finishes_top`.
    pub(super) fn write_tree(
        &mut self,
        tree: &Tree,
        surveyed: Option<&Surveyed>,
        finishes_top: bool,
    ) -> Result<WrittenTree> {
        let needed = match surveyed {
            Some(surveyed) => surveyed.needed.clone(),
            None => self.needed_directories()?,
        };
        let (restore, threads) = (self.restore(), self.threads);
        let (work, namespace) = (self.work.clone(), self.namespace.clone());
        let caches = self.options.cache_dir.clone();
        let (top, progress) = (self.top.path.clone(), std::sync::Arc::clone(&self.progress));
        let mut own = tree.worker();
        let mut pass = Pass {
            tree,
            surveyed,
            needed,
            options: &self.options.clone(),
            top: &top,
            selection: &self.selection.clone(),
            next_directory: 1,
            links: LinkList::default(),
            counted: WrittenTree::default(),
        };
        let sparse = surveyed.filter(|surveyed| self.is_sparse(surveyed));
        let (mut passed, done) = run(
            &work,
            &namespace,
            threads,
            |planner| match sparse {
                Some(surveyed) => {
                    pass.counted = WrittenTree::of_survey(surveyed);
                    pass.counted.fetched_bytes = self.plan_sparse(planner, surveyed, tree, &mut own)?;
                    Ok(Links::default())
                }
                None => self.plan(planner, &mut pass, &mut own),
            },
            || Writer::new(tree, &top, restore, &progress, caches.as_deref()),
        )?;
        let mut written = Written::default();
        for done in done {
            written.add(done);
        }
        let Pass { links, mut counted, .. } = pass;
        let stand_ins = self.make_links(tree, surveyed, &mut own, &links, &mut passed, &mut written)?;
        if sparse.is_none() {
            counted.add(stand_ins);
        }
        self.work.check()?;
        let removed = surveyed.map_or(Ok(0), |surveyed| surveyed.remove_extra(&self.options, &mut own));
        self.top.with_meta(restore, |meta| own.finish(finishes_top.then_some(meta)))?;
        counted.removed = removed?;
        counted.written_files = written.written_files;
        counted.written_bytes = written.written_bytes;
        counted.skipped_devices += written.skipped_devices;
        counted.fetched_bytes += written.fetched_bytes;
        counted.sections = written.sections;
        Ok(counted)
    }

    /// Goes through all segments: makes directories, notes hard links, has the rest unpacked.
    fn plan<'t>(
        &mut self,
        planner: &mut Planner<'_, 't>,
        pass: &mut Pass<'_>,
        own: &mut Worker<'_>,
    ) -> Result<Links> {
        let (top, restore) = (self.top_dir(), self.restore());
        let selection = self.selection.clone();
        let Self { snapshot, sources, span, top: path, progress, .. } = self;
        let mut walk = SegmentWalk::new(snapshot, span.clone());
        let mut check = TreeCheck::new(snapshot.root(), span, top);
        let all = *span == crate::reader::Span::All && selection.is_all() && pass.surveyed.is_none();
        let mut first = 0;
        while let Some(listed) = planner.wait(walk.next(&mut sources.metadata))? {
            let segment = Segment::parse(&listed.plain)
                .map_err(|e| Error::from(e).in_object(format_args!("segment {}", listed.item.id)))?;
            let content = check.segment(&listed, &segment)?;
            let mut plan = planner.begin(&segment, content, first, listed.follows);
            let mut entries = segment.entries();
            for ordinal in first.. {
                let Some(entry) = plan.next(&mut entries)? else { break };
                if !all && span.place(entry.path).is_ne() {
                    if span.place(entry.path).is_lt() {
                        check.pass_over(entry.path);
                    }
                    plan.entry(&entry, false)?;
                    continue;
                }
                let parent = check.entry(&entry, &mut |_, _| Ok(()))?;
                let is_directory = entry.kind() == EntryKind::Directory;
                let picked = selection.pick(parent.picked, path.relative(entry.path), is_directory);
                if is_directory {
                    let directory = with_entry(&entry, restore, |meta| {
                        pass.directory(own, &entry, parent, picked, meta)
                    })?;
                    check.add_directory(entry.path, directory);
                    plan.entry(&entry, all)?;
                    continue;
                }
                let is_written = picked.is_selected() && {
                    pass.counted.count(&entry);
                    pass.is_written(own, ordinal, &entry, parent, restore)?
                };
                plan.entry(&entry, is_written)?;
            }
            first += segment.entry_count() as u64;
            planner.end(plan, listed.plain.clone(), &sources.data, all, &mut |_, _| {})?;
            progress.fetched_bytes.store(planner.fetched_bytes(), Ordering::Relaxed);
        }
        check.finish(&mut |_, _| Ok(()))?;
        planner.flush()?;
        pass.counted.fetched_bytes = planner.fetched_bytes();
        Ok(check.into_links())
    }
}

/// What the planner of a tree keeps.
struct Pass<'p> {
    tree: &'p Tree,
    surveyed: Option<&'p Surveyed>,
    needed: Option<Vec<bool>>,
    options: &'p PullOptions,
    /// The path in the snapshot of what is pulled.
    top: &'p [u8],
    selection: &'p Selection,
    next_directory: u32,
    links: LinkList,
    counted: WrittenTree,
}

impl Pass<'_> {
    /// Makes a directory, if it is needed.
    fn directory(
        &mut self,
        own: &mut Worker<'_>,
        entry: &EntryRef<'_>,
        parent: Dir,
        picked: Picked,
        meta: &crate::destination::Meta<'_>,
    ) -> Result<Dir> {
        let number = self.next_directory;
        self.next_directory += 1;
        let id = match self.surveyed {
            Some(surveyed) => surveyed.directories[number as usize],
            None => self.tree.add_directory(parent.id, parent_and_name(entry.path).1, meta)?,
        };
        if self.needed.as_ref().is_none_or(|needed| needed[number as usize]) {
            own.make_directory(id, meta.xattrs)?;
            self.counted.count(entry);
        }
        Ok(Dir { id, number, picked })
    }

    /// Whether a selected entry is to be unpacked; a hard link is noted, and what only has other attributes gets them.
    fn is_written(
        &mut self,
        own: &mut Worker<'_>,
        ordinal: u64,
        entry: &EntryRef<'_>,
        parent: Dir,
        restore: super::Restore,
    ) -> Result<bool> {
        let name = parent_and_name(entry.path).1;
        let decision = self.surveyed.map_or(Decision::Create, |surveyed| surveyed.decision(ordinal));
        if let Body::HardLink { target } = entry.body {
            let pulled = pulled_path(self.top, self.selection, target);
            let find = |path: &[u8]| self.tree.find(path);
            self.links.push(find, (ordinal, parent.id), entry, target, pulled)?;
            // Its header is compared even so, unless it was there already.
            return Ok(self.surveyed.is_none());
        }
        match decision {
            Decision::Create | Decision::Replace => Ok(true),
            Decision::Keep => Ok(false),
            Decision::Skip => {
                self.counted.skipped_devices += u64::from(!self.options.devices);
                Ok(false)
            }
            Decision::Fix => {
                let kind = wanted_kind(&entry.body, parent.id);
                with_entry(entry, restore, |meta| own.fix(parent.id, &Wanted { name, kind, meta: *meta }))?;
                Ok(false)
            }
        }
    }
}

impl WrittenTree {
    /// Whether there is nothing below the top.
    pub(super) fn is_empty(&self) -> bool {
        self.entries == self.skipped_devices
    }

    /// What a survey counted.
    fn of_survey(surveyed: &Surveyed) -> Self {
        Self {
            entries: surveyed.entries,
            files_in_all: surveyed.files,
            file_bytes: surveyed.file_bytes,
            skipped_devices: surveyed.skipped_devices,
            ..Self::default()
        }
    }

    /// Counts the files that hard links are, which were counted as entries.
    fn add(&mut self, stand_ins: StandIns) {
        self.files_in_all += stand_ins.files;
        self.file_bytes += stand_ins.bytes;
    }

    fn count(&mut self, entry: &EntryRef<'_>) {
        self.entries += 1;
        if let Body::File { size, .. } = entry.body {
            self.files_in_all += 1;
            self.file_bytes += size;
        }
    }
}
