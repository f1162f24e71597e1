//! `-p [[ip:]host:]container[/protocol]`, single ports or ranges, and `--expose`.

use std::net::IpAddr;

/// One container port and, when published, where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    /// `80/tcp`
    pub(crate) key: String,
    pub(crate) host_ip: String,
    /// A port, a range to choose from, or nothing for any.
    pub(crate) host_port: String,
}

/// The ports that one `-p` publishes.
pub(crate) fn parse(text: &str) -> Result<Vec<Port>, String> {
    if text.contains('=') {
        return parse(&from_long_form(text)?);
    }
    let (ip, host, container) = split(text)?;
    if !ip.is_empty() && ip.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {ip}"));
    }
    let (container, protocol) = with_protocol(container)?;
    if container.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let (first, last) = range(container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
    let hosts = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?),
    };
    if let Some((host_first, host_last)) = hosts {
        // A range of host ports for one container port means: any of these.
        if host_last - host_first != last - first && first != last {
            return Err(format!(
                "invalid ranges specified for container and host Ports: {container} and {host}"
            ));
        }
    }
    Ok((first..=last)
        .map(|port| Port {
            key: format!("{port}/{protocol}"),
            host_ip: ip.to_owned(),
            host_port: match hosts {
                None => String::new(),
                Some((low, high)) if first == last && low != high => format!("{low}-{high}"),
                Some((low, _)) => (low + (port - first)).to_string(),
            },
        })
        .collect())
}

/// The ports that one `--expose` declares.
pub(crate) fn exposed(text: &str) -> Result<Vec<String>, String> {
    let (ports, protocol) = with_protocol(text)?;
    let (first, last) = range(ports).ok_or_else(|| format!("invalid range format for --expose: {text}"))?;
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// Address, host part and container part; an IPv6 address stands in brackets.
fn split(text: &str) -> Result<(&str, &str, &str), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once("]:").ok_or_else(|| format!("invalid IP address: {text}"))?;
        let (host, container) =
            rest.split_once(':').ok_or_else(|| format!("no container port after the address: {text}"))?;
        return Ok((ip, host, container));
    }
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [container] => Ok(("", "", container)),
        [host, container] => Ok(("", host, container)),
        [ip, host, container] => Ok((ip, host, container)),
        _ => Err(format!(
            "invalid publish value: {text}; an IPv6 address stands in brackets, like [::1]:80:80"
        )),
    }
}

fn with_protocol(text: &str) -> Result<(&str, String), String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_lowercase();
    match protocol.as_str() {
        "tcp" | "udp" | "sctp" => Ok((ports, protocol)),
        "" => Ok((ports, "tcp".into())),
        other => Err(format!("invalid proto: {other}")),
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| {
        Some(text)
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse::<u16>().ok())
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    (first <= last).then_some((first, last))
}

/// `published=8080,target=80,protocol=tcp` in the short form.
fn from_long_form(text: &str) -> Result<String, String> {
    let (mut published, mut target, mut protocol) = (String::new(), String::new(), "tcp".to_owned());
    for part in text.split(',') {
        let (name, value) = part
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("invalid publish opts format (should be name=value but got '{part}')"))?;
        match name {
            "published" => published = value.to_owned(),
            "target" => target = value.to_owned(),
            "protocol" => protocol = value.to_owned(),
            "mode" => {}
            other => {
                return Err(format!(
                    "unknown name '{other}' in '{text}'; there are published, target, protocol"
                ));
            }
        }
    }
    if [&published, &target, &protocol].into_iter().any(|part| part.contains('=')) {
        return Err(format!("invalid publish value: {text}"));
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_published_one_by_one_or_in_ranges() {
        for (text, expected) in [
            ("80", vec![("80/tcp", "", "")]),
            ("8080:80", vec![("80/tcp", "", "8080")]),
            ("8080:80/udp", vec![("80/udp", "", "8080")]),
            ("127.0.0.1:8080:80", vec![("80/tcp", "127.0.0.1", "8080")]),
            ("127.0.0.1::80", vec![("80/tcp", "127.0.0.1", "")]),
            ("[::1]:8080:80", vec![("80/tcp", "::1", "8080")]),
            ("80-81", vec![("80/tcp", "", ""), ("81/tcp", "", "")]),
            ("8080-8081:80-81", vec![("80/tcp", "", "8080"), ("81/tcp", "", "8081")]),
            ("8080-8090:80", vec![("80/tcp", "", "8080-8090")]),
            ("published=8080,target=80,protocol=udp", vec![("80/udp", "", "8080")]),
            ("53:53/UDP", vec![("53/udp", "", "53")]),
        ] {
            let ports = parse(text).unwrap();
            let shown: Vec<(&str, &str, &str)> =
                ports.iter().map(|p| (p.key.as_str(), p.host_ip.as_str(), p.host_port.as_str())).collect();
            assert_eq!(shown, expected, "{text}");
        }
        for bad in [
            "",
            ":",
            "70000:80",
            "80:70000",
            "x:80",
            "1.2.3:80:80",
            "80/xyz",
            "80-79",
            "1-2:3-5",
            "::1:80:80",
            "80:",
            "[::1:80:80",
            "-1:80",
            "+1:80",
            "published=",
            "published=1,foo=2",
            "a=b=c",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn exposed_ports_can_be_ranges() {
        assert_eq!(exposed("80").unwrap(), ["80/tcp"]);
        assert_eq!(exposed("80-82/udp").unwrap(), ["80/udp", "81/udp", "82/udp"]);
        assert!(exposed("x").is_err() && exposed("").is_err() && exposed("8080:80").is_err());
    }
}
