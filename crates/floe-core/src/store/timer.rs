//! Waiting and jitter, handed in so that a simulation can own them.

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;

/// Lets wrappers of stores wait.
#[async_trait]
pub trait Timer: fmt::Debug + Send + Sync + 'static {
    /// The time since some moment that never changes.
    fn elapsed(&self) -> Duration;

    /// Waits.
    async fn sleep(&self, time: Duration);

    /// A random number from 0 to 1.
    fn jitter(&self) -> f64;
}

/// The runtime's timer.
#[derive(Clone, Copy, Debug)]
pub struct SystemTimer {
    start: Instant,
}

impl Default for SystemTimer {
    #[expect(clippy::disallowed_methods, reason = "this is what is handed in")]
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

#[async_trait]
impl Timer for SystemTimer {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    #[expect(clippy::disallowed_methods, reason = "this is what is handed in")]
    fn jitter(&self) -> f64 {
        rand::random()
    }
}
