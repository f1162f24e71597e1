//! Networks and ports as clients write them.

use super::config::{CreateBody, Endpoint, PortBinding};
use super::confinement::Resolve;
use crate::network::name as network_name;
use crate::refusal::{Answer, Refusal};
use haven_spec::{NetworkAttachment, NetworkMode, PortKey, PortMapping};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Which network the container has.
pub(crate) fn mode(body: &CreateBody, resolve: Resolve<'_>) -> Answer<NetworkMode> {
    if body.network_disabled {
        return Ok(NetworkMode::None);
    }
    Ok(match body.host.network_mode.as_str() {
        "none" => NetworkMode::None,
        "host" => NetworkMode::Host,
        mode => match mode.split_once(':') {
            Some(("container", "")) => {
                return Err(Refusal::invalid("invalid container format container:<name|id>"));
            }
            Some(("container", other)) => NetworkMode::Container(resolve(other)?),
            _ => match network_name::from_wire(if mode.is_empty() { "default" } else { mode }) {
                network_name::DEFAULT => NetworkMode::Default,
                name => NetworkMode::Named(haven_spec::NetworkName::parse(name)?),
            },
        },
    })
}

/// Wishes per network.
pub(crate) fn attachments(body: &CreateBody) -> Answer<BTreeMap<String, NetworkAttachment>> {
    let mut attachments = BTreeMap::new();
    for (name, endpoint) in &body.networking.endpoints {
        let attachment = attachment(name, endpoint.as_ref().unwrap_or(&Endpoint::default()))?;
        attachments.insert(network_name::from_wire(name).to_owned(), attachment);
    }
    if !body.mac_address.is_empty() {
        let main = match body.host.network_mode.as_str() {
            "" => network_name::DEFAULT,
            mode => network_name::from_wire(mode),
        };
        let attachment: &mut NetworkAttachment = attachments.entry(main.to_owned()).or_default();
        let mac = mac_address(&body.mac_address)?;
        if attachment.mac.as_ref().is_some_and(|other| *other != mac) {
            return Err(Refusal::invalid(
                "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
            ));
        }
        attachment.mac = Some(mac);
    }
    Ok(attachments)
}

/// A client that names networks and no mode means these, not the default one as well.
pub(crate) fn main(
    mode: NetworkMode,
    body: &CreateBody,
    attachments: &BTreeMap<String, NetworkAttachment>,
) -> Answer<NetworkMode> {
    let unsaid = matches!(body.host.network_mode.as_str(), "" | "default");
    match attachments.keys().next() {
        Some(first)
            if unsaid && mode == NetworkMode::Default && !attachments.contains_key(network_name::DEFAULT) =>
        {
            Ok(NetworkMode::Named(haven_spec::NetworkName::parse(first)?))
        }
        _ => Ok(mode),
    }
}

/// One endpoint's wishes.
pub(crate) fn attachment(network: &str, endpoint: &Endpoint) -> Answer<NetworkAttachment> {
    let ipam = endpoint.ipam.clone().unwrap_or_default();
    let address = |text: &str| {
        Refusal::invalid(format!("invalid endpoint settings for `{network}`: invalid IP address: {text}"))
    };
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(NetworkAttachment {
        aliases: endpoint.aliases.clone(),
        ipv4: given(&ipam.ipv4).map(|text| text.parse().map_err(|_| address(&text))).transpose()?,
        ipv6: given(&ipam.ipv6).map(|text| text.parse().map_err(|_| address(&text))).transpose()?,
        mac: given(&endpoint.mac_address).map(|text| mac_address(&text)).transpose()?,
        driver_opts: endpoint.driver_opts.clone(),
    })
}

