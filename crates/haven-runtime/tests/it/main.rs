//! Real containers, made from a root file system with nothing but busybox in it.
//!
//! They need root and a kernel of this decade; each test has directories, ids and a spawner of its own, and removes
//! what it made. The spawner is `examples/spawner.rs`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod basics;
mod cgroup;
mod confinement;
mod exec;
mod fixture;
mod mounts;
mod seccomp;
mod sharing;
mod streams;
mod supervision;
mod tuning;
