//! The bytes of a stat cache.
//!
//! ```text
//! header   "FLOESTAT" · version u32 · 0 u32 · BLAKE3 of the source's path, 32 bytes
//! blocks   records, see below
//! table    per block: length u32 · entries u32 · first half of the BLAKE3 of the block, 16 bytes
//! footer   number of blocks u64 · first half of the BLAKE3 of header, table and that number, 16 bytes · "FLOETAIL"
//! ```
//!
//! Integers are little-endian. A block begins with a directory, so each can be used without the others. A directory
//! is 0 u8 · device u64 · length u32 · path; entries of that directory on that device follow: kind u8 · length of
//! name u16 · name · inode u64 · size u64 · mtime i64, u32 · ctime i64, u32 · hash, 32 bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::ContentHash;
use crate::source::{FileKind, FileTime, Stat};

const MAGIC: [u8; 8] = *b"FLOESTAT";
const TAIL_MAGIC: [u8; 8] = *b"FLOETAIL";
const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 48;
const TABLE_ITEM_BYTES: usize = 24;
const FOOTER_BYTES: usize = 32;

/// What a block holds at most; the writer stays far below.
pub(super) const MAX_BLOCK_BYTES: usize = 256 * 1024;
/// A cache with more blocks is forgotten; they are half full at least, so it would have a hundred million files.
const MAX_BLOCKS: usize = 1 << 19;
/// Entries of directories with longer paths are not recorded.
pub(super) const MAX_PATH_BYTES: usize = 32 * 1024;
/// Entries with longer names are not recorded; no file system of Linux has them.
pub(super) const MAX_NAME_BYTES: usize = 4096;

const DIRECTORY: u8 = 0;

/// A block's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) length: u32,
    pub(super) entries: u32,
    pub(super) sum: [u8; 16],
}

/// A cache file whose header, table and footer were checked; its blocks are when they are read.
#[derive(Debug)]
pub(super) struct CacheFile {
    file: File,
    pub(super) blocks: Vec<Block>,
}

pub(super) fn sum(bytes: &[u8]) -> [u8; 16] {
    first_half(&blake3::hash(bytes))
}

fn first_half(hash: &blake3::Hash) -> [u8; 16] {
    *hash.as_bytes().first_chunk().expect("16 of 32 bytes")
}

/// The first bytes of a cache.
pub(super) fn header(source: &ContentHash) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[16..].copy_from_slice(source);
    header
}

/// Table and footer.
pub(super) fn tail(source: &ContentHash, blocks: &[Block]) -> Vec<u8> {
    let mut tail = Vec::with_capacity(blocks.len() * TABLE_ITEM_BYTES + FOOTER_BYTES);
    for block in blocks {
        tail.extend_from_slice(&block.length.to_le_bytes());
        tail.extend_from_slice(&block.entries.to_le_bytes());
        tail.extend_from_slice(&block.sum);
    }
    tail.extend_from_slice(&(blocks.len() as u64).to_le_bytes());
    let sum = first_half(&blake3::Hasher::new().update(&header(source)).update(&tail).finalize());
    tail.extend_from_slice(&sum);
    tail.extend_from_slice(&TAIL_MAGIC);
    tail
}

impl CacheFile {
    /// Reads header, table and footer; nothing if any of them is not as it should be.
    pub(super) fn read(file: File, source: &ContentHash) -> Option<Self> {
        let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
        let footer_at = length.checked_sub(FOOTER_BYTES)?;
        let mut count = [0; 8];
        file.read_exact_at(&mut count, footer_at as u64).ok()?;
        let count = usize::try_from(u64::from_le_bytes(count)).ok().filter(|count| *count <= MAX_BLOCKS)?;
        let table_bytes = count * TABLE_ITEM_BYTES;
        let blocks_bytes = footer_at.checked_sub(table_bytes)?.checked_sub(HEADER_BYTES)?;
        let mut tail_read = vec![0; table_bytes + FOOTER_BYTES];
        file.read_exact_at(&mut tail_read, (footer_at - table_bytes) as u64).ok()?;
        let mut header_read = [0; HEADER_BYTES];
        file.read_exact_at(&mut header_read, 0).ok()?;

        let mut blocks = Vec::with_capacity(count);
        let mut table = Reader(&tail_read[..table_bytes]);
        while !table.0.is_empty() {
            blocks.push(Block { length: table.u32()?, entries: table.u32()?, sum: table.array()? });
        }
        let mut covered = 0_usize;
        for block in &blocks {
            covered = covered.checked_add(block.length as usize)?;
        }
        let is_sound = header_read == header(source)
            && tail_read == tail(source, &blocks)
            && covered == blocks_bytes
            && blocks.iter().all(|block| block.length as usize <= MAX_BLOCK_BYTES);
        is_sound.then_some(Self { file, blocks })
    }

