//! Fixtures and stores for the tests of Floe.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a test may panic"
)]

pub mod conformance;
pub mod copy_tree;
pub mod fault;
pub mod heedless;
pub mod manual_timer;
pub mod memory;
pub mod recording;
pub mod s3;
pub mod settled;
pub mod skip;
pub mod wait;

pub use copy_tree::copy_tree;
pub use fault::{Fault, FaultStore};
pub use heedless::{HeedlessStore, Ignored};
pub use manual_timer::ManualTimer;
pub use memory::MemoryStore;
pub use recording::{Operation, RecordingStore, Request};
pub use s3::{Asked, CannedServer, Gate, S3Server};
pub use settled::wait_until_trusted;
pub use skip::skip;
pub use wait::wait_until;

/// Lengths at which code that cuts at `boundary` goes wrong first: nothing, one, around the boundary, and many.
pub fn interesting_sizes(boundary: usize) -> Vec<usize> {
    let mut sizes =
        vec![0, 1, boundary.saturating_sub(1), boundary, boundary + 1, 2 * boundary, 3 * boundary + 7];
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Bytes that repeat with no short period and differ by seed.
pub fn bytes_of(seed: u64, length: usize) -> bytes::Bytes {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}
