//! The integration tests of `floe-core`, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a test may panic, and tells what it met"
)]

mod attack;
mod golden;
mod protocol_model;
mod push;
mod reading;
mod ref_writes;
mod remote_trees;
mod store;
