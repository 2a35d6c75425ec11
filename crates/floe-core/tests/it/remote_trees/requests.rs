//! What each command asks of a store, opening the namespace included; and how much of it waits for one another.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_core::store::Conditions;
use floe_core::{
    Ambient, Depth, Namespace, NamespaceName, PullOptions, Pushed, Reference, Snapshot, list, pull,
};
use floe_testkit::{MemoryStore, RecordingStore};

use super::{name, push_to, small_files};
use crate::push::{text, write};

/// A store, a source of 2,000 files that was pushed, and what that push left in a cache.
struct Bench {
    dir: tempfile::TempDir,
    memory: MemoryStore,
    first: Vec<String>,
}

impl Bench {
    async fn new() -> Self {
        Self::of(50, 40, 1_500).await
    }

    async fn of(directories: u64, files: u64, bytes: usize) -> Self {
        let mut bench =
            Self { dir: tempfile::tempdir().unwrap(), memory: MemoryStore::new(), first: Vec::new() };
        small_files(&bench.source(), directories, files, bytes);
        bench.first = bench.push(&bench.cache()).await.1;
        bench
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// A cache with nothing in it.
    fn cold(&self) -> PathBuf {
        self.dir.path().join("cold")
    }

    fn change_one_line(&self) {
        let path = self.source().join("directory-020/file-007");
        let mut content = fs::read(&path).unwrap();
        content.splice(700..710, *b"changed it");
        write(&path, &content);
    }

    async fn namespace(&self, cache: &Path) -> (RecordingStore, Namespace) {
        let store = RecordingStore::new(Arc::new(self.memory.clone()));
        let conditions = Conditions::remembered(cache, "the server");
        let opened =
            Namespace::open_or_create(Arc::new(store.clone()), NamespaceName::default(), Ambient::default());
        let namespace = opened.await.unwrap().with_conditions(conditions);
        (store, namespace)
    }

    /// A push by a process of its own.
    async fn push(&self, cache: &Path) -> (Pushed, Vec<String>) {
        let (store, namespace) = self.namespace(cache).await;
        let pushed = push_to(&namespace, &self.source(), "main", Some(cache)).await.unwrap();
        (pushed, table(&store))
    }

    /// What the ref names, opened to be read as by a process of its own.
    async fn snapshot(&self) -> (RecordingStore, Namespace, Snapshot) {
        let store = RecordingStore::new(Arc::new(self.memory.clone()));
        let (at, default) = (Arc::new(store.clone()), NamespaceName::default());
        let named = Reference::Ref(name("main"));
        let (namespace, resolved) =
            Namespace::open_at(at, default, Ambient::default(), &named).await.unwrap();
        let snapshot = Snapshot::open(&namespace, resolved.at).await.unwrap();
        (store, namespace, snapshot)
    }

    /// A pull by a process of its own.
    async fn pull(&self, destination: &str, cache: &Path) -> Vec<String> {
        let (store, namespace, snapshot) = self.snapshot().await;
        let options = PullOptions { cache_dir: Some(cache.to_owned()), ..PullOptions::default() };
        let destination = self.dir.path().join(destination);
        pull(&namespace, &snapshot, &destination, &options, &Arc::default()).await.unwrap();
        table(&store)
    }
}

/// All requests: after how many others, what, of what kind of object, and how often; in order.
fn table(store: &RecordingStore) -> Vec<String> {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for request in store.requests() {
        let kind = request.key.split('/').nth(1).unwrap();
        let line = format!("{} {:?} {kind}", request.depth, request.operation);
        match lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, count)) => *count += 1,
            None => lines.push((line, 1)),
        }
    }
    lines.sort_by_key(|(line, _)| (line.split(' ').next().unwrap().parse::<u64>().unwrap(), line.clone()));
    let times = |(line, count): (String, usize)| if count == 1 { line } else { format!("{line} x{count}") };
    lines.into_iter().map(times).collect()
}

