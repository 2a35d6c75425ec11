//! Pulling to new and existing destinations.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use floe_core::{
    Ambient, ArchiveFormat, ArchiveOptions, ChangeKind, Entropy, ErrorKind, Foreseen, Namespace,
    NamespaceName, PullOptions, PullOutcome, PullProgress, Pulled, Snapshot, SystemClock, archive,
    foresee_pull, pull,
};
use floe_format::{Kept, OwnedBody, XattrList};
use floe_testkit::{Fault, FaultStore, MemoryStore, Operation, RecordingStore, bytes_of, skip};

use super::fixture::{Making, dir, file, hard_link, node, symlink, write};
use super::{foresee, namespace, pull_to};

/// Whichever range of a pack comes back with another byte, it is asked for once more, and the tree is right.
#[tokio::test]
async fn i3_a_range_answered_wrongly_once_is_asked_for_again() {
    let store = MemoryStore::new();
    let mut nodes = vec![dir("d"), file("d/big", &bytes_of(1, 300_000)), file("d/empty", b"")];
    for number in 0..60 {
        nodes.push(file(format!("d/file-{number:03}"), &bytes_of(number, 100 + 70 * number as usize)));
    }
    let at = write(&namespace(&store).await, nodes.clone(), &Making::small()).await;
    let mut answered = 0;
    for garbled in 0.. {
        let faulty = FaultStore::scripted(Arc::new(store.clone()), [(garbled, Fault::Garble)]);
        let name = NamespaceName::default();
        let namespace = Namespace::open(Arc::new(faulty.clone()), name, Ambient::default()).await.unwrap();
        let above = tempfile::tempdir().unwrap();
        let destination = above.path().join("tree");
        let pulled = pull_to(&namespace, at, &destination, &PullOptions::default()).await;
        pulled.unwrap_or_else(|error| panic!("request {garbled}: {error}"));
        for node in &nodes {
            if let OwnedBody::File { .. } = node.entry.body {
                let path = destination.join(std::ffi::OsStr::from_bytes(&node.entry.path));
                assert_eq!(fs::read(&path).unwrap(), node.content, "request {garbled}: {}", path.display());
            }
        }
        answered = answered.max(faulty.requests());
        if garbled > faulty.requests() {
            break;
        }
    }
    assert!(answered > 4, "{answered}");
}

/// What was found equal counts as dealt with, and as reused.
#[tokio::test]
async fn progress_tells_what_is_there_already() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let nodes = vec![dir("d"), file("d/a", &[1; 100]), file("d/b", &[2; 1_000]), file("e", &[3; 10_000])];
    let at = write(&namespace, nodes, &Making::small()).await;
    let snapshot = Snapshot::open(&namespace, at).await.unwrap();
    let above = tempfile::tempdir().unwrap();
    let destination = above.path().join("tree");
    let told = async |dry_run| {
        let (options, progress) = (PullOptions::default(), Arc::default());
        if dry_run {
            let each = &mut |_| Ok(());
            foresee_pull(&namespace, &snapshot, &destination, &options, &progress, each).await.unwrap();
        } else {
            floe_core::pull(&namespace, &snapshot, &destination, &options, &progress).await.unwrap();
        }
        let PullProgress { file_bytes_total, files, file_bytes, reused_file_bytes, .. } = &*progress;
        [file_bytes_total, files, file_bytes, reused_file_bytes].map(|count| count.load(Ordering::Relaxed))
    };
    assert_eq!(told(false).await, [11_100, 3, 11_100, 0]);
    assert_eq!(told(false).await, [11_100, 3, 11_100, 11_100]);
    fs::write(destination.join("d/b"), "other").unwrap();
    assert_eq!(told(true).await, [11_100, 2, 10_100, 10_100]);
    assert_eq!(told(false).await, [11_100, 3, 11_100, 10_100]);
}

