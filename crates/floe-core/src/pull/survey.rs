//! Comparing an existing directory with the snapshot, before anything is written.
//!
//! One thread goes through the segments and collects the entries of each directory; others compare. A directory waits until
//! the one it is in was compared; since they are taken in order, there is always one that need not wait.

mod extras;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use floe_format::{Body, EntryKind, Meta, OwnedBody, Segment, parent_and_name};

use crate::destination::{DirId, Survey, Tree, Verdict, Wanted, WantedKind, Worker};
use crate::offload::{Offloaded, OnPanic, cancelled, spawn};
use crate::reader::{SegmentWalk, TreeCheck};
use crate::source::{CacheCursor, CacheHit, CacheSection, Child, Stat, StatCache, is_trusted};
use crate::{Error, ErrorKind, Result};

use super::Pull;
use super::cache::{open_cache, stat_of};
use super::group::{Group, Linked, Member};
use super::hashing::Hashing;
use super::left_out::LeftOut;
use super::options::PullProgress;
use super::own::OwnBelow;
use super::restore::{Restore, wanted_kind, with_entry};
use super::selection::Selection;
use super::stand_ins::{OutsideLink, interned, pulled_path};
use super::surveyed::{LinkedFile, PresentLink, Surveyed};
use super::tree::Dir;

/// How it is known that a file is as the snapshot has it. A directory may have as many as there are.
#[derive(Clone, Debug)]
enum Known {
    /// The stat cache says so.
    Hit(CacheHit),
    /// It was read, and is what it was as long as the kernel says the same of it.
    Hashed(Box<Stat>),
}

/// Which directories were compared.
#[derive(Default)]
struct Compared {
    done: Mutex<HashSet<DirId>>,
    changed: Condvar,
    /// The paths of directories as the destination lists them, of those that it has under other spellings or in such: asked
    /// only where something is left out.
    listed: Mutex<HashMap<DirId, Vec<u8>>>,
}

impl Compared {
    fn wait(&self, parent: Option<DirId>, work: &Offloaded) -> Result<()> {
        let Some(parent) = parent else { return Ok(()) };
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        while !done.contains(&parent) {
            work.check()?;
            let patience = std::time::Duration::from_millis(50);
            done = self.changed.wait_timeout(done, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    fn listed(&self, directory: DirId) -> Option<Vec<u8>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).get(&directory).cloned()
    }

    fn note_listed(&self, directory: DirId, path: Vec<u8>) {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).insert(directory, path);
    }

    fn finish(&self, directory: DirId) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(directory);
        self.changed.notify_all();
    }
}

