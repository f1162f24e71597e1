//! Memory that forgets: an allocator that wipes small blocks when they are freed, and a wipe of the stack below a call.
//!
//! Passwords pass through code that doesn't wipe: HTTP buffers, TLS records, an SMB client's strings. What such code
//! frees lies readable in the heap until it is used again, and what ciphers spill lies on the stack of a thread that may
//! sleep for hours. A program that handles other people's passwords sets the allocator for all of it.
//! Large blocks are contents of files and are left alone: wiping them costs a tenth of a transfer's speed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::{Ordering, compiler_fence};
use std::task::{Context, Poll};

/// Longest block that is wiped. Header buffers, TLS records (16 KiB) and forms are shorter.
const WIPED_BYTES: usize = 72 << 10;

/// The system's allocator, with small blocks wiped before it gets them back. For `#[global_allocator]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct WipingAllocator;

// SAFETY: every block comes from and goes to `System` with the layout it was asked for with; between a caller's giving a
// block up and `System`'s getting it back, its bytes are written, which the caller has promised not to look at any more.
#[allow(unsafe_code, reason = "an allocator is an unsafe trait; this is the room for it")]
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s promises, which are `System`'s too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() <= WIPED_BYTES {
            // SAFETY: `block` is valid for `layout.size()` bytes, by the caller's promise, and nobody else uses it.
            unsafe { wipe(block, layout.size()) };
        }
        // SAFETY: the caller keeps `GlobalAlloc::dealloc`'s promises, which are `System`'s too.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.size() > WIPED_BYTES {
            // SAFETY: the caller keeps `GlobalAlloc::realloc`'s promises, which are `System`'s too.
            return unsafe { System.realloc(block, layout, new_size) };
        }
        // SAFETY: the caller promises that `new_size` is not zero and fits a layout of this alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the layout has a size, by the caller's promise.
        let new_block = unsafe { System.alloc(new_layout) };
        if !new_block.is_null() {
            // SAFETY: both blocks are valid for the shorter of the sizes, and a new block overlaps no other.
            unsafe { std::ptr::copy_nonoverlapping(block, new_block, layout.size().min(new_size)) };
            // SAFETY: the caller has given the old block up, since a new one is returned.
            unsafe { self.dealloc(block, layout) };
        }
        new_block
    }
}

/// Writes zeros that no optimiser takes for useless.
///
/// # Safety
/// `block` is valid for writes of `length` bytes.
#[allow(unsafe_code, reason = "writes through a pointer the allocator is given")]
unsafe fn wipe(block: *mut u8, length: usize) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::write_bytes(block, 0, length) };
    // The block's address escapes, so its contents count as looked at.
    black_box(block);
    compiler_fence(Ordering::SeqCst);
}

/// Overwrites what the calls before left on the stack below the caller, 16 KiB of it.
#[inline(never)]
pub fn wipe_stack() {
    let mut area = [0_u8; 16 << 10];
    black_box(&mut area);
    compiler_fence(Ordering::SeqCst);
}

/// A future that wipes the stack after each step of another: steps may run on different threads, and each leaves its
/// traces on the thread that ran it.
#[derive(Debug)]
pub struct WipingStack<F>(Pin<Box<F>>);

impl<F: Future> WipingStack<F> {
    pub fn around(future: F) -> Self {
        Self(Box::pin(future))
    }
}

impl<F: Future> Future for WipingStack<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let result = self.0.as_mut().poll(context);
        wipe_stack();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: WipingAllocator = WipingAllocator;

    #[test]
    fn blocks_grow_shrink_and_go_as_with_any_allocator() {
        for length in [1, 100, 5_000, WIPED_BYTES - 1, WIPED_BYTES + 1, 1 << 20] {
            let mut bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).expect("small")).collect();
            bytes.reserve_exact(length * 3);
            bytes.shrink_to_fit();
            assert!(bytes.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251), "{length}");
        }
        assert!(vec![0_u8; 4096].iter().all(|byte| *byte == 0));
    }
}
