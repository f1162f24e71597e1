//! What a container's task is asked to do. Each says when it is legal.

use crate::network::networks::NetworkRecord;
use crate::record::ContainerRecord;
use crate::request::{AttachContainer, RemoveContainer, StopContainer, UpdateContainer, WaitCondition};
use crate::stream::{Attached, Waiter};
use crate::view::HealthRun;
use haven_runtime::Keeper;
use haven_runtime::cgroup::Group;
use haven_spec::{ContainerName, ExecId, Failure, NetworkAttachment, Outcome, PortMapping, Signal};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::sync::oneshot;

pub(crate) type Reply<T> = oneshot::Sender<Outcome<T>>;

#[derive(Debug)]
pub(crate) enum Command {
    /// Created or exited (or waiting to be restarted, which then happens at once).
    Start(Reply<()>),
    /// Running. Answered when the container has ended.
    Stop(StopContainer, Reply<()>),
    /// Any but removing.
    Restart(StopContainer, Reply<()>),
    /// Running or paused.
    Kill(Signal, Reply<()>),
    /// Running.
    Pause(Reply<()>),
    /// Paused.
    Unpause(Reply<()>),
    /// Any but removing; the registry has reserved the name.
    Rename(ContainerName, Reply<()>),
    /// Any but removing.
    Update(Box<UpdateContainer>, Reply<()>),
    /// Any but removing: onto one more network.
    Connect(Arc<NetworkRecord>, Box<NetworkAttachment>, Reply<()>),
    /// Any but removing: off the network of this name.
    Disconnect(String, Reply<()>),
    /// Any but removing, on networks of its own: further published ports.
    Publish(Vec<PortMapping>, Reply<()>),
    /// As above: without these of its published ports.
    Unpublish(Vec<PortMapping>, Reply<()>),
    /// Not running, unless forced.
    Remove(RemoveContainer, Reply<()>),
    /// Any.
    Wait(WaitCondition, Reply<Waiter>),
    /// Any; before the start the client waits for it.
    Attach(AttachContainer, Reply<Attached>),
    /// Running with a terminal.
    Resize {
        rows: u16,
        columns: u16,
        reply: Reply<()>,
    },
    /// Running or paused: what an exec, a reading of counters or a copy needs to know.
    Live(Reply<Arc<Live>>),
    /// Any: what is on record.
    Record(Reply<ContainerRecord>),
    /// From the health checker of start number `generation`.
    Health {
        generation: u64,
        run: HealthRun,
    },
    ExecBegan(ExecId),
    ExecEnded(ExecId),
    /// The daemon is stopping: publish nothing more, leave the container running.
    Leave(oneshot::Sender<()>),
}

/// What is known of a container while it runs.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) started_at_ns: i64,
    pub(crate) keeper: Keeper,
    pub(crate) cgroup: Group,
}

impl Live {
    /// Sends a signal to its first process.
    pub(crate) fn signal(&self, signal: Signal) -> Outcome<()> {
        haven_sys::pidfd::send_signal(self.pidfd.as_fd(), signal.number()).map_err(|error| {
            Failure::host(format!("cannot send {signal} to process {}", self.pid)).because(error)
        })
    }
}
