//! Listings, contents, archives and differences of good snapshots.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use floe_core::store::Store;
use floe_core::{
    Ambient, ArchiveFormat, CatOptions, Change, Depth, DiffOptions, ErrorKind, Namespace, NamespaceName,
    Snapshot, VerifyOptions, cat, diff, diff_directory, list,
};
use floe_testkit::{MemoryStore, RecordingStore, bytes_of, skip};

use super::fixture::{Making, Node, dir, file, hard_link, write};
use super::hostile::{Sink, archived};
use super::{namespace, pull_to};

fn many() -> Vec<Node> {
    let mut nodes = vec![];
    for d in 0..40 {
        nodes.push(dir(format!("d{d:02}")));
        for f in 0..100 {
            nodes.push(file(format!("d{d:02}/f{f:02}"), &bytes_of(d * 100 + f, 700)));
        }
    }
    nodes.push(dir("empty"));
    nodes.push(file("big", &bytes_of(7, 200_000)));
    nodes
}

async fn names(namespace: &Namespace, snapshot: &Snapshot, path: &str, depth: Depth) -> Vec<String> {
    let mut names = Vec::new();
    list(namespace, snapshot, path.as_bytes(), depth, None, &mut |entry| {
        names.push(String::from_utf8(entry.path.to_vec()).unwrap());
        Ok(())
    })
    .await
    .unwrap();
    names
}

#[tokio::test]
async fn one_directory_is_listed_with_two_requests_after_its_snapshot() {
    let store = MemoryStore::new();
    let at = write(&namespace(&store).await, many(), &Making::small()).await;
    let recorded = RecordingStore::new(Arc::new(store.clone()));
    let store: Arc<dyn Store> = Arc::new(recorded.clone());
    let namespace = Namespace::open(store, NamespaceName::default(), Ambient::default()).await.unwrap();
    let snapshot = Snapshot::open(&namespace, at).await.unwrap();
    for d in 0..40 {
        recorded.clear();
        let expected: Vec<_> = (0..100).map(|f| format!("d{d:02}/f{f:02}")).collect();
        assert_eq!(names(&namespace, &snapshot, &format!("d{d:02}"), Depth::Children).await, expected);
        assert!(recorded.requests().len() <= 2, "{:?}", recorded.requests());
    }
    assert_eq!(names(&namespace, &snapshot, "", Depth::Children).await.len(), 42);
    assert_eq!(names(&namespace, &snapshot, "", Depth::Below).await.len(), 4042);
    assert_eq!(names(&namespace, &snapshot, "empty", Depth::Below).await, [""; 0]);
    assert_eq!(names(&namespace, &snapshot, "big", Depth::Children).await, ["big"]);
    let missing = list(&namespace, &snapshot, b"d05/f99x", Depth::Children, None, &mut |_| Ok(())).await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn contents_come_back() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let mut nodes = many();
    nodes.push(hard_link(b"link", b"big"));
    let at = write(&namespace, nodes.clone(), &Making::small()).await;
    let snapshot = Snapshot::open(&namespace, at).await.unwrap();
    for (path, said) in [("big", "big"), ("link", "big"), ("d17/f42", "d17/f42"), ("d00/f00", "d00/f00")] {
        let sink = Sink::default();
        cat(&namespace, &snapshot, path.as_bytes(), Box::new(sink.clone()), &CatOptions::default())
            .await
            .unwrap();
        let expected = &nodes.iter().find(|node| node.entry.path == said.as_bytes()).unwrap().content;
        assert_eq!(&*sink.0.lock().unwrap(), expected, "{path}");
    }
    let directory =
        cat(&namespace, &snapshot, b"d00", Box::new(std::io::sink()), &CatOptions::default()).await;
    assert_eq!(directory.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn i4_archives_are_read_by_stock_tools_and_say_the_same() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let at = write(&namespace, many(), &Making::small()).await;
    let tar = archived(&namespace, at, ArchiveFormat::Tar).await.unwrap();
    let compressed = archived(&namespace, at, ArchiveFormat::TarZst).await.unwrap();
    assert_eq!(compressed, archived(&namespace, at, ArchiveFormat::TarZst).await.unwrap());
    let above = tempfile::tempdir().unwrap();
    let path = above.path().join("a.tar.zst");
    std::fs::write(&path, &compressed).unwrap();
    let Ok(output) = Command::new("zstd").arg("-dc").arg(&path).stderr(Stdio::null()).output() else {
        skip("no zstd on this machine");
        return;
    };
    assert!(output.status.success() && output.stdout == tar);
    let empty = write(&namespace, vec![], &Making::default()).await;
    assert_eq!(archived(&namespace, empty, ArchiveFormat::Tar).await.unwrap(), [0; 1024]);
}

fn shown(change: &Change) -> String {
    let path = String::from_utf8_lossy(change.path());
    match change {
        Change::Added(_) => format!("+{path}"),
        Change::Removed(_) => format!("-{path}"),
        Change::Changed { content: true, .. } => format!("!{path}"),
        Change::Changed { .. } => format!("~{path}"),
    }
}

#[tokio::test]
async fn what_differs_is_found_without_reading_what_does_not() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let before = write(&namespace, many(), &Making::small()).await;
    let mut nodes = many();
    nodes.retain(|node| node.entry.path != b"d03/f50");
    for node in &mut nodes {
        if node.entry.path == b"d20/f07" {
            *node = file("d20/f07", b"another");
        } else if node.entry.path == b"d21" {
            node.entry.mode = 0o700;
        }
    }
    nodes.push(file("d39/new", b"new"));
    let making = Making { root: |root| root.directory.mode = 0o700, ..Making::small() };
    let after = write(&namespace, nodes, &making).await;
    let (before, after) =
        (Snapshot::open(&namespace, before).await.unwrap(), Snapshot::open(&namespace, after).await.unwrap());
    let mut changes = Vec::new();
    diff(&namespace, &before, &after, None, &mut |change| {
        changes.push(shown(&change));
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(changes, ["~", "~d21", "-d03/f50", "!d20/f07", "+d39/new"]);

    let above = tempfile::tempdir().unwrap();
    let tree = above.path().join("tree");
    pull_to(&namespace, before.at(), &tree, &Default::default()).await.unwrap();
    for (snapshot, expected) in
        [(&before, &[][..]), (&after, &["~", "~d21", "+d03/f50", "!d20/f07", "-d39/new"])]
    {
        let mut changes = Vec::new();
        diff_directory(&namespace, Some(snapshot), &tree, &DiffOptions::default(), &mut |change| {
            changes.push(shown(&change));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(changes, expected);
    }
}

#[tokio::test]
async fn verify_says_beforehand_about_how_much_it_reads() {
    let store = MemoryStore::new();
    let made = namespace(&store).await;
    let nodes = (0..200).map(|number| file(format!("f{number:03}"), &bytes_of(number, 5000))).collect();
    let at = write(&made, nodes, &Making::small()).await;
    super::name(&store, &made, "main", at).await;
    for quick in [false, true] {
        let recording = Arc::new(RecordingStore::new(Arc::new(store.clone())));
        let namespace =
            Namespace::open(recording.clone(), NamespaceName::default(), Ambient::default()).await;
        let options = VerifyOptions { quick, ..VerifyOptions::default() };
        floe_core::verify(&namespace.unwrap(), &options).await.unwrap();
        let (said, read) = (options.bytes_to_read.load(Ordering::Relaxed), recording.received_bytes());
        assert!(read.abs_diff(said) < said / 10, "quick {quick}: {read} bytes read, {said} said");
    }
}
