//! The command line as its users meet it: a process, its output, its exit code.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod advice;
mod attack;
mod configuration;
mod damaged;
mod environment;
mod errors;
mod foreseen;
mod groups;
mod json_keys;
mod left_out;
mod memory;
mod moved;
mod open_files;
mod output;
mod process;
mod pull;
mod push;
mod reading;
mod reference;
mod report;
mod s3;
mod servers;
mod stock_tools;
mod stopped;
