//! Records found by the key they begin with, of which few stay in memory.
//!
//! However many there are, up to half a MiB of them is in memory and all others are in a temporary file. What stays of
//! each in memory is its number and a part of its key's hash: 10 to 21 bytes, and half as many more while the table grows.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use hashbrown::HashTable;

use crate::scratch::{Spill, damaged};
use crate::{Error, ErrorKind, Result};

/// Bytes of a key, with which its record begins.
pub(crate) const KEY_LEN: usize = 32;

/// Up to so many bytes of records are in memory.
const MOST_IN_MEMORY: usize = 512 << 10;

/// Bytes that stand behind each record: what tells whether it is still what was written.
const SUM_LEN: usize = 8;

/// Bytes of the longest record there may be, with those behind it.
const MAX_LEN: usize = 128;

/// Records of `N` bytes, numbered as they come.
#[derive(Debug)]
pub(crate) struct SpilledTable<const N: usize> {
    records: Spill,
    slots: HashTable<Slot>,
    /// Whoever wrote an index chose the keys in it, so they are hashed with a secret.
    secret: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Of the key's hash. Where those of two keys are equal, the records tell.
    part: u32,
    number: u32,
}

impl Slot {
    fn hash(self) -> u64 {
        spread(self.part)
    }
}

impl<const N: usize> SpilledTable<N> {
    /// Bytes of a record and of those behind it.
    const LEN: usize = {
        assert!(KEY_LEN <= N && N + SUM_LEN <= MAX_LEN);
        N + SUM_LEN
    };

