//! `floe`: snapshots of directories in an object store, moving only what changed.
//!
//! The one place of Floe that reads the environment, prints and chooses an exit code. `arguments` says what can be
//! asked, `commands` does it, one file each; a command gets a [`session::Session`] and returns an exit code or a
//! [`failure::Failure`], which [`program`] shows.

mod advice;
mod arguments;
mod commands;
mod configuration;
mod counting;
mod exclusions;
mod failure;
mod interrupt;
mod output;
mod pace;
mod program;
mod progress;
mod quantities;
mod session;
mod settings;
mod sys;
mod tree_path;

fn main() -> std::process::ExitCode {
    sys::keep_large_buffers_apart();
    program::run(std::env::args_os())
}
