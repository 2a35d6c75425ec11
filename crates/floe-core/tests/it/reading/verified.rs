//! What verify finds where layouts, packs and snapshots do not agree, and how much it reads and waits for it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use floe_core::store::{Key, Store as _};
use floe_core::{
    Ambient, ArchiveFormat, ArchiveOptions, ErrorKind, Namespace, NamespaceName, PullOptions, Snapshot,
    Verified, VerifyOptions, archive, verify,
};
use floe_format::{Codec, ContentHash, LayoutPack, OwnedBody, TAR_END};
use floe_testkit::{Fault, FaultStore, MemoryStore, RecordingStore, bytes_of};

use super::fixture::{Making, Node, file, write, zeros};
use super::{name, namespace, pull_to};

/// Longer than anything here takes, and much shorter than what it must not take.
const PATIENCE: Duration = Duration::from_secs(100);

/// Of a file in many frames.
const BIG_BYTES: usize = 40_000;

async fn verified(namespace: &Namespace, quick: bool) -> Verified {
    let options = VerifyOptions { quick, ..VerifyOptions::default() };
    let verified = tokio::time::timeout(PATIENCE, verify(namespace, &options)).await;
    verified.expect("verify comes to an end").unwrap()
}

/// The namespace, read through a store that counts.
async fn recorded(store: &MemoryStore) -> (RecordingStore, Namespace) {
    let recorded = RecordingStore::new(Arc::new(store.clone()));
    let namespace = Namespace::open(Arc::new(recorded.clone()), NamespaceName::default(), Ambient::default());
    (recorded, namespace.await.unwrap())
}

/// Each in one frame.
fn small_files(count: u64) -> Vec<Node> {
    (0..count).map(|number| file(format!("f{number:03}"), &bytes_of(number, 3000))).collect()
}

async fn packs(namespace: &Namespace, at: floe_core::SnapshotAt) -> Vec<LayoutPack> {
    Snapshot::open(namespace, at).await.unwrap().layout().packs.clone()
}

/// After `push --full` or a repacking, other packs have the frames of the same segments, and nothing but their own index tells
/// of them.
#[tokio::test]
async fn i3_frames_are_checked_in_every_pack_they_are_read_from() {
    type Change = fn(usize, &mut Vec<u8>) -> bool;
    fn spoil(is_it: bool, plain: &mut [u8]) -> bool {
        let middle = plain.len() / 2;
        plain[middle] ^= u8::from(is_it);
        is_it
    }
    let changes: [(&str, Change); 4] = [
        ("all frames, one of them wrong", |number, plain| spoil(number == 3, plain) || number != 3),
        ("one frame, wrong", |number, plain| spoil(number == 3, plain)),
        ("a chunk, wrong", |_, plain| spoil(plain.starts_with(&bytes_of(7, BIG_BYTES)[..100]), plain)),
        ("the end, wrong", |_, plain| spoil(*plain == TAR_END, plain)),
    ];
    let nodes = || [small_files(40), vec![file("big", &bytes_of(7, BIG_BYTES))]].concat();
    for (what, data) in changes {
        let store = MemoryStore::new();
        let namespace = namespace(&store).await;
        let first = write(&namespace, nodes(), &Making::small()).await;
        name(&store, &namespace, "a", first).await;
        let others = packs(&namespace, first).await;
        let mut good_packs: Vec<_> = others.iter().map(|pack| pack.id).collect();
        let good = Making { others, ..Making::small() };
        let second = write(&namespace, nodes(), &good).await;
        name(&store, &namespace, "b", second).await;
        assert_eq!(verified(&namespace, false).await.damages, [], "{what}");
        good_packs.extend(packs(&namespace, second).await.iter().map(|pack| pack.id));

        let third = write(&namespace, nodes(), &Making { data, ..good }).await;
        assert_eq!(third.snapshot, first.snapshot);
        name(&store, &namespace, "c", third).await;
        let found = verified(&namespace, false).await;
        let own = packs(&namespace, third).await.into_iter().filter(|pack| !good_packs.contains(&pack.id));
        let own: Vec<_> = own.map(|pack| format!("default/packs/{}", pack.id)).collect();
        let objects: Vec<_> = found.damages.iter().map(|damage| &damage.object).collect();
        assert!(
            !objects.is_empty() && objects.iter().all(|object| own.contains(object)),
            "{what}: {objects:?}"
        );
        assert_eq!(found.affected, [("c".parse().unwrap(), 1)], "{what}");
        if what != "the end, wrong" {
            let above = tempfile::tempdir().unwrap();
            let (destination, options) = (above.path().join("tree"), PullOptions::default());
            let pulled = pull_to(&namespace, third, &destination, &options);
            assert_eq!(pulled.await.unwrap_err().kind(), ErrorKind::Corrupt, "{what}");
        }
    }
}

