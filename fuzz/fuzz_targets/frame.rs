//! Decompression: what comes out has the id and the length that were asked for, or nothing does.
#![no_main]

use floe_format::{Codec, Decompressor, FrameId, MAX_FRAME_PLAIN};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stored: &[u8]| {
    // With what zstd makes of it the id is right, which no fuzzer could guess.
    let plain = zstd::bulk::decompress(stored, MAX_FRAME_PLAIN).unwrap_or_default();
    let mut decompressor = Decompressor::new();
    let asked = stored.last_chunk().map_or(0, |asked| u32::from_le_bytes(*asked));
    for plain_len in [asked, plain.len() as u32] {
        for codec in [Codec::Zstd, Codec::Lz4] {
            let mut out = b"before".to_vec();
            let id = FrameId::of(&plain);
            match decompressor.decompress(&id, codec, stored, plain_len, &mut out) {
                Ok(()) => {
                    assert!(out[6..] == plain && plain.len() == plain_len as usize && !plain.is_empty())
                }
                Err(_) => assert_eq!(out, b"before"),
            }
            let other = FrameId::from_bytes([7; 32]);
            assert!(decompressor.decompress(&other, codec, stored, plain_len, &mut out).is_err());
        }
    }
});
