//! The OCI runtime command as its callers use it: bundles by hand, then podman, containerd and dockerd.
//!
//! Privileged. Each test has a directory, a `--root` and container ids of its own and removes what it made.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]
#![expect(clippy::print_stdout, reason = "a test that is not run says so")]

mod bundle;
mod callers;
mod hooks;
mod lifecycle;
mod terminal;
