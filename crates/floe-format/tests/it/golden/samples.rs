//! The trees and the JSON objects of the golden files. What they are must never change.

use floe_format::{
    FrameId, IndexSegment, Item, Kept, LayoutId, Meta, OwnedBody, Owner, PackId, Parameters, Root,
    SnapshotId, Timestamp, XattrList,
};

use super::{layout_id, pack_id};
use crate::reference::Snapshot;
use crate::stored::{NAMESPACE, format_json, seal};
use crate::streaming::stream;
use crate::trees::{Member, file, in_order, plain};

pub(crate) const P: Parameters = Parameters {
    group_min: 32 << 10,
    group_max: 192 << 10,
    small_max: 2048,
    chunk_min: 512,
    chunk_avg: 1024,
    chunk_max: 4096,
};

pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) kept: Kept,
    pub(crate) members: Vec<Member>,
    pub(crate) packs: Vec<PackId>,
    pub(crate) layout: LayoutId,
    /// Whether its canonical tar is short enough for a file of its own.
    pub(crate) has_tar: bool,
    /// How many of its segments are files of their own.
    pub(crate) most_segments: usize,
}

impl Sample {
    /// The snapshot, as today's code makes it.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = stream(self.kept, &P, &self.members, || 1000);
        let mut root = Root::parse(&snapshot.root).unwrap();
        root.reproducible = self.kept == Kept::NONE;
        if self.kept != Kept::NONE {
            root.directory = Meta {
                mode: 0o1750,
                mtime: Some(Timestamp { seconds: -1, nanos: 999_999_999 }),
                owner: Some(Owner { user: 1000, group: u32::MAX }),
            };
            root.xattrs = XattrList::new([("user.of", "the directory")]).unwrap();
        }
        snapshot.root = root.to_bytes().unwrap();
        snapshot
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    vec![
        Sample {
            name: "every-kind",
            kept: Kept::MTIME | Kept::OWNER | Kept::XATTRS,
            members: every_kind(),
            packs: vec![pack_id(1), pack_id(2)],
            layout: layout_id(1),
            has_tar: true,
            most_segments: 9,
        },
        Sample {
            name: "deep",
            kept: Kept::NONE,
            members: deep(),
            packs: vec![pack_id(3)],
            layout: layout_id(2),
            has_tar: false,
            most_segments: 1,
        },
        Sample {
            name: "many",
            kept: Kept::NONE,
            members: many(),
            packs: vec![pack_id(5)],
            layout: layout_id(4),
            has_tar: false,
            most_segments: 2,
        },
        Sample {
            name: "empty",
            kept: Kept::NONE,
            members: vec![],
            packs: vec![pack_id(4)],
            layout: layout_id(3),
            has_tar: true,
            most_segments: 1,
        },
    ]
}

fn every_kind() -> Vec<Member> {
    let link = |path: &[u8], target: &[u8]| {
        (plain(path, 0o777, OwnedBody::Symlink { target: target.to_vec() }), vec![])
    };
    let special = |path: &[u8], body| (plain(path, 0o600, body), vec![]);
    let long = [&b"long/"[..], &[b'n'; 150]].concat();
    let mut members = in_order(vec![
        (plain(b"bin", 0o2755, OwnedBody::Directory), vec![]),
        file(b"bin/run", 0o4755, b"#!/bin/sh\nexec true\n"),
        file(b"big", 0o644, &noise(40_000, 1)),
        file(b"empty", 0o000, b""),
        file(b"first", 0o640, b"two names\n"),
        (plain(b"long", 0o755, OwnedBody::Directory), vec![]),
        file(&long, 0o644, b"its path needs a PAX header\n"),
        link(b"long/link", &[b't'; 120]),
        link(b"bin/ln", b"run"),
        (plain(b"second", 0o640, OwnedBody::HardLink { target: b"first".to_vec() }), vec![]),
        file(b"sparse", 0o600, &[&noise(1000, 2)[..], &vec![0; 30_000], b"end"].concat()),
        special(b"fifo", OwnedBody::Fifo),
        special(b"null", OwnedBody::CharDevice { major: 1, minor: 3 }),
        special(b"disk", OwnedBody::BlockDevice { major: 259, minor: 2_097_151 }),
        file(b"\xff\xfe not UTF-8 \n", 0o644, b"x"),
    ]);
    let times =
        [(-1, 0), (0, 1), (-62_135_596_800, 999_999_999), (4_294_967_296, 500_000_000), (1_767_323_045, 0)];
    for (n, (entry, _)) in members.iter_mut().enumerate() {
        if matches!(entry.body, OwnedBody::HardLink { .. }) {
            continue;
        }
        let (seconds, nanos) = times[n % times.len()];
        entry.mtime = Some(Timestamp { seconds, nanos });
        entry.owner = Some(Owner { user: n as u32 * 500, group: u32::MAX - n as u32 });
        if n % 3 == 0 {
            let attributes = [("user.note", &b"a\0b"[..]), ("security.capability", b"")];
            entry.xattrs = XattrList::new(attributes).unwrap();
        }
    }
    members
}

/// Many small files and a long log of short chunks, so that there are many cuts of every sort.
fn many() -> Vec<Member> {
    let mut members = vec![(plain(b"log", 0o755, OwnedBody::Directory), vec![])];
    for n in 0..6 {
        let log: String = (0..3000 / (n + 1)).map(|line| format!("{n}: line {line}\n")).collect();
        members.push(file(format!("log/{n}").as_bytes(), 0o644, log.as_bytes()));
    }
    for directory in 0..40 {
        let path = format!("d{directory}");
        members.push((plain(path.as_bytes(), 0o755, OwnedBody::Directory), vec![]));
        for n in 0..30 {
            let content = if n % 3 == 0 { n.to_string().repeat(n * directory) } else { String::new() };
            members.push(file(format!("{path}/f{n}").as_bytes(), 0o644, content.as_bytes()));
        }
    }
    in_order(members)
}

