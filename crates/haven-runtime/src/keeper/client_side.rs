//! One client as the keeper sees it.

use super::protocol::{
    ATTACH_BACKPRESSURE, ATTACH_STDERR, ATTACH_STDOUT, DONE, EXITED, FAILED, FRAME_BYTES, STREAM_STDOUT,
};
use crate::setback::Setback;
use haven_sys::socket;
use rustix::net::SendFlags;
use std::io::IoSlice;
use std::os::fd::{BorrowedFd, OwnedFd};

/// What an attached client may lag behind, and what its socket holds of a process that ended.
const LAG_BYTES: usize = 8 * 1024 * 1024;

pub(super) struct Client {
    pub(super) connection: OwnedFd,
    pub(super) role: Role,
    /// It wants everything and can't take more now.
    pub(super) is_full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Hasn't asked anything that lasts.
    New,
    /// Waits for the command to run.
    Starter,
    Watcher,
    /// With the flags of the protocol.
    Attached(u8),
    /// To be let go of.
    Gone,
}

impl Client {
    pub(super) fn new(connection: OwnedFd) -> Self {
        Self { connection, role: Role::New, is_full: false }
    }

    pub(super) fn attach(&mut self, flags: u8) {
        self.role = Role::Attached(flags);
        if flags & ATTACH_BACKPRESSURE == 0 {
            self.hold_everything();
        }
    }

    /// From now on its socket takes much without being read.
    pub(super) fn hold_everything(&mut self) {
        // Without the privilege the buffer stays as it is and less is held.
        if rustix::net::sockopt::set_socket_send_buffer_size_force(&self.connection, LAG_BYTES).is_err() {
            let _kept = rustix::net::sockopt::set_socket_send_buffer_size(&self.connection, LAG_BYTES);
        }
    }

    fn wants(&self, stream: u8) -> bool {
        let flag = if stream == STREAM_STDOUT { ATTACH_STDOUT } else { ATTACH_STDERR };
        matches!(self.role, Role::Attached(flags) if flags & flag != 0)
    }

    /// Whether `stream` must not be read now because this client would miss some of it.
    pub(super) fn holds_up(&self, stream: u8) -> bool {
        self.is_full && self.wants(stream)
    }

    /// Sends what was said. Must be possible for a client with backpressure, which isn't full.
    pub(super) fn give_output(&mut self, stream: u8, said: &[u8]) {
        if !self.wants(stream) {
            return;
        }
        for frame in said.chunks(FRAME_BYTES - 1) {
            let parts = [IoSlice::new(std::slice::from_ref(&stream)), IoSlice::new(frame)];
            if socket::send_parts(&self.connection, &parts, &[], SendFlags::DONTWAIT).is_err() {
                self.role = Role::Gone;
                return;
            }
        }
        if matches!(self.role, Role::Attached(flags) if flags & ATTACH_BACKPRESSURE != 0) {
            self.is_full = !socket::is_writable(&self.connection);
        }
    }

    pub(super) fn settle(&mut self, result: Result<(), Setback>) {
        match result {
            Ok(()) => self.answer(&[DONE], &[]),
            Err(setback) => self.refuse(&setback),
        }
    }

    pub(super) fn refuse(&mut self, setback: &Setback) {
        let mut answer = vec![FAILED];
        answer.extend_from_slice(&setback.write());
        self.answer(&answer, &[]);
    }

    pub(super) fn tell_exit(&mut self, record: &[u8]) {
        let mut news = vec![EXITED];
        news.extend_from_slice(record);
        self.answer(&news, &[]);
    }

    pub(super) fn answer(&mut self, answer: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let parts = [IoSlice::new(answer)];
        if socket::send_parts(&self.connection, &parts, descriptors, SendFlags::DONTWAIT).is_err() {
            self.role = Role::Gone;
        }
    }
}
