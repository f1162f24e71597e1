//! Memory for buffers that is given back to the kernel when they are idle, without changing addresses.

use rustix::mm::{Advice, MapFlags, ProtFlags};
use std::ffi::c_void;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Anonymous memory, zero at first. Only pages that were written take space.
#[derive(Debug)]
pub struct Region {
    start: NonNull<u8>,
    length: usize,
}

impl Region {
    pub fn new(length: usize) -> io::Result<Self> {
        // SAFETY: a new private mapping at an address the kernel chooses overlaps nothing.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )?
        };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("memory mapped at zero"))?;
        Ok(Self { start, length })
    }

    /// Gives the memory back; the content is lost and reads as zero.
    pub fn release(&mut self) {
        // SAFETY: the whole mapping is this value's own, and nothing borrows it (`&mut self`). After it private
        // anonymous memory reads as zero, which is a valid `[u8]`.
        let _kept = unsafe { rustix::mm::madvise(self.address(), self.length, Advice::LinuxDontNeed) };
    }

    fn address(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }
}

impl Deref for Region {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping has `length` readable bytes, lives as long as `self`, and is written only through
        // `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Region {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own and nothing borrows it any more.
        let _leaked = unsafe { rustix::mm::munmap(self.address(), self.length) };
    }
}
