//! Tests that a machine is not fit for.

use std::fmt::Display;
use std::io::Write;

/// Tells that a test, or a part of one, is skipped for what this machine lacks; where `CI` is set, that is a failure.
///
/// # Panics
///
/// Where `CI` is set.
#[track_caller]
pub fn skip(why: impl Display) {
    assert!(std::env::var_os("CI").is_none(), "a test is skipped: {why}");
    // Not by `eprintln!`, of which nobody sees anything where the test passes.
    std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes()).unwrap();
}
