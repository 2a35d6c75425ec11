//! Comparing an existing directory with the snapshot, before anything is written.
//!
//! One thread goes through the segments and collects the entries of each directory; others compare. A directory waits until
//! the one it is in was compared; since they are taken in order, there is always one that need not wait.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use floe_format::{Entry, EntryKind, EntryRef, OwnedBody, Segment, parent_and_name};

use crate::destination::{DirId, Tree, Verdict, Wanted, Worker};
use crate::offload::{Offloaded, cancelled};
use crate::reader::{SegmentWalk, TreeCheck, shown};
use crate::source::{CacheCursor, CacheHit, CacheSection, Child, HashClock, StatCache, is_trusted};
use crate::{Error, ErrorKind, Result};

use super::Pull;
use super::cache::{open_cache, stat_of};
use super::hashing::Hashing;
use super::own::OwnBelow;
use super::restore::{Restore, below, wanted_kind, with_entry};
use super::selection::{Picked, Selection};
use super::stand_ins::{OutsideLink, pulled_path};
use super::surveyed::{LinkedFile, PresentLink, Surveyed};
use super::tree::Dir;

/// How it is known that a file is as the snapshot has it.
#[derive(Clone, Copy, Debug)]
enum Known {
    /// The stat cache says so.
    Hit(CacheHit),
    /// It was read, beginning at this moment.
    Hashed(HashClock),
}

/// A directory and what the snapshot has in it.
struct Group {
    directory: DirId,
    /// Its directory; none for the top.
    parent: Option<DirId>,
    picked: Picked,
    /// Its path below the top.
    path: Vec<u8>,
    entries: Vec<Member>,
    /// The entries' names, one after the other.
    names: Vec<u8>,
}

struct Member {
    ordinal: u64,
    /// Where its name ends; it begins where the one before ends.
    name_end: usize,
    /// Its path is left out.
    entry: Entry,
    /// Of a directory.
    id: DirId,
}

impl Group {
    fn push(&mut self, ordinal: u64, entry: &EntryRef<'_>, id: DirId) {
        self.names.extend_from_slice(parent_and_name(entry.path).1);
        let entry = EntryRef { path: b"", ..*entry }.to_entry();
        self.entries.push(Member { ordinal, name_end: self.names.len(), entry, id });
    }

    /// The names of the entries, in their order.
    fn names(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.entries.iter().map(|member| member.name_end));
        starts.zip(&self.entries).map(|(start, member)| &self.names[start..member.name_end])
    }
}

