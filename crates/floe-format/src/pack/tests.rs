use std::io::Write;
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;

use super::record::RECORD_LEN;
use super::*;
use crate::{
    Codec, Compressor, Decompressor, ErrorKind, FrameId, MAX_FRAME_PLAIN, MAX_FRAME_STORED, StoredOffset,
    Sum128,
};

const PACK: PackId = PackId::from_bytes(*b"sixteen bytes id");

/// A pack, and what a reader of it has to find.
struct Sample {
    bytes: Vec<u8>,
    summary: PackSummary,
    /// Plain bytes of data, segments and index segments.
    plain: [Vec<Vec<u8>>; 3],
    offsets: [Vec<StoredOffset>; 3],
}

fn stored_frame(plain: &[u8]) -> (FrameRecord, Vec<u8>) {
    let mut stored = Vec::new();
    Compressor::new(1).unwrap().compress(plain, &mut stored).unwrap();
    let plain_len = u32::try_from(plain.len()).unwrap();
    let record = FrameRecord::new(FrameId::of(plain), plain_len, Codec::Zstd, &stored).unwrap();
    (record, stored)
}

fn write_pack(plain: [Vec<Vec<u8>>; 3]) -> Sample {
    let mut bytes = Vec::new();
    let mut offsets = [const { Vec::new() }; 3];
    let mut writer = PackWriter::new(PACK, &mut bytes);
    for data in &plain[0] {
        let (record, stored) = stored_frame(data);
        offsets[0].push(writer.add_data(&record).unwrap());
        bytes.extend(stored);
    }
    assert_eq!(writer.data_frames(), plain[0].len() as u64);
    let mut writer = writer.end_data(&mut bytes);
    for segment in &plain[1] {
        let (record, stored) = stored_frame(segment);
        offsets[1].push(writer.add_segment(&record).unwrap());
        bytes.extend(stored);
    }
    for index_segment in &plain[2] {
        let (record, stored) = stored_frame(index_segment);
        offsets[2].push(writer.add_index_segment(&record).unwrap());
        bytes.extend(stored);
    }
    let foretold = writer.pack_len();
    let summary = writer.finish(&mut bytes);
    assert_eq!(foretold, summary.pack_len);
    assert_eq!(summary.pack_len, bytes.len() as u64);
    Sample { bytes, summary, plain, offsets }
}

fn small_pack() -> Sample {
    write_pack([
        vec![b"first frame".to_vec(), vec![7; 300], b"third".to_vec()],
        vec![b"segment one".to_vec(), b"segment two".to_vec()],
        vec![b"index segment".to_vec()],
    ])
}

fn last_bytes(bytes: &[u8], len: u64) -> &[u8] {
    &bytes[bytes.len() - usize::try_from(len).unwrap()..]
}

fn parse_tail(sample: &Sample) -> Result<PackTail> {
    let tail = last_bytes(&sample.bytes, sample.summary.tail_len);
    PackTail::parse(PACK, sample.bytes.len() as u64, tail)
}

fn parse_directory(sample: &Sample) -> Result<PackDirectory> {
    let directory = last_bytes(&sample.bytes, sample.summary.directory_len);
    PackDirectory::parse(PACK, sample.bytes.len() as u64, directory)
}

