//! Control groups: what a container may use, what it has used, and a hold on all its processes at once.
//!
//! [`Layout`] is what the machine has (v1, hybrid, v2), read once. [`Group`] is one container's group in all of its
//! hierarchies, held by descriptors: made, limited, entered, frozen, counted, killed, removed. The documents are
//! OCI's ([`crate::oci::Resources`]), in v1's vocabulary; on v2 they are converted as other runtimes convert them.
//!
//! ```text
//! Layout::detect ──create──▶ Group ──apply(limits)──▶ attach / born into (v2) ──▶ stats, freeze, update
//!        └────────open─────────▲                                              kill_all ──▶ remove
//! ```
//!
//! Nothing here is remembered: a group is found again by its path after any crash.

mod device_program;
mod devices;
mod directory;
mod format;
mod freezer;
mod group;
mod kill;
mod layout;
mod limits;
mod oom;
mod path;
mod stats;

pub use devices::default_device_rules;
pub use group::Group;
pub use layout::{Layout, Version};
pub use limits::Warnings;
pub use oom::OomWatch;
pub use path::GroupPath;
pub use stats::{BlockIoEntry, BlockIoStats, CpuStats, HugetlbStats, MemoryStats, PidsStats, Stats};
