//! Ports as Compose files write them.

use crate::Traffic;
use haven_spec::{PortKey, PortProtocol};
use std::net::IpAddr;

/// Host ports that lead to container ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) address: Option<IpAddr>,
    /// First and last; `None`: any free one.
    pub(super) host: Option<(u16, u16)>,
    pub(super) container: (u16, u16),
    pub(super) protocol: PortProtocol,
}

impl Mapping {
    /// `80`, `8080:80`, `127.0.0.1:8000-8010:80-90/udp`, `[::1]:80:80`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (rest, protocol) = match text.rsplit_once('/') {
            Some((rest, protocol)) if !protocol.is_empty() => (rest, PortProtocol::parse(protocol).ok()?),
            Some(_) => return None,
            None => (text, PortProtocol::Tcp),
        };
        let (rest, container) = match rest.rsplit_once(':') {
            Some((rest, container)) => (Some(rest), range(container)?),
            None => (None, range(rest)?),
        };
        let (address, host) = match rest {
            None => (None, None),
            Some(rest) => {
                let (address, ports) = match rest.rsplit_once(':') {
                    Some((address, ports)) => (Some(address), ports),
                    None => (None, rest),
                };
                let address = address.map(|address| address.trim_matches(['[', ']']).parse());
                let host = if ports.is_empty() { None } else { Some(range(ports)?) };
                (address.transpose().ok()?, host)
            }
        };
        Some(Self { address, host, container, protocol })
    }

    /// Each container port with its host port.
    pub(super) fn ports(&self) -> impl Iterator<Item = (PortKey, Option<u16>)> + '_ {
        let (first, last) = self.container;
        (first..=last).map(move |port| {
            // A range of the host for one port of the container means any of them: the first is proposed.
            let host = self
                .host
                .map(|(host, _)| if first == last { host } else { host.saturating_add(port - first) });
            (PortKey { port, protocol: self.protocol }, host)
        })
    }
}

/// `3000`, `3000-3010`, `53/udp`, as under `expose`.
pub(super) fn exposed(text: &str) -> Option<Traffic> {
    Traffic::parse(text).ok().filter(|traffic| matches!(traffic, Traffic::Ports { .. }))
}

fn range(text: &str) -> Option<(u16, u16)> {
    match exposed(text)? {
        Traffic::Ports { first, last, .. } if !text.contains('/') => Some((first, last)),
        _ => None,
    }
}

/// What a well-known image listens on, so that a dependency on it need not be on every port.
pub(super) fn of_image(image: &str) -> Option<Traffic> {
    let name = image.rsplit('/').next().unwrap_or(image);
    let name = name.split([':', '@']).next().unwrap_or(name);
    let port = match name {
        "postgres" | "postgis" | "timescaledb" => 5432,
        "mysql" | "mariadb" | "percona" => 3306,
        "redis" | "valkey" | "keydb" => 6379,
        "memcached" => 11211,
        "mongo" => 27017,
        "rabbitmq" => 5672,
        "nats" => 4222,
        "elasticsearch" | "opensearch" => 9200,
        "clickhouse-server" => 9000,
        "influxdb" => 8086,
        "minio" => 9000,
        "nginx" | "httpd" | "caddy" => 80,
        _ => return None,
    };
    Some(Traffic::Ports { protocol: PortProtocol::Tcp, first: port, last: port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_in_every_form() {
        let parse =
            |text| Mapping::parse(text).map(|m| (m.address.map(|a| a.to_string()), m.host, m.container));
        assert_eq!(parse("80"), Some((None, None, (80, 80))));
        assert_eq!(parse("8080:80/udp"), Some((None, Some((8080, 8080)), (80, 80))));
        assert_eq!(
            parse("127.0.0.1:8000-8002:80-82"),
            Some((Some("127.0.0.1".into()), Some((8000, 8002)), (80, 82)))
        );
        assert_eq!(parse("[::1]:80:81"), Some((Some("::1".into()), Some((80, 80)), (81, 81))));
        assert_eq!(parse("127.0.0.1::81"), Some((Some("127.0.0.1".into()), None, (81, 81))));
        for bad in ["", ":", "a", "0", "70000:80", "80:70000", "1.2.3:80:80", "80/", "80/xtp", "9-8"] {
            assert!(Mapping::parse(bad).is_none(), "{bad}");
        }
        let mapping = Mapping::parse("8000-8002:80-82").unwrap();
        let last = mapping.ports().last().unwrap();
        assert_eq!((last.0.to_string(), last.1), ("82/tcp".into(), Some(8002)));
    }
}
