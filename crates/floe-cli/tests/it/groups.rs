//! Which files share frames, read from the segments of a store by nothing but the format.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use floe_format::{
    Body, Decompressor, PACK_FOOTER_LEN, PackFooter, PackId, PackTail, Segment, StoredOffset, tar_len,
};

/// The files whose tar is in one of the frames that have this one's, itself among them.
pub(crate) fn group_of(pack: &Path, path: &str) -> BTreeSet<String> {
    let mut groups = segments(pack).into_iter().filter_map(|plain| group_in(&plain, path));
    let group = groups.next().expect("a segment has the file");
    assert!(groups.next().is_none(), "another segment has it, too");
    group
}

/// The segments of a pack.
fn segments(pack: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(pack).unwrap();
    let id = PackId::from_hex(pack.file_name().unwrap().to_str().unwrap()).unwrap();
    let len = bytes.len() as u64;
    let footer = PackFooter::decode(id, len, &bytes[bytes.len() - PACK_FOOTER_LEN..]).unwrap();
    let tail = bytes.len() - usize::try_from(footer.tail_len()).unwrap();
    let tail = PackTail::parse(id, len, &bytes[tail..]).unwrap();
    let plain = tail.segments().iter().map(|frame| {
        let (record, mut plain) = (&frame.record, Vec::new());
        let stored = frame.stored(StoredOffset::new(0), &bytes).unwrap();
        Decompressor::new()
            .decompress(&record.id, record.codec, stored, record.plain_len, &mut plain)
            .unwrap();
        plain
    });
    plain.collect()
}

/// The same in a segment; none where it does not have the file.
fn group_in(plain: &[u8], path: &str) -> Option<BTreeSet<String>> {
    let segment = Segment::parse(plain).unwrap();
    let (mut entries, mut at, mut found) = (segment.entries(), segment.lead(), Vec::new());
    while let Some(entry) = entries.next().unwrap() {
        let tar = at..at + tar_len(&entry);
        at = tar.end;
        let path = String::from_utf8(entry.path.to_vec()).unwrap();
        found.push((path, tar, matches!(entry.body, Body::File { .. })));
    }
    let (_, own, _) = found.iter().find(|(found, ..)| found == path)?;
    let (mut first, mut end, mut at) = (u64::MAX, 0, 0);
    for run in segment.runs() {
        let frames = at..at + run.content_len().unwrap();
        at = frames.end;
        if frames.start < own.end && own.start < frames.end {
            first = first.min(frames.start);
            end = frames.end;
        }
    }
    let is_in_group = |tar: &std::ops::Range<u64>| tar.start < end && first < tar.end;
    let files = found.iter().filter(|(_, tar, is_file)| *is_file && is_in_group(tar));
    Some(files.map(|(path, ..)| path.clone()).collect())
}