/// Of the pack, and not of all snapshots that need it, which are told as affected.
#[tokio::test]
async fn what_is_wrong_with_a_pack_is_told_once() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let making = Making { pack_bytes: 16 << 20, ..Making::small() };
    let at = write(&namespace, small_files(200), &making).await;
    name(&store, &namespace, "a", at).await;
    name(&store, &namespace, "b", at).await;
    let [pack] = &packs(&namespace, at).await[..] else { panic!("all is in one pack") };
    let key = Key::new(format!("default/packs/{}", pack.id)).unwrap();
    let (whole, _) = store.get(&key, 16 << 20).await.unwrap();
    let data_len = (pack.len - pack.tail_len) as usize;
    let found = async |spoiled: Vec<usize>| {
        let mut bytes = whole.to_vec();
        spoiled.into_iter().for_each(|at| bytes[at] ^= 1);
        store.set(&key, Some(bytes.into()));
        let Verified { damages, affected, .. } = verified(&namespace, false).await;
        assert!(damages.iter().all(|damage| damage.object == key.as_str()), "{damages:?}");
        assert_eq!(affected.len(), 2 * usize::from(!damages.is_empty()), "{affected:?}");
        damages.len()
    };
    assert_eq!(found(vec![]).await, 0);
    assert_eq!(found(vec![data_len / 3]).await, 1);
    assert_eq!(found(vec![data_len / 3, data_len / 2]).await, 2);
    // The head.
    assert_eq!(found(vec![0, data_len / 3]).await, 1);
    // The tail.
    assert_eq!(found(vec![data_len + 100]).await, 1);
    // Most of a pack is told like all of it.
    assert_eq!(found((100..data_len).step_by(100).collect()).await, 17);
    store.set(&key, None);
    let Verified { damages, .. } = verified(&namespace, false).await;
    assert!(damages.len() == 1 && damages[0].object == key.as_str(), "{damages:?}");
}

/// What nothing but a snapshot can tell is told, whatever else is wrong.
#[tokio::test]
async fn damage_of_a_pack_hides_none_of_a_snapshot() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let data = |number, plain: &mut Vec<u8>| {
        plain[1000] ^= u8::from(number == 3);
        true
    };
    let making = Making { pack_bytes: 16 << 20, data, ..Making::small() };
    let at = write(&namespace, small_files(200), &making).await;
    name(&store, &namespace, "a", at).await;
    let [pack] = &packs(&namespace, at).await[..] else { panic!("all is in one pack") };
    let key = Key::new(format!("default/packs/{}", pack.id)).unwrap();
    let mut bytes = store.get(&key, 16 << 20).await.unwrap().0.to_vec();
    bytes[(pack.len - pack.tail_len) as usize - 2000] ^= 1;
    store.set(&key, Some(bytes.into()));
    let damages = verified(&namespace, false).await.damages;
    assert_eq!(damages.len(), 2, "{damages:?}");
    assert!(damages.iter().all(|damage| damage.object == key.as_str()), "{damages:?}");
    assert_ne!(damages[0].message, damages[1].message);
}

/// What only a second reading finds is told like what the first finds: of some frames, and how many more there are.
#[tokio::test]
async fn of_many_wrong_frames_some_are_told() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let data = |number, plain: &mut Vec<u8>| {
        plain[1000] ^= u8::from(number < 40);
        true
    };
    let making = Making { pack_bytes: 16 << 20, data, ..Making::small() };
    let at = write(&namespace, small_files(200), &making).await;
    for ref_name in ["a", "b"] {
        name(&store, &namespace, ref_name, at).await;
    }
    let Verified { damages, affected, .. } = verified(&namespace, false).await;
    assert_eq!(damages.len(), 17, "{damages:?}");
    assert!(damages[..16].iter().all(|damage| damage.message.starts_with("frame ")), "{damages:?}");
    assert_eq!(damages[16].message, "of its frames, 24 more are damaged");
    assert_eq!(affected.len(), 2);
}

