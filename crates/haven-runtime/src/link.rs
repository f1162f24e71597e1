//! What is said between a process being made, its assembler and its keeper: packets, the first byte saying what.
//!
//! ```text
//! assembler ──PLAN, PARCELS…, COMPLETE, GROUPED──▶ init   the plan, mounts as descriptors, and: it is in its group
//! init ──READY + streams | SETBACK──▶ keeper          put together, or why not
//! keeper ──GO──▶ init                                 run the command; then the link ends by the exec
//! assembler ──setup, then COUNTER | SETBACK──▶ keeper
//! ```

use crate::setback::{Blame, Setback, Step};
use haven_sys::socket;
use rustix::net::RecvFlags;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(crate) const READY: u8 = 1;
pub(crate) const SETBACK: u8 = 2;
pub(crate) const GO: u8 = 3;
pub(crate) const PLAN: u8 = 4;
pub(crate) const PARCELS: u8 = 5;
pub(crate) const COMPLETE: u8 = 6;
pub(crate) const GROUPED: u8 = 7;
/// From the assembler to the keeper, with the descriptor: where the control group counts memory shortages.
pub(crate) const COUNTER: u8 = 8;

/// Streams that come with `READY`, in this order.
pub(crate) const HAS_STDIN: u8 = 1;
pub(crate) const HAS_STDOUT: u8 = 2;
pub(crate) const HAS_STDERR: u8 = 4;
/// Two descriptors: the keeper's side of the terminal and the process's.
pub(crate) const HAS_TERMINAL: u8 = 8;

/// The longest packet; a setback's sentences are cut to fit.
pub(crate) const PACKET_BYTES: usize = 8 * 1024;

/// Parcels in one packet.
const PARCELS_AT_ONCE: usize = 32;

pub(crate) fn send_setback(link: &OwnedFd, setback: &Setback) {
    let mut packet = vec![SETBACK];
    packet.extend_from_slice(&setback.write());
    if packet.len() > PACKET_BYTES {
        let short = Setback::new(setback.blame, setback.what.chars().take(500).collect::<String>());
        packet.truncate(1);
        packet.extend_from_slice(&short.write());
    }
    // When nobody listens any more nobody can be told. A plain write: a filter may stand already, and every filter
    // lets that through that lets a command say anything.
    let _gone = rustix::io::write(link, &packet);
}

/// A descriptor and what it is for.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) tag: u16,
    pub(crate) content: OwnedFd,
}

pub(crate) fn send_parcels(feed: &OwnedFd, parcels: &[Parcel]) -> io::Result<()> {
    for some in parcels.chunks(PARCELS_AT_ONCE) {
        let mut packet = vec![PARCELS];
        packet.extend(some.iter().flat_map(|parcel| parcel.tag.to_ne_bytes()));
        let descriptors: Vec<BorrowedFd<'_>> = some.iter().map(|parcel| parcel.content.as_fd()).collect();
        socket::send(feed, &packet, &descriptors)?;
    }
    Ok(())
}

/// What the assembler says to the process.
pub(crate) enum Message {
    Plan(OwnedFd),
    Parcels(Vec<Parcel>),
    Complete,
    Grouped,
}

/// Waits for the plan.
pub(crate) fn receive_plan(feed: &OwnedFd) -> Step<OwnedFd> {
    match receive(feed)? {
        Message::Plan(plan) => Ok(plan),
        _ => Err(out_of_order()),
    }
}

/// Waits for all parcels.
pub(crate) fn receive_parcels(feed: &OwnedFd) -> Step<Vec<Parcel>> {
    let mut all = Vec::new();
    loop {
        match receive(feed)? {
            Message::Parcels(some) => all.extend(some),
            Message::Complete => return Ok(all),
            _ => return Err(out_of_order()),
        }
    }
}

/// Waits for the next word.
pub(crate) fn receive(feed: &OwnedFd) -> Step<Message> {
    let mut buffer = [0; PACKET_BYTES];
    let packet = socket::receive(feed, &mut buffer, RecvFlags::empty()).map_err(|error| {
        Setback::host("cannot hear from the process that puts containers together", error)
    })?;
    let mut descriptors = packet.descriptors.into_iter();
    match buffer[..packet.length].split_first() {
        Some((&PLAN, _)) => descriptors.next().map(Message::Plan).ok_or_else(out_of_order),
        Some((&SETBACK, setback)) => Err(Setback::read(setback)),
        Some((&COMPLETE, _)) => Ok(Message::Complete),
        Some((&GROUPED, _)) => Ok(Message::Grouped),
        Some((&PARCELS, body)) => {
            let (tags, _) = body.as_chunks::<2>();
            if tags.len() != descriptors.len() {
                return Err(out_of_order());
            }
            let parcel = |(tag, content): (&[u8; 2], _)| Parcel { tag: u16::from_ne_bytes(*tag), content };
            Ok(Message::Parcels(tags.iter().zip(descriptors).map(parcel).collect()))
        }
        Some(_) => Err(out_of_order()),
        None => Err(assembler_gone()),
    }
}

/// What a process says that waits for its assembler in vain. Why the assembler is gone is for that to say.
pub(crate) fn assembler_gone() -> Setback {
    Setback::new(Blame::Haven, "the process that puts containers together ended unexpectedly")
}

pub(crate) fn out_of_order() -> Setback {
    Setback::new(Blame::Haven, "the processes that make a container talked out of order")
}
