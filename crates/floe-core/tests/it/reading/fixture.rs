//! Makes snapshots, good and hostile ones, straight from `docs/format.md`.
//!
//! Segments are encoded by hand, so that they can say what no builder would let them say.

use bytes::Bytes;
use floe_core::store::{Key, PutMode};
use floe_core::{Namespace, SnapshotAt};
use floe_format::wire::WireWrite;
use floe_format::{
    Chunker, Codec, Compressor, ContentHash, Entry, EntryKind, FrameId, FrameRecord, GroupEntry, Grouper,
    Item, ItemHasher, Kept, Layout, LayoutItem, LayoutPack, Meta, OwnedBody, Owner, PackWriter, Parameters,
    Root, SegmentCutter, SnapshotObject, TAR_END, Timestamp, XattrList, build_index, compare_paths,
    tar_header, tar_padding,
};
use std::collections::HashMap;

/// An entry, and what the tar has of it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) entry: Entry,
    pub(crate) content: Vec<u8>,
    /// What the tar says it is, where that is another thing.
    pub(crate) in_tar: Option<Entry>,
    /// How often the content stands there, which is a whole number of equal frames where that is more than once.
    pub(crate) repetitions: u64,
}

/// How a snapshot is made.
#[derive(Clone, Debug)]
pub(crate) struct Making {
    pub(crate) kept: Kept,
    pub(crate) parameters: Parameters,
    /// Plain bytes of data after which a pack ends.
    pub(crate) pack_bytes: usize,
    /// Whether the nodes are put in order first.
    pub(crate) sorts: bool,
    /// What files' contents are padded with.
    pub(crate) padding: u8,
    /// What is changed of the root before it is written.
    pub(crate) root: fn(&mut Root),
    /// What is changed of what the layout says of the archive.
    pub(crate) archive: fn(&mut [LayoutItem]),
    /// What is changed of the plain bytes of a data frame, by its number, before they are stored under the id they had;
    /// and whether they are stored at all.
    pub(crate) data: fn(usize, &mut Vec<u8>) -> bool,
    /// What the packs say that data frames are compressed with.
    pub(crate) codec: Codec,
    /// Packs that the layout lists behind those that are written.
    pub(crate) others: Vec<LayoutPack>,
}

impl Default for Making {
    fn default() -> Self {
        Self {
            kept: Kept::MTIME,
            parameters: Parameters::default(),
            pack_bytes: 16 << 20,
            sorts: true,
            padding: 0,
            root: |_| {},
            archive: |_| {},
            data: |_, _| true,
            codec: Codec::Zstd,
            others: vec![],
        }
    }
}

impl Making {
    /// Small frames and segments, so that little content makes many.
    pub(crate) fn small() -> Self {
        let parameters = Parameters {
            group_min: 2048,
            group_max: 8192,
            small_max: 4096,
            chunk_min: 1024,
            chunk_avg: 4096,
            chunk_max: 16384,
        };
        Self { parameters, pack_bytes: 256 << 10, ..Self::default() }
    }
}

pub(crate) fn node(path: &[u8], mode: u16, body: OwnedBody) -> Node {
    let is_link = matches!(body, OwnedBody::HardLink { .. });
    let mode = if matches!(body, OwnedBody::Symlink { .. }) { 0o777 } else { mode };
    let mtime = (!is_link).then_some(Timestamp { seconds: 1_500_000_000, nanos: 123_456_789 });
    let entry = Entry { path: path.to_vec(), mode, mtime, owner: None, body, xattrs: XattrList::default() };
    Node { entry, content: Vec::new(), in_tar: None, repetitions: 1 }
}

pub(crate) fn dir(path: impl AsRef<[u8]>) -> Node {
    node(path.as_ref(), 0o755, OwnedBody::Directory)
}

pub(crate) fn file(path: impl AsRef<[u8]>, content: &[u8]) -> Node {
    let hash = (!content.is_empty()).then(|| ContentHash::of(content));
    let body = OwnedBody::File { size: content.len() as u64, hash };
    Node { content: content.to_vec(), ..node(path.as_ref(), 0o644, body) }
}

/// A file of so many MiB of zeros, whose hash is wrong.
pub(crate) fn zeros(path: impl AsRef<[u8]>, mebibytes: u64) -> Node {
    let mut zeros = file(path, &[0; 1 << 20]);
    zeros.entry.body = OwnedBody::File { size: mebibytes << 20, hash: Some(ContentHash::of(b"other")) };
    Node { repetitions: mebibytes, ..zeros }
}

