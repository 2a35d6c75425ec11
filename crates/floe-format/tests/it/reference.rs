//! The whole of `docs/format.md` §5 to §8 for a tree in memory, written from the specification and nothing else: slow, without state,
//! and sharing no code with the crate but ids and what an entry is.

mod frames;
mod lists;
mod tar;
mod wire;

pub(crate) use frames::chunk_len;

use floe_format::{Body, FrameId, Kept, Parameters};

use crate::trees::Member;

/// A snapshot in memory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The plain bytes of the data frames, in order, with repetitions.
    pub(crate) frames: Vec<Vec<u8>>,
    /// The plain bytes of the segments.
    pub(crate) segments: Vec<Vec<u8>>,
    /// The plain bytes of the index segments, those of level 1 first.
    pub(crate) index_segments: Vec<Vec<u8>>,
    /// The root's bytes.
    pub(crate) root: Vec<u8>,
}

/// Makes the snapshot of sorted members; the tree's own directory is 0755, of time 0 and owner 0.
pub(crate) fn frame_tree(kept: Kept, p: &Parameters, members: &[Member]) -> Snapshot {
    let runs = frames::runs(p, members);
    let segments = lists::segments(members, &runs);
    let (mut encoded, mut items) = (Vec::new(), Vec::new());
    for segment in &segments {
        let plain = wire::segment(kept, members, segment);
        items.push(lists::Item {
            id: FrameId::of(&plain),
            length: segment.runs.iter().map(|run| run.count * run.plain.len()).sum(),
            entries: segment.members.len(),
            path: segment.first.map_or(vec![], |first| members[first].0.path.clone()),
        });
        encoded.push(plain);
    }
    let (mut index_segments, mut level) = (Vec::new(), 0);
    while items.len() > 32 || 32 + lists::weight(&items) > 512 * 1024 {
        level += 1;
        let mut above = Vec::new();
        for list in lists::cut(&items) {
            let plain = wire::index_segment(level, &list);
            above.push(lists::Item {
                id: FrameId::of(&plain),
                length: list.iter().map(|item| item.length).sum(),
                entries: list.iter().map(|item| item.entries).sum(),
                path: list[0].path.clone(),
            });
            index_segments.push(plain);
        }
        items = above;
    }
    let sizes: Vec<u64> = members
        .iter()
        .filter_map(|(entry, _)| match entry.body.as_body() {
            Body::File { size, .. } => Some(size),
            _ => None,
        })
        .collect();
    let root = wire::root(kept, p, &sizes, level, &items);
    let frames = runs.into_iter().flat_map(|run| std::iter::repeat_n(run.plain, run.count)).collect();
    Snapshot { frames, segments: encoded, index_segments, root }
}
