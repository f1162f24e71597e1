//! Who can reach what, by which path: worked out from what is declared, never from what was seen.
//!
//! Pure: [`Facts`] in, an [`Exposure`] out, which never changes and may be asked from many threads. Two questions are
//! kept apart:
//!
//! * **directly**: who may open a connection to whom. Exact, as far as Haven decides it: it is what the kernel's maps say.
//! * **by any path**: who could get there if everything on the way were taken over. An upper bound: it counts what a
//!   container may do (mount the host, use the engine's socket, write to a shared volume), not what its program does.
//!
//! ```text
//!   internet ─publish─▶ web ─link 3─▶ api ─link 4─▶ db
//!                                      └─engine's socket─▶ host ─root─▶ everything
//! ```
//!
//! Hubs keep it small: a network, an open one or a shared volume is one point in the middle and never n² edges. Ranges of
//! outside addresses are zones, one within another. Paths do not go out to the outside and come back: ask for the outside.
//!
//! What it does not know: the host's own firewall, physical firewalls, what programs speak over an allowed connection,
//! tunnels through allowed ways out.

mod choke;
mod difference;
mod facts;
mod graph;
mod policy;
mod question;
mod range;
mod rule;
mod search;

pub use choke::{Choke, ChokePoint};
pub use difference::{Change, Difference, Gain};
pub use facts::{ApplicationId, Facts, LinkFact, NetworkId, Place, Power, PublishFact};
pub use graph::{Exposure, Means};
pub use policy::{Policy, Verdict};
pub use question::{Answer, Found};
pub use range::AddressRange;
pub use rule::Rule;
pub use search::{Manner, Step};
