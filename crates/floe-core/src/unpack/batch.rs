//! Frames that are fetched together.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;
use futures::future::try_join_all;
use tokio::sync::OwnedSemaphorePermit;

use crate::namespace::Namespace;
use crate::store::Key;
use crate::{Error, ErrorKind, Result};

use super::engine::Stop;

/// Bytes between two wanted frames that are rather read than skipped.
const GAP_BYTES: u64 = 64 << 10;
/// The longest range asked for at once.
const MAX_RANGE_BYTES: u64 = 8 << 20;

/// A range of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackRange {
    pub(crate) key: Key,
    /// The pack's position in the catalog.
    pub(crate) pack: usize,
    pub(crate) range: Range<u64>,
}

/// Puts frames' places, in any order and perhaps repeated, into few ranges that hold them all.
pub(crate) fn coalesce(mut places: Vec<(usize, Range<u64>)>) -> Vec<(usize, Range<u64>)> {
    places.sort_unstable_by_key(|(pack, range)| (*pack, range.start));
    let mut ranges: Vec<(usize, Range<u64>)> = Vec::new();
    for (pack, place) in places {
        match ranges.last_mut() {
            Some((last, range))
                if *last == pack
                    && place.start <= range.end + GAP_BYTES
                    && place.end.max(range.end) - range.start <= MAX_RANGE_BYTES =>
            {
                range.end = range.end.max(place.end);
            }
            _ => ranges.push((pack, place)),
        }
    }
    ranges
}

/// Frames that are fetched together: a few ranges, read by requests at the same time.
#[derive(Debug)]
pub(crate) struct Batch {
    ranges: Vec<PackRange>,
    answer: Mutex<Answer>,
    answered: Condvar,
    /// Room for its stored bytes.
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Answer {
    Awaited,
    Here(Arc<[Bytes]>),
    Failed(Option<Error>),
}

impl Batch {
    /// Begins to fetch.
    pub(crate) fn fetch(
        namespace: &Namespace,
        stop: &Stop,
        ranges: Vec<PackRange>,
        permit: OwnedSemaphorePermit,
    ) -> Arc<Self> {
        let batch = Arc::new(Self {
            ranges,
            answer: Mutex::new(Answer::Awaited),
            answered: Condvar::new(),
            _permit: permit,
        });
        let (fetched, namespace, token) = (Arc::clone(&batch), namespace.clone(), stop.token());
        stop.runtime().spawn(async move {
            let requests =
                fetched.ranges.iter().map(|range| namespace.read_pack(&range.key, range.range.clone()));
            let answer = tokio::select! {
                biased;
                () = token.cancelled() => Err(crate::offload::cancelled()),
                answer = try_join_all(requests) => answer,
            };
            let answer = match answer {
                Ok(bytes) => Answer::Here(bytes.into()),
                Err(error) => Answer::Failed(Some(error)),
            };
            *fetched.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
            fetched.answered.notify_all();
        });
        batch
    }

    /// Waits for the bytes.
    pub(crate) fn wait(&self) -> Result<Arc<[Bytes]>> {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &mut *answer {
                Answer::Awaited => {
                    answer = self.answered.wait(answer).unwrap_or_else(PoisonError::into_inner);
                }
                Answer::Here(bytes) => return Ok(Arc::clone(bytes)),
                Answer::Failed(error) => {
                    // The first who hears of it makes everything stop.
                    return Err(error.take().unwrap_or_else(|| {
                        Error::new(ErrorKind::Cancelled, "the frames could not be read")
                    }));
                }
            }
        }
    }

    /// The bytes of a place, which one of the ranges holds.
    pub(crate) fn slice<'a>(&self, bytes: &'a [Bytes], pack: usize, place: Range<u64>) -> Option<&'a [u8]> {
        let at = self.ranges.partition_point(|r| (r.pack, r.range.start) <= (pack, place.start));
        let range = self.ranges.get(at.checked_sub(1)?)?;
        if range.pack != pack || place.end > range.range.end {
            return None;
        }
        let start = usize::try_from(place.start - range.range.start).ok()?;
        let end = usize::try_from(place.end - range.range.start).ok()?;
        bytes.get(at - 1)?.get(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_read_together() {
        let gap = GAP_BYTES;
        assert_eq!(
            coalesce(vec![
                (0, 40..100),
                (0, 100..200),
                (0, 100..200),
                (1, 40..50),
                (0, 201 + gap..300 + gap)
            ]),
            [(0, 40..200), (0, 201 + gap..300 + gap), (1, 40..50)]
        );
        assert_eq!(coalesce(vec![(0, 200 + gap..300 + gap), (0, 100..200)]), [(0, 100..300 + gap)]);
        let mib = 1 << 20;
        let many: Vec<_> = (0..20).map(|n| (0, n * mib..(n + 1) * mib)).collect();
        assert_eq!(coalesce(many), [(0, 0..8 * mib), (0, 8 * mib..16 * mib), (0, 16 * mib..20 * mib)]);
    }
}
