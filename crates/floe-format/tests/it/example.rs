//! The worked example of `docs/format.md` §11: what it shows is what the encoders make, byte for byte, and it decodes.
//!
//! `FLOE_REGENERATE=1` writes the blocks of the page anew.

mod fields;
mod page;

use floe_format::{
    Compressor, Decompressor, EntryKind, Kept, Layout, LayoutId, PackHead, PackId, Parameters, Root, Segment,
    SnapshotId, SnapshotObject, TAR_END, Timestamp,
};

use crate::reference::{Snapshot, frame_tree};
use crate::stored::{Stored, format_json, seal, store, tail};
use crate::streaming::stream;
use crate::trees::{Member, file, in_order, plain};

const P: Parameters = Parameters {
    group_min: 1024,
    group_max: 1536,
    small_max: 1024,
    chunk_min: 128,
    chunk_avg: 256,
    chunk_max: 512,
};

/// `docs/a.txt`, and `dock` that links to it.
fn members() -> Vec<Member> {
    let target = floe_format::OwnedBody::Symlink { target: b"docs/a.txt".to_vec() };
    let mut members = in_order(vec![
        (plain(b"docs", 0o755, floe_format::OwnedBody::Directory), vec![]),
        file(b"docs/a.txt", 0o644, b"hello, floe\n"),
        (plain(b"dock", 0o777, target), vec![]),
    ]);
    for ((entry, _), nanos) in members.iter_mut().zip([0, 500_000_000, 6]) {
        entry.mtime = Some(Timestamp { seconds: 1_767_323_045, nanos });
    }
    members
}

fn snapshot() -> Snapshot {
    let snapshot = stream(Kept::MTIME, &P, &members(), || 100);
    assert_eq!(snapshot, frame_tree(Kept::MTIME, &P, &members()));
    snapshot
}

fn stored(snapshot: &Snapshot) -> Stored {
    let pack = PackId::new(1_767_323_045_000, *b"ten bytes.");
    store(snapshot, &[pack], LayoutId::from_bytes(*b"sixteen bytes id"), &mut Compressor::new(3).unwrap())
}

/// The blocks of the page, by the name after the language of each.
fn blocks() -> Vec<(&'static str, String)> {
    let snapshot = snapshot();
    let stored = stored(&snapshot);
    vec![
        ("format.json", String::from_utf8(format_json(&P)).unwrap()),
        ("tar", fields::tar(&snapshot.frames.concat())),
        ("ids", ids(&snapshot, &stored)),
        ("segment", fields::segment(&snapshot.segments[0])),
        ("root", fields::root(&snapshot.root)),
        ("pack", fields::pack(&stored.packs[0])),
        ("snapshot-object", fields::snapshot_object(&stored.object)),
        ("refs/main", String::from_utf8(stored.reference()).unwrap()),
    ]
}

fn ids(snapshot: &Snapshot, stored: &Stored) -> String {
    let [first, second, end] = &snapshot.frames[..] else { panic!("three frames") };
    let mut ids = String::new();
    for (what, plain) in [
        ("dock, docs", first),
        ("docs/a.txt", second),
        ("the end", end),
        ("the segment", &snapshot.segments[0]),
        ("the root", &snapshot.root),
    ] {
        ids.push_str(&format!("{:<13}{:>5} bytes  {}\n", what, plain.len(), SnapshotId::of(plain)));
    }
    assert!(ids.contains(&stored.snapshot_id().to_string()));
    ids
}

#[test]
fn the_worked_example_is_what_is_written() {
    let page = page::read();
    let shown = page::blocks(&page);
    let blocks = blocks();
    assert_eq!(
        shown.iter().map(|(name, _)| &name[..]).collect::<Vec<_>>(),
        blocks.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
    );
    if std::env::var_os("FLOE_REGENERATE").is_some() {
        return page::replace_blocks(&page, &blocks);
    }
    for ((name, shown), (_, block)) in shown.iter().zip(&blocks) {
        assert_eq!(shown, block, "block {name} of docs/format.md; FLOE_REGENERATE=1 writes it anew");
    }
}

#[test]
fn the_worked_example_decodes() {
    if std::env::var_os("FLOE_REGENERATE").is_some() {
        return;
    }
    let page = page::read();
    let shown = page::blocks(&page);
    let bytes = |name: &str| fields::parse(&shown.iter().find(|block| block.0 == name).unwrap().1);

    let pack = bytes("pack");
    let head = PackHead::decode(&pack[..40]).unwrap();
    let tail = tail(&(head.pack_id, pack.clone()));
    let mut decompressor = Decompressor::new();
    let mut plains = Vec::new();
    for frame in tail.data().iter().chain(tail.segments()) {
        let stored = frame.stored(floe_format::StoredOffset::ZERO, &pack).unwrap();
        frame.record.check_stored(stored).unwrap();
        let mut plain = Vec::new();
        let record = &frame.record;
        decompressor.decompress(&record.id, record.codec, stored, record.plain_len, &mut plain).unwrap();
        plains.push(plain);
    }
    let segment_plain = plains.pop().unwrap();
    assert_eq!(bytes("tar"), plains.concat());
    assert_eq!(bytes("segment"), segment_plain);
    assert_eq!(plains.last().unwrap(), &TAR_END);

    let root_bytes = bytes("root");
    let root = Root::parse(&root_bytes).unwrap();
    assert_eq!((root.parameters, root.kept, root.entries, root.file_bytes), (P, Kept::MTIME, 3, 12));
    let segment = Segment::parse(&segment_plain).unwrap();
    assert_eq!(segment.check_listed(&root.items[0]).unwrap().follow(0).unwrap(), 0);
    let (mut entries, mut kinds) = (segment.entries(), Vec::new());
    while let Some(entry) = entries.next().unwrap() {
        assert_eq!(entry.mtime.unwrap().seconds, 1_767_323_045);
        kinds.push((entry.path.to_vec(), entry.kind()));
    }
    let expected = [
        (b"dock".to_vec(), EntryKind::Symlink),
        (b"docs".to_vec(), EntryKind::Directory),
        (b"docs/a.txt".to_vec(), EntryKind::File),
    ];
    assert_eq!(kinds, expected);

    let object = bytes("snapshot-object");
    let layout_id = LayoutId::from_bytes(object[24..40].try_into().unwrap());
    let object = SnapshotObject::decode(SnapshotId::of(&root_bytes), layout_id, &object).unwrap();
    assert_eq!(object.root, root_bytes);
    let layout = Layout::decode(root.items.len(), object.layout).unwrap();
    assert_eq!((layout.packs[0].id, layout.packs[0].len), (head.pack_id, pack.len() as u64));
    assert_eq!(layout.archive_len(), tail.data().iter().map(|f| u64::from(f.record.stored_len)).sum::<u64>());

    for name in ["format.json", "refs/main"] {
        let (_, text) = shown.iter().find(|block| block.0 == name).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        assert_eq!(text.as_bytes(), seal(rest), "the sum of {name}");
    }
    let (_, reference) = shown.last().unwrap();
    assert!(reference.contains(&format!("\"snapshot\": \"{}\"", object.snapshot_id())));
    assert!(reference.contains(&format!("\"layout\": \"{layout_id}\"")));
}