pub(crate) fn symlink(path: &[u8], target: &[u8]) -> Node {
    node(path, 0o777, OwnedBody::Symlink { target: target.to_vec() })
}

pub(crate) fn hard_link(path: &[u8], target: &[u8]) -> Node {
    node(path, 0o644, OwnedBody::HardLink { target: target.to_vec() })
}

/// A segment's plain bytes, and its frames with their repetitions.
type EncodedSegment = (Vec<u8>, Vec<(FrameId, u64)>);

/// A snapshot in the making.
struct Maker<'a> {
    making: &'a Making,
    nodes: &'a [Node],
    cutter: SegmentCutter,
    open: Option<OpenSegment>,
    items: Vec<Item>,
    segments: Vec<EncodedSegment>,
    frames: Vec<(FrameId, Vec<u8>)>,
    known: HashMap<FrameId, u32>,
    length: u64,
}

struct OpenSegment {
    first: Vec<u8>,
    lead: u64,
    entries: Vec<usize>,
    runs: Vec<(FrameId, u32, u64)>,
}

impl Maker<'_> {
    fn begin(&mut self, path: &[u8]) {
        self.flush(false);
        self.open = Some(OpenSegment { first: path.to_vec(), lead: 0, entries: vec![], runs: vec![] });
    }

    fn flush(&mut self, has_end: bool) {
        let Some(open) = self.open.take() else { return };
        let mut plain = b"FSEG\x01\x01".to_vec();
        plain.extend([self.making.kept.bits(), u8::from(has_end)]);
        plain.put_uv(open.lead);
        plain.put_uv(open.entries.len() as u64);
        plain.put_uv(open.runs.len() as u64);
        let mut last: &[u8] = &[];
        for &number in &open.entries {
            let entry = &self.nodes[number].entry;
            write_entry(entry, last, &mut plain);
            last = &entry.path;
        }
        let mut length = 0;
        for (id, plain_len, count) in &open.runs {
            plain.put_uv(*count);
            plain.put_uv(u64::from(*plain_len));
            plain.extend_from_slice(id.as_bytes());
            length += count * u64::from(*plain_len);
        }
        let id = FrameId::of(&plain);
        self.items.push(Item { id, length, entries: open.entries.len() as u64, path: open.first });
        self.segments.push((plain, open.runs.iter().map(|(id, _, count)| (*id, *count)).collect()));
    }

    fn frame(&mut self, plain: Vec<u8>) {
        let id = FrameId::of(&plain);
        let plain_len = plain.len() as u32;
        self.length += u64::from(plain_len);
        if self.known.insert(id, plain_len).is_none() {
            self.frames.push((id, plain));
        }
        let runs = &mut self.open.as_mut().unwrap().runs;
        match runs.last_mut() {
            Some(last) if last.0 == id => last.2 += 1,
            _ => runs.push((id, plain_len, 1)),
        }
    }

    fn group(&mut self, entries: std::ops::Range<usize>, plain: Vec<u8>) {
        let nodes = &self.nodes[entries.clone()];
        let metadata = nodes.iter().map(|node| node.entry.as_entry().metadata_len() as u64).sum();
        if self.cutter.add_run(&FrameId::of(&plain), nodes.len(), metadata) {
            self.begin(&nodes[0].entry.path.clone());
        }
        self.frame(plain);
        self.open.as_mut().unwrap().entries.extend(entries);
    }

    fn chunks(&mut self, chunker: &Chunker, number: usize) {
        let node = &self.nodes[number];
        let mut rest = node.content.clone();
        rest.resize(rest.len() + tar_padding(rest.len() as u64), self.making.padding);
        let mut last = None;
        while !rest.is_empty() {
            let after = rest.split_off(chunker.next_cut(&rest, true).unwrap());
            let chunk = std::mem::replace(&mut rest, after);
            let id = FrameId::of(&chunk);
            if last != Some(id) && self.cutter.add_run(&id, 0, 0) {
                self.begin(&node.entry.path.clone());
            }
            last = Some(id);
            let length = chunk.len() as u64;
            self.frame(chunk);
            let open = self.open.as_mut().unwrap();
            if open.entries.is_empty() {
                open.lead += length;
            }
        }
        if node.repetitions > 1 {
            let open = self.open.as_mut().unwrap();
            let (_, plain_len, count) = open.runs.last_mut().unwrap();
            // All of them are in the segment that the file begins in.
            assert!(!open.entries.is_empty());
            assert_eq!(*count * u64::from(*plain_len), node.content.len() as u64);
            *count *= node.repetitions;
            self.length += (node.repetitions - 1) * node.content.len() as u64;
        }
    }
}

