//! Pushing directories.

mod edits;
mod failures;
mod flags;
mod histories;
mod measure;
mod namespaces;
mod passes;
mod repacking;
mod requests;
mod tars;
mod told;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use floe_core::store::Store;
use floe_core::{
    Ambient, Namespace, NamespaceName, PullOptions, PushOptions, PushOutcome, PushProgress, PushSource,
    Pushed, RefName, Result, Snapshot, pull, push,
};
use floe_testkit::{MemoryStore, Operation, RecordingStore};

/// A store in memory, a source and a cache.
struct Bench {
    dir: tempfile::TempDir,
    store: RecordingStore,
    namespace: Namespace,
}

impl Bench {
    async fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new())).await
    }

    async fn on(store: Arc<dyn Store>) -> Self {
        let store = RecordingStore::new(store);
        let namespace = namespace(Arc::new(store.clone())).await;
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("source")).unwrap();
        Self { dir, store, namespace }
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    fn options(&self) -> PushOptions {
        PushOptions { cache_dir: Some(self.dir.path().join("cache")), workers: 2, ..PushOptions::default() }
    }

    async fn push(&self) -> Result<Pushed> {
        self.push_with(&self.options()).await
    }

    async fn push_with(&self, options: &PushOptions) -> Result<Pushed> {
        self.push_telling(options, &Arc::default()).await
    }

    async fn push_telling(&self, options: &PushOptions, progress: &Arc<PushProgress>) -> Result<Pushed> {
        push(&self.namespace, PushSource::Directory(self.source()), &main_ref(), options, progress).await
    }

    /// Pulls what the ref names and compares it with the source.
    async fn assert_pulls_back(&self, pushed: &Pushed) {
        let pulled = self.dir.path().join("pulled");
        let snapshot = Snapshot::open(&self.namespace, pushed.at).await.unwrap();
        pull(&self.namespace, &snapshot, &pulled, &PullOptions::default(), &Arc::default()).await.unwrap();
        assert_eq!(listing(&self.source()), listing(&pulled));
        fs::remove_dir_all(pulled).unwrap();
    }
}

async fn namespace(store: Arc<dyn Store>) -> Namespace {
    Namespace::open_or_create(store, NamespaceName::default(), Ambient::default()).await.unwrap()
}

fn main_ref() -> RefName {
    "main".parse().unwrap()
}

/// All that a push keeps of a tree, one line an entry.
pub(crate) fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut links = std::collections::HashMap::new();
    list(root, Path::new(""), &mut links, &mut lines);
    lines
}

fn list(
    root: &Path,
    path: &Path,
    links: &mut std::collections::HashMap<u64, PathBuf>,
    lines: &mut Vec<String>,
) {
    use std::os::unix::fs::MetadataExt;
    let full = root.join(path);
    let stat = fs::symlink_metadata(&full).unwrap();
    let content = if stat.is_file() {
        let first = links.entry(stat.ino()).or_insert_with(|| path.to_owned());
        format!("{:?} {}", first, blake3::hash(&fs::read(&full).unwrap()))
    } else if stat.is_symlink() {
        format!("{:?}", fs::read_link(&full).unwrap())
    } else {
        String::new()
    };
    let mode = if stat.is_symlink() { 0 } else { stat.permissions().mode() };
    lines.push(format!("{path:?} {mode:o} {}.{} {content}", stat.mtime(), stat.mtime_nsec()));
    if stat.is_dir() {
        let mut names: Vec<_> =
            fs::read_dir(&full).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            list(root, &path.join(name), links, lines);
        }
    }
}

/// Text that compresses as source code does.
pub(crate) fn text(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut state = seed;
    while out.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.extend_from_slice(format!("word{} ", (state >> 33) % 5_000).as_bytes());
    }
    out.truncate(bytes);
    out
}

/// Writes a file with a time of modification that is long past, so that its hash may be remembered.
pub(crate) fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    settle(path);
}

/// Makes a file look long unchanged.
fn settle(path: &Path) {
    let file = fs::File::open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000)).unwrap();
}

/// Files of interesting sizes in directories.
fn fill(root: &Path) {
    for directory in 0..4u64 {
        let directory_path = root.join(format!("d{directory}/inner"));
        fs::create_dir_all(&directory_path).unwrap();
        for file in 0..30 {
            let size = [0, 1, 511, 512, 513, 4_000, 12_000, 65_535, 65_536, 65_537][file % 10];
            write(&directory_path.join(format!("f{file:02}")), &text(directory * 100 + file as u64, size));
        }
    }
    write(&root.join("large"), &text(7, 3_000_000));
    write(&root.join("zeros"), &vec![0; 5_000_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_comes_back_and_a_second_push_is_unchanged() {
    let bench = Bench::new().await;
    fill(&bench.source());
    let first = bench.push().await.unwrap();
    assert!(matches!(&first.outcome, PushOutcome::Committed(record) if record.current.generation == 1));
    assert_eq!((first.files, first.reused_files), (122, 0));
    bench.assert_pulls_back(&first).await;
    let second = bench.push().await.unwrap();
    assert!(matches!(second.outcome, PushOutcome::Unchanged(_)));
    assert_eq!((second.at, second.reused_files, second.uploaded_bytes), (first.at, 122, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_tree_is_a_tree() {
    let bench = Bench::new().await;
    let pushed = bench.push().await.unwrap();
    assert_eq!((pushed.entries, pushed.tar_bytes), (0, 1024));
    bench.assert_pulls_back(&pushed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_ref_has_is_not_sent_again() {
    let bench = Bench::new().await;
    fill(&bench.source());
    bench.push().await.unwrap();
    let other: RefName = "other".parse().unwrap();
    let pushed = push(
        &bench.namespace,
        PushSource::Directory(bench.source()),
        &other,
        &PushOptions { base: None, ..bench.options() },
        &Arc::default(),
    )
    .await
    .unwrap();
    assert_eq!((pushed.packs, pushed.reused_files), (0, 122), "{pushed:?}");
    bench.assert_pulls_back(&pushed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing() {
    let bench = Bench::new().await;
    fill(&bench.source());
    bench.store.clear();
    let dry = bench.push_with(&PushOptions { dry_run: true, ..bench.options() }).await.unwrap();
    assert!(matches!(dry.outcome, PushOutcome::DryRun));
    assert!(dry.uploaded_bytes > 100_000);
    let asked = bench.store.counts();
    assert_eq!(asked.keys().collect::<Vec<_>>(), [&Operation::Get], "not even a lease");
    assert!(bench.namespace.read_ref(&main_ref()).await.unwrap().is_none());
    let wet = bench.push().await.unwrap();
    assert_eq!(wet.at.snapshot, dry.at.snapshot);
    assert_eq!(wet.uploaded_bytes, dry.uploaded_bytes);
    let again = bench.push_with(&PushOptions { dry_run: true, ..bench.options() }).await.unwrap();
    assert!(matches!(again.outcome, PushOutcome::Unchanged(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_needs_no_namespace() {
    let bench = Bench::new().await;
    fill(&bench.source());
    let empty = MemoryStore::new();
    let (name, ambient) = (NamespaceName::default(), Ambient::default());
    let imagined = Namespace::open_or_imagine(Arc::new(empty.clone()), name, ambient).await.unwrap();
    let options = PushOptions { dry_run: true, ..bench.options() };
    let source = PushSource::Directory(bench.source());
    let dry = push(&imagined, source, &main_ref(), &options, &Arc::default()).await.unwrap();
    assert_eq!(empty.objects(), BTreeMap::new());
    assert_eq!(bench.push().await.unwrap().at.snapshot, dry.at.snapshot);
}
