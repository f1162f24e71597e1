//! Input on its way from a client to the process: one frame at a time, so that a process that doesn't read makes
//! its clients wait and nobody else.

use super::protocol::FRAME_BYTES;
use haven_sys::region::Region;
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;

pub(super) struct Input {
    frame: Region,
    from: usize,
    to: usize,
    closing: bool,
}

impl Input {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { frame: Region::new(FRAME_BYTES)?, from: 0, to: 0, closing: false })
    }

    /// Where the next frame is received; only while none is pending.
    pub(super) fn frame(&mut self) -> &mut [u8] {
        &mut self.frame
    }

    /// The stream byte of the frame received last.
    pub(super) fn stream(&self) -> u8 {
        self.frame[0]
    }

    /// The frame received, of `length` bytes, is to be written.
    pub(super) fn begin(&mut self, length: usize) {
        (self.from, self.to) = (1, length.min(FRAME_BYTES));
    }

    pub(super) fn is_pending(&self) -> bool {
        self.from < self.to
    }

    pub(super) fn discard(&mut self) {
        (self.from, self.to) = (0, 0);
    }

    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// Whether the process's input ends after what is pending.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    pub(super) fn rest(&mut self) {
        if !self.is_pending() {
            self.frame.release();
        }
    }

    /// Writes what can be written without waiting; `false`: nobody will read any more.
    pub(super) fn write_to(&mut self, stdin: &OwnedFd) -> bool {
        while self.is_pending() {
            match rustix::io::write(stdin, &self.frame[self.from..self.to]) {
                Ok(count) => self.from += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => {
                    self.discard();
                    return false;
                }
            }
        }
        true
    }
}