    /// Copies a block that begins at `offset` into `buffer`; false, and an empty buffer, if it is damaged.
    pub(super) fn read_block(&self, block: &Block, offset: u64, buffer: &mut Vec<u8>) -> bool {
        buffer.resize(block.length as usize, 0);
        // Checked in memory, after reading: what happens to the file meanwhile cannot matter.
        let is_sound = self.file.read_exact_at(buffer, offset).is_ok() && sum(buffer) == block.sum;
        if !is_sound {
            buffer.clear();
        }
        is_sound
    }

    /// The file itself, of which nothing was checked.
    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

/// Adds a directory's record to a block.
pub(super) fn write_directory(block: &mut Vec<u8>, path: &[u8], device: u64) {
    debug_assert!(path.len() <= MAX_PATH_BYTES);
    block.push(DIRECTORY);
    block.extend_from_slice(&device.to_le_bytes());
    block.extend_from_slice(&u32::try_from(path.len()).unwrap_or(u32::MAX).to_le_bytes());
    block.extend_from_slice(path);
}

/// Adds an entry's record to a block.
pub(super) fn write_entry(block: &mut Vec<u8>, name: &[u8], stat: &Stat, hash: &ContentHash) {
    debug_assert!(name.len() <= MAX_NAME_BYTES);
    block.push(stat.kind as u8);
    block.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
    block.extend_from_slice(name);
    block.extend_from_slice(&identity(stat));
    block.extend_from_slice(hash);
}

/// What must be equal for a hash to be believed, besides device, kind and path.
pub(super) type Identity = [u8; 40];

pub(super) fn identity(stat: &Stat) -> Identity {
    let mut bytes = [0; 40];
    let mut at = 0;
    let mut put = |value: &[u8]| {
        bytes[at..at + value.len()].copy_from_slice(value);
        at += value.len();
    };
    let time = |time: FileTime| (time.seconds.to_le_bytes(), time.nanos.to_le_bytes());
    put(&stat.inode.to_le_bytes());
    put(&stat.size.to_le_bytes());
    for (seconds, nanos) in [time(stat.modified), time(stat.changed)] {
        put(&seconds);
        put(&nanos);
    }
    bytes
}

/// A record as it stands in a block.
#[derive(Debug)]
pub(super) enum Record<'a> {
    Directory { path: &'a [u8], device: u64 },
    Entry { name: &'a [u8], kind: u8, identity: &'a Identity, hash: &'a ContentHash },
}

/// Whether entries of that kind are recorded.
pub(super) fn is_recorded(kind: FileKind) -> bool {
    matches!(kind, FileKind::File | FileKind::Symlink)
}

/// Reads the record at the beginning of these bytes, and tells its length; nothing if there is no whole one.
pub(super) fn read_record(bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    let mut reader = Reader(bytes);
    let record = match reader.array::<1>()?[0] {
        DIRECTORY => {
            let device = u64::from_le_bytes(reader.array()?);
            let length = reader.u32()? as usize;
            Record::Directory { device, path: reader.take(length)? }
        }
        kind => {
            let length = usize::from(u16::from_le_bytes(reader.array()?));
            let name = reader.take(length)?;
            Record::Entry { name, kind, identity: reader.array_ref()?, hash: reader.array_ref()? }
        }
    };
    Some((record, bytes.len() - reader.0.len()))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array_ref<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.array_ref().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}