/// A file in several frames is told as it is written, and not when it is whole, which may take minutes.
#[tokio::test(flavor = "multi_thread")]
async fn progress_tells_of_a_big_file_before_it_is_whole() {
    const SIZE: u64 = 1_000_000;
    let store = MemoryStore::new();
    let nodes = vec![file("big", &bytes_of(1, SIZE as usize))];
    let at = write(&namespace(&store).await, nodes, &Making::small()).await;
    for path in ["", "big"] {
        let above = tempfile::tempdir().unwrap();
        let progress = Arc::<PullProgress>::default();
        let start = async |stalled, destination: &str| {
            let faulty = FaultStore::scripted(Arc::new(store.clone()), [(stalled, Fault::Stall)]);
            let name = NamespaceName::default();
            let namespace =
                Namespace::open(Arc::new(faulty.clone()), name, Ambient::default()).await.unwrap();
            let snapshot = Snapshot::open(&namespace, at).await.unwrap();
            let destination = above.path().join(destination);
            let (progress, path) = (Arc::clone(&progress), path.as_bytes().to_vec());
            let options = PullOptions { path, ..PullOptions::default() };
            let cancel = options.cancel.clone();
            let pulling = tokio::spawn(async move {
                floe_core::pull(&namespace, &snapshot, &destination, &options, &progress).await
            });
            (faulty, cancel, pulling)
        };
        let told = || {
            [&progress.file_bytes_total, &progress.file_bytes, &progress.files]
                .map(|count| count.load(Ordering::Relaxed))
        };
        let (faulty, _, pulling) = start(u64::MAX, "whole").await;
        pulling.await.unwrap().unwrap();
        assert_eq!(told(), [SIZE, SIZE, 1], "{path:?}");
        // The last request is never answered; several are on their way at once, and which is the last is a matter of luck.
        let mut is_told = false;
        for _ in 0..30 {
            progress.file_bytes.store(0, Ordering::Relaxed);
            progress.files.store(0, Ordering::Relaxed);
            let (_, cancel, pulling) = start(faulty.requests() - 1, "part").await;
            let some = async {
                while told()[1] == 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            let is_some = tokio::time::timeout(Duration::from_secs(1), some).await.is_ok();
            let [_, bytes, files] = told();
            cancel.cancel();
            let pulled = pulling.await.unwrap();
            if let Err(stopped) = pulled
                && is_some
                && bytes < SIZE
            {
                assert_eq!((files, stopped.kind()), (0, ErrorKind::Cancelled), "{path:?}: {bytes}");
                is_told = true;
                break;
            }
        }
        assert!(is_told, "{path:?}");
    }
}

/// Of which nothing is created where the directory is there.
#[tokio::test]
async fn an_empty_tree_is_pulled_once() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let nodes = vec![dir("bare"), dir("d"), file("d/a", b"a")];
    let at = write(&namespace, nodes, &Making::small()).await;
    let above = tempfile::tempdir().unwrap();
    let bare = PullOptions { path: b"bare".to_vec(), ..PullOptions::default() };
    let none = PullOptions { include: vec!["none".parse().unwrap()], ..PullOptions::default() };
    for (name, options) in [("bare", bare), ("none", none)] {
        let destination = above.path().join(name);
        let pull = async || pull_to(&namespace, at, &destination, &options).await.unwrap().outcome;
        assert_eq!(pull().await, PullOutcome::Created, "{name}");
        assert_eq!(pull().await, PullOutcome::Unchanged, "{name}");
        fs::set_permissions(&destination, fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(pull().await, PullOutcome::Updated, "{name}");
        assert_eq!(pull().await, PullOutcome::Unchanged, "{name}");
    }
}

/// Nor is anything made in it meanwhile, which may not be allowed.
#[tokio::test]
async fn an_empty_tree_that_is_there_is_not_touched() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let at = write(&namespace, Vec::new(), &Making::small()).await;
    let above = tempfile::tempdir().unwrap();
    let destination = above.path().join("tree");
    let pull = async || pull_to(&namespace, at, &destination, &PullOptions::default()).await.unwrap().outcome;
    assert_eq!(pull().await, PullOutcome::Created);
    let changed = || fs::metadata(&destination).map(|found| (found.ctime(), found.ctime_nsec())).unwrap();
    let before = changed();
    assert_eq!(pull().await, PullOutcome::Unchanged);
    assert_eq!(changed(), before);
}

#[tokio::test]
async fn a_directory_of_another_mode_is_a_difference() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let at = write(&namespace, vec![dir("d"), file("d/a", b"a")], &Making::small()).await;
    let above = tempfile::tempdir().unwrap();
    let destination = above.path().join("tree");
    let pull = async || pull_to(&namespace, at, &destination, &PullOptions::default()).await.unwrap().outcome;
    assert_eq!(pull().await, PullOutcome::Created);
    assert_eq!(pull().await, PullOutcome::Unchanged);
    fs::set_permissions(destination.join("d"), fs::Permissions::from_mode(0o711)).unwrap();
    assert_eq!(pull().await, PullOutcome::Updated);
    assert_eq!(pull().await, PullOutcome::Unchanged);
    fs::set_permissions(&destination, fs::Permissions::from_mode(0o711)).unwrap();
    assert_eq!(pull().await, PullOutcome::Updated);
    assert_eq!(pull().await, PullOutcome::Unchanged);
}

