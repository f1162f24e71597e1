//! The keeper: the small process that stands by one container for as long as it lives.
//!
//! It is the parent of the container's first process, holds the other ends of its standard streams or its terminal,
//! writes the log and the exit record, and serves a control socket. It outlives whoever asked for the container, so
//! that a restart of the caller loses nothing. It touches as little memory as it can: one is there per container.
//!
//! This module is both sides: [`Keeper`] is the client.

mod client;
mod client_side;
mod encode;
mod input;
mod log;
mod oom;
mod protocol;
mod serve;
pub(crate) mod setup;
mod stand;

pub(crate) use stand::{Asked, stand};

pub use client::{AttachRequest, ExitWatch, Keeper, Settled};
pub use protocol::{FRAME_BYTES, STREAM_STDERR, STREAM_STDIN, STREAM_STDOUT};
