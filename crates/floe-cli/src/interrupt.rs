//! Being interrupted: the first Ctrl-C asks the command to stop, the second ends the process. So do SIGTERM and SIGHUP,
//! the latter unless whoever started the command wants it to outlive the terminal (`nohup`).
//!
//! A command that has leases to end or staging to remove says so for as long as it has ([`Heeding`]), and is waited for. Any
//! other is dropped where it stands, or left to itself where its thread is held by a write to a pipe that nobody reads.
//!
//! Signals are awaited on a thread of their own, so that no work in the runtime delays the second one. Where not even the
//! failure can be told, that thread ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::sys::exit_at_once;

/// How long a command may take to clean up behind itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it may take a command to see that it was interrupted.
const MOMENT: Duration = Duration::from_millis(500);

/// How long it may take to tell of it.
const TELLING: Duration = Duration::from_secs(2);

const SIGHUP: u8 = 1;
const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// Tells whether the process was interrupted; clones tell the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupts {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The first signal that came, 0 for none.
    signal: AtomicU8,
    cancel: CancellationToken,
    /// How many clean up behind themselves.
    heeding: watch::Sender<usize>,
}

/// As long as one lives, an interrupt is waited out, for at most [`PATIENCE`].
#[derive(Debug)]
pub(crate) struct Heeding {
    interrupts: Interrupts,
}

impl Drop for Heeding {
    fn drop(&mut self) {
        self.interrupts.inner.heeding.send_modify(|count| *count -= 1);
    }
}

/// The signals that interrupt.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

impl Signals {
    /// None where they cannot be watched; then they do what they do by default, and end the process.
    fn new() -> Option<Self> {
        let interrupt = signal(SignalKind::interrupt()).ok()?;
        let terminate = signal(SignalKind::terminate()).ok()?;
        let hang_up = if is_ignored(SIGHUP) { None } else { signal(SignalKind::hangup()).ok() };
        Some(Self { interrupt, terminate, hang_up })
    }

    async fn next(&mut self) -> u8 {
        let hung_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => SIGINT,
            _ = self.terminate.recv() => SIGTERM,
            _ = hung_up => SIGHUP,
        }
    }
}

impl Interrupts {
    /// Begins to watch for interrupts.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let interrupts = Self::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Failure::io("cannot watch for signals", e))?;
        // A file that would pass the limit of its size (ulimit -f) is an error, which leaves time to clean up.
        let entered = runtime.enter();
        let _ = signal(SignalKind::from_raw(libc::SIGXFSZ));
        // Before anything is begun that is to be cleaned up.
        let signals = Signals::new();
        drop(entered);
        let watched = interrupts.clone();
        let watch = move || runtime.block_on(watched.listen(signals));
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(watch)
            .map_err(|e| Failure::io("cannot watch for signals", e))?;
        Ok(interrupts)
    }

    async fn listen(&self, signals: Option<Signals>) {
        let Some(mut signals) = signals else { return };
        let came = signals.next().await;
        self.inner.signal.store(came, Ordering::SeqCst);
        self.inner.cancel.cancel();
        let untold = async {
            self.overdue().await;
            tokio::time::sleep(TELLING).await;
        };
        let by = tokio::select! {
            // Whoever asks twice wants no cleaning up.
            again = signals.next() => again,
            () = untold => came,
        };
        exit_at_once(128 + i32::from(by));
    }

    /// Says that the command cleans up behind itself when the [token](Self::token) is cancelled.
    pub(crate) fn heed(&self) -> Heeding {
        self.inner.heeding.send_modify(|count| *count += 1);
        Heeding { interrupts: self.clone() }
    }

    /// What is cancelled by an interrupt.
    pub(crate) fn token(&self) -> CancellationToken {
        self.inner.cancel.clone()
    }

    /// The signal that came, if one did.
    pub(crate) fn signal(&self) -> Option<u8> {
        Some(self.inner.signal.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// Waits for an interrupt that the command does not heed, or not in time; the failure that it then is.
    pub(crate) async fn unheeded(&self) -> Failure {
        self.inner.cancel.cancelled().await;
        let mut heeding = self.inner.heeding.subscribe();
        match tokio::time::timeout(PATIENCE, heeding.wait_for(|count| *count == 0)).await {
            Ok(_) => Failure::interrupted(),
            Err(_) => Failure::interrupted_uncleaned(),
        }
    }

    /// Waits for an interrupt after which the command, and whoever waits in it for [`Self::unheeded`], does not get to run: a
    /// write to a pipe that nobody reads holds the thread.
    pub(crate) async fn overdue(&self) -> Failure {
        self.inner.cancel.cancelled().await;
        // It may be about to heed it.
        tokio::time::sleep(MOMENT).await;
        let is_heeded = *self.inner.heeding.borrow() > 0;
        let failure = self.unheeded().await;
        if is_heeded {
            // It may be about to tell of what it did.
            tokio::time::sleep(MOMENT).await;
        }
        failure
    }
}

/// Whether the process was started with this signal ignored.
fn is_ignored(signal: u8) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    ignored >> (signal - 1) & 1 == 1
}