/// Reads all there is to read of a pack and compares it with what was written.
fn read_whole(sample: &Sample) -> Result<()> {
    PackHead::check(PACK, &sample.bytes[..PACK_HEAD_LEN])?;
    let tail = parse_tail(sample)?;
    let directory = parse_directory(sample)?;
    assert_eq!(directory.segments(), tail.segments());
    assert_eq!(directory.index_segments(), tail.index_segments());
    assert_eq!(directory.footer(), tail.footer());
    let parts = [tail.data(), tail.segments(), tail.index_segments()];
    let mut decompressor = Decompressor::new();
    for (part, (frames, offsets)) in parts.iter().zip(&sample.offsets).enumerate() {
        assert_eq!(frames.len(), offsets.len());
        for ((frame, offset), plain) in frames.iter().zip(offsets).zip(&sample.plain[part]) {
            assert_eq!(frame.offset, *offset);
            assert_eq!(frame.record.id, FrameId::of(plain));
            let stored = frame.stored(StoredOffset::ZERO, &sample.bytes)?;
            frame.record.check_stored(stored)?;
            let mut out = Vec::new();
            let record = &frame.record;
            decompressor.decompress(&record.id, record.codec, stored, record.plain_len, &mut out)?;
            assert_eq!(out, *plain);
        }
    }
    Ok(())
}

/// Puts right the sums of a pack that was changed on purpose, so that only the checks behind them are left.
///
/// They are taken of the bytes that a reader takes them of: the data index has the length that the footer states, the
/// metadata index the one that follows from its numbers of frames.
fn with_right_sums(mut bytes: Vec<u8>, summary: &PackSummary) -> Vec<u8> {
    let footer = bytes.len() - PACK_FOOTER_LEN;
    let data_index_len = u64::from_le_bytes(bytes[footer + 16..][..8].try_into().unwrap());
    let tail_start = bytes.len() - usize::try_from(summary.tail_len).unwrap();
    let data_index_len = usize::try_from(data_index_len).unwrap();
    if let Some(index) = bytes[tail_start..].get(..data_index_len) {
        let sum = Sum128::of(index);
        bytes[footer + 56..footer + 72].copy_from_slice(sum.as_bytes());
    }
    let count = |at: usize| u32::from_le_bytes(bytes[footer + at..][..4].try_into().unwrap()) as usize;
    if let Some(start) = footer.checked_sub(SKIPPABLE_LEN + (count(48) + count(52)) * RECORD_LEN) {
        let sum = Sum128::of(&bytes[start..footer]);
        bytes[footer + 72..footer + 88].copy_from_slice(sum.as_bytes());
    }
    let own = blake3::hash(&bytes[footer..footer + 112]);
    bytes[footer + 112..footer + 120].copy_from_slice(&own.as_bytes()[..8]);
    bytes
}

#[test]
fn a_pack_is_read_as_it_was_written() {
    let frames =
        |n: usize| -> Vec<Vec<u8>> { (0..n).map(|i| format!("frame {n} {i}").into_bytes()).collect() };
    for [data, segments, index_segments] in
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [5, 0, 2], [300, 129, 3]]
    {
        let sample = write_pack([frames(data), frames(segments), frames(index_segments)]);
        read_whole(&sample).unwrap();
    }
    let smallest = write_pack([vec![], vec![], vec![]]).summary;
    assert_eq!(
        (smallest.pack_len, smallest.directory_len, smallest.tail_len),
        (MIN_PACK_LEN, MIN_DIRECTORY_LEN, MIN_TAIL_LEN)
    );
}

#[test]
fn index_segments_are_in_the_directory_and_segments_in_the_tail() {
    let sample = small_pack();
    let directory_bytes = last_bytes(&sample.bytes, sample.summary.directory_len);
    let directory = parse_directory(&sample).unwrap();
    let start = directory.footer().directory_start();
    for frame in directory.index_segments() {
        let stored = frame.stored(start, directory_bytes).unwrap();
        frame.record.check_stored(stored).unwrap();
    }
    for frame in directory.segments() {
        assert!(frame.stored(start, directory_bytes).is_err());
    }
    let tail_bytes = last_bytes(&sample.bytes, sample.summary.tail_len);
    let tail = parse_tail(&sample).unwrap();
    let start = tail.footer().tail_start();
    for frame in tail.segments().iter().chain(tail.index_segments()) {
        let stored = frame.stored(start, tail_bytes).unwrap();
        frame.record.check_stored(stored).unwrap();
        assert!(frame.record.check_stored(&stored[1..]).is_err());
        let cut_short = &tail_bytes[..usize::try_from(frame.range().end.get() - start.get()).unwrap() - 1];
        assert!(frame.stored(start, cut_short).is_err());
    }
}

