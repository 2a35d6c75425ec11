//! A snapshot made as a push makes it: piece by piece, with the crate's own state machines.

use floe_format::{
    Chunker, FrameId, GroupEntry, Grouper, Item, Kept, Meta, Owner, Parameters, Root, SegmentBuilder,
    SegmentCutter, TAR_END, Timestamp, XattrList, build_index, tar_header, tar_padding,
};

use crate::reference::Snapshot;
use crate::trees::Member;

struct Streaming<'a> {
    kept: Kept,
    members: &'a [Member],
    cutter: SegmentCutter,
    open: Option<(SegmentBuilder, Item)>,
    lead: u64,
    items: Vec<Item>,
    made: Snapshot,
}

impl Streaming<'_> {
    fn flush(&mut self, has_end: bool) {
        if let Some((mut builder, mut item)) = self.open.take() {
            builder.set_lead(self.lead);
            self.lead = 0;
            let plain = builder.finish(has_end).unwrap();
            item.id = FrameId::of(&plain);
            self.items.push(item);
            self.made.segments.push(plain);
        }
    }

    fn begin(&mut self, path: &[u8]) {
        self.flush(false);
        let item = Item { id: FrameId::of(b""), length: 0, entries: 0, path: path.to_vec() };
        self.open = Some((SegmentBuilder::new(self.kept), item));
    }

    fn frame(&mut self, plain: Vec<u8>) {
        let (builder, item) = self.open.as_mut().unwrap();
        builder.add_frame(FrameId::of(&plain), plain.len() as u32).unwrap();
        item.length += plain.len() as u64;
        self.made.frames.push(plain);
    }

    fn group(&mut self, first: usize, end: usize, plain: Vec<u8>) {
        let entries = &self.members[first..end];
        let metadata = entries.iter().map(|member| member.0.as_entry().metadata_len() as u64).sum();
        if self.cutter.add_run(&FrameId::of(&plain), entries.len(), metadata) {
            self.begin(&entries[0].0.path);
        }
        self.frame(plain);
        let (builder, item) = self.open.as_mut().unwrap();
        for (entry, _) in entries {
            builder.add_entry(&entry.as_entry()).unwrap();
        }
        item.entries += entries.len() as u64;
    }

    fn chunks(&mut self, chunker: &Chunker, file: usize, feed: &mut impl FnMut() -> usize) {
        let mut content = self.members[file].1.clone();
        content.resize(content.len() + tar_padding(content.len() as u64), 0);
        let mut last = None;
        let (mut start, mut fed) = (0, 0);
        while start < content.len() {
            let Some(length) = chunker.next_cut(&content[start..fed], fed == content.len()) else {
                fed = (fed + feed()).min(content.len());
                continue;
            };
            let chunk = content[start..start + length].to_vec();
            let id = FrameId::of(&chunk);
            if last != Some(id) && self.cutter.add_run(&id, 0, 0) {
                let path = self.members[file].0.path.clone();
                self.begin(&path);
            }
            last = Some(id);
            self.frame(chunk);
            let (builder, _) = self.open.as_ref().unwrap();
            if builder.entry_count() == 0 {
                self.lead += length as u64;
            }
            start += length;
        }
    }
}

/// Makes a snapshot; `feed` says how many bytes of a big file come next.
pub(crate) fn stream(
    kept: Kept,
    p: &Parameters,
    members: &[Member],
    mut feed: impl FnMut() -> usize,
) -> Snapshot {
    let mut streaming = Streaming {
        kept,
        members,
        cutter: SegmentCutter::new(),
        open: None,
        lead: 0,
        items: vec![],
        made: Snapshot { frames: vec![], segments: vec![], index_segments: vec![], root: vec![] },
    };
    let chunker = Chunker::new(p);
    let mut grouper = Grouper::new(p);
    let (mut first, mut group) = (0, Vec::new());
    for (i, (entry, content)) in members.iter().enumerate() {
        let asked = GroupEntry::of(&entry.as_entry(), p);
        let cut = grouper.add(&asked);
        if cut.before {
            streaming.group(first, i, std::mem::take(&mut group));
            first = i;
        }
        tar_header(&entry.as_entry(), &mut group);
        if !asked.is_big {
            group.extend_from_slice(content);
            group.resize(group.len() + tar_padding(content.len() as u64), 0);
        }
        if cut.after {
            streaming.group(first, i + 1, std::mem::take(&mut group));
            first = i + 1;
            if asked.is_big {
                streaming.chunks(&chunker, i, &mut feed);
            }
        }
    }
    if grouper.is_open() {
        streaming.group(first, members.len(), group);
    }
    if streaming.open.is_none() {
        streaming.begin(b"");
    }
    streaming.frame(TAR_END.to_vec());
    streaming.flush(true);
    finish(kept, p, members, streaming)
}

fn finish(kept: Kept, p: &Parameters, members: &[Member], streaming: Streaming<'_>) -> Snapshot {
    let Streaming { items, mut made, .. } = streaming;
    let index = build_index(items).unwrap();
    made.index_segments = index.segments.iter().map(|segment| segment.plain.clone()).collect();
    let root = Root {
        kept,
        reproducible: false,
        parameters: *p,
        length: made.frames.iter().map(|frame| frame.len() as u64).sum(),
        entries: members.len() as u64,
        files: members.iter().filter(|m| m.0.as_entry().kind() == floe_format::EntryKind::File).count()
            as u64,
        file_bytes: members.iter().map(|m| m.0.as_entry().body.size()).sum(),
        directory: Meta {
            mode: 0o755,
            mtime: kept.contains(Kept::MTIME).then(Timestamp::default),
            owner: kept.contains(Kept::OWNER).then(Owner::default),
        },
        xattrs: XattrList::default(),
        level: index.level,
        items: index.items,
    };
    made.root = root.to_bytes().unwrap();
    made
}
