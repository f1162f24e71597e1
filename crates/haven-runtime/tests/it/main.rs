//! What the crate does to a real machine. Needs root and makes its groups and namespaces under names of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cgroup;
mod seccomp;
