use floe_testkit::bytes_of;
use proptest::prelude::*;

use super::*;
use crate::ErrorKind;

/// Sizes around every limit of a zstd header's content size and of a frame.
const INTERESTING_SIZES: [usize; 13] = [
    1,
    2,
    255,
    256,
    257,
    65_535,
    65_536,
    65_791,
    65_792,
    131_072,
    131_073,
    MAX_FRAME_PLAIN - 1,
    MAX_FRAME_PLAIN,
];

fn text(len: usize) -> Vec<u8> {
    b"a frame of words and words of a frame, ".iter().copied().cycle().take(len).collect()
}

fn compressed(plain: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    let written = Compressor::new(3).unwrap().compress(plain, &mut stored).unwrap();
    assert_eq!(written, stored.len());
    stored
}

/// What comes out, after something that was there before.
fn decompressed(id: &FrameId, stored: &[u8], plain_len: usize) -> Result<Vec<u8>> {
    let mut out = b"before".to_vec();
    let plain_len = u32::try_from(plain_len).unwrap();
    let result = Decompressor::new().decompress(id, Codec::Zstd, stored, plain_len, &mut out);
    assert_eq!(&out[..6], b"before");
    let appended = out.split_off(6);
    match result {
        Ok(()) => Ok(appended),
        Err(error) => {
            assert!(appended.is_empty(), "bytes were let out along with {error}");
            Err(error)
        }
    }
}

