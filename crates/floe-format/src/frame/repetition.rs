//! Whether it pays to search a frame for repetitions with more care than the default level does.

/// Bytes that are looked at: so many out of the middle of a frame. A shorter frame is not looked at.
const SAMPLE_BYTES: usize = 8 << 10;

/// The least length of a repetition that counts.
const MIN_MATCH: usize = 6;

/// Positions that are remembered: the last ones of the hash of what stands there.
const TABLE_BITS: u32 = 12;

/// What share of the sample, in percent, must be repetitions of what stands before it in the sample. Prose has less, also
/// where every other KiB is the header of a small file, which repeats the one before; much source code has more
/// (`docs/adr/0007`).
const MIN_SHARE_PERCENT: usize = 66;

/// Whether the frame with these plain bytes repeats itself. It depends on them alone.
pub(super) fn repeats_itself(plain: &[u8]) -> bool {
    let Some(rest) = plain.len().checked_sub(SAMPLE_BYTES) else { return false };
    let sample = &plain[rest / 2..][..SAMPLE_BYTES];
    repeated_bytes(sample) * 100 > SAMPLE_BYTES * MIN_SHARE_PERCENT
}

/// How many bytes of a sample of at most 64 KiB a quick search finds earlier in it.
fn repeated_bytes(sample: &[u8]) -> usize {
    let mut table = [0u16; 1 << TABLE_BITS];
    let (mut at, mut repeated) = (1, 0);
    while let Some(here) = word(sample, at) {
        let slot = &mut table[usize::from(hash(here))];
        let before = usize::from(std::mem::replace(slot, u16::try_from(at).unwrap_or(0)));
        let length = common_length(sample, before, at);
        if length >= MIN_MATCH {
            repeated += length;
            at += length;
        } else {
            at += 2;
        }
    }
    repeated
}

/// How many bytes from `at` on are those from `before` on.
fn common_length(sample: &[u8], before: usize, at: usize) -> usize {
    let mut length = 0;
    while let (Some(a), Some(b)) = (word(sample, before + length), word(sample, at + length)) {
        let differ = a ^ b;
        if differ != 0 {
            return length + (differ.trailing_zeros() / 8) as usize;
        }
        length += size_of::<u64>();
    }
    length
}

fn word(sample: &[u8], at: usize) -> Option<u64> {
    sample.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Of the first bytes of a word that make a repetition.
fn hash(word: u64) -> u16 {
    let first = word << (64 - 8 * MIN_MATCH);
    u16::try_from(first.wrapping_mul(0x9e37_79b1_85eb_ca87) >> (64 - TABLE_BITS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without repetitions: the digits of a hash.
    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn repetitions_are_counted() {
        assert!(repeated_bytes(&noise(SAMPLE_BYTES)) < SAMPLE_BYTES / 100);
        assert!(repeated_bytes(&vec![7; SAMPLE_BYTES]) > SAMPLE_BYTES * 99 / 100);
        let mut twice = noise(SAMPLE_BYTES / 2);
        twice.extend_from_within(..);
        // Every other position is looked up, and what is remembered of some was written over.
        assert!(repeated_bytes(&twice) > SAMPLE_BYTES * 45 / 100);
        for length in [0, 1, 7, 8, 9, 15, 16, 17, 100] {
            assert!(repeated_bytes(&vec![7; length]) <= length);
            assert!(repeated_bytes(&noise(length)) == 0);
        }
    }

    #[test]
    fn the_middle_of_a_frame_decides() {
        let (mut frame, same) = (noise(100_000), vec![b' '; SAMPLE_BYTES]);
        assert!(!repeats_itself(&frame));
        frame[..SAMPLE_BYTES].copy_from_slice(&same);
        assert!(!repeats_itself(&frame));
        let middle = (frame.len() - SAMPLE_BYTES) / 2;
        frame[middle..][..SAMPLE_BYTES].copy_from_slice(&same);
        assert!(repeats_itself(&frame));
        assert!(repeats_itself(&same));
        assert!(!repeats_itself(&same[1..]));
    }
}
