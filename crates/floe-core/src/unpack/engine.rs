//! Threads that unpack what a planner wants.

use std::sync::{Arc, Mutex, PoisonError};

use floe_format::EntryRef;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::namespace::Namespace;
use crate::offload::{Offloaded, OnPanic, cancelled, spawn};
use crate::{Error, ErrorKind, Result};

use super::big_file::{BigFile, WaitingBytes};
use super::canonical::Comparer;
use super::frames::FrameReader;
use super::planner::{Planner, Wants};
use super::unit::Unit;

/// How many units may wait for a worker.
const QUEUED_UNITS: usize = 512;

/// What a worker does with what it unpacked. Each thread has one of its own.
pub(crate) trait Output<'t> {
    /// What is left when all is unpacked.
    type Done: Send;

    /// An entry whose headers were compared, with its whole content, whose hash was right. Not for files in several
    /// frames.
    fn whole(&mut self, ordinal: u64, entry: &EntryRef<'_>, content: &[u8]) -> Result<()>;

    /// A part of the content of a file in several frames.
    fn part(&mut self, file: &Arc<BigFile<'t>>, offset: u64, bytes: &[u8]) -> Result<()>;

    /// All of a file in several frames was compared, and its hash was right.
    fn complete(&mut self, file: &Arc<BigFile<'t>>) -> Result<()>;

    /// All of a unit was compared; `plain` are the plain bytes of its frames, if they are [kept](Self::keeps_plain).
    fn unit(&mut self, _unit: &Unit<'t>, _plain: &[Vec<u8>], _stop: &Stop) -> Result<()> {
        Ok(())
    }

    /// Whether [`unit`](Self::unit) wants the frames' plain bytes.
    fn keeps_plain(&self) -> bool {
        false
    }

    /// Whether every frame is checked against its id, even one whose bytes all follow from the segment.
    fn checks_ids(&self) -> bool {
        true
    }

    /// An error of a unit; by default everything stops.
    fn failed(&mut self, _unit: &Unit<'t>, error: Error) -> Result<()> {
        Err(error)
    }

    /// No more units come.
    fn done(self) -> Self::Done;
}

/// Makes all threads of a run stop, and keeps the reason.
#[derive(Debug)]
pub(crate) struct Stop {
    work: Offloaded,
    first: Mutex<Option<Error>>,
}

impl Stop {
    pub(crate) fn new(work: &Offloaded) -> Self {
        // Cancelled alone when something fails; with the caller's otherwise.
        let work = Offloaded { runtime: work.runtime.clone(), cancel: work.cancel.child_token() };
        Self { work, first: Mutex::new(None) }
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.work.runtime
    }

    pub(crate) fn token(&self) -> CancellationToken {
        self.work.cancel.clone()
    }

    /// An error when everything stops.
    pub(crate) fn check(&self) -> Result<()> {
        self.work.check()
    }

    /// Waits for a request.
    pub(crate) fn wait<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        self.work.wait(request)
    }

    /// Stops everything because of an error; the first is the one that counts.
    pub(crate) fn fail(&self, error: Error) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        // What follows a stop is no reason of it.
        if first.is_none() && !(error.kind() == ErrorKind::Cancelled && self.work.cancel.is_cancelled()) {
            *first = Some(error);
        }
        drop(first);
        self.work.cancel.cancel();
    }

    fn into_result(self) -> Result<()> {
        match self.first.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None if self.work.cancel.is_cancelled() => Err(cancelled()),
            None => Ok(()),
        }
    }
}

/// Unpacks what `plan` wants, on the calling thread the planning and on `threads` others the rest. Each of those makes
/// an output of its own.
///
/// # Errors
/// The first error of any thread.
pub(crate) fn run<'t, O: Output<'t>, P>(
    work: &Offloaded,
    namespace: &Namespace,
    threads: usize,
    plan: impl FnOnce(&mut Planner<'_, 't>) -> Result<P>,
    output: impl Fn() -> O + Sync,
) -> Result<(P, Vec<O::Done>)> {
    let stop = Stop::new(work);
    let waiting = WaitingBytes::default();
    let (sender, receiver) = crossbeam_channel::bounded::<Unit<'t>>(QUEUED_UNITS);
    let (planned, done) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            .filter_map(|_| {
                let (receiver, stop, waiting, output) = (receiver.clone(), &stop, &waiting, &output);
                spawn(scope, move || {
                    let _watch = OnPanic::new(|| {
                        stop.fail(Error::new(ErrorKind::Internal, "a thread that unpacks panicked"));
                    });
                    let mut output = output();
                    let reader = FrameReader::new(namespace, output.keeps_plain(), output.checks_ids());
                    let mut comparer = Comparer::new(reader, stop, waiting);
                    for unit in receiver {
                        // What is left is taken and dropped, so that the planner does not wait for room.
                        if stop.check().is_err() {
                            continue;
                        }
                        let unpacked = comparer
                            .unpack(&unit, &mut output)
                            .and_then(|()| output.unit(&unit, comparer.reader.kept(), stop));
                        let unpacked = unpacked.or_else(|error| match error.kind() {
                            ErrorKind::Cancelled => Err(error),
                            _ => {
                                unit.abandon(waiting);
                                output.failed(&unit, error)
                            }
                        });
                        if let Err(error) = unpacked {
                            stop.fail(error);
                        }
                    }
                    output.done()
                })
                .map_err(|error| stop.fail(error))
                .ok()
            })
            .collect();
        drop(receiver);
        let mut planner =
            Planner::new(namespace, &stop, Wants::new(sender, namespace.store().read_ahead_bytes()));
        let planned = plan(&mut planner).and_then(|planned| planner.finish().map(|()| planned));
        let planned = match planned {
            Ok(planned) => Some(planned),
            Err(error) => {
                stop.fail(error);
                None
            }
        };
        let done: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        (planned, done)
    });
    let mut outputs = Vec::with_capacity(done.len());
    for done in done {
        match done {
            Ok(done) => outputs.push(done),
            Err(_) => stop.fail(Error::new(ErrorKind::Internal, "a thread that unpacks panicked")),
        }
    }
    stop.into_result()?;
    let planned = planned.ok_or_else(cancelled)?;
    Ok((planned, outputs))
}
