//! Snapshot objects, with a right sum, and the root and the layout in them.
#![no_main]

use floe_format::{Layout, LayoutId, Root, SnapshotId, SnapshotObject};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = SnapshotObject::decode(SnapshotId::of(b""), LayoutId::from_bytes([0; 16]), data);
    let mut bytes = data.to_vec();
    if bytes.len() < 56 {
        return;
    }
    let sum = blake3::hash(&[&bytes[..40], &bytes[56..]].concat());
    bytes[40..56].copy_from_slice(&sum.as_bytes()[..16]);
    let layout_id = LayoutId::from_bytes(bytes[24..40].try_into().unwrap());
    let root_len = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let Some(root) = bytes.get(56..).and_then(|rest| rest.get(..root_len)) else { return };
    if let Ok(object) = SnapshotObject::decode(SnapshotId::of(root), layout_id, &bytes) {
        assert_eq!(object.encode().unwrap(), bytes);
        if let Ok(root) = Root::parse(object.root) {
            let _ = Layout::decode(root.items.len(), object.layout);
        }
    }
});
