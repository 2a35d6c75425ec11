//! Sources that change while they are pushed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use floe_core::store::LocalStore;
use floe_core::store::local::{DiskOp, DiskWatch};
use floe_core::{ErrorKind, PullOptions};

use super::{Tree, assert_clean, named, namespace, plain_push, push_to, tree};
use crate::reading::pull_to;

/// What is done to a source.
type Deed = Box<dyn FnOnce() + Send>;

/// Does something once, when a lease is about to be published: the walk is under way or over, and nothing is read yet.
struct Meddler(Mutex<Option<Deed>>);

impl std::fmt::Debug for Meddler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meddler")
    }
}

impl DiskWatch for Meddler {
    fn before(&self, op: DiskOp<'_>) -> std::io::Result<()> {
        if let DiskOp::RenameNew { to, .. } = op
            && to.components().any(|part| part.as_os_str() == "leases")
            && let Some(deed) = self.0.lock().unwrap().take()
        {
            deed();
        }
        Ok(())
    }
}

/// Small files and large ones, of which one each has a second name; the same names and lengths for every letter, with
/// other contents.
fn fill(root: &Path, letter: u8) {
    for directory in ["a", "b", "c/inner"] {
        fs::create_dir_all(root.join(directory)).unwrap();
        for file in 0..20 {
            fs::write(root.join(directory).join(format!("{file:02}")), vec![letter + file; 700]).unwrap();
        }
        fs::write(root.join(directory).join("large"), vec![letter; 400_000]).unwrap();
    }
    for file in ["07", "large"] {
        fs::hard_link(root.join("b").join(file), root.join("c/inner").join(format!("z{file}"))).unwrap();
    }
}

/// Puts something in the place of a path; what was there goes to where no walk can see it, and then away.
fn rename_over(root: &Path, path: PathBuf, make: impl FnOnce(&Path) + Send + 'static) -> Deed {
    let aside = dir_above(root).join("aside");
    Box::new(move || {
        fs::rename(&path, &aside).unwrap();
        make(&path);
        if aside.is_dir() { fs::remove_dir_all(aside).unwrap() } else { fs::remove_file(aside).unwrap() }
    })
}

/// One change of each kind to a small file, a large one and a directory.
fn deeds(root: &Path) -> Vec<(String, Deed)> {
    let mut deeds: Vec<(String, Deed)> = Vec::new();
    for below in ["b/07", "b/large", "a", "c/inner"] {
        let path = root.join(below);
        let outside = dir_above(root).join("outside").join(below);
        let is_dir = path.is_dir();
        let mut add = |what: &str, deed: Deed| deeds.push((format!("{below} {what}"), deed));
        let of = path.clone();
        add(
            "vanishes",
            Box::new(
                move || if is_dir { fs::remove_dir_all(of).unwrap() } else { fs::remove_file(of).unwrap() },
            ),
        );
        add(
            "becomes a fifo",
            rename_over(root, path.clone(), |path| {
                rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap();
            }),
        );
        add("becomes a link", rename_over(root, path.clone(), move |path| symlink(outside, path).unwrap()));
        add(
            "becomes a link to a directory",
            rename_over(root, path.clone(), |path| symlink("/etc", path).unwrap()),
        );
        if is_dir {
            add("becomes a file", rename_over(root, path.clone(), |path| fs::write(path, "a file").unwrap()));
            let of = path.clone();
            add(
                "loses a file and gets one",
                Box::new(move || {
                    fs::remove_file(of.join("03")).unwrap();
                    fs::write(of.join("new"), "new").unwrap();
                }),
            );
            continue;
        }
        add(
            "becomes a directory",
            rename_over(root, path.clone(), |path| {
                fs::create_dir(path).unwrap();
                fs::write(path.join("in it"), "new").unwrap();
            }),
        );
        let of = path.clone();
        add(
            "grows",
            Box::new(move || {
                fs::OpenOptions::new().append(true).open(of).unwrap().write_all(b"more").unwrap();
            }),
        );
        let of = path.clone();
        add(
            "shrinks",
            Box::new(move || {
                let file = fs::OpenOptions::new().write(true).open(of).unwrap();
                file.set_len(300).unwrap();
            }),
        );
        add(
            "is replaced by one of the same length",
            rename_over(root, path.clone(), |path| {
                let aside = path.parent().unwrap().parent().unwrap().parent().unwrap().join("aside");
                let length = fs::metadata(aside).unwrap().len();
                fs::write(path, vec![b'?'; length as usize]).unwrap();
            }),
        );
        let of = path.clone();
        add(
            "gets another mode",
            Box::new(move || fs::set_permissions(of, fs::Permissions::from_mode(0o600)).unwrap()),
        );
        let of = path.clone();
        add("is emptied", Box::new(move || fs::write(of, b"").unwrap()));
        let of = path.clone();
        add(
            "is rewritten",
            Box::new(move || {
                let length = fs::metadata(&of).unwrap().len();
                fs::write(of, vec![b'!'; length as usize]).unwrap();
            }),
        );
    }
    deeds
}

/// A tree by path, without what is told of directories themselves: their times change with what is in them.
fn by_path(tree: Tree) -> BTreeMap<std::ffi::OsString, String> {
    let is_directory = |line: &str| line.contains(" directory ");
    tree.into_iter()
        .map(|(path, line)| (path, if is_directory(&line) { "directory".to_owned() } else { line }))
        .collect()
}

