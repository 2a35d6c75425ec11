//! A small store that has every kind of object and every part that an object can have.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use floe_core::store::{Key, PutMode, Store};
use floe_core::{Annotation, PushOptions, Snapshot};
use floe_format::{Chunker, FrameId, Kept, Parameters, Sum128};
use floe_testkit::{Fault, FaultStore, MemoryStore, bytes_of, skip};

use crate::attack::{name, named, namespace, plain_push, push_to};

/// The smallest that is allowed, so that little content makes many frames.
const PARAMETERS: Parameters = Parameters {
    group_min: 1024,
    group_max: 4096,
    small_max: 1024,
    chunk_min: 128,
    chunk_avg: 128,
    chunk_max: 128,
};

/// Segments that a file of alternating chunks is to have: more than a root lists.
const SEGMENTS: usize = 35;

/// Makes the store: two refs with several generations, one removed, a collector's state, the leavings of a push that died.
pub(super) async fn specimen() -> MemoryStore {
    let store = MemoryStore::new();
    make_namespace(&store).await;
    let namespace = namespace(store.clone()).await;
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path();
    let options = PushOptions { kept: Kept::MTIME | Kept::XATTRS, ..plain_push() };
    fill(source);
    let annotation = Annotation { message: Some("the first".to_owned()), ..Annotation::default() };
    let first = PushOptions { annotation, ..options.clone() };
    push_to(&namespace, source, "main", &first).await.unwrap();
    write(&source.join("d/two"), &bytes_of(7, 900));
    push_to(&namespace, source, "main", &options).await.unwrap();
    // Removed, and back again: the history has a gap.
    namespace.remove_ref(&name("main"), "test", Annotation::default()).await.unwrap();
    write(&source.join("d/three"), &bytes_of(8, 3_000));
    push_to(&namespace, source, "main", &options).await.unwrap();
    let at = named(&namespace, "main").await.unwrap();
    namespace.tag(&name("gone"), at, "test", Annotation::default()).await.unwrap();
    namespace.remove_ref(&name("gone"), "test", Annotation::default()).await.unwrap();

    let deep = directory.path().join("deep");
    fs::create_dir(&deep).unwrap();
    write(&deep.join("alternating"), &alternating());
    push_to(&namespace, &deep, "deep", &plain_push()).await.unwrap();
    let at = named(&namespace, "deep").await.unwrap();
    let root = Snapshot::open(&namespace, at).await.unwrap();
    assert!(root.root().level > 0 && root.root().items.len() > 1, "{:?}", root.root().items.len());

    // A push that dies before it names its snapshot leaves its lease and its pack.
    write(&source.join("d/four"), &bytes_of(9, 500));
    for request in 0.. {
        let fork = store.fork();
        let dying = FaultStore::scripted(Arc::new(fork.clone()), [(request, Fault::Die)]);
        let opened = floe_core::Namespace::open(
            Arc::new(dying),
            floe_core::NamespaceName::default(),
            floe_core::Ambient::default(),
        );
        let Ok(opened) = opened.await else { continue };
        let died = push_to(&opened, source, "main", &options).await;
        let has_left = |part: &str| fork.objects().keys().any(|key| key.as_str().contains(part));
        let packs = |store: &MemoryStore| {
            store.objects().keys().filter(|key| key.as_str().contains("/packs/")).count()
        };
        if died.is_err() && has_left("/leases/") && packs(&fork) > packs(&store) {
            return fork;
        }
        assert!(died.is_err(), "no push left a lease and a pack");
    }
    unreachable!()
}

/// A `format.json` as no `floe` would write it, but any reader must take it.
async fn make_namespace(store: &MemoryStore) {
    let p = PARAMETERS;
    let fields = format!(
        "  \"format\": 1,\n  \"namespace\": \"6e616d6573706163652069642031362e\",\n  \
         \"created\": \"2026-01-02T03:04:00Z\",\n  \"features\": [],\n  \"writers\": \"direct\",\n  \"tree\": {{\n    \
         \"group_min_bytes\": {},\n    \"group_max_bytes\": {},\n    \"small_max_bytes\": {},\n    \
         \"chunk_min_bytes\": {},\n    \"chunk_avg_bytes\": {},\n    \"chunk_max_bytes\": {}\n  }}\n}}\n",
        p.group_min, p.group_max, p.small_max, p.chunk_min, p.chunk_avg, p.chunk_max
    );
    let state = "  \"format\": 1,\n  \"token\": \"0f0e0d0c0b0a09080706050403020100\",\n  \"generation\": 3,\n  \
                 \"condemned\": {\n    \"packs\": [\n      \"019b7ca98c8d05050505050505050505\"\n    ],\n    \
                 \"snapshots\": []\n  }\n}\n";
    for (key, fields) in [("default/format.json", fields.as_str()), ("default/gc/state", state)] {
        let sum = Sum128::of(fields.as_bytes());
        let body = Bytes::from(format!("{{\"sum\":\"{sum}\",\n{fields}"));
        store.put(&Key::new(key).unwrap(), body, PutMode::Create).await.unwrap();
    }
}

fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_600_000_000, 123_456_789);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

/// An entry of every kind that anybody may make.
fn fill(root: &Path) {
    fs::create_dir_all(root.join("d/e")).unwrap();
    write(&root.join("one"), b"the first of its kind");
    write(&root.join("d/two"), &bytes_of(1, 900));
    write(&root.join("d/empty"), b"");
    write(&root.join("d/e/big"), &bytes_of(2, 1_500));
    write(&root.join("d/e/zeros"), &[0; 5_000]);
    write(&root.join("d").join("n".repeat(150)), b"a long name");
    fs::hard_link(root.join("one"), root.join("d/e/again")).unwrap();
    std::os::unix::fs::symlink("../one", root.join("d/link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    fs::set_permissions(root.join("one"), fs::Permissions::from_mode(0o400)).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    if let Err(error) = rustix::fs::setxattr(root.join("d/two"), "user.floe", b"an attribute", flags) {
        skip(format_args!("no extended attributes here, but in the golden store: {error}"));
    }
}

/// A file whose chunks alternate between two, the first of which ends a segment wherever it may: so there are many segments and
/// few frames.
fn alternating() -> Vec<u8> {
    let chunker = Chunker::new(&PARAMETERS);
    let ends = |chunk: &[u8]| {
        assert_eq!(chunker.next_cut(chunk, false), Some(chunk.len()));
        u64::from_le_bytes(FrameId::of(chunk).as_bytes()[..8].try_into().unwrap()) < 1 << 61
    };
    let chunks = || (0..).map(|seed| bytes_of(seed, 128));
    let first = chunks().find(|chunk| ends(chunk)).unwrap();
    let second = chunks().find(|chunk| !ends(chunk)).unwrap();
    [first, second].concat().repeat(SEGMENTS * 2 + 2)
}