#[track_caller]
fn assert_corrupt(id: &FrameId, stored: &[u8], plain_len: usize, why: &str) {
    let error = decompressed(id, stored, plain_len).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn interesting_sizes_round_trip_at_every_level() {
    let mut out = Vec::new();
    let mut decompressor = Decompressor::new();
    for level in [-7, 1, 3, 9, 19, 22] {
        let mut compressor = Compressor::new(level).unwrap();
        for len in INTERESTING_SIZES {
            for plain in [bytes_of(1, len).to_vec(), text(len), vec![0; len]] {
                let mut stored = b"x".to_vec();
                let written = compressor.compress(&plain, &mut stored).unwrap();
                assert_eq!(written, stored.len() - 1);
                assert!(written <= MAX_FRAME_STORED);
                out.clear();
                let plain_len = u32::try_from(len).unwrap();
                decompressor
                    .decompress(&FrameId::of(&plain), Codec::Zstd, &stored[1..], plain_len, &mut out)
                    .unwrap();
                assert!(out == plain, "level {level}, {len} bytes");
            }
        }
    }
}

#[test]
fn the_level_is_used_and_checked() {
    let plain: Vec<u8> = (0..40_000u32).flat_map(|n| (n * n % 9973).to_le_bytes()).collect();
    let length = |level| Compressor::new(level).unwrap().compress(&plain, &mut Vec::new()).unwrap();
    assert!(length(19) < length(1));
    for level in [23, i32::MIN, i32::MAX] {
        assert_eq!(Compressor::new(level).err().unwrap().kind(), ErrorKind::Invalid);
    }
}

/// Lines as a program has them: names out of few, in an order that never comes again.
fn code(len: usize) -> Vec<u8> {
    let names = ["parse_header", "read_segment", "write_pack", "checked_len", "entries", "offset", "frame"];
    let numbers = bytes_of(5, len);
    let name = |at: usize| names[usize::from(numbers[at % len]) % names.len()];
    let line = |at: usize| {
        format!(
            "    let {} = self.{}(&{}, {})?;\n",
            name(at),
            name(at + 1),
            name(at + 2),
            numbers[(at + 3) % len]
        )
    };
    let mut code: Vec<u8> = (0..).step_by(4).flat_map(|at| line(at).into_bytes()).take(len).collect();
    code.truncate(len);
    code
}

#[test]
fn what_repeats_itself_is_searched_with_more_care_at_the_default_level() {
    let plain_zstd = |level, plain: &[u8]| {
        let mut stored = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
        zstd_safe::compress(&mut stored, plain, level).unwrap();
        stored.len()
    };
    let length =
        |level, plain: &[u8]| Compressor::new(level).unwrap().compress(plain, &mut Vec::new()).unwrap();
    let code = code(60_000);
    assert!(length(DEFAULT_LEVEL, &code) * 100 < plain_zstd(DEFAULT_LEVEL, &code) * 97);
    let noise = bytes_of(1, 60_000);
    assert_eq!(length(DEFAULT_LEVEL, &noise), plain_zstd(DEFAULT_LEVEL, &noise));
    for level in [1, 2, 4, 9] {
        assert_eq!(length(level, &code), plain_zstd(level, &code));
    }
}

#[test]
fn what_was_compressed_before_leaves_no_trace() {
    let mut used = Compressor::new(DEFAULT_LEVEL).unwrap();
    for len in INTERESTING_SIZES {
        used.compress(&bytes_of(1, len), &mut Vec::new()).unwrap();
        assert!(used.compress(&[], &mut Vec::new()).is_err());
        for plain in [text(len), bytes_of(1, len / 2 + 1).to_vec(), code(len), text(70_000)] {
            let mut stored = Vec::new();
            used.compress(&plain, &mut stored).unwrap();
            assert!(stored == compressed(&plain), "{len} bytes");
        }
    }
}

#[test]
fn what_no_frame_holds_is_invalid() {
    let mut out = b"before".to_vec();
    for plain in [Vec::new(), vec![0; MAX_FRAME_PLAIN + 1]] {
        let error = Compressor::new(3).unwrap().compress(&plain, &mut out).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert_eq!(out, b"before");
}

#[test]
fn i3_bytes_of_another_frame_are_not_let_out() {
    let plain = text(5000);
    let mut other = plain.clone();
    other[4999] ^= 1;
    assert_corrupt(&FrameId::of(&other), &compressed(&plain), 5000, "not the ones");
}

#[test]
fn the_plain_length_is_the_stated_one() {
    let plain = text(5000);
    let id = FrameId::of(&plain);
    let stored = compressed(&plain);
    for plain_len in [0, 1, 4999, 5001, MAX_FRAME_PLAIN, MAX_FRAME_PLAIN + 1, u32::MAX as usize] {
        assert_corrupt(&id, &stored, plain_len, "");
    }
}

#[test]
fn i7_exactly_one_standard_frame() {
    let plain = text(600);
    let id = FrameId::of(&plain);
    let one = compressed(&plain);
    let (left, right) = plain.split_at(300);
    let skippable = [0x57, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
    assert_corrupt(&id, &[one.as_slice(), &[0]].concat(), 600, "follow its end");
    assert_corrupt(&id, &[compressed(left), compressed(right)].concat(), 600, "content size");
    assert_corrupt(&id, &[one.as_slice(), &skippable].concat(), 600, "10 bytes follow");
    assert_corrupt(&id, &[&skippable, one.as_slice()].concat(), 600, "does not begin");
    assert_corrupt(&id, &skippable, 600, "does not begin");
    assert_corrupt(&id, &[], 600, "early");
    // An empty frame before it: zstd would decode both and give the right bytes.
    let empty = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0];
    assert_corrupt(&id, &[&empty, one.as_slice()].concat(), 600, "content size");
    assert_corrupt(&id, &[one.as_slice(), &empty].concat(), 600, "9 bytes follow");
}

/// A frame of one raw block with this header after the magic.
fn by_hand(header: &[u8], plain: &[u8]) -> Vec<u8> {
    let block = u32::try_from(plain.len()).unwrap() << 3 | 1;
    [&ZSTD_MAGIC, header, &block.to_le_bytes()[..3], plain].concat()
}

#[test]
fn headers_are_held_to_the_format() {
    let plain = b"twelve bytes".as_slice();
    let id = FrameId::of(plain);
    let len = u8::try_from(plain.len()).unwrap();
    for good in [
        // A single segment; every wider content size; a window of exactly 1 MiB; the bit that decoders ignore.
        &[0x20, len][..],
        &[0xa0, len, 0, 0, 0],
        &[0xe0, len, 0, 0, 0, 0, 0, 0, 0],
        &[0x80, 10 << 3, len, 0, 0, 0],
        &[0x30, len],
    ] {
        assert_eq!(decompressed(&id, &by_hand(good, plain), plain.len()).unwrap(), plain, "{good:?}");
    }
    for (bad, why) in [
        (&[0x00, 10 << 3][..], "no content size"),
        (&[0x80, 10 << 3 | 1, len, 0, 0, 0], "a window of 1179648 bytes"),
        (&[0x80, 11 << 3, len, 0, 0, 0], "a window"),
        (&[0x80, 0xff, len, 0, 0, 0], "a window"),
        (&[0x28, len], "reserved"),
        (&[0x21, 7, len], "a dictionary"),
        (&[0x21, 0, len], "a dictionary"),
        (&[0x23, 0, 0, 0, 0, len], "a dictionary"),
        (&[0x20, len + 1], "content size of 13"),
        (&[0xe0, len, 0, 0, 0, 0, 0, 0, 1], "content size"),
    ] {
        assert_corrupt(&id, &by_hand(bad, plain), plain.len(), why);
    }
}

#[test]
fn lz4_is_unsupported() {
    let plain = text(100);
    let mut out = Vec::new();
    let error = Decompressor::new()
        .decompress(&FrameId::of(&plain), Codec::Lz4, &compressed(&plain), 100, &mut out)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(out.is_empty());
    assert_eq!(Codec::from_u8(Codec::Lz4 as u8), Some(Codec::Lz4));
    assert_eq!(Codec::from_u8(Codec::Zstd as u8), Some(Codec::Zstd));
    assert_eq!([0, 3, 255].map(Codec::from_u8), [None; 3]);
}

#[test]
fn an_overlong_frame_is_corrupt() {
    assert_corrupt(&FrameId::of(b"x"), &vec![0; MAX_FRAME_STORED + 1], 1, "stored bytes");
}

#[test]
fn a_decompressor_recovers_from_corruption() {
    let plain = text(20_000);
    let id = FrameId::of(&plain);
    let stored = compressed(&plain);
    let mut bad = stored.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 0xff;
    let mut decompressor = Decompressor::new();
    let mut out = Vec::new();
    for _ in 0..3 {
        assert!(decompressor.decompress(&id, Codec::Zstd, &bad, 20_000, &mut out).is_err());
        out.clear();
        decompressor.decompress(&id, Codec::Zstd, &stored, 20_000, &mut out).unwrap();
        assert!(out == plain);
    }
}

#[test]
fn every_truncation_and_every_changed_byte_is_detected_or_harmless() {
    let plain = [text(700), bytes_of(1, 100).to_vec(), text(3000)].concat();
    let id = FrameId::of(&plain);
    let stored = compressed(&plain);
    for len in 0..stored.len() {
        assert_corrupt(&id, &stored[..len], plain.len(), "");
    }
    let mut harmless = 0;
    for at in 0..stored.len() {
        for change in 1..=255 {
            let mut bad = stored.clone();
            bad[at] ^= change;
            match decompressed(&id, &bad, plain.len()) {
                Ok(out) => {
                    assert!(out == plain);
                    harmless += 1;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
            }
        }
    }
    // The ignored bit of the header at least; what makes no difference to the plain bytes is the exception.
    assert!((1..stored.len() * 2).contains(&harmless), "{harmless} changes are harmless");
}

proptest! {
    #[test]
    fn any_bytes_round_trip(plain in proptest::collection::vec(any::<u8>(), 1..5000), level in 1..10) {
        let mut stored = Vec::new();
        Compressor::new(level).unwrap().compress(&plain, &mut stored).unwrap();
        prop_assert_eq!(decompressed(&FrameId::of(&plain), &stored, plain.len()).unwrap(), plain);
    }

    #[test]
    fn i7_any_stored_bytes_are_refused(
        header in proptest::collection::vec(any::<u8>(), 0..20),
        rest in proptest::collection::vec(any::<u8>(), 0..300),
        plain_len in 0..=MAX_FRAME_PLAIN + 1,
    ) {
        let stored = [&ZSTD_MAGIC, header.as_slice(), &rest].concat();
        prop_assert!(decompressed(&FrameId::of(b"no such"), &stored, plain_len).is_err());
    }
}
