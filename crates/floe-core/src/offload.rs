//! Blocking work with threads of its own, awaited.
//!
//! The one place where reading leaves the runtime. What reads a snapshot (pull, verify, archive, diff, cat), measures a
//! source, or reads for a push the tar or what it is likely to be pushed against, runs on a thread made for it (a
//! destination's worker changes its thread's umask), and starts the store's requests on the runtime from there.

use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Error, ErrorKind, Result};

const NO_THREAD: &str = "cannot start a thread";

/// What blocking work is given.
#[derive(Clone, Debug)]
pub(crate) struct Offloaded {
    /// The runtime to start requests on.
    pub(crate) runtime: Handle,
    /// Cancelled when the caller asks to stop, or no longer waits.
    pub(crate) cancel: CancellationToken,
}

impl Offloaded {
    /// An error when the work is to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(cancelled()) } else { Ok(()) }
    }

    /// Waits for a request.
    pub(crate) fn wait<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(cancelled()),
                answer = request => answer,
            }
        })
    }
}

/// The longest that nobody hears of being asked to stop while they pause.
const STEP: Duration = Duration::from_millis(10);

/// Lets time pass, on a thread that may block, unless it is asked to stop.
///
/// # Errors
/// Cancelled.
pub(crate) fn pause(cancel: &CancellationToken, time: Duration) -> Result<()> {
    let mut left = time;
    while !left.is_zero() && !cancel.is_cancelled() {
        let step = left.min(STEP);
        rest(step);
        left -= step;
    }
    if cancel.is_cancelled() { Err(cancelled()) } else { Ok(()) }
}

/// Lets a moment pass, on a thread that may block: too short a one for anybody to be asked to stop in it.
#[expect(clippy::disallowed_methods, reason = "here a thread waits for what tells nothing when it happens")]
pub(crate) fn rest(moment: Duration) {
    std::thread::sleep(moment);
}

/// Starts a thread that ends within `scope`.
///
/// # Errors
/// There may be no more threads.
pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    std::thread::Builder::new().spawn_scoped(scope, work).map_err(|e| Error::io(NO_THREAD, e))
}

/// Does something when the thread that holds it panics: others may wait for what it was to do.
pub(crate) struct OnPanic<F: Fn()>(F);

impl<F: Fn()> OnPanic<F> {
    pub(crate) fn new(then: F) -> Self {
        Self(then)
    }
}

impl<F: Fn()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0();
        }
    }
}

/// The error of work that was asked to stop.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "interrupted")
}

/// Waits for something, the store above all, which may be slow, only as long as that is wanted.
pub(crate) async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    waited_for: impl Future<Output = T>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(cancelled()),
        done = waited_for => Ok(done),
    }
}

/// Runs `work` on a thread of its own. It is told to stop when the caller's token is cancelled, and when the future
/// is dropped; then it may go on a moment longer.
pub(crate) async fn offload<T: Send + 'static>(
    name: &str,
    cancel: &CancellationToken,
    work: impl FnOnce(Offloaded) -> Result<T> + Send + 'static,
) -> Result<T> {
    let cancel = cancel.child_token();
    let offloaded = Offloaded { runtime: Handle::current(), cancel: cancel.clone() };
    let _guard: DropGuard = cancel.drop_guard();
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name(format!("floe-{name}"))
        .spawn(move || {
            // Nobody waits any more when this fails.
            let _ = sender.send(work(offloaded));
        })
        .map_err(|e| Error::io(NO_THREAD, e))?;
    receiver.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, format!("the {name} panicked"))))
}

/// How many things told wait for whoever is told of them.
const QUEUED: usize = 256;

/// Tells of things on the way, to whoever waits for the work.
#[derive(Debug)]
pub(crate) struct Teller<C>(mpsc::Sender<C>);

impl<C> Clone for Teller<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> Teller<C> {
    /// Tells of one.
    ///
    /// # Errors
    /// Cancelled: nobody waits any more.
    pub(crate) fn tell(&self, one: C) -> Result<()> {
        self.0.blocking_send(one).map_err(|_| cancelled())
    }
}

/// Runs `work` as [`offload`] does; what it tells on its way `each` is shown, where the future is awaited. When `each` fails
/// the work stops, and its error is the answer.
pub(crate) async fn offload_telling<T: Send + 'static, C: Send + 'static>(
    name: &str,
    cancel: &CancellationToken,
    work: impl FnOnce(Offloaded, Teller<C>) -> Result<T> + Send + 'static,
    each: &mut (dyn FnMut(C) -> Result<()> + Send),
) -> Result<T> {
    let (sender, mut told) = mpsc::channel(QUEUED);
    let mut work = std::pin::pin!(offload(name, cancel, move |offloaded| work(offloaded, Teller(sender))));
    let mut outcome = None;
    loop {
        tokio::select! {
            one = told.recv() => match one {
                Some(one) => each(one)?,
                None => break,
            },
            done = &mut work, if outcome.is_none() => outcome = Some(done),
        }
    }
    match outcome {
        Some(outcome) => outcome,
        None => work.await,
    }
}

/// How many threads work is spread over when nobody says.
pub(crate) fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get()).clamp(2, 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_that_is_told_comes_before_the_answer() {
        let mut told = Vec::new();
        let work = |_: Offloaded, teller: Teller<usize>| {
            (0..10 * QUEUED).try_for_each(|number| teller.tell(number))?;
            Ok("done")
        };
        let mut each = |number| {
            told.push(number);
            Ok(())
        };
        let done = offload_telling("telling", &CancellationToken::new(), work, &mut each).await;
        assert_eq!(done.unwrap(), "done");
        assert_eq!(told, (0..10 * QUEUED).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn whoever_will_not_be_told_ends_the_work() {
        let (ended, end) = oneshot::channel();
        let work = move |offloaded: Offloaded, teller: Teller<usize>| -> Result<()> {
            let stopped = (0..).try_for_each(|number| teller.tell(number));
            ended.send((stopped.unwrap_err().kind(), offloaded.cancel.is_cancelled())).unwrap();
            Ok(())
        };
        let mut each = |number| match number {
            3 => Err(Error::new(ErrorKind::Invalid, "no more")),
            _ => Ok(()),
        };
        let done = offload_telling("telling", &CancellationToken::new(), work, &mut each).await;
        assert_eq!(done.unwrap_err().to_string(), "no more");
        assert_eq!(end.await.unwrap(), (ErrorKind::Cancelled, true));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_after_what_was_told() {
        let mut told = 0;
        let work = |_: Offloaded, teller: Teller<()>| -> Result<()> {
            teller.tell(())?;
            panic!("on purpose");
        };
        let mut each = |()| {
            told += 1;
            Ok(())
        };
        let done = offload_telling("telling", &CancellationToken::new(), work, &mut each).await;
        assert_eq!((done.unwrap_err().kind(), told), (ErrorKind::Internal, 1));
    }
}
