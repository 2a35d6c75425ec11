//! Pack tails, with right sums.
#![no_main]

use floe_format::{PackTail, StoredOffset};
use libfuzzer_sys::fuzz_target;

#[path = "sealing.rs"]
mod sealing;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    let Some(parts) = sealing::seal(&mut bytes) else { return };
    let (id, pack_len) = (parts.id, parts.pack_len);
    // A whole pack may be given too.
    let bytes = &bytes[parts.tail_start..];
    let _ = PackTail::parse(id, bytes.len() as u64, data);
    if let Ok(tail) = PackTail::parse(id, pack_len, bytes) {
        let start = tail.footer().tail_start();
        sealing::check(tail.data(), Some(StoredOffset::new(40)));
        sealing::check(tail.segments(), None);
        sealing::check(tail.index_segments(), Some(tail.footer().directory_start()));
        for frame in tail.segments().iter().chain(tail.index_segments()) {
            assert_eq!(frame.stored(start, bytes).unwrap().len(), frame.record.stored_len as usize);
        }
    }
});
