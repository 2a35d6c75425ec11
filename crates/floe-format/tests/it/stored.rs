//! A snapshot as a namespace keeps it: packs, a snapshot object and the JSON objects around them.

use std::collections::HashMap;
use std::path::Path;

use floe_format::{
    Codec, Compressor, FrameId, FrameRecord, IndexSegment, ItemHasher, Layout, LayoutId, LayoutPack,
    PackDirectory, PackId, PackSummary, PackTail, PackWriter, Parameters, Root, Segment, SnapshotId,
    SnapshotObject, Sum128,
};

use crate::reference::Snapshot;

/// Gives the stored bytes of plain ones.
pub(crate) trait Store {
    fn stored(&mut self, plain: &[u8]) -> Vec<u8>;
}

/// Compresses at level 3.
impl Store for Compressor {
    fn stored(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut stored = Vec::new();
        self.compress(plain, &mut stored).unwrap();
        stored
    }
}

/// Knows stored bytes that were made before, perhaps by another version of zstd.
impl Store for HashMap<FrameId, Vec<u8>> {
    fn stored(&mut self, plain: &[u8]) -> Vec<u8> {
        self[&FrameId::of(plain)].clone()
    }
}

/// A pack: its id and its bytes.
pub(crate) type Pack = (PackId, Vec<u8>);

/// What is stored of a snapshot.
pub(crate) struct Stored {
    pub(crate) packs: Vec<Pack>,
    pub(crate) layout_id: LayoutId,
    pub(crate) root: Vec<u8>,
    pub(crate) layout: Vec<u8>,
    pub(crate) object: Vec<u8>,
}

/// What is in a pack, in plain bytes.
#[derive(Default)]
struct Parts<'a> {
    data: Vec<&'a [u8]>,
    segments: Vec<&'a [u8]>,
    index_segments: Vec<&'a [u8]>,
}

fn write_pack(id: PackId, parts: &Parts<'_>, store: &mut dyn Store) -> (PackSummary, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut frame = |plain: &[u8]| {
        let stored = store.stored(plain);
        let plain_len = plain.len() as u32;
        (FrameRecord::new(FrameId::of(plain), plain_len, Codec::Zstd, &stored).unwrap(), stored)
    };
    let mut writer = PackWriter::new(id, &mut bytes);
    for plain in &parts.data {
        let (record, stored) = frame(plain);
        writer.add_data(&record).unwrap();
        bytes.extend(stored);
    }
    let mut writer = writer.end_data(&mut bytes);
    for plain in &parts.segments {
        let (record, stored) = frame(plain);
        writer.add_segment(&record).unwrap();
        bytes.extend(stored);
    }
    for plain in &parts.index_segments {
        let (record, stored) = frame(plain);
        writer.add_index_segment(&record).unwrap();
        bytes.extend(stored);
    }
    (writer.finish(&mut bytes), bytes)
}

/// The data frames reached from an (index) segment, in order, as their ids.
fn reached(plains: &HashMap<FrameId, &[u8]>, level: u8, id: &FrameId) -> Vec<FrameId> {
    if level == 0 {
        let segment = Segment::parse(plains[id]).unwrap();
        segment.runs().iter().flat_map(|run| std::iter::repeat_n(run.id, run.count as usize)).collect()
    } else {
        let index = IndexSegment::parse(plains[id]).unwrap();
        index.items.iter().flat_map(|item| reached(plains, level - 1, &item.id)).collect()
    }
}

/// Stores a snapshot in one pack or, given two ids, its data in the first and its metadata in the second.
pub(crate) fn store(
    snapshot: &Snapshot,
    pack_ids: &[PackId],
    layout_id: LayoutId,
    store: &mut dyn Store,
) -> Stored {
    let mut plains = HashMap::new();
    let mut unique = |all: &'_ [Vec<u8>]| -> Vec<usize> {
        let mut first = Vec::new();
        for (at, plain) in all.iter().enumerate() {
            if plains.insert(FrameId::of(plain), ()).is_none() {
                first.push(at);
            }
        }
        first
    };
    let pick = |all: &'_ [Vec<u8>], which: Vec<usize>| -> Vec<Vec<u8>> {
        which.into_iter().map(|at| all[at].clone()).collect()
    };
    let data = pick(&snapshot.frames, unique(&snapshot.frames));
    let segments = pick(&snapshot.segments, unique(&snapshot.segments));
    let index_segments = pick(&snapshot.index_segments, unique(&snapshot.index_segments));
    let mut parts = vec![Parts {
        data: data.iter().map(Vec::as_slice).collect(),
        segments: segments.iter().map(Vec::as_slice).collect(),
        index_segments: index_segments.iter().map(Vec::as_slice).collect(),
    }];
    if pack_ids.len() == 2 {
        let data = std::mem::take(&mut parts[0].data);
        parts.insert(0, Parts { data, ..Parts::default() });
    }
    let root = Root::parse(&snapshot.root).unwrap();
    let all: HashMap<FrameId, &[u8]> = snapshot
        .segments
        .iter()
        .chain(&snapshot.index_segments)
        .chain(&snapshot.frames)
        .map(|plain| (FrameId::of(plain), &plain[..]))
        .collect();
    let items = root.items.iter().map(|item| {
        let mut hasher = ItemHasher::new();
        for id in reached(&all, root.level, &item.id) {
            let stored = store.stored(all[&id]);
            hasher.add(stored.len() as u32, &Sum128::of(&stored));
        }
        hasher.finish()
    });
    let items: Vec<_> = items.collect();
    let (mut packs, mut listed) = (Vec::new(), Vec::new());
    for (id, parts) in pack_ids.iter().zip(&parts) {
        let (summary, bytes) = write_pack(*id, parts, store);
        let has_metadata = !parts.segments.is_empty();
        let pack = LayoutPack::new(&summary, has_metadata, std::iter::once(0..items.len() as u32).collect());
        listed.push(pack);
        packs.push((*id, bytes));
    }
    listed.sort_by_key(|pack| !pack.has_metadata);
    let layout = Layout { packs: listed, items }.encode().unwrap();
    let object = SnapshotObject { layout_id, root: &snapshot.root, layout: &layout }.encode().unwrap();
    Stored { packs, layout_id, root: snapshot.root.clone(), layout, object }
}

