//! Waiting for what another thread or process does.

use std::time::{Duration, Instant};

/// After this nobody waits any longer.
const MOST: Duration = Duration::from_secs(60);

/// Waits until something is so, which it asks again and again.
///
/// # Panics
/// After a minute.
#[expect(clippy::disallowed_methods, reason = "a test that never ends tells nothing")]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + MOST;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited for a minute until {what}");
        std::thread::yield_now();
    }
}
