//! What the assembler sends, taken as it is needed: mounting begins while the rest is still being made.

use crate::link::{self, Message, Parcel};
use crate::setback::{Setback, Step};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

pub(super) struct Parcels<'a> {
    feed: &'a OwnedFd,
    here: Vec<Parcel>,
    /// Nothing more comes.
    complete: bool,
    /// This process is in its control group.
    grouped: bool,
    asked_for_group: bool,
}

impl<'a> Parcels<'a> {
    pub(super) fn new(feed: &'a OwnedFd) -> Self {
        Self { feed, here: Vec::new(), complete: false, grouped: false, asked_for_group: false }
    }

    /// The parcel with this tag; waits for it. `None`: it isn't among those sent.
    pub(super) fn take(&mut self, tag: u16) -> Step<Option<OwnedFd>> {
        loop {
            if let Some(at) = self.here.iter().position(|parcel| parcel.tag == tag) {
                return Ok(Some(self.here.swap_remove(at).content));
            }
            if self.complete {
                return Ok(None);
            }
            self.receive()?;
        }
    }

    pub(super) fn need(&mut self, tag: u16, what: &str) -> Step<OwnedFd> {
        self.take(tag)?
            .ok_or_else(|| Setback::host(format!("the mount for `{what}` is missing"), Errno::NOENT))
    }

    /// Waits until this process is in its control group; whether this is the first time it was asked.
    pub(super) fn wait_for_group(&mut self) -> Step<bool> {
        while !self.grouped {
            self.receive()?;
        }
        Ok(!std::mem::replace(&mut self.asked_for_group, true))
    }

    /// Waits for all; gives those nobody took, in the order they were sent.
    pub(super) fn rest(&mut self) -> Step<Vec<Parcel>> {
        while !self.complete {
            self.receive()?;
        }
        Ok(std::mem::take(&mut self.here))
    }

    fn receive(&mut self) -> Step<()> {
        match link::receive(self.feed)? {
            Message::Parcels(some) => self.here.extend(some),
            Message::Complete => self.complete = true,
            Message::Grouped => (self.complete, self.grouped) = (true, true),
            Message::Plan(_) => return Err(link::out_of_order()),
        }
        Ok(())
    }
}
