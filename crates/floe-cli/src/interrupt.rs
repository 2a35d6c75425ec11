//! Being interrupted: the first Ctrl-C asks the command to stop, the second ends the process.
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
        loop {
            let came = tokio::select! {
                _ = interrupt.recv() => SIGINT,
                _ = terminate.recv() => SIGTERM,
            };
            if self.inner.signal.swap(came, Ordering::SeqCst) != 0 {
                exit_at_once(came);
            }
            self.inner.cancel.cancel();
        }
    }

    /// The token of a command that stops by itself when it is cancelled.
    pub(crate) fn heed(&self) -> CancellationToken {
        self.inner.heeded.store(true, Ordering::SeqCst);
        self.inner.cancel.clone()
    }

    /// The signal that came, if one did.
    pub(crate) fn signal(&self) -> Option<u8> {
        Some(self.inner.signal.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// Waits for an interrupt that the command does not heed, or not in time.
    pub(crate) async fn unheeded(&self) {
        self.inner.cancel.cancelled().await;
        if self.inner.heeded.load(Ordering::SeqCst) {
            tokio::time::sleep(PATIENCE).await;
        }
    }
}

#[expect(clippy::exit, clippy::disallowed_methods, reason = "whoever asks twice wants no cleaning up")]
fn exit_at_once(signal: u8) -> ! {
    std::process::exit(128 + i32::from(signal))
}
