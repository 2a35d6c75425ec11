//! A tree in memory, written through a [`Tree`] and read back with nothing of it.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::super::*;

/// What an entry is, and a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    HardLink(Vec<Vec<u8>>),
    Fifo,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) node: Node,
    pub(super) mode: u32,
    pub(super) mtime: Mtime,
}

impl Entry {
    fn meta(&self) -> Meta<'static> {
        Meta { mode: self.mode, mtime: Some(self.mtime), owner: None, recorded_owner: None, xattrs: None }
    }
}

/// Entries by components of their path; the root is the empty one.
pub(super) type Model = BTreeMap<Vec<Vec<u8>>, Entry>;

/// What is in one directory: names and entries.
type Children = Vec<(Vec<u8>, Entry)>;

/// The children of each directory, directories in the snapshot's order.
fn by_directory(model: &Model) -> Vec<(Vec<Vec<u8>>, Children)> {
    let mut directories: BTreeMap<Vec<Vec<u8>>, Children> = BTreeMap::new();
    for (path, entry) in model {
        if entry.node == Node::Directory {
            directories.entry(path.clone()).or_default();
        }
        if let Some((name, parent)) = path.split_last() {
            let children = directories.entry(parent.to_vec()).or_default();
            children.push((name.clone(), entry.clone()));
        }
    }
    directories.into_iter().collect()
}

fn add_directories(tree: &Tree, model: &Model) -> HashMap<Vec<Vec<u8>>, DirId> {
    let mut ids = HashMap::from([(Vec::new(), DirId::ROOT)]);
    for (parent, children) in by_directory(model) {
        for (name, entry) in children {
            if entry.node == Node::Directory {
                let id = tree.add_directory(ids[&parent], &name, &entry.meta()).unwrap();
                let mut path = parent.clone();
                path.push(name);
                assert_eq!(tree.find(&path.join(&b'/')), Some(id));
                ids.insert(path, id);
            }
        }
    }
    ids
}

fn write_entry(worker: &mut Worker<'_>, id: DirId, name: &[u8], entry: &Entry) {
    let meta = entry.meta();
    let stat = match &entry.node {
        Node::File(content) if content.len() <= 4096 => {
            let (a, b) = content.split_at(content.len() / 3);
            worker.write_small_file(id, name, &meta, &[a, b]).unwrap()
        }
        Node::File(content) => {
            let file = worker.create_file(id, name, &meta, content.len() as u64).unwrap();
            for (number, part) in content.chunks(50_001).enumerate() {
                file.write_at(number as u64 * 50_001, part).unwrap();
            }
            worker.finish_file(file, &meta).unwrap()
        }
        Node::Symlink(target) => worker.symlink(id, name, target, &meta).unwrap(),
        Node::Fifo => worker.fifo(id, name, &meta).unwrap(),
        Node::Directory | Node::HardLink(_) => return,
    };
    let stat = stat.unwrap();
    assert_eq!(stat.mtime, entry.mtime);
}

fn write_links(worker: &mut Worker<'_>, model: &Model, ids: &HashMap<Vec<Vec<u8>>, DirId>) {
    for (path, entry) in model {
        if let (Node::HardLink(target), Some((name, parent))) = (&entry.node, path.split_last()) {
            let (target_name, target_parent) = target.split_last().unwrap();
            worker.hard_link(ids[parent], name, ids[target_parent], target_name).unwrap();
        }
    }
}

pub(super) fn write_fresh(model: &Model, dest: &Path, settings: Settings) {
    let staging = Staging::create(dest, settings).unwrap();
    let tree = staging.tree();
    let ids = add_directories(tree, model);
    let mut worker = tree.worker();
    let directories = by_directory(model);
    let mut in_order: Vec<_> = ids.values().copied().collect();
    in_order.sort();
    for &id in &in_order {
        worker.make_directory(id, None).unwrap();
    }
    for (parent, children) in &directories {
        for (name, entry) in children {
            write_entry(&mut worker, ids[parent], name, entry);
        }
    }
    write_links(&mut worker, model, &ids);
    worker.finish(Some(&model[&vec![]].meta())).unwrap();
    drop(worker);
    staging.commit(false).unwrap();
}

