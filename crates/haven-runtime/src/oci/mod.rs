//! The OCI runtime specification's documents: `config.json`, the state and the feature list.
//!
//! These types mirror the wire of runtime-spec 1.2 (and what 1.3 added for Linux) and decide nothing: names are the
//! specification's, fields are public, members of other platforms and unknown members are ignored. Absent, `null`
//! and empty mean the same for lists, maps and strings, as they do for the Go types other programs use, and what is
//! empty is not written, so a document survives reading and writing.
//!
//! Reading goes through [`Spec::parse`], which knows what the Go decoder forgives (`null` for anything, members
//! given twice).

mod features;
mod hooks;
mod linux;
mod mount;
mod process;
mod resources;
mod seccomp;
mod spec;
mod state;

pub use features::{
    ApparmorFeatures, CgroupFeatures, Features, IdMapFeatures, IntelRdtFeatures, LinuxFeatures,
    MemoryPolicyFeatures, MountExtensionsFeatures, NetDevicesFeatures, SeccompFeatures, SelinuxFeatures,
};
pub use hooks::{Hook, Hooks};
pub use linux::{
    Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NamespaceType, NetDevice, Personality,
    TimeOffset,
};
pub use mount::Mount;
pub use process::{
    Capabilities, ConsoleSize, CpuAffinity, IoPriority, IoPriorityClass, Process, Rlimit, Scheduler, User,
};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources,
    ThrottleDevice, WeightDevice,
};
pub use seccomp::{Seccomp, SeccompAction, SeccompArg, SeccompOperator, Syscall};
pub use spec::{Root, Spec, VERSION};
pub use state::{ProcessState, State, Status};

pub(crate) use spec::parse as parse_document;

/// For `skip_serializing_if`: the Go types leave out zero numbers.
fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
