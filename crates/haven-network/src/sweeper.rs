//! Deletes in the background what nobody waits for: interfaces, and remembered connections.
//!
//! Deleting a veth takes some 20 ms, during which the kernel changes no other device. Most go by themselves, with
//! their container's namespace; so the sweeper waits a little, and then deletes those that are left in one message.
//!
//! Looking for the connections of an address takes as long, because the kernel walks its whole table; so those of all
//! addresses given up meanwhile are looked for at once. An address that is given again before is looked for first.

use crate::conntrack;
use crate::device::{self, Changes, DOOMED, OURS};
use haven_spec::PortProtocol;
use haven_sys::netlink::{NetlinkError, NetlinkSocket};
use rustix::io::Errno;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long namespaces have to go by themselves.
const GRACE: Duration = Duration::from_secs(2);

/// How long whoever gets an address waits until nobody else's connections have it.
const RECLAIMING: Duration = Duration::from_secs(5);

/// Addresses whose connections are still to be forgotten.
type GivenUp = Arc<Mutex<HashSet<IpAddr>>>;

#[derive(Debug)]
enum Errand {
    Delete(u32),
    ForgetHostPort(PortProtocol, u16),
    /// There is something to forget, soon.
    GivenUp,
    /// Forget this one now, and answer.
    Reclaim(IpAddr, Sender<()>),
}

/// The way to the thread. When it is dropped, the thread deletes what is left and ends.
#[derive(Debug)]
pub(crate) struct Sweeper {
    errands: Sender<Errand>,
    given_up: GivenUp,
}

impl Sweeper {
    /// The sockets are the thread's own.
    pub(crate) fn start(route: NetlinkSocket, netfilter: NetlinkSocket) -> std::io::Result<Self> {
        let (errands, inbox) = channel();
        let given_up = GivenUp::default();
        let shared = Arc::clone(&given_up);
        std::thread::Builder::new()
            .name("network-sweeper".into())
            .stack_size(128 * 1024)
            .spawn(move || sweep(route, netfilter, &inbox, &shared))?;
        Ok(Self { errands, given_up })
    }

    /// Deletes the interface with this index, soon, if it still is ours.
    pub(crate) fn doom(&self, interface: u32) {
        // The thread lives as long as the sender; were it gone, reconciling removes the interface.
        self.errands.send(Errand::Delete(interface)).ok();
    }

    /// Forgets where what is sent to this port of the host goes, at once.
    pub(crate) fn forget_host_port(&self, protocol: PortProtocol, port: u16) {
        self.errands.send(Errand::ForgetHostPort(protocol, port)).ok();
    }

    /// Forgets the connections of an address nobody has any more, soon.
    pub(crate) fn give_up(&self, address: IpAddr) {
        lock(&self.given_up).insert(address);
        self.errands.send(Errand::GivenUp).ok();
    }

    /// The address is somebody's again: returns when no connection of whoever had it before is remembered.
    pub(crate) fn reclaim(&self, address: IpAddr) {
        if lock(&self.given_up).contains(&address) {
            let (answer, done) = channel();
            self.errands.send(Errand::Reclaim(address, answer)).ok();
            done.recv_timeout(RECLAIMING).ok();
        }
    }
}

fn lock(given_up: &GivenUp) -> MutexGuard<'_, HashSet<IpAddr>> {
    given_up.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sweep(
    mut route: NetlinkSocket,
    mut netfilter: NetlinkSocket,
    inbox: &Receiver<Errand>,
    given_up: &GivenUp,
) {
    let mut doomed = Vec::new();
    let mut deadline = None;
    loop {
        let errand = match deadline {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => inbox.recv_timeout(Instant::saturating_duration_since(&at, Instant::now())),
        };
        match errand {
            // Of what is forgotten in vain here, connections are dead all the same: their link is not live.
            Ok(Errand::ForgetHostPort(protocol, port)) => {
                conntrack::forget_host_port(&mut netfilter, protocol, port).ok();
            }
            Ok(Errand::GivenUp) => {
                deadline.get_or_insert_with(|| Instant::now() + GRACE);
            }
            Ok(Errand::Reclaim(address, answer)) => {
                if lock(given_up).remove(&address) {
                    conntrack::forget_addresses(&mut netfilter, &HashSet::from([address])).ok();
                }
                answer.send(()).ok();
            }
            Ok(Errand::Delete(interface)) => {
                doomed.push(interface);
                deadline.get_or_insert_with(|| Instant::now() + GRACE);
            }
            Err(end) => {
                // What fails here stays in one of our groups, where reconciling finds it.
                delete(&mut route, &doomed).ok();
                doomed.clear();
                deadline = None;
                let addresses = std::mem::take(&mut *lock(given_up));
                conntrack::forget_addresses(&mut netfilter, &addresses).ok();
                if end == RecvTimeoutError::Disconnected {
                    return;
                }
            }
        }
    }
}

/// Deletes those of the interfaces that exist and are ours, all at once.
pub(crate) fn delete(socket: &mut NetlinkSocket, interfaces: &[u32]) -> Result<(), NetlinkError> {
    let mut changes = Changes::new();
    let mut any = false;
    for index in interfaces {
        // Numbers are not reused soon, but a group is a surer sign.
        if device::at(socket, *index)?.is_some_and(|device| matches!(device.group, OURS | DOOMED)) {
            changes.set_group(*index, DOOMED);
            any = true;
        }
    }
    if !any {
        return Ok(());
    }
    // One may have gone meanwhile; the others are marked.
    changes.apply(socket).ok();
    let mut deletion = Changes::new();
    deletion.delete_group(DOOMED);
    match deletion.apply(socket) {
        // All have gone with their namespaces meanwhile.
        Err(error) if error.errno() == Errno::NODEV => Ok(()),
        result => result,
    }
}
