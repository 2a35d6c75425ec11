//! Whether a layout says the right thing of its snapshot's archive.
//!
//! Of each root item it says how long the stored bytes of its frames are, and what hash they have, each frame as often as it is
//! repeated. Who claims a repetition pays nothing for it, and who hashes it as much as for any other frame: so lengths are
//! multiplied, and beforehand no more repetitions are hashed than anybody waits for.

use floe_format::{FrameRecord, ItemHasher, LayoutItem, Run};

use crate::{Error, ErrorKind, Result};

use super::corrupt;

/// The most repetitions of a frame: 2^60 bytes, the longest file, of the shortest chunks.
const MAX_REPETITIONS: u64 = 1 << 44;
/// How many repetitions of all frames are hashed beforehand, which takes some seconds: those of 256 TiB in the longest frames.
const MAX_HASHED: u64 = 1 << 28;
/// After how many it is asked whether to stop.
const REPETITIONS_AT_ONCE: u64 = 1 << 16;

/// The archive of a snapshot, as its frames pass.
pub(super) struct ArchiveCheck {
    items: Vec<PassedItem>,
    /// How many more repetitions are hashed.
    left: u64,
}

/// What of a root item passed.
struct PassedItem {
    /// None where it is over 64 bits.
    stored_len: Option<u64>,
    /// None where there are too many repetitions in it, or the hash is not asked for.
    hasher: Option<ItemHasher>,
}

/// Which root items' hashes have still to be compared with the layout, since their frames are repeated too often. All
/// else was.
#[derive(Debug)]
pub(crate) struct Unhashed(Vec<bool>);

impl ArchiveCheck {
    /// Of that many root items none passed yet.
    pub(super) fn new(items: usize) -> Self {
        Self::of((0..items).map(|_| true), MAX_HASHED)
    }

    fn of(hashed: impl Iterator<Item = bool>, left: u64) -> Self {
        let item = |hashed: bool| PassedItem { stored_len: Some(0), hasher: hashed.then(ItemHasher::new) };
        Self { items: hashed.map(item).collect(), left }
    }

    /// Adds a run that is reached from a root item, and whose frame has this record; `check` is asked now and then whether to stop.
    ///
    /// # Errors
    /// `Corrupt` where no file has so many repetitions; those of `check`.
    pub(super) fn add(
        &mut self,
        root_item: u32,
        run: &Run,
        record: &FrameRecord,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        if run.count > MAX_REPETITIONS {
            return Err(corrupt(format!("frame {} stands in it {} times", run.id, run.count)));
        }
        let Some(item) = self.items.get_mut(root_item as usize) else { return Ok(()) };
        let run_len = run.count.checked_mul(u64::from(record.stored_len));
        item.stored_len = item.stored_len.zip(run_len).and_then(|(before, run)| before.checked_add(run));
        let Some(hasher) = &mut item.hasher else { return Ok(()) };
        let Some(left) = self.left.checked_sub(run.count - 1) else {
            item.hasher = None;
            return Ok(());
        };
        self.left = left;
        for repetition in 0..run.count {
            if repetition % REPETITIONS_AT_ONCE == 0 {
                check()?;
            }
            hasher.add(record.stored_len, &record.stored_sum);
        }
        Ok(())
    }

    /// Compares what passed, which is all there is, with what the layout says.
    ///
    /// # Errors
    /// `Corrupt` where they differ.
    pub(super) fn finish(self, said: &[LayoutItem]) -> Result<Unhashed> {
        let mut unhashed = Vec::with_capacity(said.len());
        for (PassedItem { stored_len, hasher }, said) in self.items.into_iter().zip(said) {
            unhashed.push(hasher.is_none());
            let is_right = hasher.is_none_or(|hasher| hasher.finish() == *said);
            if !is_right || stored_len != Some(said.stored_len) {
                return Err(corrupt("the layout's archive is not that of the snapshot's frames".to_owned()));
            }
        }
        Ok(Unhashed(unhashed))
    }
}

