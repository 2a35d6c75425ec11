//! Pack heads.
#![no_main]

use floe_format::{PACK_HEAD_LEN, PackHead};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // A whole pack may be given too.
    for bytes in [data, data.get(..PACK_HEAD_LEN).unwrap_or_default()] {
        if let Ok(head) = PackHead::decode(bytes) {
            assert_eq!(head.encode(), bytes);
            PackHead::check(head.pack_id, bytes).unwrap();
        }
    }
});
