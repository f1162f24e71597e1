//! What readers see: published snapshots of containers, volumes, networks. A reader never waits for a container's
//! task; it takes the last snapshot that task published.

use crate::network::end::LinkEnd;
use crate::network::subject::Subject;
use haven_network::Traffic;
use haven_spec::{
    ContainerId, ContainerName, ContainerSpec, ContainerState, ExecId, HealthStatus, ImageId, PortKey,
    VolumeName,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

/// A container as of one moment. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone)]
pub struct ContainerView {
    pub id: ContainerId,
    pub name: ContainerName,
    pub created_at_ns: i64,
    /// The image's defaults with the user's wishes laid over them: fully resolved.
    pub spec: Arc<ContainerSpec>,
    pub image_id: ImageId,
    pub state: ContainerState,
    /// How often its restart policy has started it again since a user last started it.
    pub restart_count: u32,
    pub health: Option<Health>,
    /// Endpoint per network; empty with `--network none` or `host`.
    pub endpoints: Vec<EndpointView>,
    pub mounts: Vec<MountView>,
    /// Live exec processes.
    pub execs: Vec<ExecId>,
    /// Files the engine made for it, on the host.
    pub files: ContainerFiles,
}

impl ContainerView {
    /// The whole command line: entrypoint and command.
    pub fn arguments(&self) -> Vec<String> {
        let entrypoint = self.spec.entrypoint.iter().flatten();
        entrypoint.chain(self.spec.command.iter().flatten()).cloned().collect()
    }
}

#[derive(Debug, Clone, Default)]
pub struct ContainerFiles {
    pub log: Option<PathBuf>,
    pub hostname: PathBuf,
    pub hosts: PathBuf,
    pub resolv_conf: PathBuf,
}

/// What health checks have said.
#[derive(Debug, Clone)]
pub struct Health {
    pub status: HealthStatus,
    pub failing_streak: u32,
    /// The last five runs, oldest first.
    pub log: Vec<HealthRun>,
}

#[derive(Debug, Clone)]
pub struct HealthRun {
    pub started_at_ns: i64,
    pub ended_at_ns: i64,
    /// 0 healthy, 1 unhealthy, -1 timed out or could not be run.
    pub exit_code: i32,
    /// At most 4096 bytes.
    pub output: String,
}

/// A container's place on one network.
#[derive(Debug, Clone)]
pub struct EndpointView {
    pub network: String,
    pub network_id: String,
    pub endpoint_id: String,
    pub ipv4: Ipv4Addr,
    pub ipv4_prefix: u8,
    pub gateway: Ipv4Addr,
    pub mac: String,
    pub aliases: Vec<String>,
    pub published: Vec<PublishedPort>,
}

/// One listening address of the host that leads to a container's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPort {
    pub container: PortKey,
    pub host_address: IpAddr,
    pub host_port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKind {
    Bind,
    Volume,
    Tmpfs,
}

/// A mount as `inspect` shows it.
#[derive(Debug, Clone)]
pub struct MountView {
    pub kind: MountKind,
    /// The volume's name.
    pub name: Option<VolumeName>,
    /// On the host; empty for tmpfs.
    pub source: PathBuf,
    pub destination: PathBuf,
    pub read_write: bool,
    /// `rprivate`, … for binds.
    pub propagation: &'static str,
}

/// A named or anonymous volume.
#[derive(Debug, Clone)]
pub struct VolumeView {
    pub name: VolumeName,
    pub created_at_ns: i64,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
    pub mountpoint: PathBuf,
    pub anonymous: bool,
    /// Containers (running or not) that mount it.
    pub users: Vec<ContainerId>,
}

/// A network and who is on it.
#[derive(Debug, Clone)]
pub struct NetworkView {
    pub name: String,
    pub id: String,
    pub created_at_ns: i64,
    /// `haven` (routed), `host` or `null`.
    pub driver: &'static str,
    pub subnet: Option<haven_spec::Ipv4Net>,
    /// The part containers get an address of when they ask for none.
    pub address_range: Option<haven_spec::Ipv4Net>,
    pub gateway: Option<Ipv4Addr>,
    pub reserved: Vec<Ipv4Addr>,
    pub internal: bool,
    /// Its containers reach each other without links.
    pub open_inside: bool,
    /// Its containers reach the outside without links.
    pub open_outside: bool,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
    /// Living containers with their endpoint.
    pub members: Vec<(ContainerId, ContainerName, EndpointView)>,
}

/// A link, and what it has carried.
#[derive(Debug, Clone)]
pub struct LinkView {
    /// `None` for one that makes a network open: it comes and goes with the network.
    pub id: Option<u32>,
    pub from: LinkEnd,
    pub to: LinkEnd,
    pub traffic: Traffic,
    pub owner: String,
    pub reason: String,
    pub created_at_ns: i64,
    /// The user id of whoever asked for it.
    pub created_by: Option<u32>,
    pub expires_at_ns: Option<i64>,
    /// Since the firewall's table was made.
    pub packets: u64,
    pub bytes: u64,
    /// Nobody who runs has the name of one of its ends.
    pub waits: bool,
}

/// Who tried, or was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerView {
    End(LinkEnd),
    Host,
    /// Somebody who is no more, and whose name is not known any more.
    Gone(u32),
}

impl std::fmt::Display for PeerView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::End(end) => end.fmt(f),
            Self::Host => f.write_str("@host"),
            Self::Gone(number) => write!(f, "@gone-{number}"),
        }
    }
}

/// Something that was tried in vain.
#[derive(Debug, Clone)]
pub struct AttemptView {
    pub from: PeerView,
    pub to: PeerView,
    pub protocol: haven_spec::PortProtocol,
    pub port: u16,
    pub packets: u64,
    /// It was let through, because whoever tried it is observed.
    pub observed: bool,
    /// What `link add` would have to be told to permit it; `None` when no link could.
    pub suggestion: Option<String>,
}

/// Somebody who may do what no link permits for a while, and whose every attempt is counted.
#[derive(Debug, Clone)]
pub struct ObservationView {
    pub subject: Subject,
    pub since_ns: i64,
    pub until_ns: i64,
    /// The user id of whoever asked for it.
    pub by: Option<u32>,
}

/// A name that was looked up by somebody whom no link lets reach it.
#[derive(Debug, Clone)]
pub struct WantedView {
    pub from: Subject,
    pub to: LinkEnd,
    pub name: String,
    pub count: u64,
    pub last_ns: i64,
    /// What `link add` would have to be told, as far as anybody can know.
    pub suggestion: String,
}

/// An exec process as `exec inspect` shows it.
#[derive(Debug, Clone)]
pub struct ExecView {
    pub id: ExecId,
    pub container: ContainerId,
    pub running: bool,
    pub exit_code: Option<i32>,
    pub pid: u32,
    pub spec: crate::request::ExecSpec,
}
