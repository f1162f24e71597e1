//! Facts about the host's network for `haven doctor`; what they mean is the edge's to say.

use haven_spec::Ipv4Net;

/// What is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Our table exists and has exactly our chains and rules.
    pub table_intact: bool,
    /// `net.ipv4.ip_forward`.
    pub ipv4_forwarding: bool,
    /// Forwarding was off before Haven turned it on.
    pub forwarding_by_us: bool,
    pub ipv6_forwarding: bool,
    pub pool: Ipv4Net,
    /// Our veths.
    pub interfaces: usize,
    /// Connections the denied counter has seen.
    pub denied_packets: u64,
    pub spoofed_packets: u64,
    pub revoked_packets: u64,
    /// Chains and firewalls of others that can stop containers' traffic.
    pub foreign: Vec<Foreign>,
}

/// Somebody else's part of the firewall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreign {
    /// ufw's chains are loaded.
    Ufw,
    /// firewalld's table is loaded.
    Firewalld,
    /// Tables of the old iptables back end exist; their rules cannot be listed here.
    LegacyIptables,
    /// A base chain at the forward hook drops what nothing accepts: containers' traffic needs a rule there.
    ForwardDrop { family: String, table: String, chain: String },
}