#[test]
fn i7_every_changed_byte_of_a_pack_is_detected() {
    let mut sample = small_pack();
    read_whole(&sample).unwrap();
    for at in 0..sample.bytes.len() {
        for change in 1..=255 {
            sample.bytes[at] ^= change;
            let error = read_whole(&sample).expect_err("the change makes a difference");
            assert_ne!(error.kind(), ErrorKind::Invalid);
            sample.bytes[at] ^= change;
        }
    }
}

#[test]
fn i7_every_truncation_is_detected() {
    let sample = small_pack();
    let whole = sample.bytes.len() as u64;
    for len in 0..sample.bytes.len() {
        let cut = &sample.bytes[..len];
        for pack_len in [whole, len as u64] {
            assert!(PackDirectory::parse(PACK, pack_len, cut).is_err());
            assert!(PackTail::parse(PACK, pack_len, cut).is_err());
            let end = &cut[len.saturating_sub(PACK_FOOTER_LEN)..];
            assert!(PackFooter::decode(PACK, pack_len, end).is_err());
        }
        // Too few or too many of the last bytes: only the exact directory and tail are taken.
        let last = &sample.bytes[len..];
        let last_len = last.len() as u64;
        assert_eq!(PackDirectory::parse(PACK, whole, last).is_ok(), last_len == sample.summary.directory_len);
        assert_eq!(PackTail::parse(PACK, whole, last).is_ok(), last_len == sample.summary.tail_len);
        assert_eq!(PackFooter::decode(PACK, whole, last).is_ok(), last.len() == PACK_FOOTER_LEN);
        assert!(len >= PACK_HEAD_LEN || PackHead::decode(cut).is_err());
    }
}

#[test]
fn another_pack_is_refused() {
    let sample = small_pack();
    let other = PackId::from_bytes([1; 16]);
    let pack_len = sample.bytes.len() as u64;
    assert!(PackHead::check(other, &sample.bytes[..PACK_HEAD_LEN]).is_err());
    let tail = last_bytes(&sample.bytes, sample.summary.tail_len);
    let error = PackTail::parse(other, pack_len, tail).unwrap_err();
    assert!(error.to_string().contains("is that of pack"), "{error}");
    assert!(PackTail::parse(PACK, pack_len + 1, tail).is_err());
}

#[test]
fn i7_hostile_footers_with_right_sums_are_refused() {
    let sample = small_pack();
    let len = sample.bytes.len();
    assert_eq!(with_right_sums(sample.bytes.clone(), &sample.summary), sample.bytes);
    for at in (0..48).step_by(8) {
        for value in [0, 1, 8, 64, 0xffff_ffff, MAX_PACK_LEN, MAX_PACK_LEN + 1, u64::MAX / 2, u64::MAX] {
            let mut bytes = sample.bytes.clone();
            bytes[len - PACK_FOOTER_LEN + at..][..8].copy_from_slice(&value.to_le_bytes());
            assert_refused(with_right_sums(bytes, &sample.summary), &sample, "");
        }
    }
    for at in [48, 52] {
        for value in [0, 3, 0xffff, u32::MAX] {
            let mut bytes = sample.bytes.clone();
            bytes[len - PACK_FOOTER_LEN + at..][..4].copy_from_slice(&value.to_le_bytes());
            assert_refused(with_right_sums(bytes, &sample.summary), &sample, "");
        }
    }
    for (at, why) in [(104, "version 0"), (105, "version 257"), (106, "version 1"), (111, "version 1")] {
        let mut bytes = sample.bytes.clone();
        bytes[len - PACK_FOOTER_LEN + at] ^= 1;
        assert_refused(with_right_sums(bytes, &sample.summary), &sample, why);
    }
    // One segment fewer and one index segment more: all lengths still add up, the parts' records do not.
    let mut bytes = sample.bytes.clone();
    bytes[len - PACK_FOOTER_LEN + 48] -= 1;
    bytes[len - PACK_FOOTER_LEN + 52] += 1;
    assert_refused(with_right_sums(bytes, &sample.summary), &sample, "records leave out");
}

