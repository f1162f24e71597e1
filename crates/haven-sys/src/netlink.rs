//! Netlink: the kernel's message socket, for network devices, addresses and routes (rtnetlink) and for
//! nftables (nfnetlink).
//!
//! Two ways to talk. [`NetlinkSocket::request`] sends a [`Batch`] of messages and waits until every one that asked
//! for an acknowledgement has it; [`NetlinkSocket::dump`] asks one question and hands every part of the answer on.
//! Whatever the kernel sends is read through [`Attributes`], which never looks past a length it has checked.
//! Errors carry the kernel's own sentence (extended acknowledgement) when it gives one.
//!
//! A socket belongs to the network namespace it was opened in, for ever, whatever its thread does later. So another
//! namespace is configured through [`NetlinkSocket::open_in`], which opens the socket on a thread that exists for that
//! call alone (see [`crate::network_namespace`]).
//!
//! Not here: what the messages mean. See netlink(7), rtnetlink(7), `linux/netlink.h`.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::fmt;
use std::ops::ControlFlow;

/// Length of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// Length of `struct nlattr`.
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// The kernel's answers to dumps come in parts of at most 32 KiB, single objects are smaller; larger is refused.
const RECEIVE_BYTES: usize = 64 * 1024;
/// The kernel answers while it handles the request, so an answer that takes this long is not coming.
const ANSWER_TIMEOUT_S: u64 = 30;
/// How often a dump is repeated when objects change under it, before that is reported.
const DUMP_ATTEMPTS: usize = 8;

/// The kernel is to acknowledge the message even when it succeeds.
pub const ACK: u16 = 0x04;
/// Send what was asked for back, as it became.
pub const ECHO: u16 = 0x08;
/// All objects rather than one.
pub const DUMP: u16 = 0x300;
/// Replace what exists.
pub const REPLACE: u16 = 0x100;
/// Fail when it exists.
pub const EXCLUSIVE: u16 = 0x200;
/// Create when it does not exist.
pub const CREATE: u16 = 0x400;
/// Add at the end of the list.
pub const APPEND: u16 = 0x800;
const REQUEST: u16 = 0x01;
const DUMP_INTERRUPTED: u16 = 0x10;
const CAPPED: u16 = 0x100;
const ACK_TLVS: u16 = 0x200;

/// Marks an attribute that holds attributes.
const NESTED: u16 = 0x8000;
const KIND_MASK: u16 = 0x3fff;

const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// Which part of the kernel listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Devices, addresses, routes, neighbours: `NETLINK_ROUTE`.
    Route,
    /// nftables, connection tracking, packet logs: `NETLINK_NETFILTER`.
    Netfilter,
}

/// What the kernel, or the conversation with it, refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetlinkError {
    errno: Errno,
    /// The kernel's own sentence.
    sentence: Option<String>,
    /// Which message of the batch, counted from 0.
    index: Option<usize>,
}

impl NetlinkError {
    fn new(errno: Errno) -> Self {
        Self { errno, sentence: None, index: None }
    }

    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// Which message of the batch was refused, counted from 0; `None` when the batch as a whole was.
    pub fn index(&self) -> Option<usize> {
        self.index
    }
}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> Self {
        Self::new(errno)
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sentence {
            Some(sentence) => write!(f, "{}: {sentence}", std::io::Error::from(self.errno)),
            None => write!(f, "{}", std::io::Error::from(self.errno)),
        }
    }
}

impl std::error::Error for NetlinkError {}

