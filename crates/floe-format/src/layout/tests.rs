#![expect(clippy::single_range_in_vec_init, reason = "a pack often serves one run of items")]

use proptest::prelude::*;

use super::*;
use crate::ErrorKind;

fn pack(id: u8, item_runs: Vec<Range<u32>>) -> LayoutPack {
    LayoutPack {
        id: PackId::from_bytes([id; 16]),
        has_metadata: id % 2 == 1,
        len: 5000,
        directory_len: 300,
        tail_len: 900,
        item_runs,
    }
}

fn item(stored_len: u64) -> LayoutItem {
    let hash = blake3::hash(&stored_len.to_le_bytes()).into();
    LayoutItem { stored_len, hash }
}

fn sample() -> Layout {
    Layout {
        packs: vec![pack(1, vec![0..1, 1..3]), pack(2, vec![]), pack(3, vec![3..4])],
        items: [500, 0, 1 << 40, 3].map(item).to_vec(),
    }
}

#[track_caller]
fn assert_invalid(layout: &Layout, why: &str) {
    let error = layout.encode().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains(why), "{error}");
}

/// A pack's id, its three lengths and the fields of its item runs.
type RawPack<'a> = (u8, [u64; 3], &'a [[u64; 2]]);

/// Encodes what `encode` refuses, and checks that `decode` refuses it too.
#[track_caller]
fn assert_corrupt(packs: &[RawPack<'_>], items: &[u64], why: &str) {
    let mut bytes = Vec::new();
    bytes.put_uv(packs.len() as u64);
    for (id, lens, runs) in packs {
        bytes.extend([*id; 16]);
        bytes.push(id % 2);
        lens.iter().for_each(|&len| bytes.put_uv(len));
        bytes.put_uv(runs.len() as u64);
        runs.concat().iter().for_each(|&field| bytes.put_uv(field));
    }
    for &stored_len in items {
        bytes.put_uv(stored_len);
        bytes.extend([7; 32]);
    }
    let result = Layout::decode(items.len(), &bytes);
    if why.is_empty() {
        result.unwrap();
    } else {
        let error = result.expect_err(why);
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(why), "{error}");
    }
}

const LENS: [u64; 3] = [5000, 300, 900];

#[test]
fn a_layout_round_trips() {
    let layout = sample();
    let bytes = layout.encode().unwrap();
    assert_eq!(Layout::decode(4, &bytes).unwrap(), layout);
    for wrong in [0, 1, 3, 5, 128, 129, usize::MAX] {
        assert!(Layout::decode(wrong, &bytes).is_err(), "{wrong} root items");
    }
}

