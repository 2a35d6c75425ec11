//! Roots: one that decodes encodes to the same bytes.
#![no_main]

use floe_format::Root;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(root) = Root::parse(data) {
        assert_eq!(root.to_bytes().unwrap(), data);
        root.parameters.validate().unwrap();
    }
});
