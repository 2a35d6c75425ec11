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
    Failed(Error),
}

/// A batch that is to be answered. Dropped before, as where a request panics, it is told to have failed: nobody must wait
/// for ever.
struct Asked(Arc<Batch>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.answer(Answer::Failed(Error::new(ErrorKind::Internal, "frames were asked for in vain")));
    }
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
        let (asked, namespace, token) = (Asked(Arc::clone(&batch)), namespace.clone(), stop.token());
        stop.runtime().spawn(async move {
            let Asked(fetched) = &asked;
            let requests =
                fetched.ranges.iter().map(|range| namespace.read_pack(&range.key, range.range.clone()));
            let answer = tokio::select! {
                biased;
                () = token.cancelled() => Err(crate::offload::cancelled()),
                answer = try_join_all(requests) => answer,
            };
            let answer = match answer {
                Ok(bytes) => Answer::Here(bytes.into()),
                Err(error) => Answer::Failed(error),
            };
            fetched.answer(answer);
        });
        batch
    }

    /// Sets the answer; the first is the one that counts.
    fn answer(&self, answer: Answer) {
        let mut now = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*now, Answer::Awaited) {
            *now = answer;
            self.answered.notify_all();
        }
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
                // All who wait hear the same: any of them may be the one whose error counts.
                Answer::Failed(error) => {
                    let again = error.repeated();
                    return Err(std::mem::replace(error, again));
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
    use crate::Remedy;

    #[test]
    fn nobody_waits_for_a_request_that_panicked() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let permit = runtime.block_on(Arc::new(tokio::sync::Semaphore::new(1)).acquire_owned()).unwrap();
        let (answer, answered) = (Mutex::new(Answer::Awaited), Condvar::new());
        let batch = Arc::new(Batch { ranges: Vec::new(), answer, answered, _permit: permit });
        let asked = Asked(Arc::clone(&batch));
        let task = runtime.spawn(async move {
            let _asked = asked;
            panic!("on purpose");
        });
        assert!(runtime.block_on(task).unwrap_err().is_panic());
        assert_eq!(batch.wait().unwrap_err().kind(), ErrorKind::Internal);
    }

    #[test]
    fn all_who_wait_hear_the_same_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let permit = runtime.block_on(Arc::new(tokio::sync::Semaphore::new(1)).acquire_owned()).unwrap();
        let cause = std::io::Error::from_raw_os_error(5);
        let error = Error::new(ErrorKind::NotFound, "a pack is missing")
            .with_remedy(Remedy::ResolveAgain)
            .with_source(Error::io("cannot read it", cause));
        let (answer, answered) = (Mutex::new(Answer::Failed(error)), Condvar::new());
        let batch = Batch { ranges: Vec::new(), answer, answered, _permit: permit };
        let told = [batch.wait(), batch.wait(), batch.wait()].map(|waited| {
            let error = waited.unwrap_err();
            (error.kind(), error.remedy(), error.with_causes())
        });
        assert_eq!((told[0].0, told[0].1), (ErrorKind::NotFound, Some(Remedy::ResolveAgain)));
        assert!(told[0].2.starts_with("a pack is missing: cannot read it: "));
        assert!(told.iter().all(|other| *other == told[0]));
    }
}