#[test]
fn i7_every_truncation_is_detected() {
    let bytes = sample().encode().unwrap();
    for len in 0..bytes.len() {
        assert!(Layout::decode(4, &bytes[..len]).is_err(), "{len} bytes");
    }
    assert!(Layout::decode(4, &[bytes.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn every_changed_byte_is_refused_or_another_layout() {
    // The sum is the snapshot object's; here, nothing that decodes may have two encodings.
    let layout = sample();
    let bytes = layout.encode().unwrap();
    for at in 0..bytes.len() {
        for change in 1..=255 {
            let mut bad = bytes.clone();
            bad[at] ^= change;
            if let Ok(other) = Layout::decode(4, &bad) {
                assert_ne!(other, layout);
                assert_eq!(other.encode().unwrap(), bad);
            }
        }
    }
}

#[test]
fn i7_hostile_layouts_are_refused() {
    assert_corrupt(&[(1, LENS, &[[0, 1]])], &[5], "");
    assert_corrupt(&[], &[5], "0 packs");
    assert_corrupt(&[(1, LENS, &[])], &[], "0 root items");
    assert_corrupt(&[(1, LENS, &[]), (2, LENS, &[]), (1, LENS, &[])], &[5], "twice");
    assert_corrupt(&[(1, LENS, &[])], &[u64::MAX, 1], "2^64");
    assert_corrupt(&[(1, LENS, &[])], &[u64::MAX, 0], "");
    assert_corrupt(&[(1, LENS, &[])], &[1; 33], "33 root items");
    assert_corrupt(&[(1, LENS, &[])], &[1; 32], "");
    for (runs, why) in [
        (&[[0, 0]][..], "root items"),
        (&[[0, 3]], "root items"),
        (&[[2, 1]], "root items"),
        (&[[1, 1], [0, 1]], "root items"),
        (&[[0, 1], [0, 1], [0, 1]], "number of item runs"),
        (&[[u64::MAX, 1]], "skipped"),
        (&[[0, u64::MAX]], "number of root items"),
        (&[[0, 1], [u64::MAX - 1, 1]], "skipped"),
        (&[[1, 1]], ""),
        (&[[0, 1], [0, 1]], ""),
    ] {
        assert_corrupt(&[(1, LENS, runs)], &[5, 5], why);
    }
    let (max, min) = (MAX_PACK_LEN, MIN_PACK_LEN);
    for (lens, why) in [
        ([min, MIN_DIRECTORY_LEN, MIN_TAIL_LEN], ""),
        ([max, max - 48, max - 40], ""),
        ([max + 1, 300, 900], "bytes with a directory"),
        ([min - 1, MIN_DIRECTORY_LEN, MIN_TAIL_LEN], "bytes with a directory"),
        ([0, 0, 0], "bytes with a directory"),
        ([5000, 300, 4961], "bytes with a directory"),
        ([5000, 300, 4960], ""),
        ([5000, 300, 307], "bytes with a directory"),
        ([5000, 300, 308], ""),
        ([5000, MIN_DIRECTORY_LEN - 1, 900], "bytes with a directory"),
        ([5000, u64::MAX, 900], "bytes with a directory"),
        ([u64::MAX; 3], "bytes with a directory"),
        ([5000, 300, u64::MAX], "bytes with a directory"),
        ([5000, 300, 0], "bytes with a directory"),
    ] {
        assert_corrupt(&[(1, lens, &[])], &[5], why);
    }
}

#[test]
fn a_writer_is_held_to_the_same() {
    let with = |change: fn(&mut Layout)| {
        let mut layout = sample();
        change(&mut layout);
        layout
    };
    assert_invalid(&with(|layout| layout.packs.clear()), "0 packs");
    assert_invalid(&with(|layout| layout.packs[2].id = layout.packs[0].id), "twice");
    assert_invalid(&with(|layout| layout.packs[0].item_runs = vec![0..2, 1..3]), "root items");
    assert_invalid(&with(|layout| layout.packs[0].item_runs = vec![2..3, 0..1]), "root items");
    assert_invalid(&with(|layout| layout.packs[0].item_runs = vec![4..5]), "root items");
    assert_invalid(&with(|layout| layout.packs[1].tail_len = 0), "bytes with a directory");
    assert_invalid(&with(|layout| layout.items[0].stored_len = u64::MAX), "2^64");
    assert_invalid(&with(|layout| layout.items.clear()), "0 root items");
    let many = |n: u16| {
        let packs = (0..n).map(|i| {
            let id = PackId::new(i.into(), [0; 10]);
            LayoutPack { id, ..pack(0, vec![0..4]) }
        });
        Layout { packs: packs.collect(), ..sample() }
    };
    let most = many(4096);
    assert_eq!(Layout::decode(4, &most.encode().unwrap()).unwrap(), most);
    assert_invalid(&many(4097), "4097 packs");
    assert!(
        Layout::decode(4, &{
            let mut bytes = most.encode().unwrap();
            bytes[0] |= 1;
            bytes
        })
        .is_err()
    );
}

#[test]
fn i7_a_layout_over_the_limit_is_refused() {
    // 4,096 packs of 64 item runs each have 624 KiB: only bytes that do not belong there reach the limit.
    let bytes = [sample().encode().unwrap(), vec![0; MAX_LAYOUT_LEN]].concat();
    let error = Layout::decode(4, &bytes).unwrap_err();
    assert!(error.to_string().contains("has 1048"), "{error}");
}

#[test]
fn a_pack_serves_the_items_of_its_runs() {
    let pack = pack(1, vec![0..1, 1..3, 5..6, 100..128]);
    let served: Vec<u32> = (0..200).filter(|&item| pack.serves(item)).collect();
    let expected: Vec<u32> = [0, 1, 2, 5].into_iter().chain(100..128).collect();
    assert_eq!(served, expected);
}

#[test]
fn the_archive_is_told_by_its_items() {
    let layout = sample();
    assert_eq!(layout.archive_len(), 503 + (1 << 40));
    let mut bytes = Vec::new();
    for item in &layout.items {
        bytes.extend(item.stored_len.to_le_bytes());
        bytes.extend(item.hash);
    }
    assert_eq!(layout.archive_etag(), *blake3::hash(&bytes).as_bytes());
    let elsewhere = Layout { packs: vec![pack(9, vec![0..4])], ..layout.clone() };
    assert_eq!(layout.archive_etag(), elsewhere.archive_etag());
    let mut swapped = layout.clone();
    swapped.items.swap(0, 1);
    assert_ne!(layout.archive_etag(), swapped.archive_etag());
}

#[test]
fn an_item_is_hashed_frame_by_frame() {
    let frames = [(5u32, Sum128::of(b"one")), (5, Sum128::of(b"one")), (7, Sum128::of(b"two"))];
    let mut hasher = ItemHasher::new();
    let mut bytes = Vec::new();
    for (stored_len, sum) in &frames {
        hasher.add(*stored_len, sum);
        bytes.extend(stored_len.to_le_bytes());
        bytes.extend(sum.as_bytes());
    }
    let hash = blake3::hash(&bytes).into();
    assert_eq!(hasher.finish(), LayoutItem { stored_len: 17, hash });
}

prop_compose! {
    fn any_layout()(items in 1..=MAX_ROOT_ITEMS)(
        stored_lens in proptest::collection::vec(0..1u64 << 50, items),
        packs in proptest::collection::btree_map(any::<[u8; 16]>(), (
            MIN_PACK_LEN..=MAX_PACK_LEN,
            any::<[proptest::sample::Index; 2]>(),
            proptest::collection::btree_set(0..=u32::try_from(items).unwrap(), 0..12),
        ), 1..20),
    ) -> Layout {
        let packs = packs.into_iter().map(|(id, (len, [tail, directory], cuts))| {
            let tail_len = MIN_TAIL_LEN + tail.index(usize::try_from(len - MIN_PACK_LEN + 1).unwrap()) as u64;
            let directories = usize::try_from(tail_len - MIN_TAIL_LEN + 1).unwrap();
            let cuts: Vec<u32> = cuts.into_iter().collect();
            LayoutPack {
                id: PackId::from_bytes(id),
                has_metadata: len % 2 == 0,
                len,
                directory_len: MIN_DIRECTORY_LEN + directory.index(directories) as u64,
                tail_len,
                item_runs: cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect(),
            }
        });
        Layout { packs: packs.collect(), items: stored_lens.into_iter().map(item).collect() }
    }
}

proptest! {
    #[test]
    fn any_layout_round_trips(layout in any_layout()) {
        let bytes = layout.encode().unwrap();
        prop_assert_eq!(Layout::decode(layout.items.len(), &bytes).unwrap(), layout);
    }

    #[test]
    fn i7_any_bytes_that_decode_have_one_encoding(
        root_items in 0..200usize, bytes in proptest::collection::vec(any::<u8>(), 0..500),
    ) {
        if let Ok(layout) = Layout::decode(root_items, &bytes) {
            prop_assert_eq!(layout.encode().unwrap(), bytes);
        }
    }
}
