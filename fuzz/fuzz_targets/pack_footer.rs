//! Pack footers, with a right sum: what they say lies inside the pack, in order.
#![no_main]

use floe_format::{PACK_FOOTER_LEN, PackFooter, PackId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The last bytes, so that a whole pack may be given; those before them are a length that may be another.
    let Some((before, bytes)) = data.split_last_chunk::<PACK_FOOTER_LEN>() else { return };
    let mut bytes = *bytes;
    let pack_len = before.last_chunk().map_or(0, |len| u64::from_le_bytes(*len));
    let _ = PackFooter::decode(PackId::from_bytes([0; 16]), pack_len, &bytes);
    let sum = blake3::hash(&bytes[..112]);
    bytes[112..120].copy_from_slice(&sum.as_bytes()[..8]);
    bytes[120..].copy_from_slice(b"FLOEPEND");
    let id = PackId::from_bytes(bytes[88..104].try_into().unwrap());
    let stated = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(stated == pack_len || PackFooter::decode(id, pack_len, &bytes).is_err());
    if let Ok(footer) = PackFooter::decode(id, stated, &bytes) {
        let pack_len = stated;
        assert_eq!((footer.pack_id(), footer.pack_len()), (id, pack_len));
        let data = footer.data_range();
        assert!(data.start <= data.end && data.end == footer.tail_start());
        assert!(footer.tail_start() <= footer.directory_start());
        assert_eq!(footer.tail_start().get() + footer.tail_len(), pack_len);
        assert_eq!(footer.directory_start().get() + footer.directory_len(), pack_len);
    }
});
