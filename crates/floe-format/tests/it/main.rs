//! Tests of the formats through the crate's public face.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a test may panic"
)]

mod lists;
mod reference;
mod segment;
mod snapshot;
mod streaming;
mod trees;
