//! Containers' networks: routed, closed by default, and held by the kernel alone.
//!
//! Every container has a veth pair of its own, a /32 (and /128) address and a route; there is no bridge, so two
//! containers share no layer 2 and every packet between them crosses the host's forward hook. One nftables table,
//! `inet haven`, decides there: who a packet is from and to follows from the interface, never from an address; what is
//! allowed is an element of a map; what is not in a map is denied.
//!
//! ```text
//!   container eth0 10.210.0.7/32 ──veth── hv0123456789ab0 169.254.1.1/32   (host)
//!                                             │ route 10.210.0.7/32
//!                                       table inet haven
//!                                             │ forward: src id, dst id ─▶ link id ─▶ live?
//!                                          uplink
//! ```
//!
//! All state that packets need is in the kernel: connectivity and published ports outlive the daemon. What this room
//! keeps in memory (who holds which port, which interface is whose) is rebuilt by [`Network::reconcile`] from the
//! kernel's lists and the engine's records.
//!
//! Everything happens in the network namespace of the thread that called [`Network::open`]; call the other methods
//! from threads in that namespace too. All calls block, for microseconds to a few milliseconds.
//!
//! It touches only what carries its names: the table `inet haven`, veths named `hv…` in its own device group, routes
//! of its own protocol number. It knows nothing of images or of the engine's states.

mod address_pool;
mod attachment;
mod config;
mod conntrack;
mod counters;
mod device;
pub mod dns;
mod elements;
mod endpoint;
mod ends;
pub mod exchange;
pub mod exposure;
mod host_routes;
pub mod hosts;
mod identity;
mod links;
mod network;
mod nft;
mod observation;
mod port_holder;
mod ports;
mod reconciliation;
mod repairs;
pub mod resolver;
mod status;
mod sweeper;
mod sysctl;
mod table;
mod traffic;
mod upkeep;
mod watch;

pub use address_pool::AddressPool;
pub use config::NetworkConfig;
pub use counters::InterfaceCounters;
pub use endpoint::{Endpoint, MacAddress, Published};
pub use identity::{Identity, IdentityPool};
pub use links::{Link, LinkId, Party, Traffic};
pub use network::{GATEWAY, GATEWAY6, Network, bring_loopback_up};
pub use observation::{Attempt, LinkTraffic, Peer, Permission};
pub use repairs::Repairs;
pub use status::{Foreign, Status};
pub use watch::{ForeignChange, Watch};
