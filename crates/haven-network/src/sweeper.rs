//! Deletes in the background what nobody waits for: interfaces, and remembered connections.
//!
//! Deleting a veth takes some 20 ms, during which the kernel changes no other device. Most go by themselves, with
//! their container's namespace; so the sweeper waits a little, and then deletes those that are left in one message.
//! Connections are forgotten at once.

use crate::conntrack::{self, Forget};
use crate::device::{self, Changes, DOOMED, OURS};
use haven_sys::netlink::{NetlinkError, NetlinkSocket};
use rustix::io::Errno;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long namespaces have to go by themselves.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug)]
enum Errand {
    Delete(u32),
    Forget(Forget),
}

/// The way to the thread. When it is dropped, the thread deletes what is left and ends.
#[derive(Debug)]
pub(crate) struct Sweeper {
    errands: Sender<Errand>,
}

impl Sweeper {
    /// The sockets are the thread's own.
    pub(crate) fn start(route: NetlinkSocket, netfilter: NetlinkSocket) -> std::io::Result<Self> {
        let (errands, inbox) = channel();
        std::thread::Builder::new()
            .name("network-sweeper".into())
            .stack_size(128 * 1024)
            .spawn(move || sweep(route, netfilter, &inbox))?;
        Ok(Self { errands })
    }

    /// Deletes the interface with this index, soon, if it still is ours.
    pub(crate) fn doom(&self, interface: u32) {
        // The thread lives as long as the sender; were it gone, reconciling removes the interface.
        self.errands.send(Errand::Delete(interface)).ok();
    }

    pub(crate) fn forget(&self, what: Forget) {
        self.errands.send(Errand::Forget(what)).ok();
    }
}

fn sweep(mut route: NetlinkSocket, mut netfilter: NetlinkSocket, inbox: &Receiver<Errand>) {
    let mut doomed = Vec::new();
    let mut deadline = None;
    loop {
        let errand = match deadline {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => inbox.recv_timeout(Instant::saturating_duration_since(&at, Instant::now())),
        };
        match errand {
            Ok(Errand::Forget(what)) => {
                // What stays is dead all the same: its link is not live.
                conntrack::forget(&mut netfilter, what).ok();
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