#[track_caller]
fn assert_refused(bytes: Vec<u8>, sample: &Sample, why: &str) {
    let tail = last_bytes(&bytes, sample.summary.tail_len);
    let stated = u64::from_le_bytes(bytes[bytes.len() - PACK_FOOTER_LEN..][..8].try_into().unwrap());
    for pack_len in [bytes.len() as u64, stated] {
        let error = PackTail::parse(PACK, pack_len, tail).expect_err(why);
        assert!(pack_len != stated || error.to_string().contains(why), "{error}");
    }
}

#[test]
fn i7_hostile_records_with_right_sums_are_refused() {
    let sample = small_pack();
    let len = sample.bytes.len();
    let tail_start = len - usize::try_from(sample.summary.tail_len).unwrap();
    let data_record = tail_start + SKIPPABLE_LEN;
    let segment_record = len - PACK_FOOTER_LEN - 3 * RECORD_LEN;
    for (at, part) in [(data_record, "data"), (segment_record, "metadata")] {
        for (field, value, why) in [
            (48, 0, "0 stored bytes"),
            (48, u32::try_from(MAX_FRAME_STORED).unwrap() + 1, "stored bytes"),
            (48, u32::MAX, "stored bytes"),
            (48, u32::try_from(MAX_FRAME_STORED).unwrap(), "past its part"),
            (48, 1, "leave out"),
            (52, 1 << 24, "0 plain bytes"),
            (52, (1 << 24) | (u32::try_from(MAX_FRAME_PLAIN).unwrap() + 1), "plain bytes"),
            (52, (3 << 24) | 5, "codec 3"),
            (52, 5, "codec 0"),
        ] {
            let mut bytes = sample.bytes.clone();
            bytes[at + field..][..4].copy_from_slice(&value.to_le_bytes());
            let bytes = with_right_sums(bytes, &sample.summary);
            let tail = last_bytes(&bytes, sample.summary.tail_len);
            let error = PackTail::parse(PACK, len as u64, tail).expect_err(why);
            assert!(error.to_string().contains(why), "{part}: {error}");
        }
        // LZ4 is a codec of data frames alone.
        let mut bytes = sample.bytes.clone();
        bytes[at + 55] = 2;
        let bytes = with_right_sums(bytes, &sample.summary);
        let result = PackTail::parse(PACK, len as u64, last_bytes(&bytes, sample.summary.tail_len));
        assert_eq!(result.is_ok(), part == "data");
    }
    for at in [tail_start, tail_start + 4, segment_record - SKIPPABLE_LEN, segment_record - 4] {
        let mut bytes = sample.bytes.clone();
        bytes[at] ^= 1;
        assert_refused(with_right_sums(bytes, &sample.summary), &sample, "");
    }
}

