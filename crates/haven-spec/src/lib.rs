//! What Haven talks about: ids, names, typed specifications and states, and the [`Failure`] every room reports.
//!
//! No I/O, no wire formats, no clock. Text becomes one of these types once, at an edge, by a parsing
//! constructor that names what it refused; past that line no string has a grammar.

mod container;
mod failure;
mod health;
mod id;
mod mount;
mod name;
mod network;
mod reference;
mod resources;
mod restart;
mod security;
mod signal;
mod state;

pub use container::{ContainerSpec, LogConfig};
pub use failure::{Failure, Kind, Outcome};
pub use health::{HealthCheck, HealthStatus};
pub use id::{ContainerId, Digest, ExecId, ImageId};
pub use mount::{BindPropagation, MountSource, MountSpec};
pub use name::{ContainerName, NetworkName, VolumeName};
pub use network::{Ipv4Net, NetworkAttachment, NetworkMode, PortKey, PortMapping, PortProtocol};
pub use reference::Reference;
pub use resources::{DeviceRate, Resources, Ulimit};
pub use restart::RestartPolicy;
pub use security::{Device, IpcMode, NamespaceMode, PidMode, SeccompChoice, Security, UserNamespaceMode};
pub use signal::Signal;
pub use state::{ContainerState, Exit};
