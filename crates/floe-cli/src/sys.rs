//! The calls of the program that are not safe Rust.
#![allow(unsafe_code)]

/// From this size on, memory is a mapping of its own, which goes back to the system when it is freed.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES: i32 = 1 << 20;

/// Keeps large buffers apart from small pieces. By itself glibc raises the size from which it does so up to 32 MiB, as
/// soon as something so large is freed; then parts of uploads and small pieces alternate in its heaps, which only ever
/// grow: a push of 5 GB took 90 MB for 50 MB of buffers.
pub(crate) fn keep_large_buffers_apart() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes two numbers and touches nothing but the allocator's own state, under its lock.
    // WHY: no crate that is used here has a safe form, and the environment variable that says the same is read before `main`.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
    }
}

/// Ends the process where it stands.
pub(crate) fn exit_at_once(code: i32) -> ! {
    // SAFETY: the call takes a number and does not return.
    // WHY: `std::process::exit` flushes standard output, and may wait for the thread that a write to it holds.
    unsafe { libc::_exit(code) }
}
