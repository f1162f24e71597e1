//! What the host's files say about names: hosts(5) and resolv.conf(5). What can't be read says nothing, as with the C
//! library: a host without these files has the defaults.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// What the C library looks at, resolv.conf(5).
const MOST_SERVERS: usize = 3;
const MOST_SEARCHED: usize = 6;

/// Longest file that is looked at.
const LIMIT_BYTES: u64 = 1 << 20;

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) search: Vec<String>,
    /// A name with so many dots is tried as it is first.
    pub(crate) dots: usize,
    pub(crate) attempts: u32,
    pub(crate) patience: Duration,
}

impl Settings {
    pub(crate) fn read(path: &Path) -> Self {
        Self::parse(&text(path))
    }

    fn parse(text: &str) -> Self {
        let mut settings = Self {
            servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
            attempts: 2,
            patience: Duration::from_secs(3),
        };
        for line in text.lines() {
            let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address =
                        words.next().and_then(|word| word.split('%').next()?.parse::<IpAddr>().ok());
                    settings.servers.extend(address.map(|address| SocketAddr::new(address, 53)));
                }
                Some("search" | "domain") => {
                    settings.search = words.map(str::to_owned).take(MOST_SEARCHED).collect()
                }
                Some("options") => words.for_each(|word| settings.option(word)),
                _ => {}
            }
        }
        settings.servers.truncate(MOST_SERVERS);
        if settings.servers.is_empty() {
            settings.servers.push((Ipv4Addr::LOCALHOST, 53).into());
        }
        settings
    }

    fn option(&mut self, word: &str) {
        let Some((name, value)) = word.split_once(':') else { return };
        let Ok(value) = value.parse::<u32>() else { return };
        match name {
            "ndots" => self.dots = value.min(15) as usize,
            "timeout" => self.patience = Duration::from_secs(u64::from(value.clamp(1, 30))),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The names to ask for, in order.
    pub(crate) fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(absolute) = host.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let mut names: Vec<String> =
            self.search.iter().map(|domain| format!("{host}.{}", domain.trim_matches('.'))).collect();
        let as_it_is = host.to_owned();
        if host.matches('.').count() >= self.dots {
            names.insert(0, as_it_is);
        } else {
            names.push(as_it_is);
        }
        names
    }
}

/// The addresses that a hosts file gives a name.
pub(crate) fn hosts_entries(path: &Path, host: &str) -> Vec<IpAddr> {
    hosts_of(&text(path), host)
}

fn hosts_of(text: &str, host: &str) -> Vec<IpAddr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        if words.any(|name| name.eq_ignore_ascii_case(host)) && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

fn text(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(about) if about.len() <= LIMIT_BYTES => fs::read_to_string(path).unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_the_manual_says() {
        let text = "# c\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver bad\nsearch a.example b.example.\noptions ndots:2 timeout:9 attempts:99 rotate\n";
        let settings = Settings::parse(text);
        assert_eq!(settings.servers.len(), 2);
        assert_eq!((settings.dots, settings.attempts, settings.patience), (2, 5, Duration::from_secs(9)));
        assert_eq!(settings.candidates("x.y"), ["x.y.a.example", "x.y.b.example", "x.y"]);
        assert_eq!(settings.candidates("x.y.z")[0], "x.y.z");
        assert_eq!(settings.candidates("x."), ["x"]);
        assert_eq!(Settings::parse("").servers, ["127.0.0.1:53".parse().expect("an address")]);
    }

    #[test]
    fn a_hosts_file_gives_all_addresses_of_a_name() {
        let text =
            "127.0.0.1 localhost\n192.0.2.1 Files.example files # files.example\n::2 files\nnonsense files\n";
        let found = hosts_of(text, "FILES");
        assert_eq!(
            found,
            ["192.0.2.1".parse::<IpAddr>().expect("an address"), "::2".parse().expect("an address")]
        );
        assert!(hosts_of(text, "other").is_empty());
        assert_eq!(hosts_of(text, "files.example.").len(), 1);
    }
}
