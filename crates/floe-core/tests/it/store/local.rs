//! The local store's own: processes that die, disks that fill, what is on disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::key;
use bytes::Bytes;
use floe_core::store::local::{DiskOp, DiskWatch};
use floe_core::store::{LocalStore, PutMode, Store};
use floe_core::{Ambient, Entropy, ErrorKind, SystemClock};

fn temp_files(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.join(".tmp")) else {
        return Vec::new();
    };
    entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e != "lock")).collect()
}

/// Fails the first change that the test names.
#[derive(Debug)]
struct Full {
    at: fn(DiskOp<'_>) -> bool,
}

impl DiskWatch for Full {
    fn before(&self, op: DiskOp<'_>) -> io::Result<()> {
        if (self.at)(op) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_nothing() {
    let places: [fn(DiskOp<'_>) -> bool; 4] = [
        |op| matches!(op, DiskOp::Write { .. }),
        |op| matches!(op, DiskOp::SyncFile(_)),
        |op| matches!(op, DiskOp::MakeDir(path) if path.ends_with("packs")),
        |op| matches!(op, DiskOp::RenameNew { .. }),
    ];
    for at in places {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::watched(dir.path(), Arc::new(Full { at })).unwrap();
        let error =
            store.put(&key("ns/packs/1"), Bytes::from_static(b"body"), PutMode::Create).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(
            error.to_string().starts_with("no space left to write `ns/packs/1` in the store /"),
            "{error}"
        );
        assert_eq!(store.head(&key("ns/packs/1")).await.unwrap(), None);
        assert_eq!(temp_files(dir.path()), [""; 0].map(PathBuf::from));
    }
}

#[tokio::test]
async fn files_of_the_dead_are_swept_and_those_of_the_living_stay() {
    let dir = tempfile::tempdir().unwrap();
    let living = LocalStore::new(dir.path()).unwrap();
    let id = living.start_parts(&key("ns/packs/1")).await.unwrap();
    let of_living = temp_files(dir.path());
    assert_eq!(of_living.len(), 1);

    // A killed process leaves its lock file, unlocked, and its temporary files; a half-swept one only the latter.
    let temp = dir.path().join(".tmp");
    for name in ["00000000000000aa.lock", "00000000000000aa.0", "00000000000000aa.17", "00000000000000bb.3"] {
        fs::write(temp.join(name), "left behind").unwrap();
    }
    let next = LocalStore::new(dir.path()).unwrap();
    next.put(&key("ns/packs/2"), Bytes::new(), PutMode::Create).await.unwrap();
    assert_eq!(temp_files(dir.path()), of_living);
    // A second sweep finds the lock file alone.
    let last = LocalStore::new(dir.path()).unwrap();
    last.put(&key("ns/packs/3"), Bytes::new(), PutMode::Create).await.unwrap();
    assert!(!temp.join("00000000000000aa.lock").exists());

    living.finish_parts(&key("ns/packs/1"), &id, Vec::new()).await.unwrap();
    drop(living);
    assert_eq!(next.head(&key("ns/packs/1")).await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_store_that_closes_removes_what_it_did_not_finish() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::new(dir.path()).unwrap();
    store.start_parts(&key("ns/packs/1")).await.unwrap();
    drop(store);
    let left: Vec<_> =
        fs::read_dir(dir.path().join(".tmp")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn strangers_files_are_no_objects() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::new(dir.path()).unwrap();
    store.put(&key("ns/refs/main"), Bytes::from_static(b"x"), PutMode::Create).await.unwrap();
    fs::write(dir.path().join("ns/refs/.hidden"), "x").unwrap();
    fs::write(dir.path().join("ns/refs/with space"), "x").unwrap();
    std::os::unix::fs::symlink("main", dir.path().join("ns/refs/link")).unwrap();
    let page = store.list(&Default::default(), None).await.unwrap();
    assert_eq!(page.entries.iter().map(|e| e.key.as_str()).collect::<Vec<_>>(), ["ns/refs/main"]);
}

/// Nor is it no object at all: what a ref names would not be looked at.
#[tokio::test]
async fn what_is_no_file_where_an_object_belongs_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::new(dir.path()).unwrap();
    store.put(&key("ns/refs/main"), Bytes::from_static(b"x"), PutMode::Create).await.unwrap();
    let refs = dir.path().join("ns/refs");
    rustix::fs::mkfifoat(rustix::fs::CWD, refs.join("fifo"), rustix::fs::Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(refs.join("socket")).unwrap();
    let page = store.list(&Default::default(), None).await.unwrap();
    let names: Vec<_> = page.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(names, ["ns/refs/fifo", "ns/refs/main", "ns/refs/socket"]);
    for name in ["ns/refs/fifo", "ns/refs/socket"] {
        let error = store.get(&key(name), 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
    }
}

#[derive(Debug, Default)]
struct Syncs(Mutex<Vec<String>>);

impl DiskWatch for Syncs {
    fn before(&self, op: DiskOp<'_>) -> io::Result<()> {
        if let DiskOp::SyncFile(path) | DiskOp::SyncDir(path) = op {
            self.0.lock().unwrap().push(path.display().to_string());
        }
        Ok(())
    }
}

/// What a second push writes must stay cheap: twelve syncs for six requests, one of them in a new directory.
#[tokio::test]
async fn a_second_push_syncs_little() {
    let dir = tempfile::tempdir().unwrap();
    let first = LocalStore::new(dir.path()).unwrap();
    for name in ["packs/1", "snapshots/a/1", "leases/1", "refs/main"] {
        first.put(&key(&format!("ns/{name}")), Bytes::from_static(b"1"), PutMode::Create).await.unwrap();
    }
    let version = first.get(&key("ns/refs/main"), 10).await.unwrap().1;
    drop(first);

    let syncs = Arc::new(Syncs::default());
    let store = LocalStore::watched(dir.path(), Arc::clone(&syncs) as Arc<dyn DiskWatch>).unwrap();
    let body = Bytes::from_static(b"2");
    let lease = store.put(&key("ns/leases/2"), body.clone(), PutMode::Create).await.unwrap();
    store.put(&key("ns/packs/2"), body.clone(), PutMode::Overwrite).await.unwrap();
    store.put(&key("ns/snapshots/b/2"), body.clone(), PutMode::Create).await.unwrap();
    store.put(&key("ns/leases/2"), body.clone(), PutMode::Swap(lease)).await.unwrap();
    store.put(&key("ns/refs/main"), body, PutMode::Swap(version)).await.unwrap();
    store.delete(&key("ns/leases/2")).await.unwrap();
    let syncs = syncs.0.lock().unwrap();
    assert_eq!(syncs.len(), 12, "{syncs:#?}");
}

/// Gives the same bytes again and again.
#[derive(Debug)]
struct Same;

impl Entropy for Same {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0xab);
    }
}

#[tokio::test]
async fn names_of_what_is_not_to_be_seen_come_from_what_is_handed_in() {
    let dir = tempfile::tempdir().unwrap();
    let ambient = Ambient::new(Arc::new(SystemClock), Arc::new(Same));
    let store = LocalStore::with_ambient(dir.path(), ambient).unwrap();
    store.start_parts(&key("ns/packs/1")).await.unwrap();
    assert_eq!(temp_files(dir.path()), [dir.path().join(".tmp/abababababababab.0")]);
}
