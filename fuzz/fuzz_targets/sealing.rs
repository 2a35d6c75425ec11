//! Puts the sums of a pack's last bytes right, so that what is behind them is reached.

use floe_format::{PackFrame, PackId, StoredOffset};

/// What the footer states.
#[allow(dead_code, reason = "each target has a use for one of the parts")]
pub struct Parts {
    pub id: PackId,
    pub pack_len: u64,
    /// Where tail and directory begin among the bytes, 0 if they are not all there.
    pub tail_start: usize,
    pub directory_start: usize,
}

/// Makes the sums those of the bytes, which end with a footer; they may be a whole pack.
pub fn seal(bytes: &mut [u8]) -> Option<Parts> {
    let len = bytes.len();
    let footer = len.checked_sub(128)?;
    let number = |at: usize| u64::from_le_bytes(bytes[footer + at..footer + at + 8].try_into().unwrap());
    let before_end = |lens: &[u64]| {
        let sum = lens.iter().try_fold(0u64, |sum, &part| sum.checked_add(part))?;
        len.checked_sub(usize::try_from(sum).ok()?)
    };
    let [data_index, segments, index_segments, metadata_index] = [16, 24, 32, 40].map(number);
    let metadata_start = before_end(&[metadata_index]);
    let directory_start = before_end(&[index_segments, metadata_index]);
    let tail_start = before_end(&[data_index, segments, index_segments, metadata_index]);
    let sum = |part: &[u8]| blake3::hash(part).as_bytes()[..16].to_vec();
    let data_sum = tail_start.and_then(|start| bytes[start..].get(..data_index as usize)).map(sum);
    let metadata_sum = metadata_start.and_then(|start| bytes.get(start..footer)).map(sum);
    if let Some(sum) = data_sum {
        bytes[footer + 56..footer + 72].copy_from_slice(&sum);
    }
    if let Some(sum) = metadata_sum {
        bytes[footer + 72..footer + 88].copy_from_slice(&sum);
    }
    let own = blake3::hash(&bytes[footer..footer + 112]);
    bytes[footer + 112..footer + 120].copy_from_slice(&own.as_bytes()[..8]);
    bytes[footer + 120..].copy_from_slice(b"FLOEPEND");
    Some(Parts {
        id: PackId::from_bytes(bytes[footer + 88..footer + 104].try_into().unwrap()),
        pack_len: u64::from_le_bytes(bytes[footer..footer + 8].try_into().unwrap()),
        tail_start: tail_start.unwrap_or(0),
        directory_start: directory_start.unwrap_or(0),
    })
}

/// Frames lie one after another without gaps.
pub fn check(frames: &[PackFrame], start: Option<StoredOffset>) {
    if let (Some(start), Some(first)) = (start, frames.first()) {
        assert_eq!(first.offset, start);
    }
    for pair in frames.windows(2) {
        assert_eq!(pair[0].range().end, pair[1].offset);
    }
}
