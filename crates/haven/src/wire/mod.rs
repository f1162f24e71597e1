//! A small blocking HTTP/1.1 client over a unix socket: one request, one answer, bodies of every framing, and
//! connections that stop being HTTP (hijacked streams).
//!
//! Blocking on purpose: a command line does one thing at a time, and starts in a millisecond without a runtime.
//! What it does not do: TLS, TCP, redirects, compression, cookies. RFC 9112 is the grammar.

mod answer;
mod body;
mod connection;
mod head;
mod request;
mod target;

pub(crate) use answer::Answer;
pub(crate) use body::BodyReader;
pub(crate) use connection::Connection;
pub(crate) use head::Head;
pub(crate) use request::{Method, Request};
pub(crate) use target::{Query, escape};
