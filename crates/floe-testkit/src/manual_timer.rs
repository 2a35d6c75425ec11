//! A timer that a test winds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use floe_core::store::Timer;

/// A timer on which sleeping takes no time: it moves the clock and is written down.
///
/// Sleeps of at least `patience` never end, so that deadlines longer than that never pass.
#[derive(Debug)]
pub struct ManualTimer {
    patience: Duration,
    jitter: f64,
    slept: Mutex<Vec<Duration>>,
}

impl ManualTimer {
    /// A timer with this patience and always this jitter.
    pub fn new(patience: Duration, jitter: f64) -> Self {
        Self { patience, jitter, slept: Mutex::new(Vec::new()) }
    }

    /// All sleeps that ended, in order.
    pub fn slept(&self) -> Vec<Duration> {
        self.slept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Timer for ManualTimer {
    fn elapsed(&self) -> Duration {
        self.slept().iter().sum()
    }

    async fn sleep(&self, time: Duration) {
        if time >= self.patience {
            std::future::pending::<()>().await;
        }
        self.slept.lock().unwrap_or_else(PoisonError::into_inner).push(time);
    }

    fn jitter(&self) -> f64 {
        self.jitter
    }
}
