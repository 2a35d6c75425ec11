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

/// A range of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackRange {
    pub(crate) key: Key,
    /// The pack's position in the catalog.
    pub(crate) pack: usize,
    pub(crate) range: Range<u64>,
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
