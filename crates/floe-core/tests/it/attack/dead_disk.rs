//! Pushes killed at any change that they make to a local store's disk.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use floe_core::store::LocalStore;
use floe_core::store::local::{DiskOp, DiskWatch};
use floe_core::{Ambient, ErrorKind, Namespace, NamespaceName, PullOptions};
use floe_testkit::{bytes_of, copy_tree};

use super::{assert_clean, named, namespace, plain_push, push_to, tree};
use crate::reading::pull_to;

/// Lets so many changes happen and none after them, cleaning up included: as when the process is gone, or the disk full.
#[derive(Debug)]
struct Ending {
    left: AtomicI64,
    how: io::ErrorKind,
}

impl DiskWatch for Ending {
    fn before(&self, op: DiskOp<'_>) -> io::Result<()> {
        let is_room = match self.how {
            // A full disk still lets go of what it has.
            io::ErrorKind::StorageFull => {
                matches!(op, DiskOp::Unlink(_) | DiskOp::SyncDir(_) | DiskOp::SyncFile(_))
            }
            _ => false,
        };
        if self.left.fetch_sub(1, Ordering::Relaxed) > 0 || is_room { Ok(()) } else { Err(self.how.into()) }
    }
}

/// Pushes, stopped after each number of changes in turn; what is there before is `before`.
async fn stopped_everywhere(before: &Path, source: &Path, how: io::ErrorKind) -> i64 {
    let old = match before.exists() {
        true => named(&namespace(LocalStore::new(before).unwrap()).await, "main").await,
        false => None,
    };
    for changes in 0.. {
        let told = format!("{how:?} after {changes} changes");
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("store");
        copy_tree(before, &place);
        let ending = Arc::new(Ending { left: AtomicI64::new(changes), how });
        let outcome = {
            let store = LocalStore::watched(&place, ending.clone()).unwrap();
            let (name, ambient) = (NamespaceName::default(), Ambient::default());
            match Namespace::open_or_create(Arc::new(store), name, ambient).await {
                Ok(namespace) => push_to(&namespace, source, "main", &plain_push()).await,
                Err(error) => Err(error),
            }
        };
        if ending.left.load(Ordering::Relaxed) >= 0 {
            outcome.unwrap();
            return changes;
        }
        if let Err(error) = &outcome
            && how == io::ErrorKind::StorageFull
        {
            assert_eq!(error.kind(), ErrorKind::Internal, "{told}: {error}");
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            assert!(format!("{error} {cause}").contains("no space left"), "{told}: {error}: {cause}");
        }
        let healthy = LocalStore::new(&place).unwrap();
        let opened =
            Namespace::open(Arc::new(healthy.clone()), NamespaceName::default(), Ambient::default()).await;
        match opened {
            Ok(namespace) => {
                assert_clean(&namespace, &told).await;
                let now = named(&namespace, "main").await;
                match &outcome {
                    Ok(pushed) => assert_eq!(now, Some(pushed.at), "{told}"),
                    // The ref may have moved where only the report of it was lost.
                    Err(_) if now == old => {}
                    Err(error) => {
                        let at = now.unwrap_or_else(|| panic!("{told}: {error}"));
                        pull_to(&namespace, at, &dir.path().join("moved"), &PullOptions::default())
                            .await
                            .unwrap();
                        assert_eq!(tree(&dir.path().join("moved")), tree(source), "{told}");
                    }
                }
            }
            Err(error) => assert_eq!((error.kind(), old), (ErrorKind::NotFound, None), "{told}: {error}"),
        }
        let namespace = namespace(healthy).await;
        let again = push_to(&namespace, source, "main", &plain_push()).await.unwrap();
        assert_clean(&namespace, &told).await;
        let pulled = dir.path().join("pulled");
        pull_to(&namespace, again.at, &pulled, &PullOptions::default()).await.unwrap();
        assert_eq!(tree(&pulled), tree(source), "{told}");
        let left = fs::read_dir(place.join(".tmp")).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| !name.to_string_lossy().ends_with(".lock")).collect();
        assert!(left.is_empty(), "{told}: {left:?} is left");
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_a_push_stopped_at_any_change_of_the_disk_changes_nothing_and_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (source, store) = (dir.path().join("source"), dir.path().join("store"));
    fs::create_dir_all(source.join("d")).unwrap();
    for file in 0..10 {
        fs::write(source.join(format!("d/{file}")), bytes_of(file, 1_000)).unwrap();
    }
    for how in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
        let first = stopped_everywhere(&store, &source, how).await;
        assert!(first > 20, "{first} changes in a first push");
    }
    push_to(&namespace(LocalStore::new(&store).unwrap()).await, &source, "main", &plain_push())
        .await
        .unwrap();
    fs::write(source.join("d/5"), b"another content").unwrap();
    for how in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
        let second = stopped_everywhere(&store, &source, how).await;
        assert!(second > 20, "{second} changes in a second push");
    }
}