#[tokio::test]
async fn hard_links_that_are_there_are_no_difference() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let link = |path: &str| hard_link(path.as_bytes(), b"a");
    let nodes = vec![file("a", b"linked"), dir("d"), file("other", b"linked"), link("z"), link("d/one")];
    let at = write(&namespace, nodes, &Making::small()).await;
    let above = tempfile::tempdir().unwrap();
    let destination = above.path().join("tree");
    let pull = async || pull_to(&namespace, at, &destination, &PullOptions::default()).await.unwrap().outcome;
    let is_whole = || {
        let inode = |path: &str| fs::symlink_metadata(destination.join(path)).unwrap().ino();
        inode("a") == inode("d/one") && inode("a") == inode("z") && inode("other") != inode("z")
    };
    assert_eq!(pull().await, PullOutcome::Created);
    assert!(is_whole());
    assert_eq!(pull().await, PullOutcome::Unchanged);
    let breaks: [&dyn Fn(); 4] = [
        // A link of another file, equal in all but that.
        &|| {
            fs::remove_file(destination.join("z")).unwrap();
            fs::hard_link(destination.join("other"), destination.join("z")).unwrap();
        },
        &|| fs::remove_file(destination.join("d/one")).unwrap(),
        // The file is another; its links stay what they were.
        &|| {
            let content = fs::read(destination.join("a")).unwrap();
            fs::remove_file(destination.join("a")).unwrap();
            fs::write(destination.join("a"), content).unwrap();
        },
        &|| fs::write(destination.join("z"), b"LINKED").unwrap(),
    ];
    for (number, breaks) in breaks.iter().enumerate() {
        breaks();
        assert_eq!(pull().await, PullOutcome::Updated, "{number}");
        assert!(is_whole(), "{number}");
        assert_eq!(fs::read(destination.join("z")).unwrap(), b"linked");
        assert_eq!(pull().await, PullOutcome::Unchanged, "{number}");
    }
}

#[tokio::test]
async fn a_tree_of_all_kinds_comes_back() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let big = bytes_of(1, 300_000);
    let mut sparse = vec![0; 200_000];
    sparse[123_456] = 1;
    let secret = node(b"d/secret", 0, OwnedBody::File { size: 0, hash: None });
    let mut nodes = vec![
        dir("d"),
        dir("d/e"),
        dir("empty"),
        file("a", b"hello"),
        file("d/big", &big),
        file("d/e/sparse", &sparse),
        file("d/nothing", b""),
        file(b"d/\xff\xfe", b"not UTF-8"),
        file([b"d/e/".as_slice(), &[b'n'; 200]].concat(), b"long name"),
        symlink(b"d/link", b"../a"),
        hard_link(b"d/second", b"a"),
        hard_link(b"d/third", b"a"),
        node(b"fifo", 0o600, OwnedBody::Fifo),
        secret,
    ];
    for number in 0..500 {
        nodes.push(file(format!("d/file-{number:03}"), &bytes_of(number, 100 + 7 * number as usize)));
    }
    let at = write(&namespace, nodes.clone(), &Making::small()).await;
    let above = tempfile::tempdir().unwrap();
    let destination = above.path().join("tree");
    let pulled = pull_to(&namespace, at, &destination, &PullOptions::default()).await.unwrap();
    assert_eq!(pulled.entries, nodes.len() as u64);
    assert_eq!(fs::read(destination.join("a")).unwrap(), b"hello");
    assert_eq!(fs::read(destination.join("d/big")).unwrap(), big);
    assert_eq!(fs::read(destination.join("d/e/sparse")).unwrap(), sparse);
    assert_eq!(fs::metadata(destination.join("d/secret")).unwrap().permissions().mode() & 0o7777, 0);
    assert_eq!(fs::read_link(destination.join("d/link")).unwrap().to_str().unwrap(), "../a");
    assert_eq!(fs::metadata(destination.join("a")).unwrap().nlink(), 3);
    assert!(fs::metadata(destination.join("fifo")).unwrap().file_type().is_fifo());
    let sub = fs::metadata(destination.join("d/e")).unwrap();
    assert_eq!((sub.mtime(), sub.mtime_nsec()), (1_500_000_000, 123_456_789));
    assert_eq!(fs::metadata(&destination).unwrap().mtime(), 1_400_000_000);
    for node in &nodes {
        if let OwnedBody::File { .. } = node.entry.body {
            let path = destination.join(std::ffi::OsStr::from_bytes(&node.entry.path));
            assert_eq!(fs::read(&path).unwrap(), node.content, "{}", path.display());
        }
    }
    assert_eq!(fs::read_dir(above.path()).unwrap().count(), 1);
}

