//! One endpoint as it is in the kernel: its interface, and the elements that follow from it.

use crate::nft::Element;
use crate::{Endpoint, Identity, elements, identity};
use haven_spec::ContainerId;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// How our aliases begin.
const ALIAS_WORD: &str = "haven";

/// An endpoint and the host's end of its veth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) endpoint: Endpoint,
    /// Who its network is, when links can begin and end there.
    pub(crate) network: Option<Identity>,
    /// The host's index and name of the interface.
    pub(crate) interface: u32,
    pub(crate) name: String,
}

impl Attachment {
    /// Everything the table says about it.
    pub(crate) fn elements(&self) -> Vec<Element> {
        let endpoint = &self.endpoint;
        let identity = endpoint.identity;
        let mut all = vec![elements::bind4(self.interface, endpoint.ipv4)];
        all.extend(endpoint.ipv6.map(|address| elements::bind6(self.interface, address)));
        all.extend(elements::identified(self.interface, identity.number()));
        if let Some(network) = self.network {
            all.extend(elements::on_network(self.interface, network.number()));
        }
        if endpoint.internal {
            all.push(elements::internal(self.interface));
        }
        if endpoint.egress {
            all.push(elements::egress_any(identity.number(), identity.egress_link()));
            all.push(elements::live(identity.egress_link()));
        }
        if !endpoint.published.is_empty() {
            all.push(elements::live(identity.publish_link()));
        }
        for published in &endpoint.published {
            let (protocol, port) = (published.container.protocol, published.container.port);
            match (published.host_address, endpoint.ipv6) {
                (IpAddr::V4(host), _) => {
                    all.push(elements::publish4(host, protocol, published.host_port, endpoint.ipv4, port));
                }
                (IpAddr::V6(host), Some(to)) => {
                    all.push(elements::publish6(host, protocol, published.host_port, to, port));
                }
                // Attaching refuses it.
                (IpAddr::V6(_), None) => continue,
            }
            // Only the host itself can send to a loopback address, and it passes no forward hook: no link is needed,
            // so none is opened to the outside.
            if published.host_address.is_loopback() {
                continue;
            }
            let (from, to, link) = (identity::OUTSIDE, identity.number(), identity.publish_link());
            match endpoint.sources.get(&published.container) {
                None => all.push(elements::link(from, to, protocol, port, link)),
                Some(sources) => {
                    all.extend(sources.iter().map(|net| elements::ingress4(to, *net, protocol, port, link)));
                }
            }
        }
        sorted(all)
    }
}

/// The elements of all, each once, those of a set together.
pub(crate) fn union<'a>(attachments: impl IntoIterator<Item = &'a Attachment>) -> BTreeSet<Element> {
    attachments.into_iter().flat_map(Attachment::elements).collect()
}

fn sorted(elements: Vec<Element>) -> Vec<Element> {
    elements.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whose an interface is, as its alias says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alias {
    pub(crate) container: ContainerId,
    pub(crate) network: String,
    /// The interface's name in the container.
    pub(crate) interface: String,
}

impl Alias {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        Self {
            container: endpoint.container.clone(),
            network: endpoint.network.clone(),
            interface: endpoint.interface.clone(),
        }
    }

    pub(crate) fn text(&self) -> String {
        format!("{ALIAS_WORD} {} {} {}", self.container, self.interface, self.network)
    }

    /// `None`: not one of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        (words.next()? == ALIAS_WORD).then_some(())?;
        let container = ContainerId::parse(words.next()?).ok()?;
        let interface = words.next()?.to_owned();
        Some(Self { container, interface, network: words.next()?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Published;
    use haven_spec::PortKey;
    use std::collections::BTreeMap;

    fn endpoint() -> Endpoint {
        Endpoint {
            container: ContainerId::from_bytes(&[7; 32]),
            network: "default".into(),
            ipv4: "10.210.0.2".parse().unwrap(),
            ipv6: None,
            identity: Identity::new(5).unwrap(),
            mac: None,
            interface: "eth0".into(),
            subnet: None,
            gateway: true,
            internal: false,
            egress: true,
            published: Vec::new(),
            sources: BTreeMap::new(),
        }
    }

    fn sets(endpoint: Endpoint) -> Vec<&'static str> {
        let attachment = Attachment { endpoint, network: None, interface: 9, name: "hv0".into() };
        attachment.elements().into_iter().map(|e| e.set).collect()
    }

    #[test]
    fn a_port_on_loopback_opens_nothing_to_the_outside() {
        let publish = |host: &str| Published {
            container: PortKey::parse("80").unwrap(),
            host_address: host.parse().unwrap(),
            host_port: 8080,
        };
        let closed = Endpoint { egress: false, ..endpoint() };
        assert_eq!(sets(closed.clone()), ["bind4", "dst_id", "src_id"]);
        let local = Endpoint { published: vec![publish("127.0.0.1")], ..closed.clone() };
        assert_eq!(sets(local), ["bind4", "dst_id", "live", "publish4", "src_id"]);
        let open = Endpoint { published: vec![publish("0.0.0.0")], ..closed };
        assert_eq!(sets(open.clone()), ["bind4", "dst_id", "links", "live", "publish4_any", "src_id"]);
        let some = BTreeMap::from([(
            PortKey::parse("80").unwrap(),
            vec!["10.0.0.0/8".to_owned().try_into().unwrap()],
        )]);
        let narrow = Endpoint { sources: some, ..open.clone() };
        assert_eq!(sets(narrow), ["bind4", "dst_id", "ingress4", "live", "publish4_any", "src_id"]);
        assert_eq!(sets(endpoint()), ["bind4", "dst_id", "egress_any", "live", "src_id"]);
    }

    #[test]
    fn an_alias_says_whose_an_interface_is() {
        let alias = Alias::of(&Endpoint { network: "my net".into(), ..endpoint() });
        assert_eq!(Alias::parse(&alias.text()), Some(alias));
        for other in ["", "haven", "haven x eth0 default", "other 0 1 2"] {
            assert_eq!(Alias::parse(other), None, "{other}");
        }
    }
}
