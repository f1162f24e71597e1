//! Facts about the host's network for `haven doctor`; what they mean is the edge's to say.

use crate::network::refused;
use crate::nft::{self, Hook, Listing, TableSpec};
use crate::{device, sysctl, table};
use haven_spec::{Ipv4Net, Outcome};
use haven_sys::netlink::NetlinkSocket;

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
    /// Packets refused because no link allows them.
    pub denied_packets: u64,
    /// Packets dropped because of a forged source.
    pub spoofed_packets: u64,
    /// Packets of connections whose link was taken away.
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
    /// Docker's chains are loaded: it drops forwarded packets that are not for its own containers.
    Docker,
    /// A base chain at the forward hook drops what nothing accepts: containers' traffic needs a rule there.
    ForwardDrop { family: String, table: String, chain: String },
}

impl Foreign {
    /// The commands that let containers' traffic through; Haven never changes somebody else's rules by itself.
    pub fn remedy(&self) -> Vec<String> {
        let prefix = table::INTERFACE_PREFIX;
        match self {
            Self::Ufw => ["in", "out"].map(|way| format!("ufw route allow {way} on {prefix}+")).into(),
            Self::Firewalld => {
                vec![format!("firewall-cmd --permanent --zone=trusted --add-interface={prefix}+")]
            }
            Self::Docker => {
                ["i", "o"].map(|way| format!("iptables -I DOCKER-USER -{way} {prefix}+ -j ACCEPT")).into()
            }
            Self::ForwardDrop { family, table, chain } => ["iifname", "oifname"]
                .map(|way| format!("nft insert rule {family} {table} {chain} {way} '{prefix}*' accept"))
                .into(),
            Self::LegacyIptables => {
                ["i", "o"].map(|way| format!("iptables-legacy -I FORWARD -{way} {prefix}+ -j ACCEPT")).into()
            }
        }
    }
}

/// In the table's comment when Haven turned forwarding on. The kernel keeps it as long as the table.
const FORWARDING_BY_US: &str = "turned ip_forward on";

/// The table's comment: version, and what is worth remembering.
pub(crate) fn comment(forwarding_by_us: bool) -> String {
    let version = table::VERSION;
    if forwarding_by_us {
        format!("haven table {version}; {FORWARDING_BY_US}")
    } else {
        format!("haven table {version}")
    }
}

pub(crate) fn forwarding_by_us(listing: &Listing) -> bool {
    listing.comment.as_deref().is_some_and(|comment| comment.contains(FORWARDING_BY_US))
}

pub(crate) fn status(
    route: &mut NetlinkSocket,
    nft: &mut NetlinkSocket,
    table: &TableSpec,
    pool: Ipv4Net,
) -> Outcome<Status> {
    let failed = |e| refused("cannot list the firewall", e);
    let listing = Listing::of(nft, table).map_err(failed)?;
    let interfaces = device::ours(route).map_err(|e| refused("cannot list interfaces", e))?.len();
    let counted = if listing.exists { nft::counters(nft, table.name).map_err(failed)? } else { Vec::new() };
    let packets = |name: &str| counted.iter().find(|(n, _)| n == name).map_or(0, |(_, packets)| *packets);
    Ok(Status {
        table_intact: listing.is_intact(),
        ipv4_forwarding: sysctl::is_on("ipv4/ip_forward"),
        forwarding_by_us: forwarding_by_us(&listing),
        ipv6_forwarding: sysctl::is_on("ipv6/conf/all/forwarding"),
        pool,
        interfaces,
        denied_packets: packets(table::DENIED_TOTAL),
        spoofed_packets: packets(table::SPOOFED_TOTAL),
        revoked_packets: packets(table::REVOKED_TOTAL),
        foreign: foreign(nft)?,
    })
}

fn foreign(nft: &mut NetlinkSocket) -> Outcome<Vec<Foreign>> {
    let (bases, names) =
        nft::base_chains(nft).map_err(|e| refused("cannot list the chains of the firewall", e))?;
    let mut found = Vec::new();
    if names.iter().any(|(_, chain)| chain.starts_with("ufw-") || chain.starts_with("ufw6-")) {
        found.push(Foreign::Ufw);
    }
    if names.iter().any(|(table, _)| table == "firewalld") {
        found.push(Foreign::Firewalld);
    }
    if names.iter().any(|(_, chain)| chain == "DOCKER-USER") {
        found.push(Foreign::Docker);
    }
    let legacy = |file: &str| {
        std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).is_ok_and(|t| !t.trim().is_empty())
    };
    if legacy("ip_tables_names") || legacy("ip6_tables_names") {
        found.push(Foreign::LegacyIptables);
    }
    let dropping = bases.into_iter().filter(|chain| chain.drops && chain.is_at(Hook::Forward));
    found.extend(dropping.map(|chain| Foreign::ForwardDrop {
        family: chain.family.to_owned(),
        table: chain.table,
        chain: chain.name,
    }));
    Ok(found)
}
