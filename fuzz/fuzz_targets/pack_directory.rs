//! Pack directories, with right sums.
#![no_main]

use floe_format::PackDirectory;
use libfuzzer_sys::fuzz_target;

#[path = "sealing.rs"]
mod sealing;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    let Some(parts) = sealing::seal(&mut bytes) else { return };
    let (id, pack_len) = (parts.id, parts.pack_len);
    // A whole pack may be given too.
    let bytes = &bytes[parts.directory_start..];
    let _ = PackDirectory::parse(id, bytes.len() as u64, data);
    if let Ok(directory) = PackDirectory::parse(id, pack_len, bytes) {
        let start = directory.footer().directory_start();
        sealing::check(directory.segments(), None);
        for frame in directory.index_segments() {
            assert_eq!(frame.stored(start, bytes).unwrap().len(), frame.record.stored_len as usize);
        }
        sealing::check(directory.index_segments(), Some(start));
    }
});