#[test]
fn a_writer_ends_a_pack_before_64_mib() {
    let record =
        FrameRecord { stored_len: u32::try_from(MAX_FRAME_STORED).unwrap(), ..stored_frame(b"big").0 };
    let each = u64::from(record.stored_len) + RECORD_LEN as u64;
    let mut writer = PackWriter::new(PACK, &mut Vec::new());
    assert!(!writer.fits(u64::MAX, u64::MAX));
    while writer.fits(1, u64::from(record.stored_len)) {
        writer.add_data(&record).unwrap();
    }
    assert_eq!(writer.data_frames(), (MAX_WRITTEN_PACK_LEN - MIN_PACK_LEN) / each);
    let full = writer.pack_len();
    assert!(full <= MAX_WRITTEN_PACK_LEN && full + each > MAX_WRITTEN_PACK_LEN);
    assert_eq!(writer.add_data(&record).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(writer.pack_len(), full);
    let mut writer = writer.end_data(&mut Vec::new());
    assert_eq!(writer.add_segment(&record).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(writer.add_index_segment(&record).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(writer.finish(&mut Vec::new()).pack_len, full);
}

#[test]
fn a_writer_takes_only_what_a_reader_takes() {
    let (record, _) = stored_frame(b"frame");
    let mut writer = PackWriter::new(PACK, &mut Vec::new());
    for bad in [
        FrameRecord { stored_len: 0, ..record },
        FrameRecord { plain_len: 0, ..record },
        FrameRecord { plain_len: (1 << 20) + 1, ..record },
        FrameRecord { stored_len: u32::MAX, ..record },
    ] {
        assert!(writer.add_data(&bad).is_err());
    }
    let lz4 = FrameRecord { codec: Codec::Lz4, ..record };
    writer.add_data(&lz4).unwrap();
    let mut writer = writer.end_data(&mut Vec::new());
    assert!(writer.add_segment(&lz4).is_err());
    writer.add_index_segment(&record).unwrap();
    assert!(writer.add_segment(&record).is_err());
    assert!(FrameRecord::new(record.id, 5, Codec::Zstd, &[]).is_err());
    assert!(FrameRecord::new(record.id, 5, Codec::Zstd, &vec![0; MAX_FRAME_STORED + 1]).is_err());
}

proptest! {
    #[test]
    fn any_pack_round_trips(plain in proptest::array::uniform3(proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 1..200), 0..6,
    ))) {
        read_whole(&write_pack(plain)).unwrap();
    }

    #[test]
    fn i7_any_bytes_before_a_right_footer_are_refused(
        noise in proptest::collection::vec(any::<u8>(), 0..2000), data_len in 0..3000u64, counts in any::<[u8; 2]>(),
    ) {
        let sum = Sum128::of(&noise);
        let footer = PackFooter {
            pack_id: PACK,
            data_len,
            data_index_len: 8,
            segments_len: 0,
            index_segments_len: 0,
            segments: counts[0].into(),
            index_segments: counts[1].into(),
            data_index_sum: sum,
            metadata_index_sum: sum,
        };
        let bytes = [noise.as_slice(), &footer.encode()].concat();
        prop_assert!(PackTail::parse(PACK, footer.pack_len(), &bytes).is_err());
        prop_assert!(PackTail::parse(PACK, bytes.len() as u64, &bytes).is_err());
    }
}

/// Runs the stock `zstd` on these bytes; nothing where it is missing.
fn stock_zstd(argument: &str, input: &[u8]) -> Option<Output> {
    let child = Command::new("zstd")
        .arg(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            floe_testkit::skip(format_args!("zstd: {error}"));
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    Some(std::thread::scope(|scope| {
        // It stops reading where it finds fault; its answer says so.
        scope.spawn(move || stdin.write_all(input).is_ok());
        child.wait_with_output().unwrap()
    }))
}

#[test]
fn stock_zstd_reads_a_pack() {
    let big: Vec<u8> = (0..200_000u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
    let samples = [
        small_pack(),
        write_pack([vec![], vec![], vec![]]),
        write_pack([vec![big.clone(), vec![0; MAX_FRAME_PLAIN]], vec![big], vec![]]),
    ];
    for sample in samples {
        let Some(tested) = stock_zstd("-t", &sample.bytes) else {
            return;
        };
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
        let Some(decompressed) = stock_zstd("-dc", &sample.bytes) else {
            return;
        };
        assert!(decompressed.status.success());
        assert!(decompressed.stdout == sample.plain.concat().concat());
        let cut = &sample.bytes[..sample.bytes.len() - 1];
        assert!(!stock_zstd("-t", cut).unwrap().status.success());
    }
}
