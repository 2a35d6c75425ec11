//! Stat caches of any records, with right sums: what they say of a file is what is recorded of it, before and after the
//! next cache is written.
#![no_main]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use floe_core::fuzzing::stat_cache_file;
use floe_core::source::{
    Child, ContentHash, FileKind, FileTime, HashClock, Stat, StatCache, compare_directories, compare_names,
    is_trusted,
};
use libfuzzer_sys::{Corpus, fuzz_target};

#[path = "scratch.rs"]
mod scratch;

const LONG_AFTER: HashClock = HashClock::at(FileTime { seconds: i64::MAX, nanos: 0 });

/// What is recorded of a file or symbolic link.
#[derive(Clone, Debug, PartialEq)]
struct Recorded {
    path: Vec<u8>,
    name: Vec<u8>,
    stat: Stat,
    hash: ContentHash,
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&[choice, edits], records)) = data.split_first_chunk() else { return Corpus::Reject };
    let (caches, root) = (scratch::directory(), Path::new("/fuzz"));
    let length = records.len().div_ceil(usize::from(choice & 3) + 1).max(1);
    let parsed: Vec<_> = records.chunks(length).map(|block| (block, parse(block))).collect();
    // As the writer makes them: a block begins with a directory, and its entries are as many as the table says.
    let is_whole = choice & 4 == 0 && parsed.iter().all(|(_, parsed)| parsed.is_whole);
    let count =
        |parsed: &Parsed| parsed.count.wrapping_add(u32::from(choice >> 3) * u32::from(choice & 4 != 0));
    let blocks: Vec<_> = parsed.iter().map(|(bytes, parsed)| (*bytes, count(parsed))).collect();
    let (path, file): (PathBuf, Vec<u8>) = stat_cache_file(&caches, root, &blocks);
    std::fs::write(&path, &file).unwrap();
    let records: Vec<Recorded> = parsed.into_iter().flat_map(|(_, parsed)| parsed.records).collect();
    let is_sorted = is_whole && records.is_sorted_by(|a, b| order(a, b).is_lt());

    let cache = StatCache::open(&caches, root);
    let (mut cursor, mut writer) = (cache.cursor(), cache.writer());
    let mut expected = Vec::new();
    for (number, recorded) in records.iter().enumerate() {
        let child = Child { name: &recorded.name, stat: &recorded.stat };
        let hit = cursor.lookup(&recorded.path, &child);
        assert!(hit.is_some() || !is_sorted, "{recorded:?} is not found");
        let is_recorded = |hash| is_whole.then(|| records.contains(&Recorded { hash, ..recorded.clone() }));
        assert!(hit.is_none_or(|hit| is_recorded(hit.hash).unwrap_or(true)), "{hit:?} is of another file");
        let edit = edits >> (number % 4 * 2) & 3;
        let known = match (hit, edit) {
            (_, 0) => None,
            (Some(hit), 1 | 2) => {
                writer.push_known(&hit);
                Some(hit.hash)
            }
            _ => {
                let hash = [number as u8; 32];
                writer.push_hashed(&recorded.path, &child, &hash, LONG_AFTER);
                is_trusted(&recorded.stat, LONG_AFTER).then_some(hash)
            }
        };
        expected.push(known);
    }
    writer.finish().unwrap();
    let cache = StatCache::open(&caches, root);
    let mut cursor = cache.cursor();
    for (recorded, expected) in records.iter().zip(expected).filter(|_| is_sorted) {
        let child = Child { name: &recorded.name, stat: &recorded.stat };
        assert_eq!(cursor.lookup(&recorded.path, &child).map(|hit| hit.hash), expected, "{recorded:?}");
    }
    // Nothing is left beside a cache but the one before it.
    let names = std::fs::read_dir(&caches).unwrap().map(|entry| entry.unwrap().file_name());
    let names: BTreeSet<_> = names.collect();
    assert!(names.len() <= 2, "{names:?}");
    Corpus::Keep
});

fn order(a: &Recorded, b: &Recorded) -> std::cmp::Ordering {
    compare_directories(&a.path, &b.path).then_with(|| compare_names(&a.name, &b.name))
}

/// The records of a block as far as there are any.
#[derive(Default)]
struct Parsed {
    records: Vec<Recorded>,
    count: u32,
    is_whole: bool,
}

fn parse(block: &[u8]) -> Parsed {
    let mut parsed = Parsed { is_whole: block.first() == Some(&0), ..Parsed::default() };
    let (mut rest, mut path, mut device) = (block, Vec::new(), 0);
    while !rest.is_empty() {
        if parse_record(&mut rest, &mut path, &mut device, &mut parsed).is_none() {
            parsed.is_whole = false;
            break;
        }
    }
    parsed
}

fn parse_record(rest: &mut &[u8], path: &mut Vec<u8>, device: &mut u64, parsed: &mut Parsed) -> Option<()> {
    let kind = take(rest, 1)?[0];
    if kind == 0 {
        *device = number(rest, 8)?;
        let length = number(rest, 4)?;
        *path = take(rest, length as usize)?.to_vec();
        return Some(());
    }
    let length = number(rest, 2)?;
    let name = take(rest, length as usize)?.to_vec();
    let (inode, size) = (number(rest, 8)?, number(rest, 8)?);
    let mut time = || Some(FileTime { seconds: number(rest, 8)? as i64, nanos: number(rest, 4)? as u32 });
    let (modified, changed) = (time()?, time()?);
    let hash = take(rest, 32)?.try_into().ok()?;
    parsed.count += 1;
    let kind = match kind {
        2 => FileKind::File,
        3 => FileKind::Symlink,
        // Nobody writes others; what is recorded of them is passed over.
        _ => {
            parsed.is_whole = false;
            return Some(());
        }
    };
    let (uid, gid, mode, links, special) = (1, 2, 0o644, 3, 4);
    let device = *device;
    let stat = Stat { size, inode, device, special, modified, changed, links, uid, gid, mode, kind };
    parsed.records.push(Recorded { path: path.clone(), name, stat, hash });
    Some(())
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn number(rest: &mut &[u8], length: usize) -> Option<u64> {
    Some(take(rest, length)?.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}
