//! Power loss under the local store: its log of changes is replayed with every legal loss of what was not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use floe_core::store::local::{DiskOp, DiskWatch};
use floe_core::store::{KeyPrefix, LocalStore, Part, PutMode, Store, list_all};
use floe_testkit::bytes_of;

use super::key;

const TEMP: &str = "store/.tmp";

/// A change, with paths below the store's parent directory.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Create(PathBuf),
    Write(PathBuf, u64, Vec<u8>),
    SyncFile(PathBuf),
    Rename(PathBuf, PathBuf),
    Unlink(PathBuf),
    MakeDir(PathBuf),
    SyncDir(PathBuf),
    /// A request was answered: from now on this is promised, `None` for an object that is gone.
    Promise(&'static str, Option<Bytes>),
    /// A request begins that may leave the object so, or as promised before.
    Attempt(&'static str, Option<Bytes>),
}

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) base: PathBuf,
    pub(crate) changes: Mutex<Vec<Change>>,
}

impl Log {
    fn push(&self, change: Change) {
        self.changes.lock().unwrap().push(change);
    }
}

impl DiskWatch for Log {
    fn before(&self, op: DiskOp<'_>) -> io::Result<()> {
        let below = |path: &Path| path.strip_prefix(&self.base).unwrap_or(Path::new("")).to_owned();
        self.push(match op {
            DiskOp::Create(path) => Change::Create(below(path)),
            DiskOp::Write { path, offset_bytes, body } => {
                Change::Write(below(path), offset_bytes, body.to_vec())
            }
            DiskOp::SyncFile(path) => Change::SyncFile(below(path)),
            DiskOp::Rename { from, to } | DiskOp::RenameNew { from, to } => {
                Change::Rename(below(from), below(to))
            }
            DiskOp::Unlink(path) => Change::Unlink(below(path)),
            DiskOp::MakeDir(path) => Change::MakeDir(below(path)),
            DiskOp::SyncDir(path) => Change::SyncDir(below(path)),
            other => panic!("a change that the model does not know: {other:?}"),
        });
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    File(usize),
    Dir,
}

/// Everything on a disk: directories are `None`, files have content.
pub(crate) type Disk = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// One pending change of a directory: a name that comes to mean something, or nothing.
type Pending = (PathBuf, Option<Node>);

/// What a disk holds for certain, and what it may or may not hold.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// The running system's view.
    seen: BTreeMap<PathBuf, Node>,
    /// Entries that are synced.
    durable: BTreeMap<PathBuf, Node>,
    pending: Vec<Pending>,
    written: Vec<Vec<u8>>,
    synced: Vec<Vec<u8>>,
    promises: BTreeMap<&'static str, Option<Bytes>>,
    attempt: Option<(&'static str, Option<Bytes>)>,
}

impl Model {
    fn set(&mut self, path: &Path, node: Option<Node>) {
        match node {
            Some(node) => self.seen.insert(path.to_owned(), node),
            None => self.seen.remove(path),
        };
        // Nothing relies on a name of a temporary file, so all losses of one are alike.
        if !path.starts_with(TEMP) {
            self.pending.push((path.to_owned(), node));
        }
    }

    fn file(&self, path: &Path) -> usize {
        match self.seen.get(path) {
            Some(Node::File(file)) => *file,
            other => panic!("{} is {other:?}", path.display()),
        }
    }

    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Create(path) => {
                if !self.seen.contains_key(path) {
                    self.set(path, Some(Node::File(self.written.len())));
                    self.written.push(Vec::new());
                    self.synced.push(Vec::new());
                }
            }
            Change::Write(path, offset, body) => {
                let file = self.file(path);
                let (written, offset) = (&mut self.written[file], *offset as usize);
                written.resize(written.len().max(offset + body.len()), 0);
                written[offset..offset + body.len()].copy_from_slice(body);
            }
            Change::SyncFile(path) => {
                let file = self.file(path);
                self.synced[file] = self.written[file].clone();
            }
            Change::Rename(from, to) => {
                let node = self.seen[from];
                self.set(to, Some(node));
                self.set(from, None);
            }
            Change::Unlink(path) => self.set(path, None),
            Change::MakeDir(path) => self.set(path, Some(Node::Dir)),
            Change::SyncDir(dir) => {
                let (synced, pending) =
                    self.pending.drain(..).partition(|(path, _)| path.parent() == Some(dir));
                self.pending = pending;
                let synced: Vec<Pending> = synced;
                apply(&mut self.durable, &synced);
            }
            Change::Promise(name, body) => {
                self.promises.insert(name, body.clone());
                self.attempt = None;
            }
            Change::Attempt(name, body) => self.attempt = Some((name, body.clone())),
        }
    }

    /// Every disk that a power loss at this moment may leave: each change of a directory kept or lost, and each
    /// content, by itself, as synced, as written, or torn.
    pub(crate) fn disks(&self) -> BTreeSet<Disk> {
        assert!(self.pending.len() <= 12, "too many to try: {:?}", self.pending);
        let mut disks = BTreeSet::new();
        for kept in 0..1_u32 << self.pending.len() {
            let kept: Vec<Pending> = (0..)
                .zip(&self.pending)
                .filter(|(n, _)| kept >> n & 1 == 1)
                .map(|(_, p)| p.clone())
                .collect();
            let mut entries = self.durable.clone();
            apply(&mut entries, &kept);
            // An entry in a directory that is lost is lost with it.
            let reachable = |path: &Path| {
                path.ancestors()
                    .skip(1)
                    .all(|dir| dir == Path::new("") || entries.get(dir) == Some(&Node::Dir))
            };
            // Each torn by itself: that one was written says nothing of another.
            let torn: BTreeSet<usize> = entries
                .iter()
                .filter(|(path, _)| reachable(path))
                .filter_map(|(_, node)| if let Node::File(file) = node { Some(*file) } else { None })
                .filter(|&file| self.synced[file] != self.written[file])
                .collect();
            assert!(torn.len() <= 5, "too many to try: {torn:?}");
            for tear in 0..3_usize.pow(torn.len() as u32) {
                let content = |file: usize| {
                    let (synced, written) = (&self.synced[file], &self.written[file]);
                    let number = torn.range(..file).count() as u32;
                    match tear / 3_usize.pow(number) % 3 {
                        0 => synced.clone(),
                        1 => written.clone(),
                        _ => written[..written.len() / 2].to_vec(),
                    }
                };
                disks.insert(
                    entries
                        .iter()
                        .filter(|(path, _)| reachable(path))
                        .map(|(path, node)| match node {
                            Node::Dir => (path.clone(), None),
                            Node::File(file) => (path.clone(), Some(content(*file))),
                        })
                        .collect(),
                );
            }
        }
        disks
    }
}

