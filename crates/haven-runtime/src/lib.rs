//! One OCI bundle to one confined process.
//!
//! What comes in is an OCI document ([`oci`]) or the engine's own specification; what comes out is a process in
//! its namespaces, control group and filters. This crate doesn't know that a daemon exists, and holds no
//! `unsafe`: system calls are `haven-sys`'s.
//!
//! A [`Launch`] says everything about a container; [`Spawner::launch`] makes it, up to the point where its command
//! would run; its [`Keeper`] then starts it, attaches to it and tells how it ended. [`Spawner::exec`] adds a process.

pub mod capability;
pub mod cgroup;
pub mod landlock;
pub mod oci;
pub mod seccomp;

mod assembler;
mod child;
mod command;
pub mod defaults;
mod exit;
mod identity;
mod keeper;
mod launch;
mod link;
mod machine;
mod plan;
mod setback;
mod spawner;
mod warnings;

pub use assembler::mount_rootfs;
pub use command::oci_command;
pub use exit::{ExitRecord, read_exec_exit, read_exit};
pub use identity::{process_start_time, resolve_process};
pub use keeper::{
    AttachRequest, ExitWatch, FRAME_BYTES, Keeper, STREAM_STDERR, STREAM_STDIN, STREAM_STDOUT, Settled,
};
pub use launch::{ExecRequest, IdRange, Launch, LogTarget, RootFs, StdinMode};
pub use setback::CommandError;
pub use spawner::{Execed, GroupMoves, Launched, Spawner, run_spawner};
pub use warnings::read_warnings;
