//! One thread that compares directories with what the snapshot has in them.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::Receiver;
use floe_format::{Meta, OwnedBody};

use super::super::cache::stat_of;
use super::super::group::{Group, Linked, Member};
use super::super::hashing::Hashing;
use super::super::left_out::LeftOut;
use super::super::options::PullProgress;
use super::super::own::OwnBelow;
use super::super::restore::{Restore, wanted_kind, with_entry};
use super::super::selection::Selection;
use super::super::stand_ins::OutsideLink;
use super::super::surveyed::{LinkedFile, PresentLink, Surveyed};
use super::Compared;
use crate::Result;
use crate::destination::{Survey, Verdict, Wanted, WantedKind, Worker};
use crate::offload::{Offloaded, OnPanic};
use crate::source::{CacheCursor, CacheHit, CacheSection, Child, Stat, is_trusted};

/// How it is known that a file is as the snapshot has it. A directory may have as many as there are.
#[derive(Clone, Debug)]
enum Known {
    /// The stat cache says so.
    Hit(CacheHit),
    /// It was read, and is what it was as long as the kernel says the same of it.
    Hashed(Box<Stat>),
}

/// One thread that compares.
pub(super) struct Surveyor<'a> {
    pub(super) worker: Worker<'a>,
    pub(super) restore: Restore,
    pub(super) selection: &'a Selection,
    /// What files that hard links are are known by.
    pub(super) paths: &'a RandomState,
    pub(super) own: &'a OwnBelow,
    pub(super) cursor: Option<CacheCursor>,
    pub(super) hashing: Hashing,
    /// Whether what is known of equal files is kept for the cache.
    pub(super) keeps: bool,
    pub(super) found: Surveyed,
    pub(super) progress: &'a PullProgress,
    pub(super) work: &'a Offloaded,
    pub(super) compared: &'a Compared,
}

impl<'a> Surveyor<'a> {
    /// Compares the directories that it is given until there are no more; stops all else where that fails.
    pub(super) fn run(mut self, groups: Receiver<Group>) -> Result<Surveyed> {
        let (work, compared) = (self.work, self.compared);
        let _watch = OnPanic::new(|| work.cancel.cancel());
        let mut outcome = Ok(());
        for group in groups {
            if outcome.is_ok() {
                outcome = compared
                    .wait(group.parent, work)
                    .and_then(|()| self.compare(&group))
                    .map(|()| compared.finish(group.directory));
                if outcome.is_err() {
                    work.cancel.cancel();
                }
            }
        }
        outcome.map(|()| self.found)
    }

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
            if !is_directory && matches!(verdict, Verdict::Replace | Verdict::Relink) {
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
