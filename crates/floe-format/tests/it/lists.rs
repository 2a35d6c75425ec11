//! Index segments and roots: round trips and hostile bytes.

use floe_format::{
    Error, ErrorKind, FrameId, IndexSegment, Item, Kept, MAX_PATH_BYTES, Meta, Owner, Parameters, Root,
    Timestamp, XattrList, build_index, compare_paths,
};
use proptest::prelude::*;

use crate::trees::kept;

fn items(most: usize) -> impl Strategy<Value = Vec<Item>> {
    let item = ("[a-c]{1,3}(/[a-c]{1,3}){0,3}", 512u64..1 << 40, 0u64..1024);
    proptest::collection::vec(item, 1..=most).prop_map(|items| {
        let mut items: Vec<Item> = items
            .into_iter()
            .map(|(path, length, entries)| Item {
                id: FrameId::of(path.as_bytes()),
                length: length + 512 * entries + 1024,
                entries,
                path: path.into_bytes(),
            })
            .collect();
        items.sort_by(|a, b| compare_paths(&a.path, &b.path));
        items[0].entries += 1;
        items
    })
}

fn root() -> impl Strategy<Value = Root> {
    (kept(), any::<bool>(), 0u16..=0o7777, any::<(i64, u32, u32)>(), 0u8..=8, items(32)).prop_map(
        |(kept, reproducible, mode, (seconds, user, group), level, items)| {
            let reproducible = reproducible && kept == Kept::NONE;
            let entries = items.iter().map(|item| item.entries).sum();
            Root {
                kept,
                reproducible,
                parameters: Parameters::default(),
                length: items.iter().map(|item| item.length).sum(),
                entries,
                files: entries / 2,
                file_bytes: entries / 2 * 3,
                directory: Meta {
                    mode: if reproducible { 0o755 } else { mode },
                    mtime: kept
                        .contains(Kept::MTIME)
                        .then_some(Timestamp { seconds, nanos: user % 1_000_000_000 }),
                    owner: kept.contains(Kept::OWNER).then_some(Owner { user, group }),
                },
                xattrs: if kept.contains(Kept::XATTRS) && user % 2 == 0 {
                    XattrList::new([("user.x", user.to_le_bytes())]).unwrap()
                } else {
                    XattrList::default()
                },
                level,
                items,
            }
        },
    )
}

fn mutate(bytes: &mut Vec<u8>, at: usize, byte: u8, how: u8) {
    match how {
        0 => bytes[at] = byte,
        1 => bytes[at] ^= 1 << (byte & 7),
        2 => bytes.insert(at, byte),
        _ => {
            bytes.remove(at);
        }
    }
}

