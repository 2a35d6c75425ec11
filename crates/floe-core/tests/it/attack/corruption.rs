//! Every byte of a store that has every kind of object, corrupted: its lowest bit, its highest, or all of it.
//!
//! Whatever is done to one byte, either `verify` says so and names an object, or it does not matter: then every ref
//! still has the tree it had. In no case is another tree read.

mod specimen;
mod sys;

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use floe_core::store::Key;
use floe_core::{
    Ambient, ArchiveFormat, ArchiveOptions, Damage, Depth, ErrorKind, Namespace, NamespaceName, PullOptions,
    Reference, Result, Snapshot, SnapshotAt, VerifyOptions, archive, list, verify,
};
use floe_testkit::MemoryStore;

use self::specimen::specimen;
use self::sys::largest_allocation;
use super::{Tree, tree};
use crate::reading::pull_to;

/// What one generation of a ref has: its entries and its tar.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    entries: Vec<String>,
    tar: blake3::Hash,
}

/// A generation of a ref, or none: it is removed, or was never there.
type Generations = BTreeMap<(String, u64), Option<Content>>;

/// What one byte of an object, or its end, is made to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    FlipLow(usize),
    FlipHigh(usize),
    Zero(usize),
    Shortened,
    Lengthened,
    Removed,
}

impl Change {
    /// The object so changed; nothing where that is no change.
    fn of(self, body: &Bytes) -> Option<Option<Bytes>> {
        let with = |at: usize, change: fn(u8) -> u8| {
            let mut changed = body.to_vec();
            changed[at] = change(changed[at]);
            (changed != **body).then(|| Some(Bytes::from(changed)))
        };
        match self {
            Self::FlipLow(at) => with(at, |byte| byte ^ 1),
            Self::FlipHigh(at) => with(at, |byte| byte ^ 0x80),
            Self::Zero(at) => with(at, |_| 0),
            Self::Shortened => Some(Some(body.slice(..body.len() - 1))),
            Self::Lengthened => Some(Some(Bytes::from([body, &b"\0"[..]].concat()))),
            Self::Removed => Some(None),
        }
    }

    fn all(length: usize) -> impl Iterator<Item = Self> {
        let bytes = (0..length).flat_map(|at| [Self::FlipLow(at), Self::FlipHigh(at), Self::Zero(at)]);
        bytes.chain([Self::Shortened, Self::Lengthened, Self::Removed])
    }
}

/// The refs of the specimen; the last was removed.
const REFS: [&str; 3] = ["main", "deep", "gone"];

/// A sink that hashes.
#[derive(Clone, Default)]
struct Hashed(Arc<Mutex<blake3::Hasher>>);

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn open(store: &MemoryStore) -> Result<Namespace> {
    Namespace::open(Arc::new(store.clone()), NamespaceName::default(), Ambient::default()).await
}

async fn content(namespace: &Namespace, at: SnapshotAt) -> Result<Content> {
    let snapshot = Snapshot::open(namespace, at).await?;
    let mut entries = vec![format!("{:?} {:?}", snapshot.root().directory, snapshot.root().xattrs)];
    let mut each = |entry: &floe_format::EntryRef<'_>| {
        entries.push(format!("{entry:?}"));
        Ok(())
    };
    list(namespace, &snapshot, b"", Depth::Below, None, &mut each).await?;
    let hashed = Hashed::default();
    let (out, options) = (Box::new(hashed.clone()), ArchiveOptions::default());
    archive(namespace, &snapshot, ArchiveFormat::Tar, out, &options).await?;
    let tar = hashed.0.lock().unwrap().finalize();
    Ok(Content { entries, tar })
}

/// The snapshots that the refs and their histories name.
async fn generations(namespace: &Namespace) -> BTreeMap<(String, u64), Option<SnapshotAt>> {
    let mut found = BTreeMap::new();
    for name in REFS {
        let Ok(Some((record, _))) = namespace.read_ref(&super::name(name)).await else { continue };
        for past in std::iter::once(&record.current).chain(&record.history) {
            found.insert((name.to_owned(), past.generation), past.at());
        }
    }
    found
}

/// What each ref names, as it is read by name.
async fn by_name(store: &MemoryStore) -> BTreeMap<&'static str, Result<SnapshotAt>> {
    let mut found = BTreeMap::new();
    for name in REFS {
        let reference = Reference::Ref(super::name(name));
        let (namespace, ambient) = (NamespaceName::default(), Ambient::default());
        let opened = Namespace::open_at(Arc::new(store.clone()), namespace, ambient, &reference).await;
        found.insert(name, opened.map(|(_, resolved)| resolved.at));
    }
    found
}

