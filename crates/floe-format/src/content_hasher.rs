//! BLAKE3 of many small contents at once.
//!
//! BLAKE3 is fast where a processor works on many chunks of 1 KiB at once, and one small file has few. Chunks at the same place of
//! different files are hashed side by side here, by the kernels of the `blake3` crate; what they make of it is the plain
//! BLAKE3 of each content (chunks, parents and flags: §2 of <https://github.com/BLAKE3-team/BLAKE3-specs>).

use blake3::platform::{MAX_SIMD_DEGREE, Platform, le_bytes_from_words_32, words_from_le_bytes_32};
use blake3::{BLOCK_LEN, CHUNK_LEN, IncrementCounter, OUT_LEN};

use crate::ContentHash;

/// The key of plain hashing: the initial value of SHA-256.
const IV: [u32; 8] =
    [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 2;
const PARENT: u8 = 4;
const ROOT: u8 = 8;

/// Bytes of a block, of which only the last of a content may have fewer.
const FULL_BLOCK: u8 = 64;

/// A longer content has chunks enough of its own.
const MAX_SHARED_LEN: usize = 16 * CHUNK_LEN;
/// The last chunks of contents are of many lengths: they share lanes for as many bytes as are a multiple of this one.
const STEP: usize = 4 * BLOCK_LEN;

type ChainingValue = [u8; OUT_LEN];

/// Hashes contents, many at a time; [`ContentHash::of`] gives the same of one.
#[derive(Debug)]
pub struct ContentHasher {
    platform: Platform,
    hashes: Vec<ContentHash>,
    /// The chaining values of all trees, one tree after another.
    values: Vec<ChainingValue>,
    trees: Vec<Tree>,
    /// Chunks that are not whole, or alone.
    short: Vec<ShortChunk>,
    /// Where in `values` the lanes' results belong.
    places: Vec<usize>,
}

/// The last chunk of a content, where it is not whole or the only one.
#[derive(Clone, Copy, Debug)]
struct ShortChunk {
    content: usize,
    /// Its number in the content, from 0.
    number: usize,
    /// Where in `values` its chaining value belongs; none where it is all of the content.
    place: Option<usize>,
    /// Bytes of it that share lanes.
    shared: usize,
}

/// A content of several chunks, as far as it is not hashed.
#[derive(Clone, Copy, Debug)]
struct Tree {
    content: usize,
    /// Where its chaining values begin, and how many are left.
    first: usize,
    left: usize,
}

impl Default for ContentHasher {
    fn default() -> Self {
        Self {
            platform: Platform::detect(),
            hashes: Vec::new(),
            values: Vec::new(),
            trees: Vec::new(),
            short: Vec::new(),
            places: Vec::new(),
        }
    }
}

impl ContentHasher {
    /// The hash of each content, in their order.
    pub fn hash_all(&mut self, contents: &[&[u8]]) -> &[ContentHash] {
        self.hashes.clear();
        self.hashes.resize(contents.len(), ContentHash::from_bytes([0; OUT_LEN]));
        self.values.clear();
        self.trees.clear();
        self.short.clear();
        for (content, bytes) in contents.iter().enumerate() {
            if bytes.len() > MAX_SHARED_LEN {
                self.hashes[content] = ContentHash::of(bytes);
                continue;
            }
            let chunks = bytes.len().div_ceil(CHUNK_LEN).max(1);
            let first = self.values.len();
            if chunks > 1 {
                self.trees.push(Tree { content, first, left: chunks });
                self.values.resize(first + chunks, [0; OUT_LEN]);
            }
            if chunks == 1 || !bytes.len().is_multiple_of(CHUNK_LEN) {
                let number = chunks - 1;
                let place = (chunks > 1).then_some(first + number);
                let length = bytes.len() - number * CHUNK_LEN;
                // At least a byte is left, unless there is none.
                let shared = length.saturating_sub(1) / STEP * STEP;
                self.short.push(ShortChunk { content, number, place, shared });
            }
        }
        self.hash_chunks(contents);
        self.hash_short_chunks(contents);
        while !self.trees.is_empty() {
            self.hash_parents();
            self.hash_roots();
        }
        &self.hashes
    }

    fn hash_chunks(&mut self, contents: &[&[u8]]) {
        let Self { platform, values, trees, places, .. } = self;
        let mut chunks: Vec<&[u8; CHUNK_LEN]> = Vec::with_capacity(trees.len() + MAX_SIMD_DEGREE);
        for number in 0..MAX_SHARED_LEN / CHUNK_LEN {
            places.clear();
            chunks.clear();
            for tree in trees.iter().filter(|tree| number < tree.left) {
                if let Some(chunk) = contents[tree.content][number * CHUNK_LEN..].first_chunk() {
                    chunks.push(chunk);
                    places.push(tree.first + number);
                }
            }
            let flags = Flags { all: 0, start: CHUNK_START, end: CHUNK_END };
            hash_lanes(*platform, &mut chunks, number as u64, flags, |n, value| values[places[n]] = *value);
        }
    }

    /// Those at the same place of their contents are hashed side by side as far as they are about as long.
    fn hash_short_chunks(&mut self, contents: &[&[u8]]) {
        self.short.sort_unstable_by_key(|chunk| (chunk.shared, chunk.number));
        let Self { platform, hashes, values, short, .. } = self;
        for alike in short.chunk_by(|a, b| (a.shared, a.number) == (b.shared, b.number)) {
            let mut end = |n: usize, begun: Option<&ChainingValue>| {
                let chunk: &ShortChunk = &alike[n];
                let rest = &contents[chunk.content][chunk.number * CHUNK_LEN + chunk.shared..];
                let root = if chunk.place.is_none() { ROOT } else { 0 };
                let value = end_chunk(*platform, begun, rest, chunk.number as u64, root);
                match chunk.place {
                    Some(place) => values[place] = value,
                    None => hashes[chunk.content] = ContentHash::from_bytes(value),
                }
            };
            match alike[0].shared / STEP {
                0 => (0..alike.len()).for_each(|n| end(n, None)),
                1 => begin_chunks::<{ STEP }>(*platform, alike, contents, end),
                2 => begin_chunks::<{ 2 * STEP }>(*platform, alike, contents, end),
                _ => begin_chunks::<{ 3 * STEP }>(*platform, alike, contents, end),
            }
        }
    }

    /// Puts pairs of chaining values together where more than two are left; one that is left over waits for the next time.
    fn hash_parents(&mut self) {
        let Self { platform, values, trees, places, .. } = self;
        places.clear();
        let mut pairs: Vec<&[u8; BLOCK_LEN]> = Vec::with_capacity(values.len() / 2 + MAX_SIMD_DEGREE);
        for tree in trees.iter().filter(|tree| tree.left > 2) {
            let (blocks, _) = values[tree.first..tree.first + tree.left].as_flattened().as_chunks();
            places.extend(tree.first..tree.first + blocks.len());
            pairs.extend(blocks);
        }
        let mut made = Vec::with_capacity(pairs.len());
        let flags = Flags { all: PARENT, start: 0, end: 0 };
        hash_lanes(*platform, &mut pairs, 0, flags, |_, value| made.push(*value));
        for (place, value) in places.iter().zip(made) {
            values[*place] = value;
        }
        for tree in trees.iter_mut().filter(|tree| tree.left > 2) {
            if tree.left % 2 == 1 {
                values[tree.first + tree.left / 2] = values[tree.first + tree.left - 1];
            }
            tree.left = tree.left.div_ceil(2);
        }
    }

    /// Ends the trees of which two chaining values are left.
    fn hash_roots(&mut self) {
        let Self { platform, hashes, values, trees, places, .. } = self;
        places.clear();
        let mut pairs: Vec<&[u8; BLOCK_LEN]> = Vec::with_capacity(trees.len() + MAX_SIMD_DEGREE);
        for tree in trees.iter().filter(|tree| tree.left == 2) {
            pairs.extend(values[tree.first..tree.first + 2].as_flattened().first_chunk());
            places.push(tree.content);
        }
        let flags = Flags { all: PARENT | ROOT, start: 0, end: 0 };
        hash_lanes(*platform, &mut pairs, 0, flags, |n, value| {
            hashes[places[n]] = ContentHash::from_bytes(*value);
        });
        trees.retain(|tree| tree.left != 2);
    }
}

#[derive(Clone, Copy)]
struct Flags {
    all: u8,
    /// Of the first and of the last block of each input.
    start: u8,
    end: u8,
}

/// Hashes inputs of one length with one counter, as many at once as the processor can. What is left over fills lanes up: a
/// kernel of twice as many lanes takes the same time as one of half as many.
fn hash_lanes<const N: usize>(
    platform: Platform,
    inputs: &mut Vec<&[u8; N]>,
    counter: u64,
    flags: Flags,
    mut put: impl FnMut(usize, &ChainingValue),
) {
    let count = inputs.len();
    let Some(&filler) = inputs.first() else { return };
    inputs.resize(count + MAX_SIMD_DEGREE, filler);
    let mut out = [[0; OUT_LEN]; MAX_SIMD_DEGREE];
    let mut at = 0;
    while at < count {
        let taken = platform.simd_degree().min(count - at);
        let lanes = taken.next_power_of_two();
        platform.hash_many(
            &inputs[at..at + lanes],
            &IV,
            counter,
            IncrementCounter::No,
            flags.all,
            flags.start,
            flags.end,
            out[..lanes].as_flattened_mut(),
        );
        for (n, value) in out[..taken].iter().enumerate() {
            put(at + n, value);
        }
        at += taken;
    }
}

/// Hashes what chunks share, the first `N` bytes, side by side.
fn begin_chunks<const N: usize>(
    platform: Platform,
    chunks: &[ShortChunk],
    contents: &[&[u8]],
    mut put: impl FnMut(usize, Option<&ChainingValue>),
) {
    let begin = |chunk: &ShortChunk| contents[chunk.content][chunk.number * CHUNK_LEN..].first_chunk();
    // Each has so many bytes: they are a part of it.
    let mut begun: Vec<&[u8; N]> = chunks.iter().filter_map(begin).collect();
    let flags = Flags { all: 0, start: CHUNK_START, end: 0 };
    let counter = chunks[0].number as u64;
    hash_lanes(platform, &mut begun, counter, flags, |n, value| put(n, Some(value)));
}

/// The chaining value of a chunk that ends with `rest`, before which there is nothing or what has the value `begun`; with [`ROOT`]
/// the hash of a content that has no other chunk.
fn end_chunk(
    platform: Platform,
    begun: Option<&ChainingValue>,
    rest: &[u8],
    counter: u64,
    root: u8,
) -> ChainingValue {
    let (mut value, mut flags) = match begun {
        Some(begun) => (words_from_le_bytes_32(begun), 0),
        None => (IV, CHUNK_START),
    };
    let mut rest = rest;
    while rest.len() > BLOCK_LEN
        && let Some((block, after)) = rest.split_first_chunk()
    {
        platform.compress_in_place(&mut value, block, FULL_BLOCK, counter, flags);
        flags = 0;
        rest = after;
    }
    let mut block = [0; BLOCK_LEN];
    block[..rest.len()].copy_from_slice(rest);
    // At most a block is left.
    let length = u8::try_from(rest.len()).unwrap_or(FULL_BLOCK);
    platform.compress_in_place(&mut value, &block, length, counter, flags | CHUNK_END | root);
    le_bytes_from_words_32(&value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lengths at which something else happens: blocks, chunks, numbers of chunks, and what shares no lanes.
    const INTERESTING_LENGTHS: &[usize] = &[
        0, 1, 63, 64, 65, 256, 257, 321, 600, 768, 769, 1_023, 1_024, 1_025, 1_088, 2_047, 2_048, 2_049,
        3_072, 4_096, 5_000, 7_168, 8_192, 8_193, 15_361, 16_383, 16_384, 16_385, 40_000,
    ];

    fn every_platform() -> Vec<ContentHasher> {
        let known = [
            Some(Platform::portable()),
            Platform::sse2(),
            Platform::sse41(),
            Platform::avx2(),
            Platform::avx512(),
        ];
        known
            .into_iter()
            .flatten()
            .map(|platform| ContentHasher { platform, ..ContentHasher::default() })
            .collect()
    }

    fn assert_hashes(hasher: &mut ContentHasher, contents: &[&[u8]]) {
        let expected: Vec<_> = contents.iter().map(|content| ContentHash::of(content)).collect();
        let platform = hasher.platform;
        assert_eq!(hasher.hash_all(contents), expected, "{platform:?}");
    }

    #[test]
    fn many_contents_have_the_hashes_that_each_has() {
        let bytes: Vec<u8> = (0..50_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for mut hasher in every_platform() {
            assert_hashes(&mut hasher, &[]);
            for &first in INTERESTING_LENGTHS {
                for &second in INTERESTING_LENGTHS {
                    let one = &bytes[7..7 + first];
                    assert_hashes(&mut hasher, &[one, &bytes[..second], one, &bytes[1..3_334]]);
                }
            }
            for count in [1, 2, 3, 5, 8, 9, 15, 16, 17, 33] {
                let contents: Vec<_> = (0..count).map(|n| &bytes[n..n + 2_500]).collect();
                assert_hashes(&mut hasher, &contents);
            }
        }
    }

    proptest! {
        #[test]
        fn any_contents_have_the_hashes_that_each_has(
            lengths in proptest::collection::vec(0..20_000usize, 0..40), seed in any::<u8>()
        ) {
            let bytes: Vec<u8> = (0..20_000u32).map(|n| (n ^ n >> 8) as u8 ^ seed).collect();
            let contents: Vec<_> = lengths.iter().map(|length| &bytes[20_000 - length..]).collect();
            let expected: Vec<_> = contents.iter().map(|content| ContentHash::of(content)).collect();
            let mut hasher = ContentHasher::default();
            prop_assert_eq!(hasher.hash_all(&contents), expected);
        }
    }
}