impl Pull {
    /// Compares all directories with the snapshot's.
    pub(super) fn survey(&mut self, tree: &Tree, destination: &Path) -> Result<Surveyed> {
        let needed = self.needed_directories()?;
        let cache = self.options.cache_dir.as_ref().and_then(|caches| open_cache(caches, destination));
        let work = Offloaded { runtime: self.work.runtime.clone(), cancel: self.work.cancel.child_token() };
        let (restore, by_hash, threads) = (self.restore(), self.options.by_hash, self.threads);
        let selection = self.selection.clone();
        let own = OwnBelow::find(destination, &self.options.own);
        let caches = self.options.cache_dir.clone();
        let (compared, paths) = (Compared::default(), RandomState::new());
        let progress = Arc::clone(&self.progress);
        let (sender, receiver) = crossbeam_channel::bounded::<Group>(64);
        let (listed, found) = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.max(1))
                .map(|_| {
                    let (receiver, cache, compared) = (receiver.clone(), cache.as_ref(), &compared);
                    let (selection, paths, own, work) = (&selection, &paths, &own, &work);
                    let (caches, progress) = (caches.as_deref(), &*progress);
                    spawn(scope, move || {
                        let _watch = OnPanic::new(|| work.cancel.cancel());
                        let mut surveyor = Surveyor {
                            worker: tree.worker(),
                            restore,
                            selection,
                            paths,
                            own,
                            cursor: cache.filter(|_| !by_hash).map(StatCache::cursor),
                            hashing: Hashing::default(),
                            keeps: cache.is_some(),
                            found: Surveyed::keeping_in(caches),
                            progress,
                            work,
                            compared,
                        };
                        let mut outcome = Ok(());
                        for group in receiver {
                            if outcome.is_ok() {
                                outcome = compared
                                    .wait(group.parent, work)
                                    .and_then(|()| surveyor.compare(&group))
                                    .map(|()| compared.finish(group.directory));
                                if outcome.is_err() {
                                    work.cancel.cancel();
                                }
                            }
                        }
                        outcome.map(|()| surveyor.found)
                    })
                })
                .collect();
            drop(receiver);
            if workers.iter().any(Result::is_err) {
                work.cancel.cancel();
            }
            let listed = self.list_groups(tree, needed.as_deref(), &paths, &work, &sender);
            if listed.is_err() {
                work.cancel.cancel();
            }
            drop(sender);
            let found: Vec<_> = workers
                .into_iter()
                .map(|worker| {
                    let panicked =
                        |_| Err(Error::new(ErrorKind::Internal, "a thread that compares panicked"));
                    worker.and_then(|worker| worker.join().unwrap_or_else(panicked))
                })
                .collect();
            (listed, found)
        });
        let mut surveyed = Surveyed::default();
        let mut stopped = None;
        for found in found {
            match found {
                Ok(found) => surveyed.add(found),
                // What the others report is that they stopped.
                Err(error) if error.kind() == ErrorKind::Cancelled => stopped = Some(error),
                Err(error) => return Err(error),
            }
        }
        let directories = listed?;
        if let Some(error) = stopped {
            return Err(error);
        }
        surveyed.keep_links();
        self.survey_stand_ins(tree, &mut surveyed)?;
        let worker = tree.worker();
        let root_differs = self.top.with_meta(self.restore(), |meta| worker.root_differs(meta))?;
        surveyed.changes += u64::from(root_differs);
        surveyed.directories = directories;
        surveyed.needed = needed;
        surveyed.cache = cache;
        Ok(surveyed)
    }

    /// Sends the entries of each directory to be compared; returns the ids of the directories.
    fn list_groups(
        &mut self,
        tree: &Tree,
        needed: Option<&[bool]>,
        paths: &RandomState,
        work: &Offloaded,
        groups: &crossbeam_channel::Sender<Group>,
    ) -> Result<Vec<DirId>> {
        let top = self.top_dir();
        let restore = self.restore();
        let Self { snapshot, sources, span, top: above, selection, .. } = self;
        let mut directories = vec![DirId::ROOT];
        let mut parents = vec![None];
        let mut walk = SegmentWalk::new(snapshot, span.clone());
        let mut check = TreeCheck::new(snapshot.root(), span, top);
        let send = |group: &mut Option<(Group, u32)>| match group.take() {
            Some((group, number)) if needed.is_none_or(|needed| needed[number as usize]) => {
                groups.send(group).map_err(|_| cancelled())
            }
            _ => Ok(()),
        };
        let group = |path: &[u8], directory: Dir, parents: &[Option<DirId>]| {
            let path = if directory.number == 0 { Vec::new() } else { above.relative(path).to_vec() };
            Group::new(directory.id, parents[directory.number as usize], directory.picked, path)
        };
        let mut outside: HashSet<Arc<[u8]>> = HashSet::new();
        let mut current = Some((group(b"", top, &parents), 0));
        let mut first = 0;
        while let Some(listed) = work.wait(walk.next(&mut sources.metadata))? {
            work.check()?;
            let segment = Segment::parse(&listed.plain)
                .map_err(|e| Error::from(e).in_object(format_args!("segment {}", listed.item.id)))?;
            check.segment(&listed, &segment)?;
            let mut entries = segment.entries();
            for ordinal in first.. {
                let Some(entry) = entries.next()? else { break };
                let place = span.place(entry.path);
                if place.is_ne() {
                    if place.is_lt() {
                        check.pass_over(entry.path);
                    }
                    continue;
                }
                // Each is sent as it is told of: of many, no paths are kept.
                let parent = check.entry(&entry, &mut |path, directory: Dir| {
                    send(&mut current)?;
                    send(&mut Some((group(path, directory, &parents), directory.number)))
                })?;
                if current.as_ref().is_none_or(|(_, number)| *number != parent.number) {
                    send(&mut current)?;
                }
                let path = parent_and_name(entry.path).0;
                let (current, _) =
                    current.get_or_insert_with(|| (group(path, parent, &parents), parent.number));
                let is_directory = entry.kind() == EntryKind::Directory;
                let picked = selection.pick(parent.picked, above.relative(entry.path), is_directory);
                let mut id = parent.id;
                let mut wanted = picked.is_selected();
                if is_directory {
                    let name = parent_and_name(entry.path).1;
                    id = with_entry(&entry, restore, |meta| tree.add_directory(parent.id, name, meta))?;
                    let number = u32::try_from(directories.len()).unwrap_or(u32::MAX);
                    directories.push(id);
                    parents.push(Some(parent.id));
                    check.add_directory(entry.path, Dir { id, number, picked });
                    wanted = needed.is_none_or(|needed| needed[number as usize]);
                }
                if wanted {
                    if let Body::HardLink { target } = entry.body {
                        let linked = match pulled_path(&above.path, selection, target) {
                            Some(path) => Linked::Pulled(paths.hash_one(path)),
                            None => Linked::Outside(interned(&mut outside, target)),
                        };
                        current.links.push((current.entries.len(), linked));
                    }
                    current.push(ordinal, &entry, id);
                } else {
                    current.unselected.push(parent_and_name(entry.path).1.into());
                }
            }
            first += segment.entry_count() as u64;
        }
        check.finish(&mut |path, directory: Dir| {
            send(&mut current)?;
            send(&mut Some((group(path, directory, &parents), directory.number)))
        })?;
        send(&mut current)?;
        Ok(directories)
    }
}

