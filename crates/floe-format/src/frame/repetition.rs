//! Whether it pays to search a frame for repetitions with more care than the default level does.

/// Bytes that are looked at: so many out of the middle of a frame, the headers of files left out.
const SAMPLE_BYTES: usize = 4 << 10;

/// The unit of a tar. In a chunk of a large file it means nothing, and does no harm.
const BLOCK_BYTES: usize = 512;

/// The least length of a repetition that counts.
const MIN_MATCH: usize = 6;

/// Positions that are remembered: the last ones of the hash of what stands there.
const TABLE_BITS: u32 = 12;

/// What share of the sample, in percent, must be repetitions of what stands before it in the sample. Prose has less, much
/// source code more (`docs/adr/0007`).
const MIN_SHARE_PERCENT: usize = 56;

/// Whether the frame with these plain bytes repeats itself. It depends on them alone; of a short frame it is not known, and
/// no.
pub(super) fn repeats_itself(plain: &[u8]) -> bool {
    sample(plain).is_some_and(|sample| repeated_bytes(&sample) * 100 > SAMPLE_BYTES * MIN_SHARE_PERCENT)
}

/// What is looked at, if there is so much. A header repeats the one before it, whatever the files hold.
fn sample(plain: &[u8]) -> Option<[u8; SAMPLE_BYTES]> {
    let (mut sample, mut filled) = ([0; SAMPLE_BYTES], 0);
    // Files of 2 KiB have a header for every four blocks.
    let around = plain.len().checked_sub(SAMPLE_BYTES + SAMPLE_BYTES / 4)?;
    let first = around / 2 / BLOCK_BYTES;
    for block in plain.chunks_exact(BLOCK_BYTES).skip(first).filter(|block| !is_header(block)) {
        sample[filled..][..BLOCK_BYTES].copy_from_slice(block);
        filled += BLOCK_BYTES;
        if filled == SAMPLE_BYTES {
            return Some(sample);
        }
    }
    None
}

fn is_header(block: &[u8]) -> bool {
    block[257..].starts_with(b"ustar\0")
}

/// How many bytes of a sample a quick search finds earlier in it.
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
        let (mut frame, same) = (noise(100_000), vec![b' '; 2 * SAMPLE_BYTES]);
        assert!(!repeats_itself(&frame));
        frame[..same.len()].copy_from_slice(&same);
        assert!(!repeats_itself(&frame));
        let middle = (frame.len() - same.len()) / 2;
        frame[middle..][..same.len()].copy_from_slice(&same);
        assert!(repeats_itself(&frame));
    }

    #[test]
    fn headers_do_not_count() {
        let mut header = vec![b'0'; BLOCK_BYTES];
        header[257..263].copy_from_slice(b"ustar\0");
        let files = |content: &[u8]| -> Vec<u8> {
            content.chunks(BLOCK_BYTES).flat_map(|block| [&header, block].concat()).collect()
        };
        assert!(!repeats_itself(&files(&noise(20_000 / BLOCK_BYTES * BLOCK_BYTES))));
        assert!(repeats_itself(&files(&vec![7; 20 * BLOCK_BYTES])));
        // Nothing but headers, and less than is looked at.
        assert!(!repeats_itself(&header.repeat(100)));
        for length in 0..2 * SAMPLE_BYTES {
            assert!(length >= SAMPLE_BYTES + SAMPLE_BYTES / 4 || !repeats_itself(&vec![7; length]));
        }
        assert!(repeats_itself(&vec![7; 2 * SAMPLE_BYTES]));
    }
}