fn apply(entries: &mut BTreeMap<PathBuf, Node>, changes: &[Pending]) {
    for (path, node) in changes {
        match node {
            Some(node) => entries.insert(path.clone(), *node),
            None => entries.remove(path),
        };
    }
}

/// Does all that a push does, on a store that does not exist yet.
async fn scenario(store: &LocalStore, log: &Log) {
    let put = async |name: &'static str, body: &'static str, mode: PutMode| {
        let body = Bytes::from_static(body.as_bytes());
        log.push(Change::Attempt(name, Some(body.clone())));
        let version = store.put(&key(name), body.clone(), mode).await.unwrap();
        log.push(Change::Promise(name, Some(body)));
        version
    };
    let lease = put("ns/leases/1", "lease", PutMode::Create).await;
    put("ns/packs/1", "pack", PutMode::Overwrite).await;
    // An upload in parts, which come out of order.
    let (body, pack) = (bytes_of(1, 10), key("ns/packs/2"));
    log.push(Change::Attempt("ns/packs/2", Some(body.clone())));
    let id = store.start_parts(&pack).await.unwrap();
    for (index, range) in [(1, 7..10), (0, 0..7)] {
        let part = Part { index, offset_bytes: range.start as u64 };
        store.put_part(&pack, &id, part, body.slice(range)).await.unwrap();
    }
    store.finish_parts(&pack, &id, Vec::new()).await.unwrap();
    log.push(Change::Promise("ns/packs/2", Some(body)));
    put("ns/snapshots/s/1", "snapshot", PutMode::Create).await;
    put("ns/leases/1", "committing", PutMode::Swap(lease)).await;
    let version = put("ns/refs/main", "one", PutMode::Create).await;
    put("ns/refs/main", "two", PutMode::Swap(version)).await;
    log.push(Change::Attempt("ns/leases/1", None));
    store.delete(&key("ns/leases/1")).await.unwrap();
    log.push(Change::Promise("ns/leases/1", None));
}

/// Lays a disk out in a directory.
pub(crate) fn lay_out(disk: &Disk) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in disk {
        match content {
            None => fs::create_dir(dir.path().join(path)).unwrap(),
            Some(content) => {
                fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
                fs::write(dir.path().join(path), content).unwrap();
            }
        }
    }
    dir
}

/// What a disk shows of the store, through the store.
async fn objects(disk: &Disk) -> BTreeMap<String, Bytes> {
    let dir = lay_out(disk);
    let store = LocalStore::new(dir.path().join("store")).unwrap();
    let mut objects = BTreeMap::new();
    for entry in list_all(&store, &KeyPrefix::default(), 100).await.unwrap() {
        objects.insert(entry.key.to_string(), store.get(&entry.key, 1 << 30).await.unwrap().0);
    }
    objects
}

/// i10: what was answered survives power loss, and nothing is ever seen torn.
#[tokio::test]
async fn i10_what_was_answered_survives_power_loss() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().to_owned();
    let log = Arc::new(Log { base: base.clone(), changes: Mutex::default() });
    let store = LocalStore::watched(base.join("store"), log.clone()).unwrap();
    scenario(&store, &log).await;

    let changes = log.changes.lock().unwrap().clone();
    let mut model = Model::default();
    let mut tried = BTreeMap::new();
    let mut crashes = 0;
    for (at, change) in changes.iter().enumerate() {
        model.apply(change);
        for disk in model.disks() {
            let found = match tried.get(&disk) {
                Some(found) => Clone::clone(found),
                None => {
                    let found = objects(&disk).await;
                    tried.insert(disk, found.clone());
                    found
                }
            };
            crashes += 1;
            let mut names: BTreeSet<&str> = found.keys().map(String::as_str).collect();
            names.extend(model.promises.keys());
            for name in names {
                let promised = model.promises.get(name).cloned().flatten();
                let attempted = model.attempt.as_ref().filter(|(attempted, _)| *attempted == name);
                let shown = found.get(name);
                let legal =
                    shown == promised.as_ref() || attempted.is_some_and(|(_, body)| shown == body.as_ref());
                assert!(legal, "power lost after change {at} of {}: `{name}` is wrong", changes.len());
            }
        }
    }
    assert!(crashes > 100, "{crashes} crashes were tried");
    assert_eq!(objects(&model.disks().into_iter().next().unwrap()).await.len(), 4);
}
