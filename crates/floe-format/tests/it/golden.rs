//! Golden files: what version 1 wrote is read for ever, and the same trees are written the same for ever.
//!
//! `FLOE_REGENERATE=1` writes them anew, which only a version that nobody has used yet may do; see `golden/README.md`.

pub(crate) mod samples;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use floe_format::{
    Compressor, Decompressor, FrameId, IndexSegment, Layout, LayoutId, PackFrame, PackHead, PackId,
    PackWriter, Root, SnapshotId, SnapshotObject, StoredOffset,
};

use crate::reference::{Snapshot, frame_tree};
use crate::segment;
use crate::stored::{self, Pack, Stored};
use crate::trees::Member;
use samples::{Sample, samples};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn read(name: &str) -> Vec<u8> {
    fs::read(golden().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The files of a sample, by their names.
fn files(sample: &Sample, snapshot: &Snapshot, stored: &Stored) -> Vec<(String, Vec<u8>)> {
    let name = sample.name;
    let mut files = vec![
        (format!("root/{name}"), snapshot.root.clone()),
        (format!("layout/{name}"), stored.layout.clone()),
    ];
    if sample.has_tar {
        files.push((format!("tar/{name}"), snapshot.frames.concat()));
    }
    let frame = stored::tail(&stored.packs[0]).data()[0];
    files.push((
        format!("frame/{name}"),
        frame.stored(StoredOffset::ZERO, &stored.packs[0].1).unwrap().to_vec(),
    ));
    for (n, plain) in snapshot.segments.iter().enumerate().take(sample.most_segments) {
        files.push((format!("segment/{name}-{n}"), plain.clone()));
    }
    for (n, plain) in snapshot.index_segments.iter().enumerate().take(1) {
        files.push((format!("index-segment/{name}-{n}"), plain.clone()));
    }
    for (key, bytes) in stored.objects() {
        files.push((format!("store/default/{key}"), bytes));
    }
    files
}

/// Writes the files of all samples anew.
fn regenerate() {
    if golden().exists() {
        fs::remove_dir_all(golden()).unwrap();
    }
    let mut compressor = Compressor::new(3).unwrap();
    let mut all = Vec::new();
    for sample in samples() {
        let snapshot = sample.snapshot();
        let stored = stored::store(&snapshot, &sample.packs, sample.layout, &mut compressor);
        all.extend(files(&sample, &snapshot, &stored));
    }
    all.push(("index-segment/small".to_owned(), samples::index_segment().to_plain().unwrap()));
    stored::write_objects(&golden(), &all);
    let json = samples::json(&|name| SnapshotId::of(&read(&format!("root/{name}"))));
    stored::write_objects(&golden(), &json);
}

/// What is read of a snapshot in the golden store, from its object down.
struct Found {
    snapshot: Snapshot,
    packs: Vec<Pack>,
    /// The stored bytes of every frame.
    frames: HashMap<FrameId, Vec<u8>>,
}

fn find(sample: &Sample) -> Found {
    let root_bytes = read(&format!("root/{}", sample.name));
    let id = SnapshotId::of(&root_bytes);
    let object = read(&format!("store/default/snapshots/{id}/{}", sample.layout));
    let object = SnapshotObject::decode(id, sample.layout, &object).unwrap();
    let root = Root::parse(object.root).unwrap();
    let layout = Layout::decode(root.items.len(), object.layout).unwrap();
    let (mut packs, mut plains, mut frames) = (Vec::new(), HashMap::new(), HashMap::new());
    let mut decompressor = Decompressor::new();
    for listed in &layout.packs {
        let bytes = read(&format!("store/default/packs/{}", listed.id));
        assert_eq!(bytes.len() as u64, listed.len);
        let pack = (listed.id, bytes);
        let tail = stored::tail(&pack);
        assert_eq!(tail.segments(), stored::directory(&pack).segments());
        for frame in tail.data().iter().chain(tail.segments()).chain(tail.index_segments()) {
            let record = &frame.record;
            let stored = frame.stored(StoredOffset::ZERO, &pack.1).unwrap();
            record.check_stored(stored).unwrap();
            let mut plain = Vec::new();
            decompressor.decompress(&record.id, record.codec, stored, record.plain_len, &mut plain).unwrap();
            plains.insert(record.id, plain);
            frames.insert(record.id, stored.to_vec());
        }
        packs.push(pack);
    }
    let mut snapshot =
        Snapshot { frames: vec![], segments: vec![], index_segments: vec![], root: object.root.to_vec() };
    let mut items = root.items;
    for level in (1..=root.level).rev() {
        let mut below = Vec::new();
        for item in &items {
            let index = IndexSegment::parse(&plains[&item.id]).unwrap();
            index.check_listed(item, level).unwrap();
            assert_eq!(index.to_plain().unwrap(), plains[&item.id]);
            snapshot.index_segments.push(plains[&item.id].clone());
            below.extend(index.items);
        }
        items = below;
    }
    for item in &items {
        let plain = &plains[&item.id];
        let segment = floe_format::Segment::parse(plain).unwrap();
        segment.check_listed(item).unwrap();
        let (entries, runs) = segment::decode(plain).unwrap();
        assert_eq!(&segment::encode(&segment, &entries, &runs).unwrap(), plain);
        for run in runs {
            snapshot.frames.extend(std::iter::repeat_n(plains[&run.id].clone(), run.count as usize));
        }
        snapshot.segments.push(plain.clone());
    }
    Found { snapshot, packs, frames }
}

/// Reads a sample from its snapshot object down, and writes every object again from what was read.
#[test]
fn golden_files_are_read_and_written_again() {
    if std::env::var_os("FLOE_REGENERATE").is_some() {
        regenerate();
    }
    for sample in samples() {
        let mut found = find(&sample);
        assert_eq!(Root::parse(&found.snapshot.root).unwrap().to_bytes().unwrap(), found.snapshot.root);
        let entries: Vec<_> =
            found.snapshot.segments.iter().flat_map(|plain| segment::decode(plain).unwrap().0).collect();
        let expected: Vec<_> = sample.members.iter().map(|(entry, _): &Member| entry.clone()).collect();
        assert_eq!(entries, expected, "{}", sample.name);
        for pack in &found.packs {
            assert_eq!(rewritten(pack), pack.1);
        }
        // Index segments are found from the root down, and listed from the segments up.
        found.snapshot.index_segments.sort();
        let again = stored::store(&found.snapshot, &sample.packs, sample.layout, &mut found.frames.clone());
        assert_eq!(again.layout, read(&format!("layout/{}", sample.name)));
        let id = SnapshotId::of(&found.snapshot.root);
        let object = read(&format!("store/default/snapshots/{id}/{}", sample.layout));
        assert_eq!(again.object, object, "{}", sample.name);
    }
}

/// Cuts and encodes the samples' trees: another byte would be another snapshot id for the same tree.
#[test]
fn the_same_trees_are_cut_the_same() {
    if std::env::var_os("FLOE_REGENERATE").is_some() {
        return;
    }
    for sample in samples() {
        let mut found = find(&sample);
        let snapshot = sample.snapshot();
        // The reference takes its time for long paths.
        if sample.name != "deep" {
            let reference = frame_tree(sample.kept, &samples::P, &sample.members);
            assert_eq!((&snapshot.frames, &snapshot.segments), (&reference.frames, &reference.segments));
        }
        // zstd may compress otherwise some day; what it has to compress stays.
        let stored = stored::store(&snapshot, &sample.packs, sample.layout, &mut found.frames);
        for (name, bytes) in files(&sample, &snapshot, &stored) {
            assert!(bytes == read(&name), "{name} is written otherwise than it was");
        }
    }
    let small = read("index-segment/small");
    assert_eq!(samples::index_segment().to_plain().unwrap(), small);
    assert_eq!(IndexSegment::parse(&small).unwrap(), samples::index_segment());
}

/// The samples show what there is to be shown.
#[test]
fn the_samples_hold_every_part_of_the_format() {
    if std::env::var_os("FLOE_REGENERATE").is_some() {
        return;
    }
    let found: Vec<Found> = samples().iter().map(find).collect();
    let segments = || found.iter().flat_map(|found| &found.snapshot.segments);
    let parsed = || segments().map(|plain| floe_format::Segment::parse(plain).unwrap());
    let kinds: std::collections::BTreeSet<u8> = segments()
        .flat_map(|plain| segment::decode(plain).unwrap().0)
        .map(|entry| entry.as_entry().kind() as u8)
        .collect();
    assert_eq!(kinds, (1..=7).collect());
    assert!(parsed().any(|segment| segment.lead() > 0));
    assert!(parsed().any(|segment| segment.runs().iter().any(|run| run.count > 1)));
    assert!(found.iter().any(|found| !found.snapshot.index_segments.is_empty()));
    assert!(found.iter().any(|found| found.packs.len() == 2));
    assert!(found.iter().any(|found| Root::parse(&found.snapshot.root).unwrap().reproducible));
    let pax = |frame: &Vec<u8>| frame.windows(13).any(|window| window == b"././@PaxHeade");
    assert!(found.iter().any(|found| found.snapshot.frames.iter().any(pax)));
}

/// A pack written again from what its tail says and its frames' stored bytes.
fn rewritten((id, bytes): &Pack) -> Vec<u8> {
    assert_eq!(PackHead::decode(&bytes[..40]).unwrap().pack_id, *id);
    let tail = stored::tail(&(*id, bytes.clone()));
    let mut out = Vec::new();
    let copy = |frame: &PackFrame, out: &mut Vec<u8>| {
        out.extend_from_slice(frame.stored(StoredOffset::ZERO, bytes).unwrap());
    };
    let mut writer = PackWriter::new(*id, &mut out);
    for frame in tail.data() {
        writer.add_data(&frame.record).unwrap();
        copy(frame, &mut out);
    }
    let mut writer = writer.end_data(&mut out);
    for frame in tail.segments() {
        writer.add_segment(&frame.record).unwrap();
        copy(frame, &mut out);
    }
    for frame in tail.index_segments() {
        writer.add_index_segment(&frame.record).unwrap();
        copy(frame, &mut out);
    }
    writer.finish(&mut out);
    out
}

fn pack_id(n: u8) -> PackId {
    PackId::new(1_767_323_045_000 + u64::from(n), [n; 10])
}

fn layout_id(n: u8) -> LayoutId {
    LayoutId::from_bytes([n; 16])
}
