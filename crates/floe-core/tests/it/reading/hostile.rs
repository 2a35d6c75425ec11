//! Snapshots that no tree is: refused by pull, verify and archive alike, and nothing is written outside.

use std::fs;
use std::io::Write;
use std::sync::{Arc, Mutex};

use floe_core::{
    ArchiveFormat, ArchiveOptions, Error, ErrorKind, Namespace, PullOptions, Snapshot, SnapshotAt,
    VerifyOptions, archive,
};
use floe_format::{Codec, ContentHash, OwnedBody, Parameters};
use floe_testkit::{MemoryStore, bytes_of};

use super::fixture::{Making, Node, dir, file, hard_link, symlink, write};
use super::{foresee, namespace, pull_to};

/// What an archive is written to.
#[derive(Clone, Default)]
pub(super) struct Sink(pub(super) Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) async fn archived(
    namespace: &Namespace,
    at: SnapshotAt,
    format: ArchiveFormat,
) -> Result<Vec<u8>, Error> {
    let snapshot = Snapshot::open(namespace, at).await?;
    let sink = Sink::default();
    let length =
        archive(namespace, &snapshot, format, Box::new(sink.clone()), &ArchiveOptions::default()).await?;
    let bytes = std::mem::take(&mut *sink.0.lock().unwrap());
    assert_eq!(bytes.len() as u64, length);
    Ok(bytes)
}

/// Verifies with a ref that names the snapshot; the messages of what is damaged.
async fn damages(store: &MemoryStore, namespace: &Namespace, at: SnapshotAt) -> Vec<String> {
    super::name(store, namespace, "main", at).await;
    let verified = floe_core::verify(namespace, &VerifyOptions::default()).await.unwrap();
    verified.damages.into_iter().map(|damage| format!("{}: {}", damage.object, damage.message)).collect()
}

async fn is_refused(what: &str, nodes: Vec<Node>, making: &Making) {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let at = write(&namespace, nodes, making).await;
    let above = tempfile::tempdir().unwrap();
    for existing in [false, true] {
        let destination = above.path().join("inner").join(format!("tree-{existing}"));
        fs::create_dir_all(if existing { destination.join("x") } else { above.path().join("inner") })
            .unwrap();
        let pulled = pull_to(&namespace, at, &destination, &PullOptions::default()).await;
        let error = pulled.map(|pulled| format!("{pulled:?}")).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        assert_eq!(destination.exists(), existing, "{what}");
    }
    let names: Vec<_> = fs::read_dir(above.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["inner"], "{what}");
    assert_eq!(fs::read_dir(above.path().join("inner")).unwrap().count(), 1, "{what}: staging is left");
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst] {
        let error = archived(&namespace, at, format).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    }
    assert_ne!(damages(&store, &namespace, at).await, [""; 0], "{what}");
}

#[tokio::test]
async fn i6_paths_that_lead_out_are_refused() {
    for path in ["../a", "/a", "a/../../b", "./a", "a//b", "a/", "a\0b"] {
        // The root's own paths are valid: the path stands second, in the segment alone.
        let making = Making { sorts: false, ..Making::default() };
        is_refused(path, vec![file("0", b"x"), file(path, b"content")], &making).await;
    }
}

#[tokio::test]
async fn i6_a_symlink_is_no_parent() {
    is_refused("symlink", vec![symlink(b"d", b".."), file("d/a", b"x")], &Making::default()).await;
    is_refused("file", vec![file("d", b"1"), file("d/a", b"x")], &Making::default()).await;
    is_refused("missing", vec![dir("c"), file("d/a", b"x")], &Making::default()).await;
}

#[tokio::test]
async fn i7_names_that_stand_twice_or_out_of_order_are_refused() {
    let making = Making { sorts: false, ..Making::small() };
    is_refused("twice", vec![file("a", b"1"), file("a", b"2")], &making).await;
    is_refused("a file and a directory", vec![file("a", b"1"), dir("a"), file("a/b", b"2")], &making).await;
    is_refused("out of order", vec![file("b", b"1"), file("a", b"2")], &making).await;
    // Far apart; where segments meet, `i7_order_holds_from_segment_to_segment` looks.
    let mut nodes: Vec<_> = (0..400).map(|n| file(format!("f{n:03}"), &bytes_of(n, 900))).collect();
    nodes.push(file("f100", b"again"));
    is_refused("twice, far apart", nodes, &making).await;
}

#[tokio::test]
async fn i11_a_tar_that_says_something_else_is_refused() {
    for (said, changed) in [("../a", 0o644), ("b", 0o644), ("a", 0o4755)] {
        let mut lying = file("a", b"content");
        let mut in_tar = lying.entry.clone();
        in_tar.path = said.as_bytes().to_vec();
        in_tar.mode = changed;
        lying.in_tar = Some(in_tar);
        is_refused(said, vec![lying, file("z", b"x")], &Making::default()).await;
    }
    let mut lying = symlink(b"a", b"harmless");
    let mut in_tar = lying.entry.clone();
    in_tar.body = OwnedBody::Symlink { target: b"/etc/passwd".to_vec() };
    lying.in_tar = Some(in_tar);
    is_refused("target", vec![lying], &Making::default()).await;
    // The header of a file in several frames.
    let mut lying = file("a", &bytes_of(1, 100_000));
    let mut in_tar = lying.entry.clone();
    in_tar.path = b"../a".to_vec();
    lying.in_tar = Some(in_tar);
    is_refused("big", vec![lying], &Making::small()).await;
    for (length, making) in [(10, Making::default()), (100_000, Making::small())] {
        let making = Making { padding: 1, ..making };
        is_refused("padding", vec![file("a", &bytes_of(1, length)), file("b", &[0; 512])], &making).await;
    }
}