fn write_entry(entry: &Entry, last: &[u8], out: &mut Vec<u8>) {
    let shared = last.iter().zip(&entry.path).take_while(|(a, b)| a == b).count();
    let view = entry.as_entry();
    let has_xattrs = !view.xattrs.is_empty();
    out.push(view.kind() as u8 | if has_xattrs { 0x80 } else { 0 });
    out.put_uv(shared as u64);
    out.put_bytes(&entry.path[shared..]);
    if view.kind() != EntryKind::Symlink {
        out.put_uv(u64::from(entry.mode));
    }
    if let Some(Timestamp { seconds, nanos }) = entry.mtime {
        out.put_sv(seconds);
        out.put_uv(u64::from(nanos));
    }
    if let Some(Owner { user, group }) = entry.owner {
        out.put_uv(u64::from(user));
        out.put_uv(u64::from(group));
    }
    match &entry.body {
        OwnedBody::File { size, hash } => {
            out.put_uv(*size);
            if let Some(hash) = hash {
                out.extend_from_slice(hash.as_bytes());
            }
        }
        OwnedBody::Symlink { target } | OwnedBody::HardLink { target } => out.put_bytes(target),
        OwnedBody::CharDevice { major, minor } | OwnedBody::BlockDevice { major, minor } => {
            out.put_uv(u64::from(*major));
            out.put_uv(u64::from(*minor));
        }
        OwnedBody::Directory | OwnedBody::Fifo => {}
    }
    if has_xattrs {
        out.put_uv(view.xattrs.len() as u64);
        for (name, value) in view.xattrs.iter() {
            out.put_bytes(name);
            out.put_bytes(value);
        }
    }
}