/// What is told of an entry but its time: truncating a file sets that twice, and the time between was the file's, too.
fn untimed(line: &str) -> String {
    let mut fields: Vec<_> = line.split(' ').collect();
    if fields.len() > 1 {
        fields.remove(1);
    }
    fields.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_between_walk_and_read_is_pushed_as_it_is_then() {
    let count = {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), b'0');
        deeds(dir.path()).len()
    };
    let empty = blake3::hash(b"").to_string();
    for number in 0..count {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fill(&source, b'0');
        // What links lead to: were they followed, nothing else would tell.
        fill(&dir.path().join("outside"), b'A');
        let before = by_path(tree(&source));
        let (what, deed) = deeds(&source).swap_remove(number);
        let meddler = Arc::new(Meddler(Mutex::new(None)));
        let store = LocalStore::watched(dir.path().join("store"), meddler.clone()).unwrap();
        let namespace = namespace(store).await;
        *meddler.0.lock().unwrap() = Some(deed);
        let outcome = push_to(&namespace, &source, "main", &plain_push()).await;
        assert!(meddler.0.lock().unwrap().is_none(), "{what}: nothing was done");
        let pushed = outcome.unwrap_or_else(|error| panic!("{what}: {:?} {error}", error.kind()));
        assert_clean(&namespace, &what).await;
        let after = by_path(tree(&source));
        let pulled = dir.path().join("pulled");
        pull_to(&namespace, pushed.at, &pulled, &PullOptions::default()).await.unwrap();
        for (path, line) in by_path(tree(&pulled)) {
            let states = [before.get(&path), after.get(&path)];
            // What the deed writes in place is empty before it is what it will be.
            let was_emptied = line.contains(&empty) && states[1].is_some() && states[0] != states[1];
            let legal =
                was_emptied || states.into_iter().flatten().any(|state| untimed(state) == untimed(&line));
            assert!(legal, "{what}: {path:?} is {line}, which it never was");
        }
        // With the source at rest, the same push tells the same.
        let pushed = push_to(&namespace, &source, "main", &plain_push()).await.unwrap();
        let pulled = dir.path().join("pulled again");
        pull_to(&namespace, pushed.at, &pulled, &PullOptions::default()).await.unwrap();
        assert_eq!(by_path(tree(&pulled)), after, "{what}");
    }
}

/// Whatever a thread does to files meanwhile, a snapshot holds each as it was at one moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_never_rests_is_pushed_consistently_or_named() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fill(&source, b'0');
    let store = LocalStore::new(dir.path().join("store")).unwrap();
    let namespace = namespace(store).await;
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (stopped, counted, root) = (Arc::clone(&stop), Arc::clone(&rounds), source.clone());
    let meddler = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            let round = counted.fetch_add(1, Ordering::Relaxed);
            let letter = b'a' + (round % 26) as u8;
            let path =
                root.join(["a", "b", "c/inner"][round as usize % 3]).join(format!("{:02}", round % 20));
            // Made aside and renamed: every state of a file is one letter, of any length.
            let aside = dir_above(&root).join("aside");
            fs::write(&aside, vec![letter; (round * 97 % 3_000) as usize]).unwrap();
            fs::rename(&aside, &path).unwrap();
            match round % 50 {
                7 => fs::remove_file(&path).unwrap(),
                11 => {
                    fs::write(&aside, vec![letter; 300_000 + round as usize % 1_000]).unwrap();
                    fs::rename(&aside, root.join("b/large")).unwrap();
                }
                13 => {
                    let _ = fs::remove_dir_all(root.join("moving"));
                    fs::create_dir(root.join("moving")).unwrap();
                    fs::write(root.join("moving/file"), vec![letter; 100]).unwrap();
                }
                17 => {
                    fs::remove_file(&path).unwrap();
                    symlink("/etc/passwd", &path).unwrap();
                }
                _ => {}
            }
            std::thread::yield_now();
        }
    });
    let (mut committed, mut refused) = (0, 0);
    for push in 0..40 {
        match push_to(&namespace, &source, "main", &plain_push()).await {
            Ok(pushed) => {
                committed += 1;
                let pulled = dir.path().join(format!("pulled-{push}"));
                pull_to(&namespace, pushed.at, &pulled, &PullOptions::default()).await.unwrap();
                for (path, _) in tree(&pulled) {
                    let full = pulled.join(&path);
                    if fs::symlink_metadata(&full).unwrap().is_file() {
                        let content = fs::read(&full).unwrap();
                        let is_one = content.windows(2).all(|two| two[0] == two[1]);
                        assert!(is_one, "{path:?} is a mix");
                    }
                }
                fs::remove_dir_all(pulled).unwrap();
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
                assert!(error.to_string().contains("changed while it was read"), "{error}");
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    meddler.join().unwrap();
    assert!(rounds.load(Ordering::Relaxed) > 100, "{committed} committed, {refused} refused");
    assert_clean(&namespace, "after all").await;
    let pushed = push_to(&namespace, &source, "main", &plain_push()).await.unwrap();
    assert_eq!(named(&namespace, "main").await, Some(pushed.at));
}

fn dir_above(root: &Path) -> &Path {
    root.parent().unwrap()
}
