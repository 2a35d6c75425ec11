//! Tests of the formats through the crate's public face.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets what it does not expect fails"
)]

mod example;
mod golden;
mod lists;
mod python_reader;
mod reference;
mod segment;
mod snapshot;
mod stored;
mod streaming;
mod trees;
