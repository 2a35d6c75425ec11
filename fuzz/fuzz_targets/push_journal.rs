//! Journals of pushes, of any bytes: the packs on lines of their own are found, whatever stands on others.
#![no_main]

use floe_core::fuzzing::Journal;
use floe_format::PackId;
use libfuzzer_sys::fuzz_target;

#[path = "scratch.rs"]
mod scratch;

fuzz_target!(|data: &[u8]| {
    let directory = scratch::directory();
    let journal = Journal::new(&directory, &"main".parse().unwrap());
    let added = PackId::from_bytes([7; 16]);
    journal.add(&added);
    let path = std::fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&path, data).unwrap();

    let ids =
        data.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()?.parse().ok());
    let mut packs: Vec<PackId> = ids.collect();
    assert_eq!(journal.packs(), packs);
    // A last line that was cut short costs nothing but itself.
    journal.add(&added);
    packs.push(added);
    assert_eq!(journal.packs(), packs);
});