/// Messages to send in one system call.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where each message begins.
    starts: Vec<usize>,
    /// Something did not fit its length field; the batch is never sent.
    oversized: bool,
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a message of type `kind`; `flags` as in [`ACK`], [`CREATE`]. `build` adds header and attributes.
    pub fn message(&mut self, kind: u16, flags: u16, build: impl FnOnce(&mut Message<'_>)) {
        let start = self.bytes.len();
        self.starts.push(start);
        self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
        build(&mut Message { batch: self });
        match u32::try_from(self.bytes.len() - start) {
            Ok(length) => self.put(start, &length.to_ne_bytes()),
            Err(_) => self.oversized = true,
        }
        self.put(start + 4, &kind.to_ne_bytes());
        self.put(start + 6, &(flags | REQUEST).to_ne_bytes());
        self.pad();
    }

    /// Asks for an acknowledgement of the message appended last.
    pub fn acknowledge_last(&mut self) {
        if let Some(start) = self.starts.last().copied() {
            let flags = self.flags(start) | ACK;
            self.put(start + 6, &flags.to_ne_bytes());
        }
    }

    /// How many messages.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// What follows the first message's header, for comparing encodings.
    pub fn payload(&self) -> &[u8] {
        let end = self.starts.get(1).copied().unwrap_or(self.bytes.len());
        self.bytes.get(HEADER_BYTES..end).unwrap_or(&[])
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn pad(&mut self) {
        self.bytes.resize(aligned(self.bytes.len()), 0);
    }

    fn flags(&self, start: usize) -> u16 {
        read_u16(&self.bytes, start + 6).unwrap_or(0)
    }

    /// Numbers the messages from `first` on.
    fn number(&mut self, first: u32) {
        let mut sequence = first;
        for at in self.starts.clone() {
            self.put(at + 8, &sequence.to_ne_bytes());
            sequence = sequence.wrapping_add(1);
        }
    }
}

/// One message being built.
#[derive(Debug)]
pub struct Message<'a> {
    batch: &'a mut Batch,
}

impl Message<'_> {
    /// Bytes of a fixed header, as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.batch.bytes.extend_from_slice(bytes);
        self.batch.pad();
    }

    pub fn bytes(&mut self, kind: u16, value: &[u8]) {
        let start = self.open(kind);
        self.batch.bytes.extend_from_slice(value);
        self.close(start);
    }

    pub fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// In the machine's byte order, as rtnetlink has it.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// Most significant byte first, as nfnetlink has it.
    pub fn be16(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Most significant byte first, as nfnetlink has it.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Most significant byte first, as nfnetlink has it.
    pub fn be64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Text with its terminating NUL. Text that contains a NUL would mean something else to the kernel: the batch
    /// is then never sent.
    pub fn text(&mut self, kind: u16, value: &str) {
        self.batch.oversized |= value.contains('\0');
        let start = self.open(kind);
        self.batch.bytes.extend_from_slice(value.as_bytes());
        self.batch.bytes.push(0);
        self.close(start);
    }

    /// An attribute of attributes.
    pub fn nest(&mut self, kind: u16, build: impl FnOnce(&mut Message<'_>)) {
        let start = self.open(kind | NESTED);
        build(self);
        self.close(start);
    }

    /// Bytes so far: a list is to stay below the 64 KiB an attribute can hold.
    pub fn size_bytes(&self) -> usize {
        self.batch.starts.last().map_or(0, |start| self.batch.bytes.len() - start)
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.batch.bytes.len();
        self.batch.bytes.extend_from_slice(&[0; 2]);
        self.batch.bytes.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn close(&mut self, start: usize) {
        match u16::try_from(self.batch.bytes.len() - start) {
            Ok(length) => self.batch.put(start, &length.to_ne_bytes()),
            Err(_) => self.batch.oversized = true,
        }
        self.batch.pad();
    }
}

/// One message from the kernel: its type, and the bytes after the header.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    pub kind: u16,
    /// The socket whose request this answers, or is told of.
    pub port: u32,
    pub payload: &'a [u8],
}

impl<'a> Reply<'a> {
    /// The attributes after a fixed header of `header_bytes`.
    pub fn attributes(&self, header_bytes: usize) -> Attributes<'a> {
        Attributes::new(self.payload.get(aligned(header_bytes)..).unwrap_or(&[]))
    }
}

