//! Index segments: one that decodes encodes to the same bytes.
#![no_main]

use floe_format::IndexSegment;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(index) = IndexSegment::parse(data) {
        assert_eq!(index.to_plain().unwrap(), data);
    }
});