impl Unhashed {
    /// What compares the rest, in whatever time that takes; none where nothing is left.
    pub(super) fn rest(self) -> Option<ArchiveCheck> {
        // Frames are fewer than their plain bytes, which 64 bits count: so there is no end to what is hashed.
        self.0.contains(&true).then(|| ArchiveCheck::of(self.0.into_iter(), u64::MAX))
    }

    /// Refuses to go on where something is left.
    ///
    /// # Errors
    /// `Unsupported`, for what is left may be right.
    pub(crate) fn refuse(&self) -> Result<()> {
        if !self.0.contains(&true) {
            return Ok(());
        }
        let message = format!("it repeats frames more than {MAX_HASHED} times, and is not gone through");
        Err(Error::new(ErrorKind::Unsupported, message))
    }
}

#[cfg(test)]
mod tests {
    use floe_format::{Codec, FrameId};

    use super::*;

    fn frame(content: &[u8], count: u64) -> (Run, FrameRecord) {
        let (id, plain_len) = (FrameId::of(content), 1);
        (Run { count, plain_len, id }, FrameRecord::new(id, plain_len, Codec::Zstd, content).unwrap())
    }

    fn said(runs: &[(Run, FrameRecord)]) -> LayoutItem {
        let mut hasher = ItemHasher::new();
        for (run, record) in runs {
            (0..run.count).for_each(|_| hasher.add(record.stored_len, &record.stored_sum));
        }
        hasher.finish()
    }

    fn finished(
        mut check: ArchiveCheck,
        items: &[Vec<(Run, FrameRecord)>],
        said: &[LayoutItem],
    ) -> Result<Unhashed> {
        for (number, runs) in (0..).zip(items) {
            for (run, record) in runs {
                check.add(number, run, record, &mut || Ok(()))?;
            }
        }
        check.finish(said)
    }

    #[test]
    fn what_is_repeated_too_often_is_compared_later() {
        let items = [
            vec![frame(b"1", 1), frame(b"22", 6)],
            vec![frame(b"333", 8), frame(b"1", 1)],
            vec![frame(b"1", 5)],
        ];
        let said = items.clone().map(|runs| said(&runs));
        let check = |left| ArchiveCheck::of([true; 3].into_iter(), left);
        // Each frame has one repetition less than it stands there.
        for (left, unhashed) in
            [(0, [true; 3]), (9, [false, true, false]), (12, [false, false, true]), (16, [false; 3])]
        {
            let found = finished(check(left), &items, &said).unwrap();
            assert_eq!(found.0, unhashed, "{left}");
            assert_eq!(found.refuse().is_ok(), unhashed == [false; 3]);
        }
        for number in 0..said.len() {
            let (mut other_hash, mut other_len) = (said, said);
            other_hash[number].hash[7] ^= 1;
            other_len[number].stored_len += 1;
            assert_eq!(finished(check(16), &items, &other_hash).unwrap_err().kind(), ErrorKind::Corrupt);
            assert_eq!(finished(check(0), &items, &other_len).unwrap_err().kind(), ErrorKind::Corrupt);
            let rest = finished(check(0), &items, &other_hash).unwrap().rest().unwrap();
            assert_eq!(finished(rest, &items, &other_hash).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        let rest = finished(check(0), &items, &said).unwrap().rest().unwrap();
        finished(rest, &items, &said).unwrap();
        assert!(finished(check(16), &items, &said).unwrap().rest().is_none());
    }

    #[test]
    fn lengths_over_64_bits_are_refused() {
        let (run, mut record) = frame(b"1", MAX_REPETITIONS);
        record.stored_len = 1 << 20;
        let said = [LayoutItem { stored_len: u64::MAX, hash: [0; 32] }];
        assert_eq!(
            finished(ArchiveCheck::new(1), &[vec![(run, record)]], &said).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
        let run = Run { count: MAX_REPETITIONS + 1, ..run };
        record.stored_len = 1;
        let said = [LayoutItem { stored_len: MAX_REPETITIONS + 1, hash: [0; 32] }];
        assert_eq!(
            finished(ArchiveCheck::new(1), &[vec![(run, record)]], &said).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
    }
}