proptest! {
    #[test]
    fn roots_round_trip(root in root()) {
        let bytes = root.to_bytes().unwrap();
        prop_assert_eq!(&Root::parse(&bytes).unwrap(), &root);
        for length in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
            prop_assert!(Root::parse(&bytes[..length]).is_err());
        }
        prop_assert!(Root::parse(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn index_segments_round_trip(items in items(32), level in 1u8..=8) {
        let segment = IndexSegment { level, items };
        let bytes = segment.to_plain().unwrap();
        prop_assert_eq!(&IndexSegment::parse(&bytes).unwrap(), &segment);
        for length in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
            prop_assert!(IndexSegment::parse(&bytes[..length]).is_err());
        }
        prop_assert!(IndexSegment::parse(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn mutated_bytes_are_refused_or_canonical(
        root in root(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..4),
    ) {
        let mut bytes = root.to_bytes().unwrap();
        let mut index = IndexSegment { level: 1, items: root.items }.to_plain().unwrap();
        for (at, byte, how) in changes {
            let place = at.index(bytes.len());
            mutate(&mut bytes, place, byte, how);
            let place = at.index(index.len());
            mutate(&mut index, place, byte, how);
        }
        if let Ok(root) = Root::parse(&bytes) {
            prop_assert_eq!(root.to_bytes().unwrap(), bytes);
        }
        if let Ok(segment) = IndexSegment::parse(&index) {
            prop_assert_eq!(segment.to_plain().unwrap(), index);
        }
    }

    #[test]
    fn random_items_are_refused_or_canonical(rest in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [&b"FIDX\x01\x01\x01\x00"[..], &rest].concat();
        if let Ok(segment) = IndexSegment::parse(&bytes) {
            prop_assert_eq!(segment.to_plain().unwrap(), bytes);
        }
    }
}

fn item(n: u64, path: &str) -> Item {
    Item { id: FrameId::of(&n.to_le_bytes()), length: 1 << 20, entries: 100, path: path.as_bytes().to_vec() }
}

fn a_root() -> Root {
    Root {
        kept: Kept::NONE,
        reproducible: true,
        parameters: Parameters::default(),
        length: 2 << 20,
        entries: 200,
        files: 3,
        file_bytes: 5,
        directory: Meta { mode: 0o755, ..Meta::default() },
        xattrs: XattrList::default(),
        level: 0,
        items: vec![item(1, "a"), item(2, "b")],
    }
}

type Change = fn(&mut Root);

#[test]
fn roots_that_contradict_themselves_are_refused() {
    a_root().to_bytes().unwrap();
    let changes: [(&str, Change); 16] = [
        ("length", |root| root.length += 1),
        ("entries", |root| root.entries += 1),
        ("files", |root| root.files = 201),
        ("bytes of no files", |root| root.files = 0),
        ("too many bytes", |root| root.file_bytes = 2 << 20),
        ("mode", |root| root.directory.mode = 0o700),
        ("kept", |root| root.kept = Kept::XATTRS),
        ("time", |root| root.directory.mtime = Some(Timestamp::default())),
        ("xattrs", |root| {
            root.xattrs = XattrList::new([("a", "b")]).unwrap();
        }),
        ("level", |root| root.level = 9),
        ("order", |root| root.items.swap(0, 1)),
        ("no items", |root| root.items.clear()),
        ("no path", |root| root.items[0].path.clear()),
        ("bad path", |root| root.items[0].path = b"a/..".to_vec()),
        ("overflow", |root| root.items[0].length = u64::MAX),
        ("parameters", |root| root.parameters.chunk_avg = 3),
    ];
    for (what, change) in changes {
        let mut root = a_root();
        change(&mut root);
        assert_eq!(root.to_bytes().unwrap_err().kind(), ErrorKind::Invalid, "{what}");
    }
}

fn kind(result: Result<impl Sized, Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn what_is_newer_is_unsupported() {
    let root = a_root().to_bytes().unwrap();
    for at in [4, 5, 6, 7] {
        let mut newer = root.clone();
        newer[at] = 9;
        assert_eq!(kind(Root::parse(&newer)), Some(ErrorKind::Unsupported), "byte {at}");
    }
    let index = IndexSegment { level: 1, items: a_root().items };
    let index = index.to_plain().unwrap();
    for (at, expected) in [
        (0, ErrorKind::Corrupt),
        (4, ErrorKind::Unsupported),
        (5, ErrorKind::Unsupported),
        (6, ErrorKind::Corrupt),
        (7, ErrorKind::Unsupported),
    ] {
        let mut newer = index.clone();
        newer[at] = 9;
        assert_eq!(kind(IndexSegment::parse(&newer)), Some(expected), "byte {at}");
    }
    assert_eq!(kind(Root::parse(&vec![0; (1 << 20) + 1])), Some(ErrorKind::Corrupt));
    assert_eq!(kind(IndexSegment::parse(&vec![0; (1 << 20) + 1])), Some(ErrorKind::Corrupt));
}

#[test]
fn an_index_segment_is_what_its_item_says() {
    let segment = IndexSegment { level: 1, items: vec![item(1, "a"), item(2, "a"), item(3, "b")] };
    let good = Item { length: 3 << 20, entries: 300, ..item(9, "a") };
    segment.check_listed(&good, 1).unwrap();
    assert!(segment.check_listed(&good, 2).is_err());
    assert!(segment.check_listed(&Item { entries: 301, ..good.clone() }, 1).is_err());
    assert!(segment.check_listed(&Item { length: 1, ..good.clone() }, 1).is_err());
    assert!(segment.check_listed(&Item { path: b"b".to_vec(), ..good }, 1).is_err());
    for level in [0, 9] {
        assert!(IndexSegment { level, ..segment.clone() }.to_plain().is_err());
    }
    assert!(IndexSegment { level: 1, items: vec![item(1, "")] }.to_plain().is_err());
    let two_many = (0..33).map(|n| item(n, "a")).collect();
    assert!(IndexSegment { level: 1, items: two_many }.to_plain().is_err());
}

#[test]
fn long_paths_make_short_lists() {
    let long = |n: usize| {
        let mut path = vec![vec![b'x'; 255]; 256].join(&b'/');
        path[..4].copy_from_slice(format!("{n:04}").as_bytes());
        assert_eq!(path.len(), MAX_PATH_BYTES);
        String::from_utf8(path).unwrap()
    };
    let short = (0..32).map(|n| item(n, "a")).collect();
    assert_eq!(build_index(short).unwrap().level, 0);
    let index = build_index((0..60).map(|n| item(n, &long(n as usize))).collect()).unwrap();
    assert_eq!(index.level, 2);
    assert!(index.segments.iter().all(|segment| segment.content.items.len() <= 7));
    assert_eq!(index.items.iter().map(|item| item.entries).sum::<u64>(), 6000);
}
