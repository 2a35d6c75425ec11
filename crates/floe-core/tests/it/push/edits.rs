//! Trees that change between pushes: what is pushed against a base is what is pushed without one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use floe_core::{PushOptions, PushOutcome, PushProgress, PushSource, Pushed, Snapshot, push};
use floe_format::SnapshotId;
use proptest::prelude::*;

use super::{Bench, fill, text, write};

/// A change of the tree at a place told by the two numbers.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Write(u8, u8, usize),
    Append(u8, u8),
    Touch(u8, u8),
    Chmod(u8, u8),
    Remove(u8, u8),
    Link(u8, u8),
    HardLink(u8, u8),
    MakeDirectory(u8, u8),
    RemoveDirectory(u8),
    RenameDirectory(u8, u8),
}

pub(super) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let size = prop_oneof![
        Just(0usize),
        Just(1),
        500..520usize,
        0..20_000usize,
        60_000..70_000usize,
        200_000..1_500_000usize
    ];
    let edit = prop_oneof![
        6 => (0..4u8, 0..40u8, size).prop_map(|(d, f, s)| Edit::Write(d, f, s)),
        2 => (0..4u8, 0..40u8).prop_map(|(d, f)| Edit::Append(d, f)),
        1 => (0..4u8, 0..40u8).prop_map(|(d, f)| Edit::Touch(d, f)),
        1 => (0..4u8, 0..40u8).prop_map(|(d, f)| Edit::Chmod(d, f)),
        2 => (0..4u8, 0..40u8).prop_map(|(d, f)| Edit::Remove(d, f)),
        1 => (0..4u8, 0..40u8).prop_map(|(d, f)| Edit::Link(d, f)),
        1 => (0..4u8, 0..40u8).prop_map(|(d, f)| Edit::HardLink(d, f)),
        1 => (0..4u8, 0..40u8).prop_map(|(d, f)| Edit::MakeDirectory(d, f)),
        1 => (0..4u8).prop_map(Edit::RemoveDirectory),
        1 => (0..4u8, 0..4u8).prop_map(|(a, b)| Edit::RenameDirectory(a, b)),
    ];
    proptest::collection::vec(edit, 1..25)
}

/// Applies what can be; what cannot is no change.
pub(super) fn apply(root: &Path, edit: &Edit) {
    let directory = |d: &u8| root.join(format!("d{d}"));
    let file = |d: &u8, f: &u8| {
        fs::create_dir_all(directory(d)).unwrap();
        directory(d).join(format!("f{f:02}"))
    };
    match edit {
        Edit::Write(d, f, size) => {
            let path = file(d, f);
            if !path.is_dir() {
                let _ = fs::remove_file(&path);
                write(&path, &text(u64::from(*f) * 7 + *size as u64, *size));
            }
        }
        Edit::Append(d, f) => {
            let path = file(d, f);
            if let Ok(mut content) = fs::read(&path) {
                content.extend_from_slice(b"one more line\n");
                write(&path, &content);
            }
        }
        Edit::Touch(d, f) => {
            if let Ok(opened) = fs::File::open(file(d, f)) {
                opened.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            }
        }
        Edit::Chmod(d, f) => {
            let path = file(d, f);
            if path.is_file() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            }
        }
        Edit::Remove(d, f) => drop(fs::remove_file(file(d, f))),
        Edit::Link(d, f) => drop(symlink(format!("to/{d}/{f}"), file(d, f))),
        Edit::HardLink(d, f) => drop(fs::hard_link(file(d, f), file(&((d + 1) % 4), &(f + 1)))),
        Edit::MakeDirectory(d, f) => {
            let _ = fs::create_dir(file(d, f));
            let inner = file(d, f).join("inner");
            if file(d, f).is_dir() && !inner.exists() {
                write(&inner, b"inside");
            }
        }
        Edit::RemoveDirectory(d) => drop(fs::remove_dir_all(directory(d))),
        Edit::RenameDirectory(a, b) => drop(fs::rename(directory(a), directory(b))),
    }
}

async fn check(rounds: Vec<Vec<Edit>>, reproducible: bool) {
    let bench = Bench::new().await;
    for d in 0..3 {
        for f in 0..25 {
            apply(&bench.source(), &Edit::Write(d, f, 500 + 900 * usize::from(f)));
        }
    }
    for edits in rounds {
        for edit in &edits {
            apply(&bench.source(), edit);
        }
        let options = PushOptions { reproducible, ..bench.options() };
        let progress = Arc::default();
        let pushed = bench.push_telling(&options, &progress).await.unwrap();
        assert_told(&progress, &pushed);
        if !reproducible {
            bench.assert_pulls_back(&pushed).await;
        }
        assert_eq!(pushed_anew(&bench, &options).await, pushed.at.snapshot);
        let again = bench.push_with(&options).await.unwrap();
        assert!(matches!(again.outcome, PushOutcome::Unchanged(_)));
    }
}