/// Also where one frame is in several packs, and where several snapshots read it in one pack.
#[tokio::test]
async fn all_are_affected_who_read_a_frame_that_is_wrong() {
    fn spoil(number: usize, plain: &mut [u8]) -> bool {
        plain[1000] ^= u8::from(number == 3);
        true
    }
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let whole = Making { pack_bytes: 16 << 20, ..Making::small() };
    let good = write(&namespace, small_files(200), &whole).await;
    name(&store, &namespace, "good", good).await;
    let lying = Making { data: |number, plain| spoil(number, plain), ..whole };
    let first = write(&namespace, small_files(200), &lying).await;
    name(&store, &namespace, "first", first).await;
    let others = packs(&namespace, first).await;
    let second = Making { data: |number, _| number == 50, others, ..Making::small() };
    let second = write(&namespace, small_files(200), &second).await;
    name(&store, &namespace, "second", second).await;
    let affected = async || {
        let affected = verified(&namespace, false).await.affected;
        affected.into_iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(affected().await, ["first", "second"]);
    // The same frame in the other pack: in it are about two files.
    let [pack] = &packs(&namespace, good).await[..] else { panic!("all is in one pack") };
    let key = Key::new(format!("default/packs/{}", pack.id)).unwrap();
    let bytes = store.get(&key, 16 << 20).await.unwrap().0;
    for at in (100..(pack.len - pack.tail_len) as usize / 20).step_by(2_000) {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        store.set(&key, Some(bytes.into()));
        assert_eq!(affected().await, ["first", "good", "second"], "byte {at}");
    }
}

#[tokio::test]
async fn a_frame_is_read_once_for_all_snapshots_that_read_it_there() {
    let store = MemoryStore::new();
    let made = namespace(&store).await;
    let (recorded, namespace) = recorded(&store).await;
    let read = async || {
        recorded.clear();
        assert_eq!(verified(&namespace, false).await.damages, []);
        recorded.received_bytes()
    };
    let first = write(&made, small_files(200), &Making::small()).await;
    name(&store, &made, "a", first).await;
    let others = packs(&made, first).await;
    let data: u64 = others.iter().map(|pack| pack.len - pack.tail_len).sum();
    let mut before = read().await;
    assert!(before > 2 * data, "{before} bytes read, {data} are there");
    // One frame in another pack each time, all others where they are.
    type IsOwn = fn(usize, &mut Vec<u8>) -> bool;
    let moved: [(&str, IsOwn); 2] = [("b", |n, _| n == 0), ("c", |n, _| n == 50)];
    for (ref_name, is_own) in moved {
        let making = Making { data: is_own, others: others.clone(), ..Making::small() };
        let at = write(&made, small_files(200), &making).await;
        name(&store, &made, ref_name, at).await;
        let after = read().await;
        assert!(
            after - before < data / 4,
            "{ref_name}: {} more bytes read, {data} are there",
            after - before
        );
        before = after;
    }
}

/// Whatever else changes in its segments. It is compared with its hash again where one of its frames is another or elsewhere.
#[tokio::test]
async fn a_file_that_spans_segments_is_read_once_for_all_snapshots_that_have_it_there() {
    const MARK: &[u8] = b"only this snapshot has it";
    let is_marked = |_: usize, plain: &mut Vec<u8>| plain.windows(MARK.len()).any(|bytes| bytes == MARK);
    let store = MemoryStore::new();
    let made = namespace(&store).await;
    let (recorded, namespace) = recorded(&store).await;
    let contents: Vec<_> = (0..4).map(|number| bytes_of(number, 1 << 20)).collect();
    let nodes = || (0..).zip(&contents).map(|(number, content)| file(format!("{number}"), content));
    let first = write(&made, nodes().collect(), &Making::small()).await;
    name(&store, &made, "a", first).await;
    let others = packs(&made, first).await;
    let data: u64 = others.iter().map(|pack| pack.len - pack.tail_len).sum();
    let read = async || {
        recorded.clear();
        let options = VerifyOptions::default();
        let damages = verify(&namespace, &options).await.unwrap().damages;
        let (said, read) = (options.bytes_to_read.load(Ordering::Relaxed), recorded.received_bytes());
        (damages, read, said)
    };
    let (damages, before, _) = read().await;
    assert_eq!(damages, []);
    let with_new = Making { data: is_marked, others: others.clone(), ..Making::small() };
    let second = write(&made, nodes().chain([file("z", MARK)]).collect(), &with_new).await;
    name(&store, &made, "b", second).await;
    let (damages, after, said) = read().await;
    assert_eq!(damages, []);
    assert!(after - before < data / 10, "{} more bytes read, {data} are there", after - before);
    assert!(after.abs_diff(said) < said / 10, "{after} bytes read, {said} said");
    // Of its segments most are known, and its frames are all sound.
    let lying = |number: usize, at: usize| {
        let mut nodes: Vec<Node> = nodes().collect();
        nodes[number].content[at..at + MARK.len()].copy_from_slice(MARK);
        nodes
    };
    for (number, at) in [(1, 100), (2, 500_000), (1, (1 << 20) - 100)] {
        let at = write(&made, lying(number, at), &with_new).await;
        name(&store, &made, "lying", at).await;
        let (damages, ..) = read().await;
        assert!(damages.len() == 1 && damages[0].message.contains("hash"), "{damages:?}");
    }
    // Its frames are those that are known, and its hash is another.
    let mut nodes_with_other: Vec<Node> = nodes().collect();
    nodes_with_other[2].entry.body = OwnedBody::File { size: 1 << 20, hash: Some(ContentHash::of(b"other")) };
    let at = write(&made, nodes_with_other, &with_new).await;
    name(&store, &made, "lying", at).await;
    let (damages, ..) = read().await;
    assert!(damages.len() == 1 && damages[0].message.contains("hash"), "{damages:?}");
    // The same snapshot, with a frame of another pack which is not what its id says.
    let spoiled = |number: usize, plain: &mut Vec<u8>| {
        plain[100] ^= u8::from(number == 300);
        number == 300
    };
    let spoiled = write(&made, nodes().collect(), &Making { data: spoiled, ..with_new }).await;
    name(&store, &made, "lying", spoiled).await;
    let (damages, ..) = read().await;
    assert!(damages.len() == 1 && damages[0].message.starts_with("frame "), "{damages:?}");
}

/// Whatever it is that goes or cannot be read meanwhile, and however many wait for it: all else is looked at, and it is told.
#[tokio::test]
async fn what_goes_or_cannot_be_read_while_it_is_looked_at_is_damage() {
    let store = MemoryStore::new();
    let made = namespace(&store).await;
    let at = write(&made, small_files(300), &Making::small()).await;
    name(&store, &made, "a", at).await;
    let verified = async |faults: FaultStore| {
        let namespace =
            Namespace::open(Arc::new(faults), NamespaceName::default(), Ambient::default()).await.unwrap();
        verify(&namespace, &VerifyOptions::default()).await
    };
    let whole = FaultStore::scripted(Arc::new(store.clone()), []);
    assert_eq!(verified(whole.clone()).await.unwrap().damages, []);
    for fault in [Fault::Vanish, Fault::BadSector] {
        let mut told = 0;
        // The first opens the namespace.
        for number in 1..whole.requests() {
            let faults = FaultStore::scripted(Arc::new(store.clone()), [(number, fault)]);
            match verified(faults).await {
                Ok(verified) => told += u64::from(!verified.damages.is_empty()),
                Err(error) => assert_ne!(error.kind(), ErrorKind::Cancelled, "{fault:?} at {number}"),
            }
        }
        // Others are of refs, snapshots and listings.
        assert!(told > 0 && told + 8 > whole.requests(), "{fault:?}: {told} of {}", whole.requests());
    }
}

/// A kilobyte says that there are 2^60 bytes.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_what_costs_nothing_to_claim() {
    let nodes = || vec![file("a", &bytes_of(1, 3 << 20)), zeros("b", 1 << 40)];
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let at = write(&namespace, nodes(), &Making::default()).await;
    name(&store, &namespace, "main", at).await;
    for quick in [true, false] {
        let Verified { damages, unsupported, .. } = verified(&namespace, quick).await;
        assert_eq!(damages, []);
        assert!(unsupported.len() == 1 && unsupported[0].message.contains("repeats"), "{unsupported:?}");
    }
    // How long all of it is can be told.
    let wrong = Making { archive: |items| items[0].stored_len += 1, ..Making::default() };
    let wrong = write(&namespace, nodes(), &wrong).await;
    name(&store, &namespace, "main", wrong).await;
    for quick in [true, false] {
        assert!(verified(&namespace, quick).await.damages[0].message.contains("the layout's archive"));
    }

    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("there is room for nothing"))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let snapshot = Snapshot::open(&namespace, at).await.unwrap();
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst] {
        let options = ArchiveOptions::default();
        let written = archive(&namespace, &snapshot, format, Box::new(Full), &options);
        let written = tokio::time::timeout(PATIENCE, written).await.expect("something is written");
        let error = written.unwrap_err();
        assert!(error.to_string().contains("cannot write"), "{error}");
    }
}

#[tokio::test]
async fn lz4_is_for_images() {
    let store = MemoryStore::new();
    let namespace = namespace(&store).await;
    let making = Making { codec: Codec::Lz4, ..Making::small() };
    let at = write(&namespace, small_files(3), &making).await;
    name(&store, &namespace, "main", at).await;
    for quick in [true, false] {
        let Verified { damages, unsupported, .. } = verified(&namespace, quick).await;
        assert_eq!(unsupported, []);
        assert!(damages.iter().any(|damage| damage.message.contains("LZ4")), "{damages:?}");
    }
    let snapshot = Snapshot::open(&namespace, at).await.unwrap();
    let cat = floe_core::cat(&namespace, &snapshot, b"f001", Box::new(io::sink()), &Default::default()).await;
    assert_eq!(cat.unwrap_err().kind(), ErrorKind::Corrupt);
}
