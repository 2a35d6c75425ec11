//! Going through the segments: the entries of each directory are collected and sent to be compared.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use floe_format::{Body, EntryKind, Segment, parent_and_name};

use super::super::Pull;
use super::super::group::{Group, Linked};
use super::super::restore::with_entry;
use super::super::stand_ins::{interned, pulled_path};
use super::super::tree::Dir;
use crate::destination::{DirId, Tree};
use crate::offload::{Offloaded, cancelled};
use crate::reader::{SegmentWalk, TreeCheck};
use crate::{Error, Result};

impl Pull {
    /// Sends the entries of each directory to be compared; returns the ids of the directories.
    pub(super) fn list_groups(
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