/// One thread that compares.
struct Surveyor<'a> {
    worker: Worker<'a>,
    restore: Restore,
    selection: &'a Selection,
    /// What files that hard links are are known by.
    paths: &'a RandomState,
    own: &'a OwnBelow,
    cursor: Option<CacheCursor>,
    hashing: Hashing,
    /// Whether what is known of equal files is kept for the cache.
    keeps: bool,
    found: Surveyed,
    progress: &'a PullProgress,
    work: &'a Offloaded,
    compared: &'a Compared,
}

impl<'a> Surveyor<'a> {
    fn left_out(&self, ignores_case: Option<bool>) -> LeftOut<'a> {
        let (selection, own, work) = (self.selection, self.own, self.work);
        LeftOut { selection, own, work, tree: self.worker.tree(), ignores_case }
    }

    fn compare(&mut self, group: &Group) -> Result<()> {
        self.work.check()?;
        let before = self.found.equal_files();
        let Self { worker, restore, cursor, hashing, found, work, .. } = self;
        let xattrs: Vec<Vec<_>> = if restore.xattrs {
            group.entries.iter().map(|member| member.entry().xattrs.iter().collect()).collect()
        } else {
            Vec::new()
        };
        let plain = Restore { xattrs: false, ..*restore };
        let wanted = group.entries.iter().enumerate().map(|(number, member)| {
            let entry = member.entry();
            let meta = with_entry(&entry, plain, |meta| meta.without_xattrs());
            let xattrs = xattrs.get(number).map(Vec::as_slice);
            let kind = match group.is_link_outside(number) {
                true => WantedKind::StandIn,
                false => wanted_kind(&member.body.as_body(), member.id),
            };
            Wanted { name: group.name(number), kind, meta: crate::destination::Meta { xattrs, ..meta } }
        });
        let mut equal = Vec::new();
        let survey = worker.survey(group.directory, wanted, &mut |number, file| {
            let stat = stat_of(file.stat());
            let child = Child { name: group.name(number), stat: &stat };
            let OwnedBody::File { hash: Some(hash), .. } = &group.entries[number].body else {
                return Ok(false);
            };
            if let Some(hit) = cursor.as_mut().and_then(|cursor| cursor.lookup(&group.path, &child)) {
                let is_equal = hit.hash == *hash.as_bytes();
                if is_equal && self.keeps {
                    equal.push((number, Known::Hit(hit)));
                }
                return Ok(is_equal);
            }
            let Some(began) = hashing.has_content(file, &stat, hash, work)? else { return Ok(false) };
            found.any_hashed = true;
            if self.keeps && is_trusted(&stat, began) {
                equal.push((number, Known::Hashed(Box::new(stat))));
            }
            Ok(true)
        })?;
        self.decide(group, &survey)?;
        self.note_links(group, &survey);
        self.keep(group, &survey, equal);
        let (files, bytes) = self.found.equal_files();
        self.progress.files.fetch_add(files - before.0, Ordering::Relaxed);
        self.progress.file_bytes.fetch_add(bytes - before.1, Ordering::Relaxed);
        self.progress.reused_file_bytes.fetch_add(bytes - before.1, Ordering::Relaxed);
        let left_out = self.left_out(survey.ignores_case);
        self.refuse_left_out(group, left_out, &survey)?;
        self.found.stale.extend(survey.stale.into_iter().map(|name| (group.directory, name)));
        for name in self.that_the_snapshot_lacks(group, survey.extra)? {
            self.note_extra(group, left_out, name)?;
        }
        Ok(())
    }

    /// Takes down what is to become of each entry.
    fn decide(&mut self, group: &Group, survey: &Survey) -> Result<()> {
        for (number, (member, verdict)) in group.entries.iter().zip(&survey.verdicts).enumerate() {
            let is_directory = matches!(member.body, OwnedBody::Directory);
            self.found.changes +=
                u64::from(is_directory && *verdict == Verdict::Keep && self.worker.differs(member.id));
            if !is_directory && matches!(verdict, Verdict::Replace | Verdict::Link) {
                self.own.refuse(&group.path_of(group.name(number)))?;
            }
            self.found.decide(member.ordinal, *verdict, &member.body.as_body());
        }
        Ok(())
    }

    /// Takes down what is there of hard links, and of the files that they may be links to.
    fn note_links(&mut self, group: &Group, survey: &Survey) {
        for (number, linked) in &group.links {
            let Member { ordinal, meta: Meta { mode, .. }, .. } = group.entries[*number];
            let there = survey.linked.binary_search_by_key(number, |(number, _)| *number);
            let is = there.ok().map(|at| survey.linked[at].1);
            match (linked, is) {
                (Linked::Outside(target), is) => self.found.outside.push(OutsideLink {
                    ordinal,
                    directory: group.directory,
                    name: group.name(*number).to_vec(),
                    target: Arc::clone(target),
                    mode,
                    is,
                }),
                (Linked::Pulled(file), Some(is)) => {
                    self.found.present_links.push(PresentLink {
                        ordinal,
                        directory: group.directory,
                        mode,
                        file: *file,
                        is,
                    });
                }
                (Linked::Pulled(_), None) => {}
            }
        }
        for &(number, is) in &survey.linked {
            let Member { ordinal, meta: Meta { mode, .. }, body, .. } = &group.entries[number];
            if let OwnedBody::File { .. } = body {
                let path = group.path_of(group.name(number));
                let file = LinkedFile { ordinal: *ordinal, mode: *mode, is };
                self.found.linked_files.insert(self.paths.hash_one(&path[..]), file);
            }
        }
    }

    /// Keeps for the cache what is known of files that stay as they are.
    fn keep(&mut self, group: &Group, survey: &Survey, equal: Vec<(usize, Known)>) {
        let mut section = CacheSection::default();
        for (number, how) in equal {
            // What gets other attributes has another time of change then.
            if survey.verdicts[number] != Verdict::Keep {
                continue;
            }
            let Member { ordinal, body, .. } = &group.entries[number];
            match (how, body) {
                (Known::Hit(hit), _) => section.push_known(*ordinal, &hit, &mut self.found.kept),
                (Known::Hashed(stat), OwnedBody::File { hash: Some(hash), .. }) => {
                    if section.is_full() {
                        self.found.kept.push(&mut section);
                    }
                    let child = Child { name: group.name(number), stat: &stat };
                    section.push_trusted(*ordinal, &group.path, &child, hash.as_bytes());
                }
                _ => {}
            }
        }
        self.found.kept.push(&mut section);
    }
}