/// Directories as deep as a path may be long, so that few entries need index segments.
fn deep() -> Vec<Member> {
    let name = [b'd'; 254];
    let mut path: Vec<u8> = Vec::new();
    let mut members = Vec::new();
    while path.len() + name.len() < 65_535 {
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        members.push((plain(&path, 0o755, OwnedBody::Directory), vec![]));
    }
    members.push(file(b"file", 0o755, b"shallow\n"));
    in_order(members)
}

/// Index segments of real trees are long; this one lists three segments, two of which share a file.
pub(crate) fn index_segment() -> IndexSegment {
    let item = |n: u8, path: &[u8], entries| Item {
        id: FrameId::of(&[n]),
        length: 100_000 + u64::from(n),
        entries,
        path: path.to_vec(),
    };
    let items = vec![item(1, b"a", 130), item(2, b"directory/big", 0), item(3, b"directory/big", 1)];
    IndexSegment { level: 1, items }
}

const TOKEN: &str = "0f0e0d0c0b0a09080706050403020100";

/// The JSON objects of the store (§10 of the specification), one ref of them with fields that no version knows.
pub(crate) fn json(snapshot: &dyn Fn(&str) -> SnapshotId) -> Vec<(String, Vec<u8>)> {
    let at = |name, layout| {
        format!("\"snapshot\": \"{}\",\n  \"layout\": \"{}\"", snapshot(name), layout_id(layout))
    };
    let first = format!("  \"format\": 1,\n  \"token\": \"{TOKEN}\",\n");
    let named = format!("{first}  \"namespace\": \"{NAMESPACE}\",\n  \"features\": [],\n");
    let entry = |generation: u8| {
        format!(
            "\"generation\": {generation}, \"entry_token\": \"{}\"",
            LayoutId::from_bytes([generation; 16])
        )
    };
    let main = format!(
        "{named}  \"fence\": 1,\n  {},\n  {},\n  \"time\": \"2026-01-02T03:04:05.678901234Z\",\n  \
         \"message\": \"a message, \\\"quoted\\\"\",\n  \"labels\": {{\n    \"commit\": \"0123abc\",\n    \"ü\": \"\"\n  }},\n  \
         \"skipped\": 2,\n  \"x-unknown\": [1, {{\"kept\": true}}],\n  \"history\": [\n    \
         {{{}, \"removed\": true, \"time\": \"2026-01-02T03:04:04Z\"}},\n    \
         {{{}, {}, \"time\": \"2026-01-02T03:04:03Z\", \"x-unknown\": null}}\n  ]\n}}\n",
        entry(3),
        at("every-kind", 1),
        entry(2),
        entry(1),
        at("empty", 3).replace("\n  ", " "),
    );
    let plain = |name, layout| {
        format!(
            "{named}  \"fence\": 0,\n  {},\n  {},\n  \"time\": \"2026-01-02T03:04:05Z\",\n  \"history\": []\n}}\n",
            entry(1),
            at(name, layout)
        )
    };
    let gone = format!(
        "{named}  \"fence\": 0,\n  {},\n  \"removed\": true,\n  \"time\": \"2026-01-02T03:04:06Z\",\n  \
         \"history\": [\n    {{{}, {}, \"time\": \"2026-01-02T03:04:05Z\"}}\n  ]\n}}\n",
        entry(2),
        entry(1),
        at("deep", 2).replace("\n  ", " "),
    );
    let never = format!(
        "{named}  \"fence\": 1,\n  {},\n  \"removed\": true,\n  \"time\": \"2026-01-02T03:04:06Z\",\n  \"history\": []\n}}\n",
        entry(0),
    );
    let lease = |kind, state, commit| {
        format!(
            "{first}  \"kind\": \"{kind}\",\n  \"state\": \"{state}\",\n  \"generation\": 7,\n  \
             \"created\": \"2026-01-02T03:04:05Z\",\n  \"holder\": \"floe 0.1.0, process 1, on a host\"{commit}\n}}\n"
        )
    };
    let absent = ",\n  \"ref\": \"release/1.0\"";
    let present = ",\n  \"ref\": \"many\",\n  \"version\": \"a version\"";
    let state = format!(
        "{first}  \"generation\": 7,\n  \"condemned\": {{\n    \"packs\": [\"{}\"],\n    \"snapshots\": [\"{}/{}\"]\n  }},\n  \
         \"doomed\": {{\n    \"packs\": [\"{}\"],\n    \"snapshots\": []\n  }}\n}}\n",
        pack_id(9),
        SnapshotId::of(b"condemned"),
        layout_id(9),
        pack_id(8),
    );
    let objects = [
        ("refs/every-kind", main),
        ("refs/deep", plain("deep", 2)),
        ("refs/many", plain("many", 4)),
        ("refs/release%2F1.0", plain("empty", 3)),
        ("refs/gone", gone),
        ("refs/never", never),
        ("leases/019b7ca98c8801010101010101010101", lease("push", "active", "")),
        ("leases/019b7ca98c8902020202020202020202", lease("push", "committing", absent)),
        ("leases/019b7ca98c8903030303030303030303", lease("reading", "active", "")),
        ("leases/019b7ca98c8a04040404040404040404", lease("push", "dead", present)),
        ("gc/state", state),
    ];
    let mut all = vec![("format.json", format_json(&P))];
    all.extend(objects.iter().map(|(key, fields)| (*key, seal(fields))));
    all.into_iter().map(|(key, bytes)| (format!("store/default/{key}"), bytes)).collect()
}

/// Bytes that look random. The golden files hold them, so they are made here and never otherwise.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
