//! Segments: one whose entries are all valid is built again to the same bytes, and its tar headers have the lengths they
//! are said to have.
#![no_main]

use floe_format::{Segment, SegmentBuilder, compare_paths, tar_header, tar_header_len, validate_path};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(segment) = Segment::parse(data) else { return };
    let mut builder = SegmentBuilder::new(segment.kept());
    builder.set_lead(segment.lead());
    let mut entries = segment.entries();
    let mut before: Option<Vec<u8>> = None;
    let (mut count, mut header) = (0, Vec::new());
    while let Ok(Some(entry)) = entries.next() {
        validate_path(entry.path).unwrap();
        entry.validate(segment.kept()).unwrap();
        assert!(before.is_none_or(|before| compare_paths(&before, entry.path).is_lt()));
        before = Some(entry.path.to_vec());
        builder.add_entry(&entry).unwrap();
        header.clear();
        tar_header(&entry, &mut header);
        assert_eq!(header.len(), tar_header_len(&entry));
        count += 1;
    }
    let is_sound = count == segment.entry_count();
    let mut at_once = 0;
    assert_eq!(Segment::parse_with(data, |_| at_once += 1).is_ok(), is_sound);
    assert_eq!(at_once, count);
    assert_eq!(segment.check().is_ok() && !is_sound, false);
    if is_sound {
        for run in segment.runs() {
            builder.add_run(*run).unwrap();
        }
        assert_eq!(builder.finish(segment.has_end()).unwrap(), data);
        if let Ok(content) = segment.check() {
            assert!(content.lead <= content.length);
            let _ = content.follow(content.lead);
        }
    }
});
