//! Name caches, with right sums: what they know to be in a directory can be in one, and the next cache knows it too.
#![no_main]

use floe_core::fuzzing::{NameCache, ToldName, reseal_name_cache};
use floe_core::source::{FileKind, FileTime, Stat};
use libfuzzer_sys::fuzz_target;

#[path = "scratch.rs"]
mod scratch;

/// Bytes of an item of the table, and of the key that it begins with.
const ITEM_BYTES: usize = 84;
const FOOTER_BYTES: usize = 32;

fuzz_target!(|data: &[u8]| {
    let path = scratch::directory().join("x.names");
    std::fs::write(&path, data).unwrap();
    NameCache::open(path.clone()).keep();
    let mut file = data.to_vec();
    reseal_name_cache(&mut file);
    std::fs::write(&path, &file).unwrap();

    let cache = NameCache::open(path.clone());
    let mut known: Vec<(Stat, Vec<ToldName>)> = Vec::new();
    for stat in directories(&file) {
        let Some(told) = cache.find(&stat) else { continue };
        assert!(told.is_sorted_by(|a, b| a.0 < b.0), "{told:?}");
        for (name, _) in &told {
            assert!(!name.is_empty() && name != b"." && name != b"..", "{told:?}");
            assert!(!name.contains(&b'/') && !name.contains(&0), "{told:?}");
        }
        known.push((stat, told));
    }
    // What was found is in the next cache, beside what is new; every record can be encoded again.
    let fresh = Stat { inode: u64::MAX, links: 77, ..of_key(&[7; ITEM_BYTES]) };
    let (_, last) = known.last().cloned().unwrap_or((fresh, vec![(b"name".to_vec(), Some(FileKind::File))]));
    assert!(cache.note(&fresh, &last));
    // The cache may have had other names for it.
    known.retain(|(stat, _)| *stat != fresh);
    cache.keep();
    let cache = NameCache::open(path);
    for (stat, told) in &known {
        assert_eq!(cache.find(stat).as_ref(), Some(told));
    }
    assert_eq!(cache.find(&fresh), Some(last));
});

/// The directories in the table of a cache, as far as it has one.
fn directories(file: &[u8]) -> Vec<Stat> {
    let table = || {
        let footer_at = file.len().checked_sub(FOOTER_BYTES)?;
        let count = u64::from_le_bytes(*file[footer_at..].first_chunk()?);
        let length = usize::try_from(count).ok()?.checked_mul(ITEM_BYTES)?;
        file.get(footer_at.checked_sub(length)?..footer_at)
    };
    table().unwrap_or_default().as_chunks().0.iter().map(of_key).collect()
}

fn of_key(item: &[u8; ITEM_BYTES]) -> Stat {
    let long = |at: usize| u64::from_le_bytes(*item[at..].first_chunk().unwrap());
    let short = |at: usize| u32::from_le_bytes(*item[at..].first_chunk().unwrap());
    let time = |at: usize| FileTime { seconds: long(at) as i64, nanos: short(at + 8) };
    Stat {
        device: long(0),
        inode: long(8),
        size: long(16),
        links: short(24),
        modified: time(28),
        changed: time(40),
        special: 0,
        uid: 0,
        gid: 0,
        mode: 0o755,
        kind: FileKind::Directory,
    }
}
