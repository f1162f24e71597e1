//! Containers, volumes, restart policies, health checks, events and logs.
//!
//! The only room that joins the others: it asks [`haven_image`] for layers, [`haven_network`] for an endpoint and
//! [`haven_runtime`] for a confined process, and keeps what must survive in one `redb` database. One task owns each
//! container's changeable state and takes its commands from a mailbox; readers use published snapshots and never
//! wait. It speaks no wire format: the Docker API is a room above.

mod audit;
mod caller;
mod clock;
mod config;
mod container;
mod create;
mod drafts;
mod engine;
mod event;
mod exec;
mod images;
mod log;
mod name_choice;
mod names;
mod network;
mod record;
mod recording;
mod recovery;
mod registry;
mod request;
mod shared;
mod stream;
mod view;
mod volume;

pub use caller::Caller;
pub use config::EngineConfig;
pub use container::confinement::{masked_paths, readonly_paths};
pub use engine::{ByteSink, ByteSource, Engine, EngineInfo};
pub use event::{Event, EventLog, EventObject};
pub use haven_audit::{
    Change as AuditChange, ExportFormat as AuditExport, Query as AuditQuery, SignedCheckpoint, Verification,
};
pub use haven_network::exposure;
pub use haven_network::{Foreign, Status as NetworkStatus, Traffic};
pub use haven_runtime::cgroup::{BlockIoEntry as CgroupBlockIoEntry, Stats as CgroupStats};
pub use haven_runtime::landlock::is_available as landlock_is_available;
pub use haven_runtime::{oci_command, run_spawner};
pub use log::LogReader;
pub use network::end::LinkEnd;
pub use network::exchange::ImportView;
pub use network::links::AddLink;
pub use network::networks::CreateNetwork;
pub use network::subject::{APPLICATION_LABEL, ApplicationName, Subject};
pub use request::{
    AttachContainer, Change, ChangeKind, CommitContainer, ContainerSize, CreateContainer, CreateVolume,
    CreatedContainer, ExecSpec, InterfaceCounters, LogLine, LogQuery, OutputKind, PathStat, ProcessTable,
    Pruned, RemoveContainer, StatsSample, StopContainer, UpdateContainer, WaitCondition,
};
pub use stream::{Attached, InputSink, OutputStream, Waiter};
pub use view::{
    AttemptView, ContainerFiles, ContainerView, EndpointView, ExecView, Health, HealthRun, LinkView,
    MountKind, MountView, NetworkView, ObservationView, PeerView, PublishedPort, VolumeView, WantedView,
};

pub use haven_image as image;