/// Reads a list of attributes. A length that is too small or points past the end ends the list.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The value of the first attribute of this kind.
    pub fn first(mut self, kind: u16) -> Option<Value<'a>> {
        self.find(|(k, _)| *k == kind).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(read_u16(self.rest, 0)?);
        let kind = read_u16(self.rest, 2)?;
        let bytes = self.rest.get(ATTRIBUTE_HEADER_BYTES..length)?;
        self.rest = self.rest.get(aligned(length)..).unwrap_or(&[]);
        Some((kind & KIND_MASK, Value { bytes, nested: kind & NESTED != 0 }))
    }
}

/// An attribute's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    pub bytes: &'a [u8],
    /// Marked as holding attributes. The kernel's older answers leave the mark out.
    pub nested: bool,
}

impl<'a> Value<'a> {
    pub fn u8(self) -> Option<u8> {
        self.bytes.first().copied()
    }

    pub fn u16(self) -> Option<u16> {
        read_u16(self.bytes, 0)
    }

    pub fn u32(self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    pub fn u64(self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    pub fn be32(self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn be64(self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The text before the first NUL, if it is UTF-8.
    pub fn text(self) -> Option<&'a str> {
        let end = self.bytes.iter().position(|b| *b == 0).unwrap_or(self.bytes.len());
        std::str::from_utf8(self.bytes.get(..end)?).ok()
    }

    /// The attributes it holds.
    pub fn attributes(self) -> Attributes<'a> {
        Attributes::new(self.bytes)
    }

    fn array<const N: usize>(self) -> Option<[u8; N]> {
        self.bytes.get(..N)?.try_into().ok()
    }
}

/// A netlink socket, bound, in one network namespace.
#[derive(Debug)]
pub struct NetlinkSocket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl NetlinkSocket {
    /// In the calling thread's network namespace.
    pub fn open(family: Family) -> Result<Self, NetlinkError> {
        let protocol = match family {
            Family::Route => None,
            Family::Netfilter => Some(rustix::net::netlink::NETFILTER),
        };
        Self::open_protocol(protocol)
    }

    fn open_protocol(protocol: Option<Protocol>) -> Result<Self, NetlinkError> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        // Both only make errors more telling, and exist since Linux 4.12; a refusal costs a sentence.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            set_option(fd.as_fd(), libc::SOL_NETLINK, option, 1).ok();
        }
        rustix::net::sockopt::set_socket_timeout(
            &fd,
            rustix::net::sockopt::Timeout::Recv,
            Some(std::time::Duration::from_secs(ANSWER_TIMEOUT_S)),
        )?;
        Ok(Self { fd, sequence: 1, buffer: vec![0; RECEIVE_BYTES] })
    }

    /// In the network namespace `netns` stands for, without the calling thread entering it.
    ///
    /// Needs `CAP_SYS_ADMIN` in the user namespace that owns `netns`, which root of the host has over all.
    pub fn open_in(netns: BorrowedFd<'_>, family: Family) -> Result<Self, NetlinkError> {
        crate::network_namespace::within(netns, || Self::open(family)).map_err(NetlinkError::new)?
    }

