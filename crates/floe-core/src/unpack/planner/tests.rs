use floe_format::{Codec, FrameId, FrameRecord, Kept, PackFrame, PackId, SegmentBuilder, StoredOffset};

use super::*;

/// A unit of one frame of so many stored bytes.
fn unit(at: u64, length: usize) -> Pending<'static> {
    let segment = SegmentPart {
        plain: Vec::new(),
        has_end: false,
        first: 0,
        wanted: None,
        lead: None,
        lead_len: 0,
        lead_content: 0,
        big_files: Vec::new(),
    };
    let id = FrameId::of(&at.to_le_bytes());
    let record = FrameRecord::new(id, 1, Codec::Zstd, &vec![0; length]).unwrap();
    let frame = FrameOfUnit {
        run: Run { count: 1, plain_len: 1, id },
        is_whole: true,
        frame: PackFrame { record, offset: StoredOffset::new(at) },
        pack: 0,
        pack_id: PackId::from_bytes([0; 16]),
    };
    let mut none = SegmentBuilder::new(Kept::NONE);
    none.add_run(frame.run).unwrap();
    let place = Segment::parse(&none.finish(false).unwrap()).unwrap().entries().place();
    let start = Start { place, number: 0, at: 0 };
    Pending { segment: Arc::new(segment), content: 0..1, start, is_whole: true, frames: vec![frame] }
}

#[test]
fn a_batch_counts_what_is_fetched_and_not_what_is_wanted_of_it() {
    const IN_FLIGHT_BYTES: u64 = 64 << 20;
    for (length, gap) in [(6_000, 0), (600, 1_000), (60, 50_000), (60, 1 << 20), (100_000, 50_000)] {
        let (sender, _receiver) = crossbeam_channel::bounded(1);
        let mut wants = Wants::new(sender, IN_FLIGHT_BYTES);
        let mut at = 0;
        for _ in 0..6 {
            let mut unit_of_next = || {
                at += length as u64 + gap;
                unit(at, length)
            };
            while !wants.add(unit_of_next()) {}
            let ranges = std::mem::take(&mut wants.places).into_ranges();
            let bytes: u64 = ranges.iter().map(|(_, range)| range.end - range.start).sum();
            let frames = std::mem::take(&mut wants.pending).len();
            assert!(bytes <= BATCH_BYTES + (256 << 10), "{bytes} bytes of {length} every {gap}");
            assert!(ranges.len() <= 70, "{} requests of {length} every {gap}", ranges.len());
            assert!(frames > 1, "one of {length} every {gap}");
        }
    }
}