/// Which directories were compared.
#[derive(Default)]
struct Compared {
    done: Mutex<HashSet<DirId>>,
    changed: Condvar,
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
        let (selection, top) = (self.selection.clone(), self.top.path.clone());
        let own = OwnBelow::find(destination, &self.options.own);
        let caches = self.options.cache_dir.clone();
        let compared = Compared::default();
        let (sender, receiver) = crossbeam_channel::bounded::<Group>(64);
        let (listed, found) = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.max(1))
                .map(|_| {
                    let (receiver, cache, compared) = (receiver.clone(), cache.as_ref(), &compared);
                    let (selection, top, own, work) = (&selection, &top, &own, &work);
                    let caches = caches.as_deref();
                    scope.spawn(move || {
                        let mut surveyor = Surveyor {
                            worker: tree.worker(),
                            restore,
                            selection,
                            top,
                            own,
                            cursor: cache.filter(|_| !by_hash).map(StatCache::cursor),
                            hashing: Hashing::default(),
                            keeps: cache.is_some(),
                            found: Surveyed::keeping_in(caches),
                            work,
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
            let listed = self.list_groups(tree, needed.as_deref(), &work, &sender);
            if listed.is_err() {
                work.cancel.cancel();
            }
            drop(sender);
            let found: Vec<_> = workers
                .into_iter()
                .map(|worker| {
                    let panicked =
                        |_| Err(Error::new(ErrorKind::Internal, "a thread that compares panicked"));
                    worker.join().unwrap_or_else(panicked)
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
        surveyed.keep_links(|target| below(&self.top.path, target).map(<[u8]>::to_vec));
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
        let send = |group: Group, number: u32| {
            if needed.is_some_and(|needed| !needed[number as usize]) {
                return Ok(());
            }
            groups.send(group).map_err(|_| cancelled())
        };
        let group = |path: &[u8], directory: Dir, parents: &[Option<DirId>]| Group {
            directory: directory.id,
            parent: parents[directory.number as usize],
            picked: directory.picked,
            path: if directory.number == 0 { Vec::new() } else { above.relative(path).to_vec() },
            entries: Vec::new(),
            names: Vec::new(),
        };
        let mut current = (group(b"", top, &parents), 0);
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
                let mut empty = Vec::new();
                let parent = check.entry(&entry, &mut |path, directory: Dir| {
                    empty.push((group(path, directory, &parents), directory.number));
                    Ok(())
                })?;
                if parent.number != current.1 {
                    let path = parent_and_name(entry.path).0;
                    let done =
                        std::mem::replace(&mut current, (group(path, parent, &parents), parent.number));
                    send(done.0, done.1)?;
                }
                for (group, number) in empty {
                    send(group, number)?;
                }
                let picked = selection.pick(parent.picked, above.relative(entry.path));
                let mut id = parent.id;
                let mut wanted = picked.is_selected();
                if entry.kind() == EntryKind::Directory {
                    let name = parent_and_name(entry.path).1;
                    id = with_entry(&entry, restore, |meta| tree.add_directory(parent.id, name, meta))?;
                    let number = u32::try_from(directories.len()).unwrap_or(u32::MAX);
                    directories.push(id);
                    parents.push(Some(parent.id));
                    check.add_directory(entry.path, Dir { id, number, picked });
                    wanted = needed.is_none_or(|needed| needed[number as usize]);
                }
                if wanted {
                    current.0.push(ordinal, &entry, id);
                }
            }
            first += segment.entry_count() as u64;
        }
        let mut empty = Vec::new();
        check.finish(&mut |path, directory: Dir| {
            empty.push((group(path, directory, &parents), directory.number));
            Ok(())
        })?;
        send(current.0, current.1)?;
        for (group, number) in empty {
            send(group, number)?;
        }
        Ok(directories)
    }
}

/// One thread that compares.
struct Surveyor<'a> {
    worker: Worker<'a>,
    restore: Restore,
    selection: &'a Selection,
    /// The path in the snapshot of what is pulled.
    top: &'a [u8],
    own: &'a OwnBelow,
    cursor: Option<CacheCursor>,
    hashing: Hashing,
    /// Whether what is known of equal files is kept for the cache.
    keeps: bool,
    found: Surveyed,
    work: &'a Offloaded,
}

impl Surveyor<'_> {
    fn compare(&mut self, group: &Group) -> Result<()> {
        self.work.check()?;
        let Self { worker, restore, cursor, hashing, found, work, .. } = self;
        // What a directory lists is collected first: a survey wants all of it at once.
        let xattrs: Vec<Vec<_>> =
            group
                .entries
                .iter()
                .map(|member| {
                    if restore.xattrs { member.entry.xattrs.as_xattrs().iter().collect() } else { Vec::new() }
                })
                .collect();
        let wanted: Vec<Wanted<'_>> = group
            .entries
            .iter()
            .zip(group.names())
            .zip(&xattrs)
            .map(|((member, name), xattrs)| {
                let entry = member.entry.as_entry();
                let plain = Restore { xattrs: false, ..*restore };
                let (mode, mtime, owner) =
                    with_entry(&entry, plain, |meta| (meta.mode, meta.mtime, meta.owner));
                let xattrs = restore.xattrs.then_some(xattrs.as_slice());
                Wanted {
                    name,
                    kind: wanted_kind(&member.entry.body.as_body(), member.id),
                    meta: crate::destination::Meta { mode, mtime, owner, xattrs },
                }
            })
            .collect();
        let (mut equal, mut section) = (Vec::new(), CacheSection::default());
        let survey = worker.survey(group.directory, &wanted, &mut |number, file| {
            let stat = stat_of(file.stat());
            let child = Child { name: wanted[number].name, stat: &stat };
            let OwnedBody::File { hash: Some(hash), .. } = &group.entries[number].entry.body else {
                return Ok(false);
            };
            let known = match cursor.as_mut().and_then(|cursor| cursor.lookup(&group.path, &child)) {
                Some(hit) => (hit.hash == *hash.as_bytes()).then_some(Known::Hit(hit)),
                None => hashing.has_content(file, stat.device, hash, work)?.map(Known::Hashed),
            };
            if let Some(how) = known {
                equal.push((number, stat, hash, how));
            }
            Ok(known.is_some())
        })?;
        for (number, (member, verdict)) in group.entries.iter().zip(&survey.verdicts).enumerate() {
            let is_directory = matches!(member.entry.body, OwnedBody::Directory);
            found.changes +=
                u64::from(is_directory && *verdict == Verdict::Keep && worker.differs(member.id));
            if !is_directory && matches!(verdict, Verdict::Replace | Verdict::Link) {
                refuse_own(self.own, &joined(&group.path, wanted[number].name))?;
            }
            found.decide(member.ordinal, *verdict, &member.entry.body.as_body());
        }
        for (number, member) in group.entries.iter().enumerate() {
            let Member { ordinal, entry, .. } = member;
            if let OwnedBody::HardLink { target } = &entry.body
                && pulled_path(self.top, self.selection, target).is_none()
            {
                let is = survey.linked.binary_search_by_key(&number, |(number, _)| *number);
                found.outside.push(OutsideLink {
                    ordinal: *ordinal,
                    directory: group.directory,
                    name: wanted[number].name.to_vec(),
                    target: target.clone(),
                    mode: entry.mode,
                    is: is.ok().map(|at| survey.linked[at].1),
                });
            }
        }
        for (number, is) in survey.linked {
            let Member { ordinal, entry, .. } = &group.entries[number];
            let (ordinal, mode) = (*ordinal, entry.mode);
            if let OwnedBody::HardLink { target } = &entry.body {
                found.present_links.push(PresentLink { ordinal, mode, target: target.clone(), is });
            } else {
                let path = joined(&group.path, wanted[number].name);
                found.linked_files.insert(path, LinkedFile { ordinal, mode, is });
            }
        }
        for (number, stat, hash, how) in equal {
            found.any_hashed |= matches!(how, Known::Hashed(_));
            // What gets other attributes has another time of change then.
            if !self.keeps
                || survey.verdicts[number] != Verdict::Keep
                || matches!(how, Known::Hashed(began) if !is_trusted(&stat, began))
            {
                continue;
            }
            let ordinal = group.entries[number].ordinal;
            match how {
                Known::Hit(hit) => section.push_known(ordinal, &hit, &mut found.kept),
                Known::Hashed(_) => {
                    if section.is_full() {
                        found.kept.push(&mut section);
                    }
                    let child = Child { name: wanted[number].name, stat: &stat };
                    section.push_trusted(ordinal, &group.path, &child, hash.as_bytes());
                }
            }
        }
        found.kept.push(&mut section);
        for name in survey.extra {
            let path = joined(&group.path, &name);
            if self.selection.pick_extra(group.picked, &path).is_selected() && !self.own.stands_at(&path) {
                found.extra.push((group.directory, name));
            }
        }
        found.stale.extend(survey.stale.into_iter().map(|name| (group.directory, name)));
        Ok(())
    }
}

/// Refuses to write something else where a directory of Floe's own stands, or one that it is in.
fn refuse_own(own: &OwnBelow, path: &[u8]) -> Result<()> {
    if !own.stands_at(path) {
        return Ok(());
    }
    let message = format!(
        "the snapshot has something else where the directory {} is, which the store or the caches are in",
        shown(path)
    );
    Err(Error::new(ErrorKind::Invalid, message))
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}
