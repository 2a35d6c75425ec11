//! Tests of the formats through the crate's public face.

mod lists;
mod reference;
mod segment;
mod snapshot;
mod streaming;
mod trees;
