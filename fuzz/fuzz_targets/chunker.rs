//! The chunker, with any valid parameters and however it is fed: chunks cover the content, within their bounds, and are
//! the same.
#![no_main]

use floe_format::{Chunker, Parameters};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: ((u16, u8, u16), Vec<u16>, u8, &[u8])| {
    let ((min, average, max), feeds, repeat, content) = data;
    let content = content.repeat(usize::from(repeat).clamp(1, 64));
    let chunk_avg = 1u32 << (average % 21);
    let parameters = Parameters {
        chunk_min: u32::from(min).min(chunk_avg),
        chunk_avg,
        chunk_max: chunk_avg.saturating_add(u32::from(max)),
        ..Parameters::default()
    };
    if parameters.validate().is_err() {
        return;
    }
    let chunker = Chunker::new(&parameters);
    let mut feeds = feeds.iter().map(|&feed| usize::from(feed) + 1).chain(std::iter::repeat(1 << 16));
    let (mut start, mut fed) = (0, 0);
    while start < content.len() {
        let whole = chunker.next_cut(&content[start..], true).unwrap();
        let length = loop {
            match chunker.next_cut(&content[start..fed.max(start)], fed >= content.len()) {
                Some(length) => break length,
                None => fed = (fed.max(start) + feeds.next().unwrap()).min(content.len()),
            }
        };
        assert_eq!(length, whole);
        assert!(length > 0 && length <= parameters.chunk_max as usize && start + length <= content.len());
        assert!(length >= parameters.chunk_min as usize || start + length == content.len());
        start += length;
    }
});