impl Stored {
    pub(crate) fn snapshot_id(&self) -> SnapshotId {
        SnapshotId::of(&self.root)
    }

    /// The keys below the namespace, and the objects.
    pub(crate) fn objects(&self) -> Vec<(String, Vec<u8>)> {
        let object = format!("snapshots/{}/{}", self.snapshot_id(), self.layout_id);
        let mut objects = vec![(object, self.object.clone())];
        objects.extend(self.packs.iter().map(|(id, bytes)| (format!("packs/{id}"), bytes.clone())));
        objects
    }

    /// A ref to it.
    pub(crate) fn reference(&self) -> Vec<u8> {
        seal(&format!(
            concat!(
                "  \"format\": 1,\n",
                "  \"token\": \"0f0e0d0c0b0a09080706050403020100\",\n",
                "  \"namespace\": \"{}\",\n",
                "  \"features\": [],\n",
                "  \"fence\": 0,\n",
                "  \"generation\": 1,\n",
                "  \"entry_token\": \"0f0e0d0c0b0a09080706050403020100\",\n",
                "  \"snapshot\": \"{}\",\n",
                "  \"layout\": \"{}\",\n",
                "  \"time\": \"2026-01-02T03:04:05Z\",\n",
                "  \"history\": []\n",
                "}}\n"
            ),
            NAMESPACE,
            self.snapshot_id(),
            self.layout_id
        ))
    }
}

/// The id of the namespaces.
pub(crate) const NAMESPACE: &str = "6e616d6573706163652069642031362e";

/// `format.json` of a namespace with these parameters.
pub(crate) fn format_json(p: &Parameters) -> Vec<u8> {
    seal(&format!(
        concat!(
            "  \"format\": 1,\n",
            "  \"namespace\": \"{}\",\n",
            "  \"created\": \"2026-01-02T03:04:00Z\",\n",
            "  \"features\": [],\n",
            "  \"writers\": \"direct\",\n",
            "  \"tree\": {{\n",
            "    \"group_min_bytes\": {},\n",
            "    \"group_max_bytes\": {},\n",
            "    \"small_max_bytes\": {},\n",
            "    \"chunk_min_bytes\": {},\n",
            "    \"chunk_avg_bytes\": {},\n",
            "    \"chunk_max_bytes\": {}\n",
            "  }}\n",
            "}}\n"
        ),
        NAMESPACE, p.group_min, p.group_max, p.small_max, p.chunk_min, p.chunk_avg, p.chunk_max
    ))
}

/// Puts the first line before the fields of a JSON object.
pub(crate) fn seal(fields: &str) -> Vec<u8> {
    format!("{{\"sum\":\"{}\",\n{fields}", Sum128::of(fields.as_bytes())).into_bytes()
}

/// Writes objects below a directory, as a local store does.
pub(crate) fn write_objects(namespace: &Path, objects: &[(String, Vec<u8>)]) {
    for (key, bytes) in objects {
        let path = namespace.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// The tail of a pack.
pub(crate) fn tail((id, bytes): &Pack) -> PackTail {
    let footer =
        floe_format::PackFooter::decode(*id, bytes.len() as u64, &bytes[bytes.len() - 128..]).unwrap();
    PackTail::parse(*id, bytes.len() as u64, &bytes[footer.tail_start().get() as usize..]).unwrap()
}

/// The directory of a pack.
pub(crate) fn directory((id, bytes): &Pack) -> PackDirectory {
    let footer =
        floe_format::PackFooter::decode(*id, bytes.len() as u64, &bytes[bytes.len() - 128..]).unwrap();
    PackDirectory::parse(*id, bytes.len() as u64, &bytes[footer.directory_start().get() as usize..]).unwrap()
}