/// Writes a snapshot into a namespace.
pub(crate) async fn write(namespace: &Namespace, mut nodes: Vec<Node>, making: &Making) -> SnapshotAt {
    if making.sorts {
        nodes.sort_by(|a, b| compare_paths(&a.entry.path, &b.entry.path));
    }
    for node in &mut nodes {
        let is_link = matches!(node.entry.body, OwnedBody::HardLink { .. });
        let keeps = |kept| making.kept.contains(kept) && !is_link;
        node.entry.mtime = keeps(Kept::MTIME).then(|| node.entry.mtime.unwrap_or_default());
        node.entry.owner = keeps(Kept::OWNER).then(|| node.entry.owner.unwrap_or_default());
    }
    let p = &making.parameters;
    let mut maker = Maker {
        making,
        nodes: &nodes,
        cutter: SegmentCutter::new(),
        open: None,
        items: vec![],
        segments: vec![],
        frames: vec![],
        known: HashMap::new(),
        length: 0,
    };
    let (chunker, mut grouper) = (Chunker::new(p), Grouper::new(p));
    let (mut first, mut group) = (0, Vec::new());
    for (number, node) in nodes.iter().enumerate() {
        let entry = node.entry.as_entry();
        let asked = GroupEntry::of(&entry, p);
        let cut = grouper.add(&asked);
        if cut.before {
            maker.group(first..number, std::mem::take(&mut group));
            first = number;
        }
        tar_header(&node.in_tar.as_ref().unwrap_or(&node.entry).as_entry(), &mut group);
        if !asked.is_big {
            group.extend_from_slice(&node.content);
            group.resize(group.len() + tar_padding(node.content.len() as u64), making.padding);
        }
        if cut.after {
            maker.group(first..number + 1, std::mem::take(&mut group));
            first = number + 1;
            if asked.is_big {
                maker.chunks(&chunker, number);
            }
        }
    }
    if grouper.is_open() {
        maker.group(first..nodes.len(), group);
    }
    if maker.open.is_none() {
        maker.begin(b"");
    }
    maker.frame(TAR_END.to_vec());
    maker.flush(true);
    let Maker { items, segments, frames, length, .. } = maker;
    let sizes: Vec<u64> = nodes
        .iter()
        .filter(|node| node.entry.as_entry().kind() == EntryKind::File)
        .map(|node| node.entry.as_entry().body.size())
        .collect();
    let per_segment: Vec<_> = segments.iter().map(|(_, runs)| runs.clone()).collect();
    let index = build_index(items).unwrap();
    let mut root = Root {
        kept: making.kept,
        reproducible: false,
        parameters: *p,
        length,
        entries: nodes.len() as u64,
        files: sizes.len() as u64,
        file_bytes: sizes.iter().sum(),
        directory: Meta {
            mode: 0o755,
            mtime: making
                .kept
                .contains(Kept::MTIME)
                .then_some(Timestamp { seconds: 1_400_000_000, nanos: 7 }),
            owner: making.kept.contains(Kept::OWNER).then(Owner::default),
        },
        xattrs: XattrList::default(),
        level: index.level,
        items: index.items.clone(),
    };
    (making.root)(&mut root);

    // Segments below each root item.
    let mut children: HashMap<FrameId, Vec<Item>> = HashMap::new();
    for built in &index.segments {
        children.insert(built.id, built.content.items.clone());
    }
    fn leaves(item: &Item, level: u8, children: &HashMap<FrameId, Vec<Item>>) -> usize {
        if level == 0 {
            1
        } else {
            children[&item.id].iter().map(|item| leaves(item, level - 1, children)).sum()
        }
    }
    let counts: Vec<usize> = index.items.iter().map(|item| leaves(item, index.level, &children)).collect();
    let ambient = namespace.ambient();
    let mut compressor = Compressor::new(3).unwrap();
    let mut stored_of: HashMap<FrameId, FrameRecord> = HashMap::new();
    let mut packs = Vec::new();
    let all_items = 0..root.items.len() as u32;
    let mut frames = frames.into_iter().enumerate().peekable();
    loop {
        let id = ambient.pack_id();
        let mut object = Vec::new();
        let mut writer = PackWriter::new(id, &mut object);
        let mut plain_bytes = 0;
        while let Some((number, (id, mut plain))) = frames.next_if(|_| plain_bytes < making.pack_bytes) {
            let mut elsewhere = Vec::new();
            let is_stored = (making.data)(number, &mut plain);
            let into = if is_stored { &mut object } else { &mut elsewhere };
            let record = add(&mut compressor, id, &plain, making.codec, into, |record| {
                if is_stored {
                    writer.add_data(record).unwrap();
                }
            });
            plain_bytes += plain.len();
            stored_of.insert(id, record);
        }
        let is_last = frames.peek().is_none();
        let mut writer = writer.end_data(&mut object);
        if is_last {
            for (plain, _) in &segments {
                add(&mut compressor, FrameId::of(plain), plain, Codec::Zstd, &mut object, |record| {
                    writer.add_segment(record).unwrap();
                });
            }
            for built in &index.segments {
                add(&mut compressor, built.id, &built.plain, Codec::Zstd, &mut object, |record| {
                    writer.add_index_segment(record).unwrap();
                });
            }
        }
        let summary = writer.finish(&mut object);
        put(namespace, &format!("packs/{id}"), object).await;
        packs.push(LayoutPack::new(&summary, is_last, vec![all_items.clone()]));
        if is_last {
            break;
        }
    }
    let mut layout_items = Vec::new();
    let mut runs = per_segment.into_iter();
    for count in counts {
        let mut hasher = ItemHasher::new();
        let mut stored_len = 0;
        for (id, count) in runs.by_ref().take(count).flatten() {
            let record = &stored_of[&id];
            stored_len += count * u64::from(record.stored_len);
            // Of more, nobody would wait for the hash.
            for _ in 0..count.min(1 << 20) {
                hasher.add(record.stored_len, &record.stored_sum);
            }
        }
        layout_items.push(LayoutItem { stored_len, ..hasher.finish() });
    }
    (making.archive)(&mut layout_items);
    packs.extend(making.others.iter().cloned());
    let layout = Layout { packs, items: layout_items }.encode().unwrap();
    put_snapshot(namespace, &root, &layout).await
}

/// Writes a snapshot object.
pub(crate) async fn put_snapshot(namespace: &Namespace, root: &Root, layout: &[u8]) -> SnapshotAt {
    let root = root.to_bytes().unwrap();
    let object = SnapshotObject { layout_id: namespace.ambient().layout_id(), root: &root, layout };
    let at = SnapshotAt { snapshot: object.snapshot_id(), layout: object.layout_id };
    put(namespace, &format!("snapshots/{}/{}", at.snapshot, at.layout), object.encode().unwrap()).await;
    at
}

fn add(
    compressor: &mut Compressor,
    id: FrameId,
    plain: &[u8],
    codec: Codec,
    object: &mut Vec<u8>,
    tell: impl FnOnce(&FrameRecord),
) -> FrameRecord {
    let start = object.len();
    compressor.compress(plain, object).unwrap();
    let record = FrameRecord::new(id, plain.len() as u32, codec, &object[start..]).unwrap();
    tell(&record);
    record
}

async fn put(namespace: &Namespace, rest: &str, object: Vec<u8>) {
    let key = Key::new(format!("{}/{rest}", namespace.name())).unwrap();
    namespace.store().put(&key, Bytes::from(object), PutMode::Create).await.unwrap();
}
