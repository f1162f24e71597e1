//! The spawner: the small process with one thread that all containers are forked from.
//!
//! A daemon is large and has threads; forking it is slow (page tables) and unsound (locks). So it starts one small
//! process early, from a sealed copy of the own program, and asks that one. The spawner outlives the daemon and knows
//! no container: each belongs to its keeper, which the spawner forks and forgets.
//!
//! ```text
//! caller ──spawner.sock: request + plan (memfd)──▶ spawner ──fork──▶ keeper ──fork──▶ assembler ──clone3──▶ init
//!    ◀──────────────── pid, pidfd, network namespace ──────────────────────────────────┘ (then ends)
//! ```
//!
//! This module is both sides: [`Spawner`] is the client.

mod client;
mod favour;
mod protocol;
mod request;
mod server;
mod standby;

pub(crate) use protocol::DONE;
pub(crate) use request::{Order, Request};
pub(crate) use server::{refuse, reply};

pub use client::{Execed, GroupMoves, Launched, Spawner};
pub use server::run_spawner;