/// Says how many they are, for the benchmark to read.
#[expect(clippy::print_stdout, reason = "it is what is read")]
fn tell(what: &str, table: &[String]) {
    let count = |line: &String| line.rsplit_once(" x").map_or(1, |(_, times)| times.parse::<u64>().unwrap());
    let depth = |line: &String| line.split(' ').next().unwrap().parse::<u64>().unwrap();
    let (count, depth) = (table.iter().map(count).sum::<u64>(), table.iter().map(depth).max().unwrap_or(0));
    println!("requests of {what}: {count}, {depth} in series");
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes() {
    let bench = Bench::new().await;
    let first = [
        "1 Get format.json",
        // There is no namespace that has lost it.
        "2 List packs",
        "2 List refs",
        // The namespace is made, after the store has shown that it keeps its conditions.
        "3 Create leases",
        "4 Create leases",
        "5 Swap leases",
        "6 Swap leases",
        "7 Delete leases",
        "8 Create gc",
        "9 Create format.json",
        "10 Get format.json",
        "11 Create leases",
        "12 Get gc",
        "12 Get refs",
        "13 Overwrite packs",
        "14 Overwrite snapshots",
        "14 Swap leases",
        "15 Create refs",
        "16 Delete leases",
    ];
    assert_eq!(bench.first, first);
    tell("a first push, which makes the namespace", &bench.first);

    bench.change_one_line();
    let (pushed, warm) = bench.push(&bench.cache()).await;
    let expected = [
        "1 Get format.json",
        "2 Create leases",
        "3 Get gc",
        "3 Get refs",
        "4 Overwrite packs",
        "5 Overwrite snapshots",
        "5 Swap leases",
        "6 Swap refs",
        "7 Delete leases",
    ];
    tell("a push of one changed file, caches warm", &warm);
    assert_eq!((pushed.reused_files, warm), (1_999, expected.map(str::to_owned).to_vec()));

    let unchanged = bench.push(&bench.cache()).await.1;
    let expected = ["1 Get format.json", "2 Create leases", "3 Get gc", "3 Get refs", "4 Delete leases"];
    assert_eq!(unchanged, expected);
    tell("a push of an unchanged tree, caches warm", &unchanged);

    write(&bench.source().join("directory-021/file-007"), &text(2_000_077, 1_500));
    let (pushed, cold) = bench.push(&bench.cold()).await;
    let expected = [
        "1 Get format.json",
        "2 Create leases",
        // Refused, as they must be.
        "3 Create leases",
        "3 Get gc",
        "3 Get refs",
        "3 Swap leases",
        "4 Get snapshots",
        "5 GetRange packs x2",
        "6 Overwrite packs",
        "7 Overwrite snapshots",
        "7 Swap leases",
        "8 Swap refs",
        "9 Delete leases",
    ];
    tell("a push of one changed file, nothing cached", &cold);
    assert_eq!((pushed.reused_files, cold), (1_999, expected.map(str::to_owned).to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls() {
    let bench = Bench::new().await;
    let opened = ["1 Get refs", "2 Get snapshots"];
    let cold = bench.pull("pulled", &bench.cold()).await;
    assert_eq!(cold[..2], opened);
    // The tail, and then the data, in ranges that depend on how they compress; which of them are on their way together
    // depends on the threads.
    assert!(cold[2..].iter().all(|line| line.contains(" GetRange packs")), "{cold:?}");
    let requests = |line: &String| line.split_once(" packs x").map_or(1, |(_, times)| times.parse().unwrap());
    assert!(cold[2..].iter().map(requests).sum::<u32>() <= 4, "{cold:?}");

    write(&bench.source().join("directory-021/file-009"), &text(2_000_078, 1_500));
    bench.push(&bench.cache()).await;
    let over = bench.pull("pulled", &bench.cold()).await;
    assert_eq!(over, [&opened[..], &["3 GetRange packs", "4 GetRange packs"]].concat());
    tell("a pull over a tree that differs in one file, no tails cached", &over);
    assert_eq!(bench.pull("pulled", &bench.cold()).await, opened);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_one_directory() {
    let bench = Bench::of(200, 200, 10).await;
    let listed = async |directory: &str| {
        let (store, namespace, snapshot) = bench.snapshot().await;
        let mut count = 0;
        let mut each = |_: &floe_format::EntryRef<'_>| {
            count += 1;
            Ok(())
        };
        list(&namespace, &snapshot, directory.as_bytes(), Depth::Children, None, &mut each).await.unwrap();
        assert_eq!(count, 200);
        assert!(store.received_bytes() < 100_000, "{}", store.received_bytes());
        table(&store)
    };
    let expected = ["1 Get refs", "2 Get snapshots", "3 GetRange packs", "4 GetRange packs"];
    assert_eq!(listed("directory-077").await, expected);
    tell("ls of one directory of 40,000 files, nothing cached", &expected.map(str::to_owned));
    // The segments of small packs come with their directories.
    for number in 0..6 {
        write(&bench.source().join("directory-077/file-009"), &text(number, 10));
        bench.push(&bench.cache()).await;
    }
    let pushed_to = listed("directory-077").await;
    assert_eq!(pushed_to, ["1 Get refs", "2 Get snapshots", "3 GetRange packs x3"]);
    tell("ls of one directory that was pushed to six times more, nothing cached", &pushed_to);
    assert_eq!(listed("directory-150").await, expected);
}
