//! A container's ports in one cell: `0.0.0.0:8080->80/tcp, 443/tcp`, neighbours joined into ranges.

use crate::template::Value;

struct Port {
    ip: String,
    private: i64,
    public: i64,
    protocol: String,
}

/// The cell for the `Ports` of a container's summary.
pub(crate) fn ports(summary: &Value) -> String {
    let mut ports: Vec<Port> = summary
        .items()
        .iter()
        .map(|port| Port {
            ip: port.at("IP").as_str().to_owned(),
            private: port.at("PrivatePort").number(),
            public: port.at("PublicPort").number(),
            protocol: port.at("Type").as_str().to_owned(),
        })
        .collect();
    ports.sort_by(|a, b| {
        (a.private, &a.ip, a.public, &a.protocol).cmp(&(b.private, &b.ip, b.public, &b.protocol))
    });
    let mut shown = Vec::new();
    let mut mappings = Vec::new();
    // (group, first, last), in the order in which groups began.
    let mut groups: Vec<(String, i64, i64)> = Vec::new();
    for port in &ports {
        let mut group = port.protocol.clone();
        if !port.ip.is_empty() {
            if port.public != port.private {
                let address = joined(&port.ip, port.public);
                mappings.push(format!("{address}->{}/{}", port.private, port.protocol));
                continue;
            }
            group = format!("{}/{}", port.ip, port.protocol);
        }
        match groups.iter_mut().find(|(known, _, _)| *known == group) {
            None => groups.push((group, port.private, port.private)),
            Some((_, _, last)) if port.private == *last + 1 => *last = port.private,
            Some((_, first, last)) => {
                shown.push(range(&group, *first, *last));
                (*first, *last) = (port.private, port.private);
            }
        }
    }
    shown.extend(groups.iter().map(|(group, first, last)| range(group, *first, *last)));
    shown.extend(mappings);
    shown.join(", ")
}

fn range(group: &str, first: i64, last: i64) -> String {
    let span = if first == last { first.to_string() } else { format!("{first}-{last}") };
    match group.rsplit_once('/') {
        None => format!("{span}/{group}"),
        Some((ip, protocol)) => {
            let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
            format!("{host}:{span}->{span}/{protocol}")
        }
    }
}

/// Address and port, IPv6 in brackets.
fn joined(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ports_are_joined() {
        for (json, text) in [
            ("[]", ""),
            (r#"[{"PrivatePort":80,"Type":"tcp"}]"#, "80/tcp"),
            (r#"[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}]"#, "0.0.0.0:8080->80/tcp"),
            (r#"[{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}]"#, "[::]:8080->80/tcp"),
            (r#"[{"PrivatePort":81,"Type":"tcp"},{"PrivatePort":80,"Type":"tcp"}]"#, "80-81/tcp"),
            (
                r#"[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":80,"Type":"tcp"},{"IP":"0.0.0.0","PrivatePort":81,"PublicPort":81,"Type":"tcp"},{"PrivatePort":9,"Type":"udp"}]"#,
                "9/udp, 0.0.0.0:80-81->80-81/tcp",
            ),
        ] {
            assert_eq!(ports(&serde_json::from_str(json).unwrap()), text);
        }
    }
}
