//! Tests of the formats through the crate's public face.

mod segment;
mod trees;
