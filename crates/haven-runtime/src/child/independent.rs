//! What a process without a keeper does itself: runs hooks, waits for its start, keeps descriptors it was given.

use crate::assembler::mounts::{FIRST_MOUNT, FIRST_PRESERVED, START};
use crate::command::hooks;
use crate::link::{self, Parcel};
use crate::oci::{Hook, Status};
use crate::plan::Independent;
use crate::setback::{Setback, Step};
use haven_sys::{descriptor, socket};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags};
use std::os::fd::OwnedFd;

/// What came along that isn't mounted.
pub(super) struct Baggage {
    /// A listening socket.
    start: Option<OwnedFd>,
    /// To become 3, 4, ….
    pub(super) preserved: Vec<OwnedFd>,
}

impl Baggage {
    /// Takes it out of the parcels; gives the rest.
    pub(super) fn unpack(parcels: Vec<Parcel>) -> (Self, Vec<Parcel>) {
        let mut start = None;
        let mut preserved: Vec<Parcel> = Vec::new();
        let mut rest = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            match parcel.tag {
                START => start = Some(parcel.content),
                FIRST_PRESERVED..FIRST_MOUNT => preserved.push(parcel),
                _ => rest.push(parcel),
            }
        }
        preserved.sort_by_key(|parcel| parcel.tag);
        (Self { start, preserved: preserved.into_iter().map(|parcel| parcel.content).collect() }, rest)
    }

    /// Waits until somebody who may says to start; gives the connection, on which a failure can be told. It closes by
    /// itself when the command is executed.
    pub(super) fn wait_for_start(&self) -> Step<OwnedFd> {
        let listener = self
            .start
            .as_ref()
            .ok_or_else(|| Setback::host("the socket to be started at is missing", Errno::BADF))?;
        loop {
            // The socket's file is root's alone; who connects may start it. One that goes without a word doesn't.
            let connection = rustix::net::accept_with(listener, SocketFlags::CLOEXEC)
                .map_err(|error| Setback::host("cannot wait to be started", error))?;
            let mut buffer = [0; 8];
            let heard = socket::receive(&connection, &mut buffer, RecvFlags::empty());
            if heard.is_ok_and(|packet| buffer[..packet.length] == [link::GO]) {
                return Ok(connection);
            }
        }
    }

    /// Gives the descriptors passed on their numbers, and marks all others to be closed; gives the link under a number
    /// that is free.
    pub(super) fn pass_on(&self, link: &OwnedFd) -> Step<OwnedFd> {
        let failed = |error: std::io::Error| Setback::host("cannot pass descriptors on", error);
        let first = i32::try_from(self.preserved.len()).unwrap_or(i32::MAX - 3) + 3;
        let link = rustix::io::fcntl_dupfd_cloexec(link, first).map_err(|error| failed(error.into()))?;
        descriptor::pass_on(&self.preserved).map_err(failed)?;
        Ok(link)
    }
}

/// Runs hooks in this process's namespaces.
pub(super) fn run_hooks(kind: &str, wanted: &[Hook], own: &Independent) -> Step<()> {
    let (Some(state), false) = (&own.state, wanted.is_empty()) else { return Ok(()) };
    let mut state = state.clone();
    if kind == "startContainer" {
        state.status = Status::Created;
    }
    hooks::run(kind, wanted, &state).map_err(Setback::from)
}
