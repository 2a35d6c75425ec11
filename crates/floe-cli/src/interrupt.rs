//! Being interrupted: the first Ctrl-C asks the command to stop, the second ends the process. So do SIGTERM and SIGHUP,
//! the latter unless whoever started the command wants it to outlive the terminal (`nohup`).
//!
//! Signals are awaited on a thread of their own, so that no work in the runtime delays the second one. A command that
//! takes the [`CancellationToken`] is waited for, since it has leases to end or staging to remove; any other is
//! dropped where it stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// How long a command may take to clean up behind itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it may take a command to see that it was interrupted.
const MOMENT: Duration = Duration::from_millis(500);

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
    heeded: AtomicBool,
}

impl Interrupts {
    /// Begins to watch for interrupts.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let interrupts = Self::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|e| Failure::io("cannot watch for signals", e))?;
        // A file that would pass the limit of its size (ulimit -f) is an error, which leaves time to clean up.
        let entered = runtime.enter();
        let _ = signal(SignalKind::from_raw(libc::SIGXFSZ));
        drop(entered);
        let watched = interrupts.clone();
        let watch = move || runtime.block_on(watched.listen());
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(watch)
            .map_err(|e| Failure::io("cannot watch for signals", e))?;
        Ok(interrupts)
    }

    async fn listen(&self) {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            // Then signals do what they do by default: they end the process.
            return;
        };
        let mut hang_up = if is_ignored(SIGHUP) { None } else { signal(SignalKind::hangup()).ok() };
        loop {
            let hung_up = async {
                match &mut hang_up {
                    Some(hang_up) => hang_up.recv().await,
                    None => std::future::pending().await,
                }
            };
            let came = tokio::select! {
                _ = interrupt.recv() => SIGINT,
                _ = terminate.recv() => SIGTERM,
                _ = hung_up => SIGHUP,
            };
            if self.inner.signal.swap(came, Ordering::SeqCst) != 0 {
                exit_at_once(came);
            }
            self.inner.cancel.cancel();
        }
    }

    /// The token of a command that cleans up behind itself when it is cancelled.
    pub(crate) fn heed(&self) -> CancellationToken {
        self.inner.heeded.store(true, Ordering::SeqCst);
        self.token()
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
        if !self.inner.heeded.load(Ordering::SeqCst) {
            return Failure::interrupted();
        }
        tokio::time::sleep(PATIENCE).await;
        Failure::interrupted_uncleaned()
    }

    /// Waits for an interrupt after which the command, and whoever waits in it for [`Self::unheeded`], does not get to run: a
    /// write to a pipe that nobody reads holds the thread.
    pub(crate) async fn overdue(&self) -> Failure {
        let failure = self.unheeded().await;
        tokio::time::sleep(MOMENT).await;
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

#[expect(clippy::exit, clippy::disallowed_methods, reason = "whoever asks twice wants no cleaning up")]
fn exit_at_once(signal: u8) -> ! {
    std::process::exit(128 + i32::from(signal))
}