fn some() -> Vec<super::fixture::Node> {
    let mut nodes = vec![dir("d"), dir("d/e"), dir("empty"), file("a", b"hello"), hard_link(b"d/link", b"a")];
    for number in 0..300 {
        nodes.push(file(format!("d/e/file-{number:03}"), &bytes_of(number, 500)));
    }
    nodes.push(file("big", &bytes_of(3, 150_000)));
    nodes
}

#[tokio::test]
async fn over_an_existing_tree_only_what_differs_is_written() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let at = write(&namespace, some(), &Making::small()).await;
    let above = tempfile::tempdir().unwrap();
    let destination = above.path().join("tree");
    let cache_dir = Some(above.path().join("cache"));
    let options = PullOptions { cache_dir, ..PullOptions::default() };
    assert_eq!(pull_to(&namespace, at, &destination, &options).await.unwrap().outcome, PullOutcome::Created);
    let again = pull_to(&namespace, at, &destination, &options).await.unwrap();
    assert_eq!((again.written_files, again.fetched_bytes), (0, 0));
    fs::write(destination.join("d/e/file-123"), b"changed").unwrap();
    fs::write(destination.join("big"), vec![1; 150_000]).unwrap();
    fs::remove_file(destination.join("d/e/file-007")).unwrap();
    fs::remove_dir(destination.join("empty")).unwrap();
    fs::write(destination.join("empty"), b"in the way").unwrap();
    fs::write(destination.join("extra"), b"stays").unwrap();
    let kept = fs::metadata(destination.join("d/e/file-008")).unwrap().ino();
    let (pulled, told) = foresee(&namespace, at, &destination, &options).await.unwrap();
    assert_eq!((pulled.written_files, pulled.outcome), (3, PullOutcome::DryRun));
    use ChangeKind::{Added, Content, Metadata};
    let told_of = [
        (Metadata, ""),
        (Content, "big"),
        (Content, "empty"),
        (Metadata, "d/e"),
        (Added, "d/e/file-007"),
        (Content, "d/e/file-123"),
    ];
    assert_eq!(told, told_of.map(|(kind, path)| Foreseen { kind, path: path.into() }));
    let pulled = pull_to(&namespace, at, &destination, &options).await.unwrap();
    assert_eq!((pulled.written_files, pulled.removed, pulled.outcome), (3, 0, PullOutcome::Updated));
    assert!(destination.join("extra").exists());
    let excluded = PullOptions { delete: true, exclude: vec!["ext*".into()], ..options.clone() };
    assert_eq!(pull_to(&namespace, at, &destination, &excluded).await.unwrap().removed, 0);
    let pulled =
        pull_to(&namespace, at, &destination, &PullOptions { delete: true, ..options }).await.unwrap();
    assert_eq!((pulled.written_files, pulled.removed), (0, 1));
    for node in some() {
        let path = destination.join(std::ffi::OsStr::from_bytes(&node.entry.path));
        match node.entry.body {
            OwnedBody::File { .. } => assert_eq!(fs::read(&path).unwrap(), node.content),
            OwnedBody::Directory => assert!(path.is_dir()),
            _ => assert_eq!(fs::read(&path).unwrap(), b"hello"),
        }
        assert_eq!(fs::metadata(&path).unwrap().mtime(), 1_500_000_000, "{}", path.display());
    }
    assert_eq!(fs::metadata(destination.join("d/e/file-008")).unwrap().ino(), kept);
}

