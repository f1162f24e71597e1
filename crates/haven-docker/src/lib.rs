//! The Docker Engine API: wire shapes to and from engine commands, and no behaviour of its own.
#![allow(dead_code, reason = "being built")]
mod call;
mod filter;
mod frame;
mod hijack;
mod peer;
mod query;
mod refusal;
mod reply;
mod server;
mod time;
mod version;
