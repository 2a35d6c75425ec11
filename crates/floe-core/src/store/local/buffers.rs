//! Buffers that are used again: the kernel need not find and clear new pages for each range that is read.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Shorter ones are not worth it.
const MIN_BYTES: usize = 256 << 10;
/// How many are kept.
const MAX_KEPT: usize = 16;
/// Longer ones are not kept.
const MAX_BYTES: usize = 8 << 20;

/// Buffers that are free.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A buffer, which comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    length: usize,
    buffers: Buffers,
}

impl Buffers {
    /// A buffer of that length, with whatever is in it.
    pub(super) fn take(&self, length: usize) -> Buffer {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let at = free.iter().position(|bytes| bytes.len() >= length).filter(|_| length >= MIN_BYTES);
        let bytes = at.map(|at| free.swap_remove(at));
        drop(free);
        Buffer {
            bytes: bytes.unwrap_or_else(|| vec![0; length.next_multiple_of(MIN_BYTES)]),
            length,
            buffers: self.clone(),
        }
    }
}

impl Buffer {
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    pub(super) fn into_bytes(mut self) -> Bytes {
        if self.bytes.len() < MIN_BYTES {
            return Bytes::from(std::mem::take(&mut self.bytes));
        }
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !(MIN_BYTES..=MAX_BYTES).contains(&self.bytes.len()) {
            return;
        }
        let mut free = self.buffers.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(std::mem::take(&mut self.bytes));
        if free.len() > MAX_KEPT
            && let Some((shortest, _)) = free.iter().enumerate().min_by_key(|(_, bytes)| bytes.len())
        {
            free.swap_remove(shortest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_when_nobody_has_it_any_more() {
        let buffers = Buffers::default();
        let mut first = buffers.take(MIN_BYTES + 10);
        first.as_mut().fill(1);
        let first = first.into_bytes();
        let part = first.slice(5..15);
        drop(first);
        let mut second = buffers.take(MIN_BYTES);
        second.as_mut().fill(2);
        assert_eq!(part, [1; 10][..], "a part of it is still held");
        drop((part, second));
        let third = buffers.take(MIN_BYTES).into_bytes();
        assert_eq!(third.len(), MIN_BYTES);
        assert_eq!(buffers.free.lock().unwrap().len(), 1);
        assert_eq!(buffers.take(10).into_bytes(), [0; 10][..], "a short one is new");
        drop((third, buffers.take(MAX_BYTES + 1)));
        assert!(buffers.free.lock().unwrap().iter().all(|bytes| bytes.len() <= MAX_BYTES));
    }
}