/// Pushes the source into an empty store, without any cache: every frame and segment is made anew.
async fn pushed_anew(bench: &Bench, options: &PushOptions) -> SnapshotId {
    let fresh = Bench::new().await;
    let source = PushSource::Directory(bench.source());
    let options = PushOptions { cache_dir: None, workers: 1, ..options.clone() };
    let pushed = push(&fresh.namespace, source, &super::main_ref(), &options, &Arc::default()).await;
    pushed.unwrap().at.snapshot
}

/// What was told on the way is what is told at the end.
fn assert_told(progress: &PushProgress, pushed: &Pushed) {
    let told = [&progress.entries, &progress.files, &progress.reused_files, &progress.reused_file_bytes];
    let told = told.map(|count| count.load(Ordering::Relaxed));
    assert_eq!(told, [pushed.entries, pushed.files, pushed.reused_files, pushed.reused_file_bytes]);
}

/// Where paths are long, what groups of the base weigh counts as much as what those that are read do.
#[tokio::test(flavor = "multi_thread")]
async fn i4_segments_that_end_by_their_weight_are_the_same_against_a_base() {
    let bench = Bench::new().await;
    let deep = bench.source().join(vec!["a".repeat(230); 15].iter().collect::<PathBuf>());
    fs::create_dir_all(&deep).unwrap();
    for number in 0..2000 {
        write(&deep.join(format!("{number:0100}")), b"");
    }
    bench.push().await.unwrap();
    write(&deep.join(format!("{:0100}", 3)), b"changed");
    let progress = Arc::default();
    let pushed = bench.push_telling(&bench.options(), &progress).await.unwrap();
    assert_told(&progress, &pushed);
    assert_eq!(pushed.reused_files, 1999);
    assert_eq!(pushed_anew(&bench, &bench.options()).await, pushed.at.snapshot);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn i4_a_push_against_a_base_gives_the_same_snapshot(
        rounds in proptest::collection::vec(edits(), 1..4), reproducible in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(check(rounds, reproducible));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_file_counts_as_reused() {
    let bench = Bench::new().await;
    super::fill(&bench.source());
    bench.push().await.unwrap();
    fs::rename(bench.source().join("large"), bench.source().join("d0/moved")).unwrap();
    let pushed = bench.push().await.unwrap();
    assert_eq!(pushed.files, pushed.reused_files);
    assert!(pushed.uploaded_bytes < 200_000, "the chunks of a big file are found wherever it moves");
    bench.assert_pulls_back(&pushed).await;
}

/// The base is what the ref names, whatever the caches would have guessed.
#[tokio::test(flavor = "multi_thread")]
async fn the_base_is_what_the_ref_names_and_not_what_was_pushed_last() {
    let bench = Bench::new().await;
    fill(&bench.source());
    let first = bench.push().await.unwrap();
    // The same source to another ref, with more in it.
    write(&bench.source().join("more"), &text(71, 200_000));
    let source = PushSource::Directory(bench.source());
    let (other, options) = ("other".parse().unwrap(), bench.options());
    push(&bench.namespace, source, &other, &options, &Arc::default()).await.unwrap();
    fs::remove_file(bench.source().join("more")).unwrap();
    let again = bench.push().await.unwrap();
    assert_eq!((again.files, again.reused_files), (first.files, first.files));
    assert!(again.uploaded_bytes < 20_000, "{}", again.uploaded_bytes);
    // Somebody with other caches moves the ref.
    write(&bench.source().join("theirs"), &text(72, 200_000));
    let theirs = PushOptions { cache_dir: Some(bench.dir.path().join("theirs")), ..bench.options() };
    bench.push_with(&theirs).await.unwrap();
    write(&bench.source().join("ours"), b"ours");
    let ours = bench.push().await.unwrap();
    assert_eq!((ours.files, ours.reused_files), (first.files + 2, first.files + 1));
    assert!(ours.uploaded_bytes < 100_000, "{}", ours.uploaded_bytes);
    bench.assert_pulls_back(&ours).await;
}

/// The end of a tree is the same in all trees.
#[tokio::test(flavor = "multi_thread")]
async fn trees_that_have_nothing_in_common_share_no_pack() {
    let bench = Bench::new().await;
    write(&bench.source().join("one"), &text(81, 200_000));
    bench.push().await.unwrap();
    let other = bench.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    write(&other.join("two"), &text(82, 900));
    let (name, options) = ("other".parse().unwrap(), bench.options());
    let pushed =
        push(&bench.namespace, PushSource::Directory(other), &name, &options, &Arc::default()).await.unwrap();
    let snapshot = Snapshot::open(&bench.namespace, pushed.at).await.unwrap();
    assert_eq!(snapshot.layout().packs.len(), 1);
}