#[tokio::test]
async fn parts_of_a_tree_come_alone() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let at = write(&namespace, some(), &Making::small()).await;
    let above = tempfile::tempdir().unwrap();
    let of = |path: &str| PullOptions { path: path.into(), ..PullOptions::default() };
    // A link whose file is elsewhere becomes that file.
    let pulled = pull_to(&namespace, at, &above.path().join("d"), &of("d")).await.unwrap();
    assert_eq!((pulled.entries, pulled.outcome), (302, PullOutcome::Created));
    assert_eq!(fs::read(above.path().join("d/link")).unwrap(), b"hello");
    assert_eq!(fs::read(above.path().join("d/e/file-299")).unwrap(), bytes_of(299, 500));
    for (path, size) in [("big", 150_000), ("a", 5), ("d/link", 5), ("d/e/file-003", 500)] {
        pull_to(&namespace, at, &above.path().join("one"), &of(path)).await.unwrap();
        assert_eq!(fs::metadata(above.path().join("one")).unwrap().len(), size, "{path}");
    }
    let missing = pull_to(&namespace, at, &above.path().join("none"), &of("d/none")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let picky =
        PullOptions { include: vec!["file-1*".into()], exclude: vec!["*5".into()], ..PullOptions::default() };
    let pulled = pull_to(&namespace, at, &above.path().join("picked"), &picky).await.unwrap();
    assert_eq!((pulled.files, pulled.entries), (90, 92));
    assert!(!above.path().join("picked/empty").exists() && !above.path().join("picked/big").exists());
    assert_eq!(fs::read_dir(above.path().join("picked/d/e")).unwrap().count(), 90);
}

