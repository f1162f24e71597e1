//! The text of a container's `/etc/resolv.conf`, from the host's and the user's wishes.
//!
//! The rules are those Docker's users know:
//! - What the user gives replaces the host's part of the same kind: servers, search domains, options.
//! - The host's servers on loopback are left out: in the container that address is the container.
//! - Servers with IPv6 addresses are left out for a container without IPv6.
//! - When the host's only server is systemd-resolved's stub, the file that names its upstream servers is read instead.
//! - When no server is left, [`FALLBACK`] is used, as Docker does, so that names resolve at all; give servers to
//!   avoid it.
//!
//! resolv.conf(5). Reading the host's file is [`host_text`]'s; rendering is pure.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

/// Public servers, for a host that has none a container could reach.
pub const FALLBACK: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4))];

const HOST_FILE: &str = "/etc/resolv.conf";
const SYSTEMD_FILE: &str = "/run/systemd/resolve/resolv.conf";
const SYSTEMD_STUB: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));
/// glibc reads three servers; more would only look as if they helped.
const SERVERS_LIMIT: usize = 3;
/// A host file longer than this is not one.
const HOST_FILE_LIMIT_BYTES: u64 = 64 * 1024;

/// What the user asked for; empty lists take the host's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    pub servers: Vec<IpAddr>,
    /// A single `.` stands for no search domain at all.
    pub search: Vec<String>,
    pub options: Vec<String>,
    /// The container has an IPv6 address.
    pub ipv6: bool,
}

/// The host's file that names servers a container can use; empty when there is none.
pub fn host_text() -> String {
    let text = read(HOST_FILE);
    if names_only_the_systemd_stub(&text) { read(SYSTEMD_FILE) } else { text }
}

/// The servers the host itself asks, those on its loopback included: for whoever asks in a container's stead.
pub fn upstream() -> Vec<IpAddr> {
    let found = parse(&read(HOST_FILE)).servers;
    if found.is_empty() { FALLBACK.to_vec() } else { found }
}

fn read(path: &str) -> String {
    use std::io::Read;
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        // An unreadable file is like none: the fallback applies.
        file.take(HOST_FILE_LIMIT_BYTES).read_to_end(&mut bytes).ok();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn names_only_the_systemd_stub(text: &str) -> bool {
    parse(text).servers == [SYSTEMD_STUB]
}

/// The text for the container.
pub fn render(host: &str, wishes: &Wishes) -> String {
    let mut found = parse(host);
    if wishes.servers.is_empty() {
        found.servers.retain(|server| !server.is_loopback() && (wishes.ipv6 || server.is_ipv4()));
        if found.servers.is_empty() {
            found.servers = FALLBACK.to_vec();
        }
        found.servers.truncate(SERVERS_LIMIT);
    } else {
        found.servers.clone_from(&wishes.servers);
    }
    if !wishes.search.is_empty() {
        found.search = wishes.search.iter().filter(|domain| *domain != ".").cloned().collect();
    }
    if !wishes.options.is_empty() {
        found.options.clone_from(&wishes.options);
    }

    let mut text = String::from("# Made by Haven from the host's file and the container's settings.\n");
    for server in &found.servers {
        // Writing to a String cannot fail.
        writeln!(text, "nameserver {server}").ok();
    }
    for (keyword, words) in [("search", &found.search), ("options", &found.options)] {
        if !words.is_empty() {
            writeln!(text, "{keyword} {}", words.join(" ")).ok();
        }
    }
    text
}

#[derive(Debug, Default)]
struct Parsed {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    options: Vec<String>,
}

fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    for line in text.lines() {
        let line = line.split(['#', ';']).next().unwrap_or("");
        let mut words = line.split_whitespace();
        match words.next() {
            // A scoped address (fe80::1%eth0) means an interface that the container does not have.
            Some("nameserver") => parsed.servers.extend(words.next().and_then(|w| w.parse::<IpAddr>().ok())),
            // The last of several lines counts; `domain` is the old way to say it.
            Some("search" | "domain") => parsed.search = words.map(str::to_owned).collect(),
            Some("options") => parsed.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> String {
        text.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect()
    }

    #[test]
    fn the_hosts_file_is_taken_without_its_loopback_servers() {
        let host = "# comment\nnameserver 127.0.0.1\nnameserver 192.0.2.53 ; inline\nnameserver ::1\nsearch a.example b.example\noptions ndots:2\n";
        assert_eq!(
            body(&render(host, &Wishes::default())),
            "nameserver 192.0.2.53\nsearch a.example b.example\noptions ndots:2\n"
        );
    }

    #[test]
    fn ipv6_servers_are_for_containers_with_ipv6() {
        let host = "nameserver 2001:db8::53\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\n";
        assert_eq!(body(&render(host, &Wishes::default())), "nameserver 192.0.2.53\n");
        let wishes = Wishes { ipv6: true, ..Wishes::default() };
        assert_eq!(body(&render(host, &wishes)), "nameserver 2001:db8::53\nnameserver 192.0.2.53\n");
    }

    #[test]
    fn wishes_replace_only_their_own_kind() {
        let host = "nameserver 192.0.2.53\nsearch corp.example\noptions rotate\n";
        let wishes = Wishes { servers: vec!["127.0.0.5".parse().unwrap()], ..Wishes::default() };
        assert_eq!(
            body(&render(host, &wishes)),
            "nameserver 127.0.0.5\nsearch corp.example\noptions rotate\n"
        );
        let wishes = Wishes {
            search: vec![".".into()],
            options: vec!["ndots:5".into(), "edns0".into()],
            ..Wishes::default()
        };
        assert_eq!(body(&render(host, &wishes)), "nameserver 192.0.2.53\noptions ndots:5 edns0\n");
    }

    #[test]
    fn without_any_usable_server_the_fallback_is_used() {
        for host in ["", "nameserver 127.0.0.53\n", "nameserver nonsense\n", "\0\u{fffd}\n"] {
            assert_eq!(body(&render(host, &Wishes::default())), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        }
    }

    #[test]
    fn the_systemd_stub_alone_sends_us_to_its_upstream_file() {
        assert!(names_only_the_systemd_stub("nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n"));
        assert!(!names_only_the_systemd_stub("nameserver 127.0.0.53\nnameserver 192.0.2.1\n"));
        assert!(!names_only_the_systemd_stub(""));
    }
}