    /// No records yet; a temporary file is made in this directory, if it can be.
    pub(crate) fn new(directory: Option<&Path>) -> Self {
        Self {
            records: Spill::new(directory, MOST_IN_MEMORY),
            slots: HashTable::new(),
            secret: RandomState::new(),
        }
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> u32 {
        // `insert` sees to it.
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// Adds a record, unless there is one with its key; returns whether there was none.
    ///
    /// # Errors
    /// As [`SpilledTable::find`]; nothing is added then.
    pub(crate) fn insert(&mut self, record: &[u8; N]) -> Result<bool> {
        let part = self.part_of(key_of(record));
        if self.find_part(part, key_of(record))?.is_some() {
            return Ok(false);
        }
        let number = u32::try_from(self.slots.len())
            .map_err(|_| Error::new(ErrorKind::Internal, "more than 2^32 records are to be found"))?;
        let mut bytes = [0; MAX_LEN];
        bytes[..N].copy_from_slice(record);
        bytes[N..Self::LEN].copy_from_slice(&self.sum_of(record));
        self.records.append(&bytes[..Self::LEN]);
        self.slots.insert_unique(spread(part), Slot { part, number }, |slot| slot.hash());
        Ok(true)
    }

    /// The record with this key, and its number.
    ///
    /// # Errors
    /// Those of reading the temporary file, `Internal` where that has other bytes than were written.
    pub(crate) fn find(&self, key: &[u8; KEY_LEN]) -> Result<Option<(u32, [u8; N])>> {
        self.find_part(self.part_of(key), key)
    }

    /// Whether there is a record with this key.
    ///
    /// # Errors
    /// As [`SpilledTable::find`].
    pub(crate) fn contains(&self, key: &[u8; KEY_LEN]) -> Result<bool> {
        Ok(self.find(key)?.is_some())
    }

    /// All records, in the order of their numbers.
    pub(crate) fn all(&self) -> impl Iterator<Item = Result<[u8; N]>> {
        (0..self.len()).map(|number| self.read(number))
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.slots.clear();
    }

    fn find_part(&self, part: u32, key: &[u8; KEY_LEN]) -> Result<Option<(u32, [u8; N])>> {
        for slot in self.slots.iter_hash(spread(part)).filter(|slot| slot.part == part) {
            let record = self.read(slot.number)?;
            if key_of(&record) == key {
                return Ok(Some((slot.number, record)));
            }
        }
        Ok(None)
    }

    fn read(&self, number: u32) -> Result<[u8; N]> {
        let mut bytes = [0; MAX_LEN];
        let bytes = &mut bytes[..Self::LEN];
        self.records.read_exact(u64::from(number) * Self::LEN as u64, bytes)?;
        let mut record = [0; N];
        record.copy_from_slice(&bytes[..N]);
        match bytes[N..] == self.sum_of(&record) {
            true => Ok(record),
            false => Err(damaged()),
        }
    }

    fn part_of(&self, key: &[u8; KEY_LEN]) -> u32 {
        let [a, b, c, d, ..] = self.secret.hash_one(key).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    fn sum_of(&self, record: &[u8; N]) -> [u8; SUM_LEN] {
        self.secret.hash_one(record).to_le_bytes()
    }
}

/// The key that a record begins with.
fn key_of<const N: usize>(record: &[u8; N]) -> &[u8; KEY_LEN] {
    record.first_chunk().expect("a record is no shorter than its key")
}

/// A hash whose upper bits, too, differ with these 32.
fn spread(part: u32) -> u64 {
    u64::from(part).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u32) -> [u8; 40] {
        let mut record = [0; 40];
        record[..KEY_LEN].copy_from_slice(blake3::hash(&number.to_le_bytes()).as_bytes());
        record[KEY_LEN..KEY_LEN + 4].copy_from_slice(&number.to_le_bytes());
        record
    }

    /// More than stay in memory.
    const MANY: u32 = 30_000;

    #[test]
    fn what_is_added_is_found_wherever_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let mut table = SpilledTable::new(Some(directory.path()));
        for round in 0..2 {
            for number in 0..MANY {
                assert!(table.insert(&record(number)).unwrap(), "{round}, {number}");
            }
            assert!(table.records.len() > 2 * MOST_IN_MEMORY as u64);
            for number in (0..MANY).rev() {
                let mut other = record(number);
                other[KEY_LEN] ^= 1;
                assert!(!table.insert(&other).unwrap());
                assert_eq!(table.find(key_of(&record(number))).unwrap(), Some((number, record(number))));
            }
            assert!(!table.contains(key_of(&record(MANY))).unwrap());
            assert_eq!(table.len(), MANY);
            assert!(table.all().map(Result::unwrap).eq((0..MANY).map(record)));
            table.clear();
            assert!(table.find(key_of(&record(0))).unwrap().is_none());
            assert_eq!((table.len(), table.all().count()), (0, 0));
        }
    }

    /// Were they searched by what they begin with, each would be compared with all before it.
    #[test]
    fn keys_that_begin_alike_are_searched_apart() {
        let mut table = SpilledTable::new(None);
        for number in 0..10_000u64 {
            let mut key = [7; KEY_LEN];
            key[8..16].copy_from_slice(&number.to_le_bytes());
            assert!(table.insert(&key).unwrap());
        }
        let parts: std::collections::HashSet<_> = table.slots.iter().map(|slot| slot.part).collect();
        assert!(parts.len() > 9_990);
    }

    #[test]
    fn keys_whose_hashes_are_alike_are_told_apart() {
        let mut table = SpilledTable::new(None);
        for number in 0..100 {
            table.insert(&record(number)).unwrap();
        }
        // As if its hash were that of another.
        for slot in &table.slots {
            assert_eq!(table.find_part(slot.part, key_of(&record(100))).unwrap(), None);
        }
    }

    #[test]
    fn a_record_that_was_damaged_is_not_given_out() {
        let mut table = SpilledTable::new(None);
        for number in 0..2 {
            table.insert(&record(number)).unwrap();
        }
        // What stands in its place is sound in itself, but for its last byte.
        let mut bytes = vec![0; 48];
        table.records.read_exact(48, &mut bytes).unwrap();
        bytes[39] ^= 1;
        table.records.clear();
        table.records.append(&[0; 48]);
        table.records.append(&bytes);
        for number in 0..2 {
            let error = table.find(key_of(&record(number))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal, "{number}: {error}");
            assert!(table.insert(&record(number)).is_err());
        }
    }
}