#[tokio::test]
async fn a_pull_that_is_stopped_leaves_nothing() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let at = write(&namespace, some(), &Making::small()).await;
    let above = tempfile::tempdir().unwrap();
    let options = PullOptions::default();
    options.cancel.cancel();
    let stopped = pull_to(&namespace, at, &above.path().join("tree"), &options).await.unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
    assert_eq!(fs::read_dir(above.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn one_entry_that_is_there_already_is_not_written_again() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let at = write(&namespace, some(), &Making::small()).await;
    let above = tempfile::tempdir().unwrap();
    let one = above.path().join("one");
    let pull = async |path: &str| {
        let options = PullOptions { path: path.into(), ..PullOptions::default() };
        let pulled = pull_to(&namespace, at, &one, &options).await.unwrap();
        (pulled.outcome, pulled.written_files, pulled.fetched_bytes > 0)
    };
    assert_eq!(pull("d/e/file-003").await, (PullOutcome::Created, 1, true));
    let inode = fs::metadata(&one).unwrap().ino();
    assert_eq!(pull("d/e/file-003").await, (PullOutcome::Unchanged, 0, false));
    fs::set_permissions(&one, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(pull("d/e/file-003").await, (PullOutcome::Updated, 0, false), "only its mode differed");
    assert_eq!(pull("d/e/file-003").await, (PullOutcome::Unchanged, 0, false));
    assert_eq!(fs::metadata(&one).unwrap().ino(), inode, "it was not replaced");
    assert_eq!(pull("d/e/file-004").await, (PullOutcome::Updated, 1, true), "of the same size");
    assert_eq!(fs::read(&one).unwrap(), bytes_of(4, 500));
    assert_eq!(pull("d/link").await, (PullOutcome::Updated, 1, true));
    assert_eq!(pull("d/link").await, (PullOutcome::Unchanged, 0, false));
}

/// A hard link whose file is not pulled is that file, and is not written again where it is there.
#[tokio::test]
async fn what_stands_in_for_a_file_that_is_not_pulled_is_written_once() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let link = |path: &str| hard_link(path.as_bytes(), b"a");
    let nodes =
        vec![file("a", b"linked"), dir("d"), file("d/own", b"own"), link("z"), link("d/one"), link("d/two")];
    let at = write(&namespace, nodes, &Making::small()).await;
    let above = tempfile::tempdir().unwrap();
    let own = PullOptions { path: "d/own".into(), ..PullOptions::default() };
    let own_bytes = pull_to(&namespace, at, above.path(), &own).await.unwrap().fetched_bytes;
    let globs = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect::<Vec<_>>();
    for (path, include, exclude, links) in [
        ("d", globs(&[]), globs(&[]), &["one", "two"][..]),
        ("", globs(&[]), globs(&["/a"]), &["z", "d/one", "d/two"]),
        ("", globs(&["d"]), globs(&[]), &["d/one", "d/two"]),
    ] {
        let above = tempfile::tempdir().unwrap();
        let destination = above.path().join("tree");
        let options = PullOptions { path: path.into(), include, exclude, ..PullOptions::default() };
        let pull_with = async |options: &PullOptions| {
            let pulled = pull_to(&namespace, at, &destination, options).await.unwrap();
            assert_eq!((pulled.files, pulled.file_bytes), (2, 9), "{path}: {:?}", pulled.outcome);
            pulled
        };
        let pull = async || pull_with(&options).await;
        let inodes = || -> Vec<u64> {
            links.iter().map(|link| fs::symlink_metadata(destination.join(link)).unwrap().ino()).collect()
        };
        let told = |pulled: Pulled| (pulled.outcome, pulled.written_files, pulled.fetched_bytes > 0);
        let dry = async || {
            let (pulled, _) = foresee(&namespace, at, &destination, &options).await.unwrap();
            assert_eq!((pulled.files, pulled.file_bytes), (2, 9), "{path}");
            pulled.written_files
        };
        assert_eq!(dry().await, 2, "{path}");
        let first = pull().await;
        assert_eq!((first.outcome, first.written_files), (PullOutcome::Created, 2), "{path}");
        assert!(first.fetched_bytes > own_bytes, "{path}: what is fetched for a link alone counts, too");
        let made = inodes();
        assert!(made.iter().all(|inode| *inode == made[0]), "{path}");
        assert_eq!(told(pull().await), (PullOutcome::Unchanged, 0, false), "{path}");
        assert_eq!(inodes(), made, "{path}");
        assert_eq!(dry().await, 0, "{path}");
        // One of the other links is lost: it is made again, and nothing is fetched.
        fs::remove_file(destination.join(links[1])).unwrap();
        assert_eq!(told(pull().await), (PullOutcome::Updated, 0, false), "{path}");
        assert_eq!(inodes(), made, "{path}");
        fs::write(destination.join(links[0]), b"LINKED").unwrap();
        assert_eq!(dry().await, 1, "{path}");
        assert_eq!(told(pull().await), (PullOutcome::Updated, 1, true), "{path}");
        assert!(inodes().iter().all(|inode| *inode == inodes()[0]), "{path}");
        assert_eq!(fs::read(destination.join(links[1])).unwrap(), b"linked");
        assert_eq!(told(pull().await), (PullOutcome::Unchanged, 0, false), "{path}");
    }
}

/// However many they are, segments are read once, and frames together.
#[tokio::test]
async fn files_that_links_stand_in_for_are_read_in_one_pass() {
    const MANY: u64 = 300;
    let store = MemoryStore::new();
    let mut nodes = vec![dir("f"), dir("l")];
    let content = |number: u64| {
        bytes_of(number, if number.is_multiple_of(97) { 150_000 } else { 100 + number as usize })
    };
    for number in 0..MANY {
        nodes.push(file(format!("f/{number:03}"), &content(number)));
        // In another order.
        let link = format!("l/{:03}", number * 7 % MANY);
        nodes.push(hard_link(link.as_bytes(), format!("f/{number:03}").as_bytes()));
    }
    let at = write(&namespace(&store).await, nodes, &Making::small()).await;
    let recorded = RecordingStore::new(Arc::new(store));
    let name = NamespaceName::default();
    let namespace = Namespace::open(Arc::new(recorded.clone()), name, Ambient::default()).await.unwrap();
    let above = tempfile::tempdir().unwrap();
    let destination = above.path().join("tree");
    let options = PullOptions { path: "l".into(), ..PullOptions::default() };
    let all = |wanted: PullOutcome, pulled: Pulled, written: u64| {
        assert_eq!((pulled.outcome, pulled.files, pulled.written_files), (wanted, MANY, written));
        for number in 0..MANY {
            let link = destination.join(format!("{:03}", number * 7 % MANY));
            assert!(fs::read(&link).unwrap() == content(number), "{}", link.display());
        }
    };
    all(PullOutcome::Created, pull_to(&namespace, at, &destination, &options).await.unwrap(), MANY);
    let requests = recorded.requests().len();
    assert!(requests < 40, "{requests} requests");
    all(PullOutcome::Unchanged, pull_to(&namespace, at, &destination, &options).await.unwrap(), 0);
    for number in 0..20 {
        fs::write(destination.join(format!("{number:03}")), "other").unwrap();
    }
    all(PullOutcome::Updated, pull_to(&namespace, at, &destination, &options).await.unwrap(), 20);
    let requests = recorded.requests().len();
    assert!(requests < 120, "{requests} requests");
}

/// The only name of such a file may have other attributes alone.
#[tokio::test]
async fn what_stands_in_for_a_file_gets_other_attributes_in_place() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let nodes = vec![file("0", b"A"), hard_link(b"z", b"0")];
    let at = write(&namespace, nodes, &Making::small()).await;
    let above = tempfile::tempdir().unwrap();
    let destination = above.path().join("tree");
    let options = PullOptions { exclude: vec!["0".into()], ..PullOptions::default() };
    let pull = async || {
        let pulled = pull_to(&namespace, at, &destination, &options).await.unwrap();
        (pulled.outcome, pulled.written_files, pulled.fetched_bytes > 0)
    };
    assert_eq!(pull().await, (PullOutcome::Created, 1, true));
    let inode = || fs::metadata(destination.join("z")).unwrap().ino();
    let made = inode();
    assert_eq!(pull().await, (PullOutcome::Unchanged, 0, false));
    fs::set_permissions(destination.join("z"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(pull().await, (PullOutcome::Updated, 0, false));
    assert_eq!(fs::metadata(destination.join("z")).unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(pull().await, (PullOutcome::Unchanged, 0, false));
    assert_eq!(inode(), made);
    // The whole tree, and then again without the file.
    let whole = above.path().join("whole");
    pull_to(&namespace, at, &whole, &PullOptions::default()).await.unwrap();
    let again = pull_to(&namespace, at, &whole, &options).await.unwrap();
    assert_eq!((again.outcome, again.written_files), (PullOutcome::Unchanged, 0));
}

/// Of much that is not wanted, between little that is, no more is read than it costs to ask twice.
#[tokio::test]
async fn i8_what_lies_between_wanted_files_is_not_all_fetched() {
    const DIRECTORIES: usize = 60;
    let store = MemoryStore::new();
    let mut nodes = vec![];
    for number in 0..DIRECTORIES {
        nodes.push(dir(format!("d{number:02}")));
        nodes.push(file(format!("d{number:02}/large"), &bytes_of(number as u64, 60_000)));
        nodes.push(file(format!("d{number:02}/small.txt"), &bytes_of(number as u64, 100)));
    }
    let making = Making { pack_bytes: 16 << 20, ..Making::small() };
    let at = write(&namespace(&store).await, nodes, &making).await;
    let recorded = RecordingStore::new(Arc::new(store));
    let opened = Namespace::open(Arc::new(recorded.clone()), NamespaceName::default(), Ambient::default());
    let namespace = opened.await.unwrap();
    recorded.clear();
    let above = tempfile::tempdir().unwrap();
    let options = PullOptions { include: vec!["*.txt".to_owned()], ..PullOptions::default() };
    let pulled = pull_to(&namespace, at, &above.path().join("tree"), &options).await.unwrap();
    assert_eq!(pulled.written_files, DIRECTORIES as u64);
    let ranges = recorded.counts()[&Operation::GetRange];
    assert!(ranges <= DIRECTORIES / 2 + 4, "{ranges} requests");
    // What is stored of each small file, its header and frame is far less than a KiB.
    let most = DIRECTORIES as u64 * 2 * 1024 + (ranges as u64) * (64 << 10);
    assert!(pulled.fetched_bytes <= most, "{} bytes in {ranges} requests", pulled.fetched_bytes);
}

/// It may be a slow one.
#[tokio::test]
async fn who_is_to_stop_asks_nothing_more_of_the_store() {
    let store = MemoryStore::new();
    let at = write(&namespace(&store).await, vec![file("a", b"a")], &Making::small()).await;
    let recorded = RecordingStore::new(Arc::new(store));
    let opened = Namespace::open(Arc::new(recorded.clone()), NamespaceName::default(), Ambient::default());
    let namespace = opened.await.unwrap();
    let snapshot = Snapshot::open(&namespace, at).await.unwrap();
    recorded.clear();
    let above = tempfile::tempdir().unwrap();
    let options = PullOptions::default();
    options.cancel.cancel();
    let pulled = pull(&namespace, &snapshot, &above.path().join("tree"), &options, &Arc::default()).await;
    assert_eq!(pulled.unwrap_err().kind(), ErrorKind::Cancelled);
    let options = ArchiveOptions::default();
    options.cancel.cancel();
    let archived =
        archive(&namespace, &snapshot, ArchiveFormat::Tar, Box::new(std::io::sink()), &options).await;
    assert_eq!(archived.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(recorded.requests(), []);
}

/// Random bytes that are not.
#[derive(Debug)]
struct Nothing;

impl Entropy for Nothing {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// What the snapshot lets others do in the destination holds before anything is moved there.
#[tokio::test]
async fn an_empty_destination_is_not_writable_by_others_when_it_gets_entries() {
    let store = MemoryStore::new();
    // One is named as what all is written to first, so that it cannot be moved after another was.
    let nodes = vec![file("-", b"moved"), file(".floe-0000000000000000-0.tmp", b"in the way")];
    let at = write(&namespace(&store).await, nodes, &Making::small()).await;
    let ambient = Ambient::new(Arc::new(SystemClock), Arc::new(Nothing));
    let namespace =
        Namespace::open(Arc::new(store.clone()), NamespaceName::default(), ambient).await.unwrap();
    let destination = tempfile::tempdir().unwrap();
    fs::set_permissions(destination.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let failed = pull_to(&namespace, at, destination.path(), &PullOptions::default()).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Conflict, "{failed}");
    assert!(destination.path().join("-").exists());
    assert_eq!(fs::metadata(destination.path()).unwrap().mode() & 0o7777, 0o755);
}

#[tokio::test]
async fn default_acls_that_are_as_they_should_be_are_left_alone() {
    // user::rwx user:1234:rwx group::r-x mask::rwx other::r-x
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in
        [(1_u16, 7_u16, u32::MAX), (2, 7, 1234), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 5, u32::MAX)]
    {
        acl.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        acl.extend(id.to_le_bytes());
    }
    let default = "system.posix_acl_default";
    let above = tempfile::tempdir().unwrap();
    let probe = above.path().join("probe");
    fs::create_dir(&probe).unwrap();
    if rustix::fs::setxattr(&probe, default, &acl, rustix::fs::XattrFlags::empty()).is_err() {
        skip("no ACLs in the temporary directory");
        return;
    }
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let mut nodes = vec![dir("d"), file("d/a", b"a"), file("f", b"f")];
    nodes[0].entry.xattrs = XattrList::new([(default, &acl)]).unwrap();
    let making = Making { kept: Kept::MTIME | Kept::XATTRS, ..Making::small() };
    let at = write(&namespace, nodes, &making).await;
    let destination = above.path().join("tree");
    let options = PullOptions { xattrs: true, ..PullOptions::default() };
    let pull = async |destination: &std::path::Path, options: &PullOptions| {
        pull_to(&namespace, at, destination, options).await.unwrap().outcome
    };
    assert_eq!(pull(&destination, &options).await, PullOutcome::Created);
    let changed = || {
        ["", "d", "d/a", "f"].map(|path| {
            let stat = fs::metadata(destination.join(path)).unwrap();
            (stat.ctime(), stat.ctime_nsec())
        })
    };
    let before = changed();
    assert_eq!(pull(&destination, &options).await, PullOutcome::Unchanged);
    assert_eq!(changed(), before);
    // What is written there has the attributes of the snapshot, be it alone.
    fs::write(destination.join("d/a"), b"b").unwrap();
    assert_eq!(pull(&destination, &options).await, PullOutcome::Updated);
    assert_eq!(pull(&probe, &PullOptions { path: b"f".to_vec(), ..options }).await, PullOutcome::Created);
    let length = |path: std::path::PathBuf, name: &str| {
        rustix::fs::getxattr(path, name, &mut [0_u8; 256][..]).unwrap_or_default()
    };
    assert_eq!(length(destination.join("d"), default), acl.len());
    for path in [destination.join("d/a"), probe.join("f")] {
        assert_eq!(length(path, "system.posix_acl_access"), 0);
    }
}

/// Whoever is told may take their time, and keeps nobody from writing meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_free_while_changes_are_told() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let at = write(&namespace, some(), &Making::small()).await;
    let snapshot = Snapshot::open(&namespace, at).await.unwrap();
    let above = tempfile::tempdir().unwrap();
    fs::write(above.path().join("extra"), "x").unwrap();
    let options = PullOptions { delete: true, ..PullOptions::default() };
    let mut told = 0;
    let each = &mut |_| {
        told += 1;
        fs::File::open(above.path()).unwrap().try_lock().unwrap();
        Ok(())
    };
    foresee_pull(&namespace, &snapshot, above.path(), &options, &Arc::default(), each).await.unwrap();
    assert!(told > 300, "{told}");
}
