//! What the operator can choose about the default network.

use haven_spec::Ipv4Net;
use std::net::{IpAddr, Ipv4Addr};

/// Settings of [`crate::Network`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Where containers' addresses come from. `None`: the first of our candidates that overlaps no route of the host,
    /// and the same one again as long as the host runs. Keep what [`crate::Network::pool`] says to keep it for good.
    pub pool: Option<Ipv4Net>,
    /// Largest packet of containers' interfaces, in bytes. `None`: that of the interface with the default route.
    pub mtu_bytes: Option<u32>,
    /// Host address of published ports that name none.
    pub publish_address: IpAddr,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { pool: None, mtu_bytes: None, publish_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED) }
    }
}
