//! Links and what belongs to them, by name: what goes out to another system and what comes in from one.

use crate::Traffic;
use crate::exposure::AddressRange;
use haven_spec::PortKey;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

/// An application with what other systems select it by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workload {
    pub name: String,
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
    /// The networks it is on.
    pub networks: Vec<String>,
}

/// One end of a link.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    Application(String),
    /// Everybody on it.
    Network(String),
    Outside,
    Range(AddressRange),
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application(name) => f.write_str(name),
            Self::Network(name) => write!(f, "network:{name}"),
            Self::Outside => f.write_str("@outside"),
            Self::Range(range) => range.fmt(f),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredLink {
    pub from: Side,
    pub to: Side,
    pub traffic: Traffic,
    pub id: Option<u32>,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredPublish {
    pub application: String,
    pub container: PortKey,
    pub host: SocketAddr,
    /// Empty: everybody.
    pub from: Vec<AddressRange>,
}

/// Everything that another system is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declared {
    pub workloads: Vec<Workload>,
    pub links: Vec<DeclaredLink>,
    pub open_networks: Vec<String>,
    pub publishes: Vec<DeclaredPublish>,
}

/// Addresses outside that may connect to an application. To become a published port it still needs one of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayIn {
    pub application: String,
    pub from: AddressRange,
    pub traffic: Traffic,
}
