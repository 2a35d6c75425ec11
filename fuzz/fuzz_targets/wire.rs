//! The bounded reader: no field reaches past the bytes, and an integer has one encoding.
#![no_main]

use floe_format::wire::{WireReader, WireWrite};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (Vec<u8>, &[u8])| {
    let (steps, bytes) = data;
    let mut reader = WireReader::new("fuzz", bytes);
    for step in steps {
        let before = reader.offset();
        let mut again = Vec::new();
        let is_ok = match step % 12 {
            0 => reader.u8().map(|value| again.push(value)).is_ok(),
            1 => reader.u16().map(|value| again.extend(value.to_le_bytes())).is_ok(),
            2 => reader.u32().map(|value| again.extend(value.to_le_bytes())).is_ok(),
            3 => reader.u64().map(|value| again.extend(value.to_le_bytes())).is_ok(),
            4 | 5 => reader.uv().map(|value| again.put_uv(value)).is_ok(),
            6 => reader.sv().map(|value| again.put_sv(value)).is_ok(),
            7 => reader.uv_max(u64::from(step), "number").map(|value| again.put_uv(value)).is_ok(),
            8 => reader.length(usize::from(step), "length").map(|value| again.put_uv(value as u64)).is_ok(),
            9 => reader.bytes(usize::from(step) << 8, "bytes").map(|value| again.put_bytes(value)).is_ok(),
            10 => reader.take(usize::from(step)).map(|value| again.extend_from_slice(value)).is_ok(),
            _ => reader
                .reserved(usize::from(step) / 12)
                .map(|()| again.resize(usize::from(step) / 12, 0))
                .is_ok(),
        };
        assert!(reader.offset() <= bytes.len());
        assert_eq!(reader.offset() + reader.remaining(), bytes.len());
        if !is_ok {
            return;
        }
        assert_eq!(again, bytes[before..reader.offset()]);
    }
    let left = reader.remaining();
    assert_eq!(reader.end().is_ok(), left == 0);
});
