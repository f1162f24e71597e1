//! The socket: sending, waiting for what was asked for, listing, being told.

use super::datagram::{DUMP_INTERRUPTED, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, Parts};
use super::{ACK, Batch, NetlinkError, Reply};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::ops::ControlFlow;

/// The kernel's answers to dumps come in parts of at most 32 KiB, single objects are smaller; larger is refused.
const RECEIVE_BYTES: usize = 64 * 1024;
/// The kernel answers while it handles the request, so an answer that takes this long is not coming.
const ANSWER_TIMEOUT_S: u64 = 30;
/// How often a dump is repeated when objects change under it, before that is reported.
const DUMP_ATTEMPTS: usize = 8;

/// Which part of the kernel listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Devices, addresses, routes, neighbours: `NETLINK_ROUTE`.
    Route,
    /// nftables, connection tracking, packet logs: `NETLINK_NETFILTER`.
    Netfilter,
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

    /// Asks for a list. `question` holds one message with `DUMP`; `part` sees every object and may stop early
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
    use super::super::{DUMP, Value};
    use super::*;

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