/// Pulls over what is there; returns how many entries were written or fixed.
pub(super) fn write_over(model: &Model, dest: &Path, settings: Settings) -> usize {
    let over = InPlace::open(dest, settings.clone()).unwrap();
    let tree = over.tree();
    let ids = add_directories(tree, model);
    let mut worker = tree.worker();
    let directories = by_directory(model);
    let mut surveys = Vec::new();
    for (parent, children) in &directories {
        let mut wanted = Vec::new();
        for (name, entry) in children {
            let mut path = parent.clone();
            path.push(name.clone());
            wanted.push(Wanted {
                name,
                kind: match &entry.node {
                    Node::Directory => WantedKind::Directory(ids[&path]),
                    Node::File(content) => WantedKind::File(content.len() as u64),
                    Node::Symlink(target) => WantedKind::Symlink(target),
                    Node::HardLink(_) => WantedKind::HardLink,
                    Node::Fifo => WantedKind::Fifo,
                },
                meta: entry.meta(),
            });
        }
        let survey = worker.survey(ids[parent], wanted.iter().copied(), &mut |number, file| {
            let mut bytes = Vec::new();
            file.open()?.read_to_end(&mut bytes).unwrap();
            Ok(children[number].1.node == Node::File(bytes))
        });
        surveys.push((parent, wanted, survey.unwrap()));
    }
    let mut in_order: Vec<_> = ids.values().copied().collect();
    in_order.sort();
    for &id in &in_order {
        worker.make_directory(id, None).unwrap();
    }
    let mut changed = 0;
    for ((parent, wanted, survey), (_, children)) in surveys.iter().zip(&directories) {
        let id = ids[*parent];
        for stale in &survey.stale {
            worker.remove(id, stale).unwrap();
        }
        for ((verdict, wanted), (name, entry)) in survey.verdicts.iter().zip(wanted).zip(children) {
            match verdict {
                Verdict::Keep | Verdict::Skip | Verdict::Link | Verdict::Relink => continue,
                Verdict::Fix => {
                    worker.fix(id, wanted).unwrap();
                }
                Verdict::Create | Verdict::Replace => write_entry(&mut worker, id, name, entry),
            }
            changed += 1;
        }
    }
    write_links(&mut worker, model, &ids);
    if settings.delete {
        for (parent, _, survey) in &surveys {
            for extra in &survey.extra {
                worker.remove(ids[*parent], extra).unwrap();
            }
        }
    }
    worker.finish(Some(&model[&vec![]].meta())).unwrap();
    changed
}

/// Reads a tree with the standard library alone. Hard links name the first of their file in the snapshot's order.
pub(super) fn read_back(dest: &Path) -> Model {
    let mut model = Model::new();
    let mut first_names = HashMap::new();
    let mut pending = vec![Vec::new()];
    model.insert(Vec::new(), entry_of(dest, Node::Directory));
    while let Some(at) = pending.pop() {
        let path_of = |components: &[Vec<u8>]| {
            let mut path = dest.to_owned();
            path.extend(components.iter().map(|c| std::ffi::OsStr::from_bytes(c)));
            path
        };
        let mut names: Vec<_> =
            fs::read_dir(path_of(&at)).unwrap().map(|e| e.unwrap().file_name().as_bytes().to_vec()).collect();
        names.sort();
        let mut below = Vec::new();
        for name in names {
            let mut components = at.clone();
            components.push(name);
            let path = path_of(&components);
            let stat = fs::symlink_metadata(&path).unwrap();
            let kind = stat.file_type();
            let node = if kind.is_dir() {
                below.push(components.clone());
                Node::Directory
            } else if kind.is_symlink() {
                Node::Symlink(fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec())
            } else if kind.is_fifo() {
                Node::Fifo
            } else {
                match first_names.get(&stat.ino()) {
                    Some(first) => Node::HardLink(Clone::clone(first)),
                    None => {
                        first_names.insert(stat.ino(), components.clone());
                        Node::File(fs::read(&path).unwrap())
                    }
                }
            };
            model.insert(components, entry_of(&path, node));
        }
        pending.extend(below.into_iter().rev());
    }
    model
}

fn entry_of(path: &Path, node: Node) -> Entry {
    let stat = fs::symlink_metadata(path).unwrap();
    Entry {
        mode: if matches!(node, Node::Symlink(_)) { 0o777 } else { stat.mode() & 0o7777 },
        mtime: Mtime { seconds: stat.mtime(), nanoseconds: u32::try_from(stat.mtime_nsec()).unwrap() },
        node,
    }
}
