//! Power loss at any moment of two pushes to a local store, with every legal loss of what was not yet synced.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use floe_core::store::LocalStore;
use floe_core::{Ambient, Namespace, NamespaceName, SnapshotAt};
use floe_testkit::bytes_of;

use super::{assert_clean, name, named, namespace, plain_push, push_to};
use crate::store::power_loss::{Disk, Log, Model, lay_out};

/// What a disk shows of `main` after a loss of power, once it is verified.
async fn shown(disk: &Disk, told: &str) -> Option<SnapshotAt> {
    let dir = lay_out(disk);
    let store = LocalStore::new(dir.path().join("store")).unwrap();
    let opened = Namespace::open(Arc::new(store), NamespaceName::default(), Ambient::default()).await;
    // Nothing may have been made of it yet; that nothing promised is lost is told by who asks.
    let Ok(namespace) = opened else { return None };
    assert_clean(&namespace, told).await;
    let (record, _) = namespace.read_ref(&name("main")).await.unwrap()?;
    record.current.at()
}

#[tokio::test]
async fn i10_a_push_that_was_reported_survives_power_loss() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir_all(source.join("d")).unwrap();
    for file in 0..10 {
        fs::write(source.join(format!("d/{file}")), bytes_of(file, 1_000)).unwrap();
    }
    let log = Arc::new(Log { base: dir.path().to_owned(), changes: Mutex::default() });
    let open = || LocalStore::watched(dir.path().join("store"), log.clone()).unwrap();
    // How many changes had been made when it was reported, and what.
    let mut reported = vec![(0, None)];
    let mut options = plain_push();
    options.cache_dir = Some(dir.path().join("cache"));
    for edit in 0..3 {
        fs::write(source.join("d/edited"), bytes_of(100 + edit, 2_000)).unwrap();
        // Each from a process of its own.
        let namespace = namespace(open()).await;
        let pushed = push_to(&namespace, &source, "main", &options).await.unwrap();
        assert_eq!(named(&namespace, "main").await, Some(pushed.at));
        reported.push((log.changes.lock().unwrap().len(), Some(pushed.at)));
    }
    let changes = log.changes.lock().unwrap().clone();
    let mut model = Model::default();
    let mut tried: BTreeMap<Disk, Option<SnapshotAt>> = BTreeMap::new();
    let mut crashes = 0;
    for (at, change) in changes.iter().enumerate() {
        model.apply(change);
        let promised = reported.iter().rposition(|(count, _)| *count <= at + 1).unwrap();
        for disk in model.disks() {
            crashes += 1;
            let told = format!("power lost after change {at} of {}", changes.len());
            let found = match tried.get(&disk) {
                Some(found) => *found,
                None => {
                    let found = shown(&disk, &told).await;
                    tried.insert(disk, found);
                    found
                }
            };
            let legal = reported[promised..].iter().take(2).any(|(_, at)| *at == found);
            assert!(legal, "{told}: {found:?} is shown, and promised was {:?}", reported[promised]);
        }
    }
    assert!(crashes > 100 && tried.len() > 30, "{crashes} crashes, {} disks", tried.len());
    // A push repeated on what a crash left finishes, whatever that is.
    let (last, _) = tried.iter().rev().find(|(_, at)| **at == reported[2].1).unwrap();
    let dir = lay_out(last);
    let namespace = namespace(LocalStore::new(dir.path().join("store")).unwrap()).await;
    let pushed = push_to(&namespace, &source, "main", &plain_push()).await.unwrap();
    assert_clean(&namespace, "after the repeated push").await;
    assert_eq!(named(&namespace, "main").await, Some(pushed.at));
}
