//! The grouper and the segment cutter, with any valid parameters: no group of several entries is over its maximum, no
//! segment over its limits, and a cut forgets what was before it.
#![no_main]

use arbitrary::Arbitrary;
use floe_format::{FrameId, GroupEntry, Grouper, Parameters, SegmentCutter};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    group_min: u32,
    more: u32,
    entries: Vec<(&'a [u8], u32, u32, bool)>,
    runs: Vec<(u64, u16, u32)>,
}

fuzz_target!(|input: Input<'_>| {
    let group_min = 512 + input.group_min % (512 << 10);
    let parameters =
        Parameters { group_min, group_max: group_min.saturating_add(input.more), ..Parameters::default() };
    if parameters.validate().is_ok() {
        groups(&parameters, &input.entries);
    }
    let mut cutter = SegmentCutter::new();
    let (mut runs, mut entries, mut weight) = (0, 0, 0u64);
    for &(hash, count, metadata) in &input.runs {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&hash.to_le_bytes());
        let metadata = u64::from(metadata >> 8);
        let begins = cutter.add_run(&FrameId::from_bytes(id), usize::from(count), metadata);
        let own = 48 + 96 * u64::from(count) + metadata;
        (runs, entries, weight) = if begins { (0, 0, 32) } else { (runs, entries, weight) };
        (runs, entries, weight) = (runs + 1, entries + usize::from(count), weight + own);
        assert!(runs == 1 || runs <= 64 && entries <= 1024 && weight <= 512 << 10);
        assert!(runs > 0);
    }
});

fn groups(parameters: &Parameters, entries: &[(&[u8], u32, u32, bool)]) {
    let mut grouper = Grouper::new(parameters);
    let (mut count, mut tar, mut metadata) = (0, 0, 0);
    for &(path, tar_len, metadata_len, is_big) in entries {
        let tar_len = 512 * u64::from(1 + tar_len % 4096);
        let metadata_len = u64::from(metadata_len >> 8);
        let entry = GroupEntry { path, tar_len, metadata_len, is_big };
        let cut = grouper.add(&entry);
        if cut.before {
            assert!(count > 0);
            // A new grouper goes on alike.
            assert_eq!(Grouper::new(parameters).add(&entry).after, cut.after);
            (count, tar, metadata) = (0, 0, 0);
        }
        (count, tar, metadata) = (count + 1, tar + tar_len, metadata + metadata_len);
        assert!(count == 1 || tar.max(metadata) <= u64::from(parameters.group_max));
        assert!(!is_big || cut.after);
        assert!(!cut.after || is_big || tar >= u64::from(parameters.group_min));
        if cut.after {
            (count, tar, metadata) = (0, 0, 0);
        }
        assert_eq!(grouper.is_open(), count > 0);
    }
}
