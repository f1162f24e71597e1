//! Processes that stand by: a keeper with its assembler, forked before anybody asks, and for containers a first process
//! in namespaces of its own.
//!
//! Making namespaces takes longer than anything else in a start, and nothing about them depends on the container. One
//! of each kind stands by; it is replaced a moment after it was used, when the container it became is on its way. When
//! requests come faster than that, they are served without.

use super::request::Request;
use crate::keeper::{self, Asked};
use crate::machine::Machine;
use haven_sys::process::SingleThread;
use haven_sys::{process, socket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long after a request a replacement is made.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Standby {
    container: Option<OwnedFd>,
    additional: Option<OwnedFd>,
    last_used: Option<Instant>,
}

impl Standby {
    pub(super) fn new() -> Self {
        Self { container: None, additional: None, last_used: None }
    }

    /// Gives the request to a process that stands by for its kind; gives it back when there is none.
    pub(super) fn serve(&mut self, request: Request) -> Option<Request> {
        let channel = match &request.order {
            super::request::Order::Launch { .. } => self.container.take(),
            super::request::Order::Exec { .. } => self.additional.take(),
        };
        self.last_used = Some(Instant::now());
        match channel {
            Some(channel) if request.send(&channel).is_ok() => None,
            _ => Some(request),
        }
    }

    /// How long until something is to be made; `None`: nothing is.
    pub(super) fn patience(&self) -> Option<Duration> {
        let missing = self.container.is_none() || self.additional.is_none();
        missing.then(|| self.last_used.map_or(Duration::ZERO, |used| PAUSE.saturating_sub(used.elapsed())))
    }

    /// Makes one that is missing.
    pub(super) fn replenish(&mut self, proof: &SingleThread, machine: &Machine) {
        let container = self.container.is_none();
        let place = if container { &mut self.container } else { &mut self.additional };
        if place.is_none() {
            *place = fork(proof, machine, container);
        }
    }
}

fn fork(proof: &SingleThread, machine: &Machine, container: bool) -> Option<OwnedFd> {
    let (channel, theirs) = socket::pair().ok()?;
    process::fork(proof, || keeper::stand(proof, machine, Asked::Later { channel: theirs, container }))
        .ok()?;
    Some(channel)
}
