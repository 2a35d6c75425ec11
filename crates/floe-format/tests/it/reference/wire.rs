//! The encodings of §6, §7 and §8.

use floe_format::{Body, FrameId, Kept, Parameters};

use super::lists::{Item, Segment};
use crate::trees::Member;

fn uv(mut value: u128) -> Vec<u8> {
    let mut bytes = vec![];
    loop {
        let low = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low + 128);
    }
}

fn sv(value: i64) -> Vec<u8> {
    let value = i128::from(value);
    let zigzag = if value < 0 { -2 * value - 1 } else { 2 * value };
    uv(zigzag.unsigned_abs())
}

fn bytes(content: &[u8]) -> Vec<u8> {
    [uv(content.len() as u128), content.to_vec()].concat()
}

fn front_coded(before: &[u8], path: &[u8]) -> Vec<u8> {
    let mut shared = 0;
    while shared < before.len() && shared < path.len() && before[shared] == path[shared] {
        shared += 1;
    }
    [uv(shared as u128), bytes(&path[shared..])].concat()
}

fn entry(kept: Kept, before: &[u8], member: &Member) -> Vec<u8> {
    let e = member.0.as_entry();
    let kind = match e.body {
        Body::Directory => 1,
        Body::File { .. } => 2,
        Body::Symlink { .. } => 3,
        Body::HardLink { .. } => 4,
        Body::Fifo => 5,
        Body::CharDevice { .. } => 6,
        Body::BlockDevice { .. } => 7,
    };
    let mut out = vec![kind + if e.xattrs.is_empty() { 0 } else { 0x80 }];
    out.extend(front_coded(before, e.path));
    if kind != 3 {
        out.extend(uv(e.mode.into()));
    }
    if kept.bits() & 1 != 0 && kind != 4 {
        let mtime = e.mtime.unwrap();
        out.extend([sv(mtime.seconds), uv(mtime.nanos.into())].concat());
    }
    if kept.bits() & 2 != 0 && kind != 4 {
        let owner = e.owner.unwrap();
        out.extend([uv(owner.user.into()), uv(owner.group.into())].concat());
    }
    match e.body {
        Body::File { .. } => {
            out.extend(uv(member.1.len() as u128));
            if !member.1.is_empty() {
                out.extend(blake3::hash(&member.1).as_bytes());
            }
        }
        Body::Symlink { target } | Body::HardLink { target } => out.extend(bytes(target)),
        Body::CharDevice { major, minor } | Body::BlockDevice { major, minor } => {
            out.extend([uv(major.into()), uv(minor.into())].concat());
        }
        Body::Directory | Body::Fifo => {}
    }
    if !e.xattrs.is_empty() {
        out.extend(uv(e.xattrs.len() as u128));
        for (name, value) in e.xattrs.iter() {
            out.extend([bytes(name), bytes(value)].concat());
        }
    }
    out
}

pub(crate) fn segment(kept: Kept, members: &[Member], segment: &Segment) -> Vec<u8> {
    let mut runs: Vec<(usize, usize, FrameId)> = vec![];
    for run in &segment.runs {
        let id = FrameId::of(&run.plain);
        match runs.last_mut() {
            Some(last) if last.2 == id => last.0 += run.count,
            _ => runs.push((run.count, run.plain.len(), id)),
        }
    }
    let mut out = [&b"FSEG\x01\x01"[..], &[kept.bits(), segment.has_end.into()]].concat();
    out.extend(uv(segment.lead as u128));
    out.extend(uv(segment.members.len() as u128));
    out.extend(uv(runs.len() as u128));
    let mut before: &[u8] = b"";
    for &member in &segment.members {
        out.extend(entry(kept, before, &members[member]));
        before = &members[member].0.path;
    }
    for (count, length, id) in runs {
        out.extend([uv(count as u128), uv(length as u128), id.as_bytes().to_vec()].concat());
    }
    out
}

fn items(items: &[Item]) -> Vec<u8> {
    let mut out = uv(items.len() as u128);
    let mut before: &[u8] = b"";
    for item in items {
        out.extend(item.id.as_bytes());
        out.extend([uv(item.length as u128), uv(item.entries as u128)].concat());
        out.extend(front_coded(before, &item.path));
        before = &item.path;
    }
    out
}

pub(crate) fn index_segment(level: u8, list: &[Item]) -> Vec<u8> {
    [&b"FIDX\x01\x01"[..], &[level, 0], &items(list)].concat()
}

pub(crate) fn root(kept: Kept, p: &Parameters, sizes: &[u64], level: u8, list: &[Item]) -> Vec<u8> {
    let mut out = [&b"FLRT\x01\x01"[..], &[kept.bits(), 0]].concat();
    for parameter in [p.group_min, p.group_max, p.small_max, p.chunk_min, p.chunk_avg, p.chunk_max] {
        out.extend(parameter.to_le_bytes());
    }
    let length: usize = list.iter().map(|item| item.length).sum();
    let entries: usize = list.iter().map(|item| item.entries).sum();
    out.extend([uv(length as u128), uv(entries as u128), uv(sizes.len() as u128)].concat());
    out.extend([uv(sizes.iter().sum::<u64>().into()), uv(0o755)].concat());
    for kind in [1, 2] {
        if kept.bits() & kind != 0 {
            out.extend(b"\0\0");
        }
    }
    if kept.bits() & 4 != 0 {
        out.push(0);
    }
    out.push(level);
    out.extend(items(list));
    out
}