/// Six pairs of hexadecimal digits, of one station, in small letters.
fn mac_address(text: &str) -> Answer<String> {
    let refuse = || Refusal::invalid(format!("invalid MAC address: {text}"));
    let pairs: Vec<u8> = text
        .split([':', '-'])
        .map(|pair| if pair.len() == 2 { u8::from_str_radix(pair, 16).ok() } else { None })
        .collect::<Option<_>>()
        .ok_or_else(refuse)?;
    // The lowest bit of the first byte says "a group of stations".
    if pairs.len() != 6 || pairs[0] & 1 == 1 {
        return Err(refuse());
    }
    Ok(pairs.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}

/// Every published port of `bindings`.
pub(crate) fn ports(bindings: &BTreeMap<String, Option<Vec<PortBinding>>>) -> Answer<Vec<PortMapping>> {
    let mut ports = Vec::new();
    for (key, wishes) in bindings {
        let container = port_key(key)?;
        let wishes = wishes.as_deref().unwrap_or_default();
        // A port without a binding is published somewhere.
        let anywhere = [PortBinding::default()];
        for wish in if wishes.is_empty() { &anywhere[..] } else { wishes } {
            ports.push(mapping(container, wish)?);
        }
    }
    Ok(ports)
}

fn mapping(container: PortKey, wish: &PortBinding) -> Answer<PortMapping> {
    let refuse = |why: String| Refusal::invalid(format!("invalid port specification: {why}"));
    let host_address: Option<IpAddr> = match wish.host_ip.trim_start_matches('[').trim_end_matches(']') {
        "" => None,
        text => Some(text.parse().map_err(|_| refuse(format!("invalid IP address: {}", wish.host_ip)))?),
    };
    let number = |text: &str| {
        text.parse::<u16>()
            .map_err(|_| refuse(format!("invalid hostPort: {} (1 to 65535, or a range)", wish.host_port)))
    };
    let (host_port, host_port_end) = match wish.host_port.split_once('-') {
        _ if wish.host_port.is_empty() => (0, 0),
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(&wish.host_port)?, number(&wish.host_port)?),
    };
    if host_port > host_port_end {
        return Err(refuse(format!("invalid hostPort: {} ends before it begins", wish.host_port)));
    }
    Ok(PortMapping {
        container,
        host_address,
        host_port,
        host_port_end,
        from: Vec::new(),
        reason: String::new(),
    })
}

/// `80/tcp`, in Docker's words when it isn't.
pub(crate) fn port_key(text: &str) -> Answer<PortKey> {
    PortKey::parse(text).map_err(|failure| Refusal::from(failure).prefixed(&format!("invalid port `{text}`")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use haven_spec::{ContainerId, Failure};

    fn body(json: &str) -> CreateBody {
        serde_json::from_str(json).unwrap()
    }

    fn network(json: &str) -> Answer<NetworkMode> {
        let resolve = |name: &str| match name {
            "there" => ContainerId::parse(&"a".repeat(64)),
            _ => Err(Failure::not_found(format!("No such container: {name}"))),
        };
        mode(&body(json), &resolve)
    }

    #[test]
    fn dockers_words_for_the_default_network_mean_the_default_network() {
        for word in ["", "default", "bridge"] {
            let json = format!(r#"{{"HostConfig":{{"NetworkMode":"{word}"}}}}"#);
            assert_eq!(network(&json).unwrap(), NetworkMode::Default, "{word}");
        }
        assert_eq!(network(r#"{"HostConfig":{"NetworkMode":"host"}}"#).unwrap(), NetworkMode::Host);
        assert_eq!(network(r#"{"NetworkDisabled":true}"#).unwrap(), NetworkMode::None);
        assert!(matches!(network(r#"{"HostConfig":{"NetworkMode":"app"}}"#).unwrap(), NetworkMode::Named(_)));
        assert!(network(r#"{"HostConfig":{"NetworkMode":"container:"}}"#).is_err());
        assert!(network(r#"{"HostConfig":{"NetworkMode":"a b"}}"#).is_err());
        assert!(network(r#"{"HostConfig":{"NetworkMode":"container:there"}}"#).is_ok());
    }

    #[test]
    fn bindings_become_mappings() {
        let bindings = body(
            r#"{"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"},{"HostPort":"9000-9010"}],"53/udp":null}}}"#,
        );
        let ports = ports(&bindings.host.port_bindings).unwrap();
        assert_eq!(ports.len(), 3);
        assert_eq!((ports[0].container.to_string(), ports[0].host_port), ("53/udp".into(), 0));
        assert_eq!((ports[1].host_port, ports[1].host_port_end), (8080, 8080));
        assert_eq!((ports[2].host_port, ports[2].host_port_end), (9000, 9010));
    }

    #[test]
    fn malformed_ports_and_addresses_are_refused() {
        for json in [
            r#"{"80/xyz":[{}]}"#,
            r#"{"0":[{}]}"#,
            r#"{"80":[{"HostPort":"x"}]}"#,
            r#"{"80":[{"HostPort":"70000"}]}"#,
            r#"{"80":[{"HostPort":"9-8"}]}"#,
            r#"{"80":[{"HostIp":"nowhere"}]}"#,
        ] {
            let bindings = serde_json::from_str(json).unwrap();
            assert!(ports(&bindings).is_err(), "{json}");
        }
        for mac in ["", "02:42", "02:42:ac:11:00:zz", "03:42:ac:11:00:02", "0242ac110002"] {
            assert!(mac_address(mac).is_err(), "{mac}");
        }
        assert_eq!(mac_address("02-42-AC-11-00-02").unwrap(), "02:42:ac:11:00:02");
    }
}
