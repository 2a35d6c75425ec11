//! Chunks of big files: a gear hash, with a stricter mask below the average than above.

use std::sync::LazyLock;

use super::Parameters;

const LABEL: &[u8] = b"floe gear table 1";

/// Number of bytes before a position that its hash depends on.
const WINDOW: usize = 64;

static TABLE: LazyLock<[u64; 256]> = LazyLock::new(|| {
    let mut bytes = [0; 2048];
    blake3::Hasher::new().update(LABEL).finalize_xof().fill(&mut bytes);
    let mut table = [0; 256];
    for (entry, bytes) in table.iter_mut().zip(bytes.as_chunks().0) {
        *entry = u64::from_le_bytes(*bytes);
    }
    table
});

/// Cuts the padded content of a big file into chunks.
#[derive(Clone, Debug)]
pub struct Chunker {
    table: &'static [u64; 256],
    min: usize,
    avg: usize,
    max: usize,
    /// A hash below this ends a chunk below the average.
    strict: u64,
    /// A hash below this ends a chunk from the average on.
    lax: u64,
}

impl Chunker {
    /// A chunker with these parameters, which are valid.
    pub fn new(parameters: &Parameters) -> Self {
        let bits = parameters.chunk_avg.ilog2();
        Self {
            table: &TABLE,
            min: parameters.chunk_min as usize,
            avg: parameters.chunk_avg as usize,
            max: parameters.chunk_max as usize,
            strict: 1 << (64 - (bits + 2)),
            lax: 1 << (64 - (bits - 2)),
        }
    }

    /// Length of the chunk that begins with `bytes`, which are the last of the content if `is_end`; none if that depends on
    /// bytes that are not there yet, or if there are none.
    ///
    /// With a whole longest chunk in `bytes` there always is an answer. A call remembers nothing of the one before it, so
    /// fill a buffer before each.
    pub fn next_cut(&self, bytes: &[u8], is_end: bool) -> Option<usize> {
        let end = bytes.len().min(self.max);
        if let Some(cut) = self.cut_by_content(&bytes[..end]) {
            return Some(cut);
        }
        (end == self.max || is_end && end > 0).then_some(end)
    }

    fn cut_by_content(&self, bytes: &[u8]) -> Option<usize> {
        if bytes.len() < self.min {
            return None;
        }
        // The hash of a length takes in the byte before it: that of the shortest chunk, the byte at `min` - 1.
        let mut at = self.min - 1;
        let mut hash = 0u64;
        for &byte in &bytes[self.min - WINDOW..at] {
            hash = (hash << 1).wrapping_add(self.table[usize::from(byte)]);
        }
        for (end, below) in [(self.avg - 1, self.strict), (usize::MAX, self.lax)] {
            let part = &bytes[at..end.min(bytes.len())];
            if let Some(last) = find(self.table, &mut hash, part, below) {
                return Some(at + last + 1);
            }
            at += part.len();
        }
        None
    }
}

/// Index of the first byte after which the hash is below `below`.
#[inline]
fn find(table: &[u64; 256], hash: &mut u64, bytes: &[u8], below: u64) -> Option<usize> {
    const STEP: usize = 16;
    let mut h = *hash;
    let (steps, rest) = bytes.as_chunks::<STEP>();
    for (i, step) in steps.iter().enumerate() {
        // Two bytes at a time: the hash of the second waits for that of the byte before the first only.
        for (j, &[first, second]) in step.as_chunks::<2>().0.iter().enumerate() {
            let (first, second) = (table[usize::from(first)], table[usize::from(second)]);
            let between = (h << 1).wrapping_add(first);
            h = (h << 2).wrapping_add((first << 1).wrapping_add(second));
            if between < below {
                return Some(i * STEP + 2 * j);
            }
            if h < below {
                return Some(i * STEP + 2 * j + 1);
            }
        }
    }
    for (j, &byte) in rest.iter().enumerate() {
        h = (h << 1).wrapping_add(table[usize::from(byte)]);
        if h < below {
            return Some(steps.len() * STEP + j);
        }
    }
    *hash = h;
    None
}