    /// Sends the batch and waits for every acknowledgement it asked for; other answers go to `answer`.
    ///
    /// rtnetlink carries out each message by itself, and goes on after one it refuses: the first refusal is
    /// returned when all have been tried. nfnetlink carries out all or nothing between its batch marks.
    /// The last message has to ask for an acknowledgement, else nothing tells the end.
    pub fn request(
        &mut self,
        batch: &mut Batch,
        mut answer: impl FnMut(Reply<'_>),
    ) -> Result<(), NetlinkError> {
        if batch.is_empty() {
            return Ok(());
        }
        let first = self.send(batch)?;
        let mut waiting =
            batch.starts.iter().map(|start| batch.flags(*start) & ACK != 0).collect::<Vec<bool>>();
        let mut refused: Option<NetlinkError> = None;
        while waiting.contains(&true) {
            // Answers are queued before sending returns. A batch refused as a whole (no permission) has one answer
            // instead of all, so after a refusal nothing is waited for.
            let flags = if refused.is_some() { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
            let length = match self.receive(flags) {
                Err(error) if error.errno == Errno::AGAIN && refused.is_some() => break,
                received => received?,
            };
            let datagram = self.buffer.get(..length).unwrap_or(&[]);
            for part in Parts::new(datagram) {
                let index = usize::try_from(part.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                if index >= waiting.len() {
                    continue; // a late answer to an earlier request that gave up
                }
                if part.kind != NLMSG_ERROR {
                    answer(Reply { kind: part.kind, port: part.port, payload: part.payload });
                    continue;
                }
                if let Some(slot) = waiting.get_mut(index) {
                    *slot = false;
                }
                if let Err(mut error) = part.verdict() {
                    error.index = Some(index);
                    refused.get_or_insert(error);
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Asks for a list. `question` holds one message with [`DUMP`]; `part` sees every object and may stop early
    /// (the rest is still read). When objects change meanwhile the whole is asked again, so `begin` is called at the
    /// start of every attempt and has to forget what it collected.
    pub fn dump<T>(
        &mut self,
        question: &mut Batch,
        mut begin: impl FnMut() -> T,
        mut part: impl FnMut(&mut T, Reply<'_>) -> ControlFlow<()>,
    ) -> Result<T, NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut collected = begin();
            match self.dump_once(question, |reply| part(&mut collected, reply)) {
                Ok(true) => return Ok(collected),
                Ok(false) => {}
                Err(error) if error.errno == Errno::INTR => {}
                Err(error) => return Err(error),
            }
        }
        Err(NetlinkError {
            errno: Errno::AGAIN,
            sentence: Some(format!("objects kept changing during {DUMP_ATTEMPTS} attempts to list them")),
            index: None,
        })
    }

    /// `false`: the list was interrupted by a change and may be inconsistent.
    fn dump_once(
        &mut self,
        question: &mut Batch,
        mut part: impl FnMut(Reply<'_>) -> ControlFlow<()>,
    ) -> Result<bool, NetlinkError> {
        let sequence = self.send(question)?;
        let mut consistent = true;
        let mut wanted = true;
        loop {
            let length = self.receive(RecvFlags::empty())?;
            let datagram = self.buffer.get(..length).unwrap_or(&[]);
            for message in Parts::new(datagram) {
                if message.sequence != sequence {
                    continue;
                }
                consistent &= message.flags & DUMP_INTERRUPTED == 0;
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => {
                        message.verdict()?;
                        return Ok(consistent);
                    }
                    NLMSG_NOOP => {}
                    NLMSG_OVERRUN => return Err(Errno::NOBUFS.into()),
                    kind if wanted => {
                        wanted =
                            part(Reply { kind, port: message.port, payload: message.payload }).is_continue();
                    }
                    _ => {}
                }
            }
        }
    }

    /// Its number, by which the kernel says whose request something was.
    pub fn port(&self) -> Result<u32, NetlinkError> {
        let own = rustix::net::getsockname(&self.fd)?;
        Ok(SocketAddrNetlink::try_from(own)?.pid())
    }

    /// Receives notifications of a group from now on.
    pub fn subscribe(&mut self, group: u32) -> Result<(), NetlinkError> {
        let group = i32::try_from(group).map_err(|_| Errno::INVAL)?;
        Ok(set_option(self.fd.as_fd(), libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group)?)
    }

    /// Waits for one datagram of notifications. `Ok(false)`: none came within the time-out of 30 s.
    /// `ENOBUFS` means some were lost: look at the state itself.
    pub fn notified(&mut self, mut event: impl FnMut(Reply<'_>)) -> Result<bool, NetlinkError> {
        let length = match self.receive(RecvFlags::empty()) {
            Ok(length) => length,
            Err(error) if error.errno == Errno::AGAIN => return Ok(false),
            Err(error) => return Err(error),
        };
        for message in Parts::new(self.buffer.get(..length).unwrap_or(&[])) {
            event(Reply { kind: message.kind, port: message.port, payload: message.payload });
        }
        Ok(true)
    }

    /// Sends, and returns the sequence number of the first message.
    fn send(&mut self, batch: &mut Batch) -> Result<u32, NetlinkError> {
        if batch.oversized {
            return Err(Errno::MSGSIZE.into());
        }
        let first = self.sequence;
        batch.number(first);
        self.sequence = first.wrapping_add(u32::try_from(batch.len()).map_err(|_| Errno::MSGSIZE)?);
        self.make_room(batch.bytes.len());
        let kernel = SocketAddrNetlink::new(0, 0);
        loop {
            match rustix::net::sendto(&self.fd, &batch.bytes, SendFlags::empty(), &kernel) {
                Ok(sent) if sent == batch.bytes.len() => return Ok(first),
                Ok(_) => return Err(Errno::MSGSIZE.into()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// A datagram has to fit the send buffer, which is some 200 KiB unless somebody with the right asks for more.
    fn make_room(&self, bytes: usize) {
        const ORDINARY_BYTES: usize = 128 * 1024;
        if bytes > ORDINARY_BYTES {
            let wanted = i32::try_from(bytes.saturating_mul(2)).unwrap_or(i32::MAX);
            // When it is refused, sending fails with EMSGSIZE, which says it.
            set_option(self.fd.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, wanted).ok();
        }
    }

    /// One datagram from the kernel into the buffer; how many bytes.
    fn receive(&mut self, flags: RecvFlags) -> Result<usize, NetlinkError> {
        loop {
            let received =
                rustix::net::recvfrom(&self.fd, self.buffer.as_mut_slice(), flags | RecvFlags::TRUNC);
            let (_, length, sender) = match received {
                Ok(received) => received,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            // Any process may send to a netlink socket; only the kernel has the port number 0.
            let from_kernel =
                sender.and_then(|s| SocketAddrNetlink::try_from(s).ok()).is_some_and(|s| s.pid() == 0);
            if !from_kernel {
                continue;
            }
            if length > self.buffer.len() {
                return Err(Errno::MSGSIZE.into());
            }
            return Ok(length);
        }
    }
}

/// One message in a datagram.
struct Part<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    payload: &'a [u8],
}

impl Part<'_> {
    /// What an `NLMSG_ERROR` or `NLMSG_DONE` says: 0 is success. One without its number is a refusal.
    fn verdict(&self) -> Result<(), NetlinkError> {
        let code = self
            .payload
            .get(..4)
            .and_then(|b| b.try_into().ok())
            .map(i32::from_ne_bytes)
            .unwrap_or(-libc::EBADMSG);
        if code == 0 || (self.kind == NLMSG_DONE && code > 0) {
            return Ok(());
        }
        let sentence = if self.flags & ACK_TLVS == 0 {
            None
        } else {
            // The refused message follows the number: its header alone when the answer is capped.
            let echoed = match self.kind {
                NLMSG_DONE => 0,
                _ if self.flags & CAPPED != 0 => HEADER_BYTES,
                _ => self
                    .payload
                    .get(4..8)
                    .and_then(|b| b.try_into().ok())
                    .map_or(0, |b| usize::try_from(u32::from_ne_bytes(b)).unwrap_or(usize::MAX)),
            };
            let attributes = self.payload.get(aligned(echoed.saturating_add(4))..).unwrap_or(&[]);
            Attributes::new(attributes).first(NLMSGERR_ATTR_MSG).and_then(Value::text).map(str::to_owned)
        };
        Err(NetlinkError { errno: Errno::from_raw_os_error(code.saturating_neg()), sentence, index: None })
    }
}

/// The messages of a datagram. A length that is too small or points past the end ends it.
struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::try_from(read_u32(self.rest, 0)?).ok()?;
        let part = Part {
            kind: read_u16(self.rest, 4)?,
            flags: read_u16(self.rest, 6)?,
            sequence: read_u32(self.rest, 8)?,
            port: read_u32(self.rest, 12)?,
            payload: self.rest.get(HEADER_BYTES..length)?,
        };
        self.rest = self.rest.get(aligned(length)..).unwrap_or(&[]);
        Some(part)
    }
}

/// Rounded up to the four bytes netlink aligns to.
fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_ne_bytes)
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_ne_bytes)
}

fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    const SIZE: libc::socklen_t = 4; // of `value`
    // SAFETY: the pointer is to a live `i32` on this frame and SIZE is its size, so the kernel reads nothing else; the
    // descriptor is open for as long as it is borrowed.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), SIZE) };
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_with_impossible_lengths_end_the_list() {
        for bytes in [
            &[][..],
            &[4][..],
            &[3, 0, 1, 0][..],             // shorter than its own header
            &[9, 0, 1, 0, 1, 2, 3, 4][..], // longer than the buffer
            &[255, 255, 1, 0][..],
        ] {
            assert_eq!(Attributes::new(bytes).count(), 0, "{bytes:?}");
        }
        // One good attribute, then a lie.
        let mut listed = Attributes::new(&[5, 0, 7, 0, 42, 0, 0, 0, 200, 0, 8, 0]);
        assert_eq!(listed.next(), Some((7, Value { bytes: &[42], nested: false })));
        assert_eq!(listed.next(), None);
    }

    #[test]
    fn datagrams_with_impossible_lengths_end_early() {
        let mut lie = [0_u8; 16];
        lie[0] = 200;
        assert_eq!(Parts::new(&lie).count(), 0);
        lie[0] = 3;
        assert_eq!(Parts::new(&lie).count(), 0);
        assert_eq!(Parts::new(&[]).count(), 0);
        lie[0] = 16;
        assert_eq!(Parts::new(&lie).count(), 1);
    }

    #[test]
    fn a_message_that_does_not_fit_its_length_is_never_sent() {
        let mut batch = Batch::new();
        batch.message(16, ACK, |m| m.bytes(1, &vec![0; 70_000]));
        let mut socket = NetlinkSocket::open(Family::Route).unwrap();
        assert_eq!(socket.request(&mut batch, |_| ()).unwrap_err().errno(), Errno::MSGSIZE);
    }

    #[test]
    fn a_refusal_has_the_kernels_number_and_the_messages_index() {
        const RTM_GETLINK: u16 = 18;
        let mut socket = NetlinkSocket::open(Family::Route).unwrap();
        let mut batch = Batch::new();
        for index in [1_i32, i32::MAX] {
            batch.message(RTM_GETLINK, ACK, |m| {
                let mut header = [0_u8; 16];
                header[4..8].copy_from_slice(&index.to_ne_bytes());
                m.raw(&header);
            });
        }
        let mut answers = 0;
        let refused = socket.request(&mut batch, |_| answers += 1).unwrap_err();
        assert_eq!(refused.errno(), Errno::NODEV);
        assert_eq!(refused.index(), Some(1));
        assert_eq!(answers, 1);
    }

    #[test]
    fn a_dump_lists_the_loopback_device() {
        const RTM_GETLINK: u16 = 18;
        let mut socket = NetlinkSocket::open(Family::Route).unwrap();
        let mut question = Batch::new();
        question.message(RTM_GETLINK, DUMP, |m| m.raw(&[0; 16]));
        let names = socket
            .dump(&mut question, Vec::new, |names, reply| {
                let name = reply.attributes(16).first(3).and_then(Value::text).map(str::to_owned);
                names.extend(name);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(names.contains(&"lo".to_owned()), "{names:?}");
    }
}
