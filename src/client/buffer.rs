//! Large buffers that are used again: pages come and go by the megabyte, and what an allocator keeps between two of them
//! is as much again as they are.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Smaller ones are left to the allocator, and larger ones are multiples of it.
const STEP: usize = 64 << 10;
/// What is kept for the next pages.
const MAX_KEPT_BYTES: usize = 3 << 20;

/// Buffers that wait for a use.
static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Bytes, whose memory is used again when this is dropped.
#[derive(Debug, Default)]
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// An empty one with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        if bytes < STEP {
            return Self(Vec::with_capacity(bytes));
        }
        let mut kept = kept();
        // The smallest that is large enough and not far too large.
        let fits = |buffer: &Vec<u8>| (bytes..=2 * bytes + STEP).contains(&buffer.capacity());
        let fitting = kept.iter().enumerate().filter(|(_, buffer)| fits(buffer));
        let found = fitting.min_by_key(|(_, buffer)| buffer.capacity()).map(|(index, _)| index);
        match found {
            Some(index) => Self(kept.swap_remove(index)),
            None => {
                drop(kept);
                Self(Vec::with_capacity(bytes.next_multiple_of(STEP)))
            }
        }
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.0.capacity() < STEP {
            return;
        }
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        let mut kept = kept();
        let bytes: usize = kept.iter().map(Vec::capacity).sum();
        if bytes + buffer.capacity() <= MAX_KEPT_BYTES {
            kept.push(buffer);
        }
    }
}

fn kept() -> MutexGuard<'static, Vec<Vec<u8>>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_empty_and_large_enough_and_what_is_kept_is_bounded() {
        let sizes = [1, STEP - 1, STEP, STEP + 1, 3 * STEP, 1 << 20, 20 << 20];
        for _ in 0..3 {
            let mut held: Vec<Buffer> = sizes.iter().map(|size| Buffer::with_capacity(*size)).collect();
            for (buffer, size) in held.iter_mut().zip(sizes) {
                assert!(buffer.is_empty() && buffer.capacity() >= size);
                buffer.extend_from_slice(b"left behind");
            }
        }
        assert!(kept().iter().map(Vec::capacity).sum::<usize>() <= MAX_KEPT_BYTES);
    }
}
