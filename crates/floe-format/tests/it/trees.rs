//! Made-up trees.

use std::collections::BTreeMap;

use floe_format::{
    ContentHash, Entry, EntryKind, Kept, OwnedBody, Owner, Timestamp, XattrList, compare_paths,
};
use floe_testkit::bytes_of;
use proptest::prelude::*;

/// An entry and its content, empty for all but files.
pub(crate) type Member = (Entry, Vec<u8>);

pub(crate) const ALL: [Kept; 4] = [Kept::NONE, Kept::MTIME, Kept::OWNER, Kept::XATTRS];

pub(crate) fn kept() -> impl Strategy<Value = Kept> {
    proptest::sample::subsequence(&ALL[..], 0..=4)
        .prop_map(|kept| kept.into_iter().fold(Kept::NONE, |a, b| a | b))
}

pub(crate) fn file(path: &[u8], mode: u16, content: &[u8]) -> Member {
    let hash = (!content.is_empty()).then(|| ContentHash::of(content));
    let body = OwnedBody::File { size: content.len() as u64, hash };
    (plain(path, mode, body), content.to_vec())
}

pub(crate) fn plain(path: &[u8], mode: u16, body: OwnedBody) -> Entry {
    Entry { path: path.to_vec(), mode, mtime: None, owner: None, body, xattrs: XattrList::default() }
}

/// Puts members in order and drops all but one of a path.
pub(crate) fn in_order(mut members: Vec<Member>) -> Vec<Member> {
    members.sort_by(|a, b| compare_paths(&a.0.path, &b.0.path));
    members.dedup_by(|a, b| a.0.path == b.0.path);
    members
}

/// Some content, of a length around what matters to the small parameters of tests.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![
        4 => 0usize..1500,
        1 => proptest::sample::select(vec![0usize, 1, 511, 512, 513, 2047, 2048, 2049, 8192, 9216]),
        1 => 2000usize..40_000,
    ];
    (length, 0u8..4, any::<u64>()).prop_map(|(length, style, seed)| match style {
        0 => vec![0; length],
        1 => bytes_of(seed, length.min(3000)).to_vec().into_iter().cycle().take(length).collect(),
        _ => bytes_of(seed, length).to_vec(),
    })
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-d!]{1,3}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(1u8..=255, 1..8).prop_map(|mut name| {
            name.iter_mut().filter(|b| **b == b'/').for_each(|b| *b = b'_');
            [b"x", &name[..]].concat()
        }),
        1 => (90usize..=255).prop_map(|length| vec![b'n'; length]),
    ]
}

type Raw =
    (Vec<Vec<u8>>, u8, u16, (i64, u32, u32, u32), Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>, prop::sample::Index);

fn raw() -> impl Strategy<Value = Raw> {
    (
        proptest::collection::vec(name(), 1..4),
        0u8..12,
        0u16..=0o7777,
        (any::<i64>(), 0u32..1_000_000_000, any::<u32>(), any::<u32>()),
        content(),
        proptest::collection::vec(
            (proptest::collection::vec(1u8..=255, 1..6), proptest::collection::vec(any::<u8>(), 0..40)),
            0..3,
        ),
        any::<prop::sample::Index>(),
    )
}

/// A whole tree: every parent is there, hard links name the first of their file.
pub(crate) fn tree(kept: Kept, most: usize) -> impl Strategy<Value = Vec<Member>> {
    proptest::collection::vec(raw(), 0..most).prop_map(move |raws| build(kept, raws))
}

fn build(kept: Kept, raws: Vec<Raw>) -> Vec<Member> {
    let mut by_path: BTreeMap<Vec<u8>, Member> = BTreeMap::new();
    let mut picks = Vec::new();
    for (names, kind, mode, (seconds, nanos, user, group), content, xattrs, pick) in raws {
        for depth in 1..names.len() {
            let parent = names[..depth].join(&b'/');
            by_path.insert(parent.clone(), (plain(&parent, 0o755, OwnedBody::Directory), vec![]));
        }
        let path = names.join(&b'/');
        if by_path.contains_key(&path) {
            continue;
        }
        let (entry, content) = match kind {
            0 => (plain(&path, mode, OwnedBody::Directory), vec![]),
            1 => (
                plain(
                    &path,
                    0o777,
                    OwnedBody::Symlink { target: [b"t", &content[..content.len().min(300)]].concat() },
                ),
                vec![],
            ),
            2 => (plain(&path, mode, OwnedBody::HardLink { target: vec![] }), vec![]),
            3 => (plain(&path, mode, OwnedBody::Fifo), vec![]),
            4 => {
                (plain(&path, mode, OwnedBody::CharDevice { major: user >> 11, minor: group >> 11 }), vec![])
            }
            5 => {
                (plain(&path, mode, OwnedBody::BlockDevice { major: user >> 11, minor: group >> 11 }), vec![])
            }
            _ => file(&path, mode, &content),
        };
        let mut entry = entry;
        if let OwnedBody::Symlink { target } = &mut entry.body {
            target.iter_mut().filter(|b| **b == 0).for_each(|b| *b = b'0');
        }
        if !xattrs.is_empty() && kept.contains(Kept::XATTRS) && kind != 2 {
            let unique: BTreeMap<_, _> = xattrs.into_iter().collect();
            entry.xattrs = XattrList::new(unique).unwrap();
        }
        picks.push((path.clone(), pick, (seconds, nanos, user, group)));
        by_path.insert(path, (entry, content));
    }
    let mut members = in_order(by_path.into_values().collect());
    // A path that is a parent is a directory, and its xattrs stay with the one that came first.
    let times: BTreeMap<_, _> = picks.into_iter().map(|(path, pick, times)| (path, (pick, times))).collect();
    let files: Vec<Entry> =
        members.iter().map(|m| m.0.clone()).filter(|e| e.as_entry().kind() == EntryKind::File).collect();
    members.retain_mut(|(entry, _)| {
        let times = times.get(&entry.path);
        if let OwnedBody::HardLink { target } = &mut entry.body {
            let earlier = files.iter().filter(|f| compare_paths(&f.path, &entry.path).is_lt()).count();
            let Some((pick, _)) = times.filter(|_| earlier > 0) else {
                return false;
            };
            let first = &files[pick.index(earlier)];
            target.clone_from(&first.path);
            entry.mode = first.mode;
            return true;
        }
        let (seconds, nanos, user, group) = times.map_or((0, 0, 0, 0), |times| times.1);
        entry.mtime = kept.contains(Kept::MTIME).then_some(Timestamp { seconds, nanos });
        entry.owner = kept.contains(Kept::OWNER).then_some(Owner { user, group });
        true
    });
    members
}
