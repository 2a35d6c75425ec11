//! What each command asks of a store, opening the namespace included; and how much of it waits for one another.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_core::store::Conditions;
use floe_core::{
    Ambient, Depth, Namespace, NamespaceName, PullOptions, Pushed, Reference, Snapshot, list, pull,
};
use floe_testkit::{MemoryStore, Operation, RecordingStore};

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

    /// A pull by a process of its own.
    async fn pull(&self, destination: &str, cache: &Path) -> Vec<String> {
        let (store, namespace) = self.namespace(cache).await;
        let at = namespace.resolve(&Reference::Ref(name("main"))).await.unwrap().at;
        let snapshot = Snapshot::open(&namespace, at).await.unwrap();
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
    lines.sort();
    let times = |(line, count): (String, usize)| if count == 1 { line } else { format!("{line} x{count}") };
    lines.into_iter().map(times).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn print_tables() {
    let bench = Bench::new().await;
    println!("first push {:#?}", bench.first);
    bench.change_one_line();
    println!("warm {:#?}", bench.push(&bench.cache()).await.1);
    println!("unchanged {:#?}", bench.push(&bench.cache()).await.1);
    write(&bench.source().join("directory-021/file-007"), &text(77, 1_500));
    println!("cold {:#?}", bench.push(&bench.cold()).await.1);
    println!("pull cold {:#?}", bench.pull("pulled", &bench.dir.path().join("cold2")).await);
    write(&bench.source().join("directory-021/file-009"), &text(78, 1_500));
    bench.push(&bench.cache()).await;
    println!("pull over {:#?}", bench.pull("pulled", &bench.dir.path().join("cold2")).await);
    println!("pull over again {:#?}", bench.pull("pulled", &bench.dir.path().join("cold2")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn print_ls() {
    let bench = Bench::of(200, 200, 10).await;
    let (store, namespace) = bench.namespace(&bench.cold()).await;
    let at = namespace.resolve(&Reference::Ref(name("main"))).await.unwrap().at;
    let snapshot = Snapshot::open(&namespace, at).await.unwrap();
    println!("items {}", snapshot.root().items.len());
    let mut count = 0;
    list(&namespace, &snapshot, b"directory-077", Depth::Children, None, &mut |_| {
        count += 1;
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(count, 200);
    println!("ls {:#?} {}", table(&store), store.received_bytes());
    let _ = Operation::Get;
}
