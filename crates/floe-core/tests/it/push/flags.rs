//! What is kept changes between pushes: whatever the base keeps, a push gives what a first one would.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::symlink;

use floe_core::{VerifyOptions, verify};
use floe_format::Kept;
use floe_testkit::skip;
use proptest::prelude::*;
use rustix::fs::XattrFlags;

use super::edits::{Edit, apply, edits};
use super::*;

/// What a push may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flags {
    kept: Kept,
    reproducible: bool,
}

impl Flags {
    fn all() -> Vec<Self> {
        let kept = (0..8).map(|bits| Self { kept: Kept::from_bits(bits).unwrap(), reproducible: false });
        kept.chain([Self { kept: Kept::MTIME, reproducible: true }]).collect()
    }

    fn options(self) -> PushOptions {
        PushOptions { kept: self.kept, reproducible: self.reproducible, workers: 2, ..PushOptions::default() }
    }
}

/// A file of several segments between small entries of several kinds.
fn fill_segments(root: &Path) {
    fs::create_dir(root.join("d")).unwrap();
    write(&root.join("a"), b"small");
    write(&root.join("big"), &floe_testkit::bytes_of(5, 5 << 20));
    for number in 0..80u64 {
        write(&root.join(format!("d/{number:02}")), &text(number, 3_000));
    }
    fs::hard_link(root.join("a"), root.join("d/linked")).unwrap();
    symlink("a", root.join("d/symlink")).unwrap();
    if let Err(e) = rustix::fs::setxattr(root.join("d/07"), "user.floe", b"value", XattrFlags::empty()) {
        skip(format_args!("no extended attributes here: {e}"));
    }
}

/// A tar of such a tree.
fn segments_tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let big = ("big".to_owned(), floe_testkit::bytes_of(5, 5 << 20).to_vec());
    let small = (0..80u64).map(|number| (format!("d/{number:02}"), text(number, 3_000)));
    for (path, content) in std::iter::once(big).chain(small) {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(7);
        builder.append_data(&mut header, path, &content[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

async fn push_to(namespace: &Namespace, source: PushSource, name: &str, options: &PushOptions) -> Pushed {
    push(namespace, source, &name.parse().unwrap(), options, &Arc::default()).await.unwrap()
}

/// Pushes with each set of flags, and upon each of these with each other one.
async fn check_pairs(source: impl Fn(&Bench) -> PushSource) {
    let bench = Bench::new().await;
    fill_segments(&bench.source());
    let mut expected = Vec::new();
    for flags in Flags::all() {
        let fresh = namespace(Arc::new(MemoryStore::new())).await;
        let at = push_to(&fresh, source(&bench), "main", &flags.options()).await.at;
        let root = Snapshot::open(&fresh, at).await.unwrap().root().clone();
        assert!(root.items.iter().any(|item| item.entries == 0), "no segment is content alone: {root:?}");
        expected.push((flags, at.snapshot));
    }
    for (base, _) in &expected {
        let namespace = namespace(Arc::new(MemoryStore::new())).await;
        // Only what the stat cache knows is not read anew.
        let cache_dir = bench.options().cache_dir;
        let options = PushOptions { cache_dir: cache_dir.clone(), ..base.options() };
        let first = push_to(&namespace, source(&bench), "main", &options).await.at;
        for (number, (flags, snapshot)) in expected.iter().enumerate() {
            let options = PushOptions { base: Some(first), cache_dir: cache_dir.clone(), ..flags.options() };
            let pushed = push_to(&namespace, source(&bench), &format!("upon-{number}"), &options).await;
            assert_eq!(pushed.at.snapshot, *snapshot, "{flags:?} upon {base:?}");
            let pulled = bench.dir.path().join("pulled");
            let snapshot = Snapshot::open(&namespace, pushed.at).await.unwrap();
            pull(&namespace, &snapshot, &pulled, &PullOptions::default(), &Arc::default()).await.unwrap();
            fs::remove_dir_all(pulled).unwrap();
        }
        let verified = verify(&namespace, &VerifyOptions::default()).await.unwrap();
        assert_eq!(verified.damages, [], "upon {base:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i4_what_a_directory_keeps_may_differ_from_the_base() {
    check_pairs(|bench| PushSource::Directory(bench.source())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i4_what_a_tar_keeps_may_differ_from_the_base() {
    let tar = segments_tar();
    check_pairs(|_| PushSource::Tar(Box::new(Cursor::new(tar.clone())))).await;
}

/// Pushes the tree after each round of edits with the flags of the round.
async fn check_rounds(rounds: Vec<(Vec<Edit>, usize)>) {
    let bench = Bench::new().await;
    for d in 0..2 {
        for f in 0..12 {
            apply(&bench.source(), &Edit::Write(d, f, 500 + 900 * usize::from(f)));
        }
    }
    write(&bench.source().join("d1/many-segments"), &floe_testkit::bytes_of(9, 4 << 20));
    for (edits, flags) in rounds {
        for edit in &edits {
            apply(&bench.source(), edit);
        }
        let flags = Flags::all()[flags];
        let options = PushOptions { cache_dir: bench.options().cache_dir, ..flags.options() };
        let pushed = bench.push_with(&options).await.unwrap();
        let fresh = namespace(Arc::new(MemoryStore::new())).await;
        let source = PushSource::Directory(bench.source());
        let anew = push_to(&fresh, source, "main", &flags.options()).await;
        assert_eq!(anew.at.snapshot, pushed.at.snapshot, "{flags:?}");
    }
    let verified = verify(&bench.namespace, &VerifyOptions::default()).await.unwrap();
    assert_eq!(verified.damages, []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn i4_a_push_with_any_flags_gives_the_snapshot_of_a_first_push(
        rounds in proptest::collection::vec((edits(), 0..9usize), 2..5),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(check_rounds(rounds));
    }
}
