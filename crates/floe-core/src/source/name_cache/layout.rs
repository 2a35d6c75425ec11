//! The bytes of a name cache.
//!
//! ```text
//! header   "FLOENAMS" · version u32 · 0 u32
//! records  per directory its names, sorted, each followed by a NUL; then per name: length u16 · kind u8
//! table    per record, by key: key, 52 bytes · offset u64 · length u32 · names u32 · sum, 16 bytes
//! footer   number of records u64 · sum of header, table and that number, 16 bytes · "FLOENEND"
//!
//! key      device u64 · inode u64 · size u64 · links u32 · mtime i64, u32 · ctime i64, u32
//! ```
//!
//! Integers are little-endian. A sum is the first half of a BLAKE3. A kind is 0 where the file system told none.

use std::ffi::CStr;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{MAX_DIRECTORIES, MAX_RECORD_BYTES};
use crate::source::walk::{Name, Names};
use crate::source::{FileKind, FileTime, Stat};

const MAGIC: [u8; 8] = *b"FLOENAMS";
const END_MAGIC: [u8; 8] = *b"FLOENEND";
const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 16;
const KEY_BYTES: usize = 52;
const ITEM_BYTES: usize = KEY_BYTES + 32;
const FOOTER_BYTES: usize = 32;
/// What a record has for each name besides its bytes.
const NAME_BYTES: usize = 3;

/// What tells that a directory is as it was.
pub(super) type Key = [u8; KEY_BYTES];

pub(super) fn key(stat: &Stat) -> Key {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&stat.device.to_le_bytes());
    key[8..16].copy_from_slice(&stat.inode.to_le_bytes());
    key[16..24].copy_from_slice(&stat.size.to_le_bytes());
    key[24..28].copy_from_slice(&stat.links.to_le_bytes());
    let mut put = |at: usize, time: FileTime| {
        key[at..at + 8].copy_from_slice(&time.seconds.to_le_bytes());
        key[at + 8..at + 12].copy_from_slice(&time.nanos.to_le_bytes());
    };
    put(28, stat.modified);
    put(40, stat.changed);
    key
}

/// A record's place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) key: Key,
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) names: u32,
    pub(super) sum: [u8; 16],
}

impl Item {
    pub(super) fn new(key: Key, offset: u64, names: &Names, record: &[u8]) -> Option<Self> {
        let length = u32::try_from(record.len()).ok()?;
        Some(Self { key, offset, length, names: u32::try_from(names.spans.len()).ok()?, sum: sum(record) })
    }

    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.length.into())
    }

    fn write(&self, table: &mut Vec<u8>) {
        table.extend_from_slice(&self.key);
        table.extend_from_slice(&self.offset.to_le_bytes());
        table.extend_from_slice(&self.length.to_le_bytes());
        table.extend_from_slice(&self.names.to_le_bytes());
        table.extend_from_slice(&self.sum);
    }

    fn read(bytes: &[u8; ITEM_BYTES]) -> Self {
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        Self {
            key: std::array::from_fn(|i| bytes[i]),
            offset: u64::from_le_bytes(std::array::from_fn(|i| bytes[KEY_BYTES + i])),
            length: word(KEY_BYTES + 8),
            names: word(KEY_BYTES + 12),
            sum: std::array::from_fn(|i| bytes[KEY_BYTES + 16 + i]),
        }
    }
}

fn sum(bytes: &[u8]) -> [u8; 16] {
    first_half(blake3::hash(bytes))
}

fn first_half(hash: blake3::Hash) -> [u8; 16] {
    *hash.as_bytes().first_chunk().expect("16 of 32 bytes")
}

/// The first bytes of a cache.
pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// Table and footer of records sorted by key.
pub(super) fn tail(items: &[Item]) -> Vec<u8> {
    let mut tail = Vec::with_capacity(items.len() * ITEM_BYTES + FOOTER_BYTES);
    for item in items {
        item.write(&mut tail);
    }
    tail.extend_from_slice(&(items.len() as u64).to_le_bytes());
    let sum = tail_sum(&tail);
    tail.extend_from_slice(&sum);
    tail.extend_from_slice(&END_MAGIC);
    tail
}

/// The sum over the table and the number of its items.
fn tail_sum(table: &[u8]) -> [u8; 16] {
    first_half(blake3::Hasher::new().update(&header()).update(table).finalize())
}

/// The record of these names; nothing where it would be too large.
pub(super) fn encode(names: &Names) -> Option<Vec<u8>> {
    let length = names.bytes.len() + names.spans.len() * NAME_BYTES;
    if length > MAX_RECORD_BYTES {
        return None;
    }
    let mut record = Vec::with_capacity(length);
    for span in &names.spans {
        record.extend_from_slice(names.c_str(*span).to_bytes_with_nul());
    }
    for span in &names.spans {
        record.extend_from_slice(&span.length.to_le_bytes());
        record.push(span.kind.map_or(0, |kind| kind as u8));
    }
    Some(record)
}