#[tokio::test]
async fn i3_wrong_hashes_of_files_are_refused() {
    for (length, making) in [(10, Making::default()), (100_000, Making::small())] {
        let mut wrong = file("a", &bytes_of(1, length));
        wrong.entry.body = OwnedBody::File { size: length as u64, hash: Some(ContentHash::of(b"other")) };
        is_refused("hash", vec![wrong, file("b", b"x")], &making).await;
    }
}

#[tokio::test]
async fn i7_lying_totals_are_refused() {
    let nodes = || vec![file("a", b"12345"), dir("d"), file("d/b", b"1")];
    is_refused("files", nodes(), &Making { root: |root| root.files = 1, ..Making::default() }).await;
    is_refused("file bytes", nodes(), &Making { root: |root| root.file_bytes = 5, ..Making::default() })
        .await;
    let reproducible =
        Making { kept: floe_format::Kept::NONE, root: |root| root.reproducible = true, ..Making::default() };
    let mut odd = file("a", b"x");
    odd.entry.mode = 0o600;
    is_refused("reproducible", vec![odd], &reproducible).await;
    let parameters = Parameters { small_max: 2, ..Making::small().parameters };
    let nodes = vec![file("a", &bytes_of(1, 40_000)), file("b", b"12345")];
    let making = Making { parameters, root: |root| root.items[0].length += 512, ..Making::small() };
    // Not even a root is made of that.
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let made = tokio::spawn(async move { write(&namespace, nodes, &making).await });
    assert!(made.await.is_err());
}

#[tokio::test]
async fn i7_frames_of_trees_are_no_lz4_frames() {
    let making = Making { codec: Codec::Lz4, ..Making::small() };
    is_refused("lz4", vec![file("a", &bytes_of(1, 40_000)), dir("d"), file("d/b", b"1")], &making).await;
}

#[tokio::test]
async fn i7_hard_links_name_earlier_files_of_their_mode() {
    is_refused("missing", vec![file("a", b"x"), hard_link(b"b", b"aa")], &Making::default()).await;
    is_refused("directory", vec![dir("a"), hard_link(b"b", b"a")], &Making::default()).await;
    is_refused("symlink", vec![symlink(b"a", b"x"), hard_link(b"b", b"a")], &Making::default()).await;
    is_refused(
        "link",
        vec![file("a", b"x"), hard_link(b"b", b"a"), hard_link(b"c", b"b")],
        &Making::default(),
    )
    .await;
    let mut other = hard_link(b"b", b"a");
    other.entry.mode = 0o4755;
    is_refused("mode", vec![file("a", b"x"), other], &Making::default()).await;
}

#[tokio::test]
async fn i3_every_damaged_byte_of_a_pack_is_found() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let nodes = vec![file("a", &bytes_of(1, 3000)), dir("d"), file("d/b", b"content")];
    let at = write(&namespace, nodes, &Making::small()).await;
    super::name(&store, &namespace, "main", at).await;
    let verified = floe_core::verify(&namespace, &VerifyOptions::default()).await.unwrap();
    assert_eq!((verified.damages, verified.unreferenced), (vec![], vec![]));
    let (key, pack) = store.objects().into_iter().find(|(key, _)| key.as_str().contains("/packs/")).unwrap();
    for byte in 0..pack.len() {
        let mut damaged = pack.to_vec();
        damaged[byte] ^= 1 << (byte % 8);
        store.set(&key, Some(damaged.into()));
        let verified = floe_core::verify(&namespace, &VerifyOptions::default()).await.unwrap();
        assert!(verified.damages.iter().any(|damage| damage.object == key.as_str()), "byte {byte}");
    }
    store.set(&key, None);
    let verified =
        floe_core::verify(&namespace, &VerifyOptions { quick: true, ..Default::default() }).await.unwrap();
    assert!(verified.damages.iter().any(|damage| damage.object == key.as_str()));
    let above = tempfile::tempdir().unwrap();
    let gone =
        pull_to(&namespace, at, &above.path().join("tree"), &PullOptions::default()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Corrupt);
    assert!(gone.to_string().contains("packs/"), "{gone}");
}

#[tokio::test]
async fn i7_order_holds_from_segment_to_segment() {
    let making = Making { sorts: false, ..Making::small() };
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let above = tempfile::tempdir().unwrap();
    let options = PullOptions::default();
    // Wherever the entry stands, and so also where a segment ends with it, which no segment alone can tell: one that comes
    // too early, and one that comes again.
    let mut made = 0;
    for (at, name) in (0..120).flat_map(|at| [(at, "zz".to_owned()), (at, format!("f{at:03}"))]) {
        let mut nodes: Vec<_> = (0..120).map(|n| file(format!("f{n:03}"), &bytes_of(n, 900))).collect();
        nodes.insert(at, file(&name, b"once too often"));
        // Where it would be the first of its segment, not even a list of segments is made of that.
        let (into, making) = (namespace.clone(), making.clone());
        let Ok(at) = tokio::spawn(async move { write(&into, nodes, &making).await }).await else { continue };
        made += 1;
        let foreseen = foresee(&namespace, at, &above.path().join("tree"), &options).await;
        let error = foreseen.map(|(pulled, _)| format!("{pulled:?}")).expect_err(&name);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error}");
    }
    assert!(made > 180, "{made} trees could be made");
}
