//! Layouts: one that decodes encodes to the same bytes.
#![no_main]

use floe_format::Layout;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The number of root items is the root's; small ones are the likely ones.
    for items in [1, 2, 3, 32, 33] {
        if let Ok(layout) = Layout::decode(items, data) {
            assert_eq!(layout.encode().unwrap(), data);
            assert_eq!(layout.items.len(), items);
            layout.archive_len();
            layout.archive_etag();
            for pack in &layout.packs {
                let served = (0..items as u32).filter(|&item| pack.serves(item)).count();
                assert_eq!(served, pack.item_runs.iter().map(|run| run.len()).sum::<usize>());
            }
        }
    }
});
