//! Being interrupted: the first Ctrl-C asks the command to stop, the second ends the process.
//!
//! Signals are awaited on a thread of their own, so that no work in the runtime delays the second one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::failure::Failure;

/// How long what was cancelled may take to clean up behind itself.
const PATIENCE: Duration = Duration::from_secs(5);

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// Tells whether the process was interrupted; clones tell the same.
#[derive(Clone, Debug)]
pub(crate) struct Interrupts {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The first signal that came, 0 for none.
    signal: AtomicU8,
    came: Notify,
}

impl Interrupts {
    /// Begins to watch for interrupts.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let interrupts = Self { inner: Arc::default() };
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
            self.inner.came.notify_waiters();
            self.inner.came.notify_one();
        }
    }

    /// Waits for an interrupt.
    pub(crate) async fn interrupted(&self) -> u8 {
        loop {
            let came = self.inner.came.notified();
            let signal = self.inner.signal.load(Ordering::SeqCst);
            if signal != 0 {
                return signal;
            }
            came.await;
        }
    }

    /// How long the process may live on after its command has ended.
    pub(crate) fn patience(&self) -> Duration {
        if self.inner.signal.load(Ordering::SeqCst) == 0 { Duration::ZERO } else { PATIENCE }
    }
}

#[expect(clippy::exit, clippy::disallowed_methods, reason = "whoever asks twice wants no cleaning up")]
fn exit_at_once(signal: u8) -> ! {
    std::process::exit(128 + i32::from(signal))
}