/// The names of a record; nothing where it is none.
fn decode(mut record: Vec<u8>, count: usize) -> Option<Names> {
    let bytes_length = record.len().checked_sub(count.checked_mul(NAME_BYTES)?)?;
    let mut names = Names::with_capacity(count);
    let (bytes, told) = record.split_at(bytes_length);
    let mut rest = bytes;
    let mut last: &[u8] = b"";
    for told in told.as_chunks::<NAME_BYTES>().0 {
        let length = u16::from_le_bytes([told[0], told[1]]);
        let (name, after) = rest.split_at_checked(usize::from(length) + 1)?;
        let told_name = CStr::from_bytes_with_nul(name).ok()?.to_bytes();
        // Each after the one before, and so none of them empty.
        if told_name <= last || matches!(told_name, b"." | b"..") || told_name.contains(&b'/') {
            return None;
        }
        last = told_name;
        let kind = if told[2] == 0 { None } else { Some(FileKind::of_number(told[2])?) };
        let start = u32::try_from(bytes_length - rest.len()).ok()?;
        names.spans.push(Name { start, length, kind });
        rest = after;
    }
    if !rest.is_empty() {
        return None;
    }
    record.truncate(bytes_length);
    names.bytes = record;
    Some(names)
}

/// A cache whose header, table and footer were checked; its records are when they are read.
#[derive(Debug, Default)]
pub(super) struct NameFile {
    pub(super) file: Option<File>,
    pub(super) items: Vec<Item>,
}

impl NameFile {
    /// Reads header, table and footer; nothing if any of them is not as it should be.
    pub(super) fn read(file: File) -> Option<Self> {
        let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
        let footer_at = length.checked_sub(FOOTER_BYTES)?;
        let mut count = [0; 8];
        file.read_exact_at(&mut count, footer_at as u64).ok()?;
        let count =
            usize::try_from(u64::from_le_bytes(count)).ok().filter(|count| *count <= MAX_DIRECTORIES)?;
        // Bounds what is allocated by the length of the file.
        let table_at = footer_at.checked_sub(count * ITEM_BYTES)?;
        let mut tail_read = vec![0; length - table_at];
        file.read_exact_at(&mut tail_read, table_at as u64).ok()?;
        let mut header_read = [0; HEADER_BYTES];
        file.read_exact_at(&mut header_read, 0).ok()?;

        let (table, rest) = tail_read.split_at(count * ITEM_BYTES);
        let (sum, end) = rest[8..].split_at(16);
        let is_whole =
            header_read == header() && end == END_MAGIC && sum == tail_sum(&tail_read[..table.len() + 8]);
        let items: Vec<_> = table.as_chunks().0.iter().map(Item::read).collect();
        let records = HEADER_BYTES as u64..=table_at as u64;
        let is_sound = items.is_sorted_by(|a, b| a.key < b.key)
            && items.iter().all(|item| {
                records.contains(&item.offset)
                    && records.contains(&item.end())
                    && item.length as usize <= MAX_RECORD_BYTES
            });
        (is_whole && is_sound).then_some(Self { file: Some(file), items })
    }

    /// The place in the table of a directory that is as it was.
    pub(super) fn find(&self, key: &Key) -> Option<usize> {
        self.items.binary_search_by(|item| item.key.cmp(key)).ok()
    }

    /// The names in a record; nothing where it is damaged.
    pub(super) fn names(&self, number: usize) -> Option<Names> {
        let item = &self.items[number];
        let mut record = vec![0; item.length as usize];
        // Checked in memory, after reading: what happens to the file meanwhile cannot matter.
        self.file.as_ref()?.read_exact_at(&mut record, item.offset).ok()?;
        if sum(&record) != item.sum {
            return None;
        }
        decode(record, item.names as usize)
    }
}

/// Makes all sums those of the bytes, as far as these are there.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn reseal(file: &mut [u8]) -> Option<()> {
    let footer_at = file.len().checked_sub(FOOTER_BYTES)?;
    let count = u64::from_le_bytes(*file[footer_at..].first_chunk()?);
    let table_at = usize::try_from(count).ok()?.checked_mul(ITEM_BYTES)?;
    let table_at = footer_at.checked_sub(table_at)?;
    let (records, tail) = file.split_at_mut(table_at);
    for item in tail[..footer_at - table_at].as_chunks_mut::<ITEM_BYTES>().0 {
        let read = Item::read(item);
        let range = usize::try_from(read.offset).ok()?..usize::try_from(read.end()).ok()?;
        if let Some(record) = records.get(range) {
            item[ITEM_BYTES - 16..].copy_from_slice(&sum(record));
        }
    }
    let (table, rest) = tail.split_at_mut(footer_at - table_at + 8);
    rest[..16].copy_from_slice(&tail_sum(table));
    Some(())
}
