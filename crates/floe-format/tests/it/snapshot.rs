//! Whole snapshots: the streaming code against the reference, and what one change changes.

use std::collections::{HashMap, HashSet};

use floe_format::{
    Chunker, Entry, FrameId, IndexSegment, Item, Kept, OwnedBody, Parameters, Root, Segment, SnapshotId,
    TAR_END,
};
use floe_testkit::bytes_of;
use proptest::prelude::*;

use crate::reference::{Snapshot, chunk_len, frame_tree};
use crate::streaming::stream;
use crate::trees::{Member, file, in_order, kept, plain, tree};

/// Parameters as small as they may be, so that small trees have many of everything.
fn small() -> Parameters {
    Parameters {
        group_min: 1024,
        group_max: 6144,
        small_max: 2048,
        chunk_min: 512,
        chunk_avg: 1024,
        chunk_max: 4096,
    }
}

fn parameters() -> impl Strategy<Value = Parameters> {
    (512u32..4096, 0u32..8192, 0u32..4096, 65u32..1024, 0u32..4, 0u32..4096).prop_map(
        |(group_min, more, small_max, chunk_min, shift, above)| {
            let chunk_avg = chunk_min.next_power_of_two() << shift;
            Parameters {
                group_min,
                group_max: group_min + more,
                small_max,
                chunk_min,
                chunk_avg,
                chunk_max: chunk_avg + above,
            }
        },
    )
}

/// Reads a snapshot from its root down and returns its entries.
fn read_back(snapshot: &Snapshot) -> Vec<Entry> {
    let index: HashMap<FrameId, &[u8]> = snapshot
        .segments
        .iter()
        .chain(&snapshot.index_segments)
        .map(|plain| (FrameId::of(plain), &plain[..]))
        .collect();
    let root = Root::parse(&snapshot.root).unwrap();
    assert_eq!(root.to_bytes().unwrap(), snapshot.root);
    assert_eq!(root.length, snapshot.frames.iter().map(|f| f.len() as u64).sum::<u64>());
    let mut items = root.items.clone();
    for level in (1..=root.level).rev() {
        let below = |item: &Item| {
            let segment = IndexSegment::parse(index[&item.id]).unwrap();
            assert_eq!(segment.to_plain().unwrap(), index[&item.id]);
            segment.check_listed(item, level).unwrap();
            segment.items
        };
        items = items.iter().flat_map(below).collect();
    }
    let (mut entries, mut owed) = (vec![], 0);
    let mut frames = snapshot.frames.iter();
    for item in &items {
        let segment = Segment::parse(index[&item.id]).unwrap();
        owed = segment.check_listed(item).unwrap().follow(owed).unwrap();
        let mut decoded = segment.entries();
        while let Some(entry) = decoded.next().unwrap() {
            entries.push(entry.to_entry());
        }
        for run in segment.runs() {
            for _ in 0..run.count {
                assert_eq!(FrameId::of(frames.next().unwrap()), run.id);
            }
        }
    }
    assert_eq!((owed, frames.next()), (0, None));
    entries
}

