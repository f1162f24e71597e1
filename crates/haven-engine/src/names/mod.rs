//! Looking names up for containers: one resolver, at the gateway's address, whose answers depend on who asks.
//!
//! ```text
//! container ──169.254.1.1:53──▶ server ─▶ directory ─▶ a name that links let the caller reach: its addresses
//!                                            │          one that they don't: refused, and noted
//!                                            └────────▶ anything else: the host's servers, if the caller may go out
//! ```
//!
//! Who asks is known by the address, which the kernel has checked against the interface. The names are those of
//! containers, their applications and their aliases, bare or followed by a network's name.

pub(crate) mod directory;
pub(crate) mod server;
mod upstream;
