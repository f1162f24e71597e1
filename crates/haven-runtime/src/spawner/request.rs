//! A request that is to become a process: what was asked, with its descriptors, and who waits for the answer.

use super::protocol::{EXEC, LAUNCH};
use haven_sys::socket;
use rustix::net::RecvFlags;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) connection: OwnedFd,
    pub(crate) order: Order,
}

#[derive(Debug)]
pub(crate) enum Order {
    /// `ruleset`: Landlock's, when the process is to enter one.
    Launch {
        plan: OwnedFd,
        ruleset: Option<OwnedFd>,
    },
    Exec {
        plan: OwnedFd,
        target: OwnedFd,
    },
}

impl Order {
    /// From a client's packet; `None`: it isn't one of these.
    pub(super) fn read(kind: u8, descriptors: Vec<OwnedFd>) -> Option<Self> {
        let mut descriptors = descriptors.into_iter();
        match (kind, descriptors.next(), descriptors.next(), descriptors.next()) {
            (LAUNCH, Some(plan), ruleset, None) => Some(Self::Launch { plan, ruleset }),
            (EXEC, Some(plan), Some(target), None) => Some(Self::Exec { plan, target }),
            _ => None,
        }
    }
}

impl Request {
    /// Passes it on to a process that stands by.
    pub(super) fn send(&self, channel: &OwnedFd) -> io::Result<()> {
        let kind = match &self.order {
            Order::Launch { .. } => LAUNCH,
            Order::Exec { .. } => EXEC,
        };
        socket::send(channel, &[kind], &self.descriptors())
    }

    /// The connection first, then the order's in the order of the protocol.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let mut descriptors = vec![self.connection.as_fd()];
        match &self.order {
            Order::Launch { plan, ruleset } => {
                descriptors.push(plan.as_fd());
                descriptors.extend(ruleset.as_ref().map(AsFd::as_fd));
            }
            Order::Exec { plan, target } => descriptors.extend([plan.as_fd(), target.as_fd()]),
        }
        descriptors
    }

    /// Waits for one; `None`: there will be none.
    pub(crate) fn receive(channel: &OwnedFd) -> Option<Self> {
        let mut kind = [0; 8];
        let packet = socket::receive(channel, &mut kind, RecvFlags::empty()).ok()?;
        let mut descriptors = packet.descriptors;
        if packet.length == 0 || descriptors.is_empty() {
            return None;
        }
        let connection = descriptors.remove(0);
        Some(Self { connection, order: Order::read(kind[0], descriptors)? })
    }
}
