//! The kernel, as Haven uses it: system calls, descriptors, mounts, path resolution inside a root file
//! system, netlink sockets.
//!
//! Linux only, x86_64 and aarch64, kernel 5.19 or later. This is the only crate that may contain `unsafe`;
//! every block names the invariant that makes it sound and who keeps it. It knows nothing of containers.

pub mod bpf;
pub mod descriptor;
pub mod file_owner;
pub mod inherited;
pub mod memfd;
pub mod memory;
pub mod mount;
pub mod netlink;
pub mod network_namespace;
pub mod pidfd;
pub mod process;
pub mod region;
pub mod rlimit;
pub mod root;
pub mod scheduling;
pub mod signal;
pub mod socket;

mod signal_queue;

pub use signal_queue::SignalQueue;