fn entries(members: &[Member]) -> Vec<Entry> {
    members.iter().map(|member| member.0.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn i4_streaming_equals_the_reference_however_it_is_fed(
        (kept, members) in kept().prop_flat_map(|kept| (Just(kept), tree(kept, 120))),
        p in prop_oneof![Just(small()), parameters()],
        feeds in proptest::collection::vec(prop_oneof![1usize..600, 1usize..60_000], 1..8),
    ) {
        let expected = frame_tree(kept, &p, &members);
        let mut feeds = feeds.iter().copied().cycle();
        let streamed = stream(kept, &p, &members, || feeds.next().unwrap());
        prop_assert!(streamed == expected);
        prop_assert_eq!(read_back(&streamed), entries(&members));
    }

    #[test]
    fn chunks_are_those_of_the_sum(
        p in parameters(),
        seed: u64,
        length in 0usize..20_000,
        piece in 1usize..3000,
    ) {
        let content = bytes_of(seed, length);
        let chunker = Chunker::new(&p);
        let mut rest = &content[..];
        while !rest.is_empty() {
            let expected = chunk_len(&p, rest);
            prop_assert_eq!(chunker.next_cut(rest, true), Some(expected));
            for fed in (0..rest.len()).step_by(piece) {
                let cut = chunker.next_cut(&rest[..fed], false);
                // It answers as soon as it can, and never otherwise. The end of a content shows only at the end.
                let known = expected <= fed && (expected < rest.len() || expected == p.chunk_max as usize || cut.is_some());
                prop_assert_eq!(cut, known.then_some(expected));
            }
            rest = &rest[expected..];
        }
        prop_assert_eq!(chunker.next_cut(&[], true), None);
    }
}

#[test]
fn an_empty_tree_is_one_segment_with_the_end() {
    let snapshot = stream(Kept::MTIME, &Parameters::default(), &[], || 1);
    assert_eq!(snapshot, frame_tree(Kept::MTIME, &Parameters::default(), &[]));
    assert_eq!(snapshot.frames, [TAR_END.to_vec()]);
    assert_eq!(read_back(&snapshot), []);
}

/// Frames that are equal though they are not chunks of one file are one run of a segment nevertheless.
#[test]
fn equal_neighbours_of_different_kinds_are_one_run() {
    let p = small();
    let max = p.chunk_max as usize;
    // Zeros, of which the last chunk is as long as the end.
    let holes = vec![file(b"a", 0o644, &vec![0; 2 * max + 1000])];
    // A big file that ends with just what the group after it is.
    let mut next = Vec::new();
    let b = file(b"b", 0o644, b"");
    floe_format::tar_header(&b.0.as_entry(), &mut next);
    let imitating = vec![file(b"a", 0o644, &[vec![0; max], next].concat()), b];
    for members in [holes, imitating] {
        let snapshot = stream(Kept::NONE, &p, &members, || 5000);
        assert!(snapshot == frame_tree(Kept::NONE, &p, &members));
        assert!(read_back(&snapshot) == entries(&members));
        let segment = Segment::parse(&snapshot.segments[0]).unwrap();
        assert!(segment.runs().len() < snapshot.frames.iter().collect::<HashSet<_>>().len() + 1);
        assert!(
            segment.runs().iter().any(|run| run.count == 2 && run.plain_len <= 1024),
            "{:?}",
            segment.runs()
        );
    }
}

/// 20,000 files in 200 directories.
fn many(changed: Option<usize>) -> Vec<Member> {
    let mut members = Vec::new();
    for directory in 0..200 {
        let path = format!("directory{directory:03}");
        members.push((plain(path.as_bytes(), 0o755, OwnedBody::Directory), vec![]));
        for n in 0..100 {
            let number = directory * 100 + n;
            let mut content = bytes_of(number as u64, number % 1500).to_vec();
            if changed == Some(number) {
                content.extend_from_slice(b"changed");
            }
            members.push(file(format!("{path}/file{n:02}").as_bytes(), 0o644, &content));
        }
    }
    in_order(members)
}

fn ids(plains: &[Vec<u8>]) -> HashSet<FrameId> {
    plains.iter().map(|plain| FrameId::of(plain)).collect()
}

#[test]
fn one_change_changes_few_frames_and_segments() {
    let p = small();
    let before = stream(Kept::NONE, &p, &many(None), || 5000);
    assert!(before == frame_tree(Kept::NONE, &p, &many(None)));
    assert!(read_back(&before) == entries(&many(None)));
    assert!(before.segments.len() > 300 && !before.index_segments.is_empty());
    for number in [0, 1, 4999, 9999, 12_345, 19_999] {
        let after = stream(Kept::NONE, &p, &many(Some(number)), || 5000);
        assert_ne!(SnapshotId::of(&before.root), SnapshotId::of(&after.root));
        let new = |a: &[Vec<u8>], b: &[Vec<u8>]| ids(b).difference(&ids(a)).count();
        let frames = new(&before.frames, &after.frames);
        let segments = new(&before.segments, &after.segments);
        let index_segments = new(&before.index_segments, &after.index_segments);
        assert!((1..=4).contains(&frames), "{number}: {frames} frames");
        assert!((1..=4).contains(&segments), "{number}: {segments} segments");
        assert!((1..=4).contains(&index_segments), "{number}: {index_segments} index segments");
    }
}

#[test]
fn a_bigger_tree_of_default_parameters_equals_the_reference() {
    let mut members = many(None);
    members.truncate(3000);
    members.push(file(b"zz/big", 0o644, &bytes_of(5, 3 << 20)));
    members.push(file(b"zz/sparse", 0o644, &vec![0; 5 << 20]));
    members.push((plain(b"zz", 0o755, OwnedBody::Directory), vec![]));
    let members = in_order(members);
    let p = Parameters::default();
    let snapshot = stream(Kept::NONE, &p, &members, || 1 << 19);
    assert!(snapshot == frame_tree(Kept::NONE, &p, &members));
    assert!(read_back(&snapshot) == entries(&members));
}