struct Truth {
    store: MemoryStore,
    named: BTreeMap<&'static str, Result<SnapshotAt>>,
    contents: Generations,
    trees: BTreeMap<(String, u64), Tree>,
}

impl Truth {
    async fn of(store: MemoryStore) -> Self {
        let namespace = open(&store).await.unwrap();
        let (mut contents, mut trees) = (BTreeMap::new(), BTreeMap::new());
        for (generation, at) in generations(&namespace).await {
            let Some(at) = at else {
                contents.insert(generation, None);
                continue;
            };
            contents.insert(generation.clone(), Some(content(&namespace, at).await.unwrap()));
            let directory = tempfile::tempdir().unwrap();
            let destination = directory.path().join("tree");
            pull_to(&namespace, at, &destination, &keeping()).await.unwrap();
            trees.insert(generation, tree(&destination));
        }
        let named = by_name(&store).await;
        assert!(named["main"].is_ok() && named["deep"].is_ok());
        Self { store, named, contents, trees }
    }

    /// Changes an object, and looks at everything.
    async fn attack(&self, key: &Key, change: Change, body: Option<Bytes>, depth: Depths) -> Met {
        let told = format!("{key} {change:?}");
        let store = self.store.fork();
        store.set(key, body);
        for (name, found) in by_name(&store).await {
            match (found, &self.named[name]) {
                (Ok(found), Ok(truth)) => assert_eq!(found, *truth, "{told}: {name}"),
                (Ok(_), Err(_)) => panic!("{told}: {name} was removed"),
                (Err(error), Err(truth)) if error.kind() == truth.kind() => {}
                // A ref that is gone is told from none by nothing.
                (Err(error), _) if change == Change::Removed && error.kind() == ErrorKind::NotFound => {}
                (Err(error), _) => assert!(is_clear(&error, key, change), "{told}: {name}: {error}"),
            }
        }
        let namespace = match open(&store).await {
            Ok(namespace) => namespace,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{told}: {error}");
                assert!(is_clear(&error, key, change), "{told}: {error}");
                return Met::Refused;
            }
        };
        let verified = verify(&namespace, &VerifyOptions::default()).await;
        let is_clean = match &verified {
            Ok(verified) => {
                for damage in &verified.damages {
                    assert!(!damage.object.is_empty() && !damage.message.is_empty(), "{told}");
                }
                let is_named =
                    |damage: &Damage| damage.object == key.as_str() || damage.message.contains(key.as_str());
                let damages = &verified.damages;
                assert!(damages.is_empty() || damages.iter().any(is_named), "{told}: {damages:?}");
                assert_eq!(verified.unsupported, [], "{told}: what is damaged is not too new");
                verified.damages.is_empty()
            }
            Err(error) => {
                assert!(is_clear(error, key, change), "{told}: {error}");
                false
            }
        };
        let mut read = HashSet::new();
        for (generation, at) in generations(&namespace).await {
            let Some(truth) = self.contents.get(&generation) else { panic!("{told}: {generation:?} is new") };
            match at {
                None => assert_eq!(*truth, None, "{told}: {generation:?}"),
                Some(at) if !(is_clean || depth >= Depths::Read) || !read.insert(at) => {}
                Some(at) => match content(&namespace, at).await {
                    Ok(found) => assert_eq!(truth.as_ref(), Some(&found), "{told}: {generation:?}"),
                    Err(error) => {
                        assert!(!is_clean, "{told}: verify finds nothing, and {generation:?} is {error}");
                        assert!(is_kind(&error, change), "{told}: {:?} {error}", error.kind());
                    }
                },
            }
            if let Some(at) = at
                && (is_clean || depth == Depths::Pulled)
            {
                let directory = tempfile::tempdir().unwrap();
                let destination = directory.path().join("tree");
                match pull_to(&namespace, at, &destination, &keeping()).await {
                    Ok(_) => {
                        assert_eq!(tree(&destination), self.trees[&generation], "{told}: {generation:?}");
                    }
                    Err(error) => {
                        assert!(!is_clean && is_kind(&error, change), "{told}: {generation:?} is {error}");
                        let left = std::fs::read_dir(directory.path()).unwrap().count();
                        assert_eq!(left, 0, "{told}: a failed pull leaves something");
                    }
                }
            }
        }
        if is_clean { Met::Harmless } else { Met::Found }
    }
}

