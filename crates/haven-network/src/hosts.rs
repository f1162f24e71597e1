//! The text of a container's `/etc/hosts`. See hosts(5); pure.

use crate::GATEWAY;
use haven_spec::{Failure, Outcome};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

/// The word that stands for the host's address, as Docker has it.
const HOST_GATEWAY: &str = "host-gateway";

/// What the file says besides loopback.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    pub hostname: String,
    pub domainname: String,
    /// The container's addresses, each listed with its host name.
    pub addresses: Vec<IpAddr>,
    /// `name:address` or `name=address`, as the user gave them; the address may be `host-gateway`.
    pub extra: Vec<String>,
}

/// Reads one `--add-host` value into name and address.
pub fn parse_extra(text: &str) -> Outcome<(String, IpAddr)> {
    let refuse = |why: &str| {
        Failure::invalid(format!("bad format for add-host: \"{text}\""))
            .because(why.to_owned())
            .hint("name:address, like db:192.0.2.7, or name:host-gateway")
    };
    // IPv6 addresses have colons too, so the first separator counts.
    let at = text.find(['=', ':']).ok_or_else(|| refuse("there is no `:` in it"))?;
    let (name, address) = (&text[..at], &text[at + 1..]);
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(refuse("the name is empty or has characters a host name cannot have"));
    }
    if address == HOST_GATEWAY {
        return Ok((name.to_owned(), IpAddr::V4(GATEWAY)));
    }
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    let address = bare.parse().map_err(|_| refuse("the part after the name is not an address"))?;
    Ok((name.to_owned(), address))
}

/// The text for the container. An entry of `extra` that does not parse is refused.
pub fn render(hosts: &Hosts) -> Outcome<String> {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    for entry in &hosts.extra {
        let (name, address) = parse_extra(entry)?;
        // Writing to a String cannot fail.
        writeln!(text, "{address}\t{name}").ok();
    }
    if hosts.hostname.is_empty() {
        return Ok(text);
    }
    let names = if hosts.domainname.is_empty() {
        hosts.hostname.clone()
    } else {
        format!("{}.{} {}", hosts.hostname, hosts.domainname, hosts.hostname)
    };
    // A container without a network still finds its own name.
    let own = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let addresses = if hosts.addresses.is_empty() { &own[..] } else { &hosts.addresses };
    for address in addresses {
        writeln!(text, "{address}\t{names}").ok();
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_extras_and_the_own_name_are_listed() {
        let text = render(&Hosts {
            hostname: "web".into(),
            domainname: "shop.example".into(),
            addresses: vec!["10.210.0.7".parse().unwrap()],
            extra: vec![
                "db:192.0.2.7".into(),
                "v6=2001:db8::1".into(),
                "host.docker.internal:host-gateway".into(),
            ],
        })
        .unwrap();
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"));
        assert!(text.contains("\n192.0.2.7\tdb\n2001:db8::1\tv6\n169.254.1.1\thost.docker.internal\n"));
        assert!(text.ends_with("\n10.210.0.7\tweb.shop.example web\n"));
    }

    #[test]
    fn malformed_extras_are_refused_by_name() {
        for bad in [
            "",
            "db",
            ":1.2.3.4",
            "db:",
            "db:nonsense",
            "a b:1.2.3.4",
            "db:1.2.3.4\n6.6.6.6 x",
            "d#b:1.2.3.4",
        ] {
            let refused = parse_extra(bad).unwrap_err();
            assert!(refused.to_string().contains(bad), "{bad}");
        }
        assert_eq!(parse_extra("a:[::1]").unwrap().1.to_string(), "::1");
    }
}
