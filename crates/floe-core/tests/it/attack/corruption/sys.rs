//! The system's allocator, which remembers the most that was asked of it at once.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

#[global_allocator]
static ALLOCATOR: Remembering = Remembering { largest_bytes: AtomicUsize::new(0) };

struct Remembering {
    largest_bytes: AtomicUsize,
}

impl Remembering {
    fn asked(&self, bytes: usize) {
        // Written seldom: all threads of all tests come by here.
        if bytes > self.largest_bytes.load(Ordering::Relaxed) {
            self.largest_bytes.fetch_max(bytes, Ordering::Relaxed);
        }
    }
}

/// The most bytes that this process asked for at once since this was last asked.
pub(super) fn largest_allocation() -> usize {
    ALLOCATOR.largest_bytes.swap(0, Ordering::Relaxed)
}

// SAFETY: each call is handed on as it is, and what is done besides neither allocates nor panics.
// WHY: nothing but an allocator sees what is asked for and never touched, nor who asks is to be changed for a test.
unsafe impl GlobalAlloc for Remembering {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.asked(layout.size());
        // SAFETY: what the caller promises of `layout` holds here, too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.asked(layout.size());
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        self.asked(bytes);
        // SAFETY: `pointer` came from `System`, since everything here does; the rest the caller promises.
        unsafe { System.realloc(pointer, layout, bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