/// What is done, besides verifying, where verify finds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Depths {
    Nothing,
    /// Every tree is listed and archived.
    Read,
    /// And pulled.
    Pulled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Met {
    /// The namespace is not opened.
    Refused,
    /// Verify tells.
    Found,
    /// All trees are what they were.
    Harmless,
}

fn keeping() -> PullOptions {
    PullOptions { xattrs: true, threads: Some(1), ..PullOptions::default() }
}

/// Whether an error is one of damage; what is gone may also be called so.
fn is_kind(error: &floe_core::Error, change: Change) -> bool {
    error.kind() == ErrorKind::Corrupt || change == Change::Removed && error.kind() == ErrorKind::NotFound
}

/// Whether an error says what is wrong, and with which object.
fn is_clear(error: &floe_core::Error, key: &Key, change: Change) -> bool {
    let object = key.as_str();
    let is_namespace = object.ends_with("format.json") && error.to_string().contains("namespace");
    is_kind(error, change) && (error.to_string().contains(object) || is_namespace)
}

/// The most that may be allocated at once, whatever a changed byte says: as much as a frame may have. A store so small needs a
/// sixteenth of it.
const MOST_AT_ONCE_BYTES: usize = 1 << 20;

/// Says that a process is a test's own.
const ALONE: &str = "FLOE_ATTACK_ALONE";

/// Whether nothing else runs in this process, so that what it allocates is this test's; else the test is run in one of its
/// own.
fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", "--nocapture", &format!("{module}::{test}")]).env(ALONE, "1");
    let output = alone.output().unwrap();
    let (told, shown) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success() && shown.contains("1 passed"), "{told}{shown}");
    eprintln!("{told}");
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn i7_every_single_byte_corruption_is_found_or_harmless() {
    if !is_alone("i7_every_single_byte_corruption_is_found_or_harmless") {
        return;
    }
    let store = specimen().await;
    let objects = store.objects();
    let total: usize = objects.values().map(Bytes::len).sum();
    assert!(total <= 200_000, "{total}");
    let truth = Arc::new(Truth::of(store).await);
    assert!(truth.contents.len() >= 6 && truth.contents.values().any(Option::is_none));
    // All of them take many minutes: `FLOE_ATTACK_STRIDE=1` tries them all, and without it one in so many.
    let stride: usize = std::env::var("FLOE_ATTACK_STRIDE").map_or(61, |stride| stride.parse().unwrap());
    let attacks: Vec<(Key, Bytes, Change)> = objects
        .iter()
        .flat_map(|(key, body)| Change::all(body.len()).map(|change| (key.clone(), body.clone(), change)))
        .step_by(stride)
        .collect();
    let attacks = Arc::new(attacks);
    let next = Arc::new(AtomicUsize::new(0));
    // What making the store and reading it took does not count.
    largest_allocation();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let workers = (0..2 * threads).map(|_| {
        let (attacks, truth, next) = (Arc::clone(&attacks), Arc::clone(&truth), Arc::clone(&next));
        let handle = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            handle.block_on(async move {
                let mut met: BTreeMap<(String, Met), u64> = BTreeMap::new();
                while let Some((key, body, change)) = attacks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(changed) = change.of(body) else { continue };
                    // All trees are read for every byte once; pulling is the same reading and costs more.
                    let depth = match change {
                        Change::FlipLow(at) if at % 16 == 0 => Depths::Pulled,
                        Change::FlipHigh(_) | Change::Zero(_) => Depths::Nothing,
                        _ => Depths::Read,
                    };
                    let outcome = truth.attack(key, *change, changed, depth).await;
                    let kind = key.as_str().split('/').nth(1).unwrap_or_default().to_owned();
                    *met.entry((kind, outcome)).or_default() += 1;
                }
                met
            })
        })
    });
    let mut met: BTreeMap<(String, Met), u64> = BTreeMap::new();
    for worker in futures::future::join_all(workers).await {
        for (outcome, count) in worker.unwrap() {
            *met.entry(outcome).or_default() += count;
        }
    }
    let largest = largest_allocation();
    assert!(largest <= MOST_AT_ONCE_BYTES, "something asked for {largest} bytes");
    // Nothing that a tree is made of, nor what names it, can be changed unnoticed.
    for kind in ["snapshots", "format.json", "gc"] {
        assert!(!met.contains_key(&(kind.to_owned(), Met::Harmless)), "{met:?}");
    }
    eprintln!("{total} bytes, {} changes, at most {largest} bytes at once: {met:?}", attacks.len());
    let found: u64 = met.iter().filter(|((_, met), _)| *met != Met::Harmless).map(|(_, count)| count).sum();
    assert!(found > 10_000 / stride as u64, "{met:?}");
}
