//! Deletes interfaces in the background, many at once.
//!
//! Deleting a veth takes some 20 ms, during which the kernel changes no other device. Most go by themselves, with
//! their container's namespace; so the sweeper waits a little, and then deletes those that are left in one message.

use crate::link::{self, Changes, DOOMED, OURS};
use haven_sys::netlink::{NetlinkError, NetlinkSocket};
use rustix::io::Errno;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How long namespaces have to go by themselves.
const GRACE: Duration = Duration::from_secs(2);

/// The way to the thread. When it is dropped, the thread deletes what is left and ends.
#[derive(Debug)]
pub(crate) struct Sweeper {
    doomed: Sender<u32>,
}

impl Sweeper {
    /// `socket` is the thread's own.
    pub(crate) fn start(socket: NetlinkSocket) -> std::io::Result<Self> {
        let (doomed, inbox) = channel();
        std::thread::Builder::new()
            .name("network-sweeper".into())
            .stack_size(64 * 1024)
            .spawn(move || sweep(socket, &inbox))?;
        Ok(Self { doomed })
    }

    /// Deletes the interface with this index, soon, if it still is ours.
    pub(crate) fn doom(&self, interface: u32) {
        // The thread lives as long as the sender; were it gone, reconciling removes the interface.
        self.doomed.send(interface).ok();
    }
}

fn sweep(mut socket: NetlinkSocket, inbox: &Receiver<u32>) {
    while let Ok(first) = inbox.recv() {
        let mut doomed = vec![first];
        let deadline = Instant::now() + GRACE;
        let left = || deadline.saturating_duration_since(Instant::now());
        // Ends with the time, or with the last sender.
        while let Ok(interface) = inbox.recv_timeout(left()) {
            doomed.push(interface);
        }
        // What fails here stays in one of our groups, where reconciling finds it.
        delete(&mut socket, &doomed).ok();
    }
}

/// Deletes those of the interfaces that exist and are ours, all at once.
pub(crate) fn delete(socket: &mut NetlinkSocket, interfaces: &[u32]) -> Result<(), NetlinkError> {
    let mut changes = Changes::new();
    let mut any = false;
    for index in interfaces {
        // Numbers are not reused soon, but a group is a surer sign.
        if link::link_at(socket, *index)?.is_some_and(|link| matches!(link.group, OURS | DOOMED)) {
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
