//! Addresses in flags: IP, MAC, DNS search domains.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address, written back in its normal form.
pub(crate) fn ip(text: &str) -> Result<String, String> {
    text.trim()
        .parse::<IpAddr>()
        .map(|ip| ip.to_string())
        .map_err(|_| format!("IP address is not correctly formatted: {text}"))
}

pub(crate) fn ipv4(text: &str) -> Result<String, String> {
    text.trim()
        .parse::<Ipv4Addr>()
        .map(|ip| ip.to_string())
        .map_err(|_| format!("{text} is not an IPv4 address"))
}

pub(crate) fn ipv6(text: &str) -> Result<String, String> {
    text.trim()
        .parse::<Ipv6Addr>()
        .map(|ip| ip.to_string())
        .map_err(|_| format!("{text} is not an IPv6 address"))
}

/// Six pairs of hexadecimal digits, separated by colons or hyphens.
pub(crate) fn mac(text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    for separator in [':', '-'] {
        let parts: Vec<&str> = trimmed.split(separator).collect();
        if parts.len() == 6
            && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Ok(parts.join(":").to_ascii_lowercase());
        }
    }
    Err(format!("{text} is not a valid mac address"))
}

/// A DNS search domain; a dot alone means none.
pub(crate) fn search_domain(text: &str) -> Result<String, String> {
    let domain = text.trim_matches(' ');
    if domain == "." {
        return Ok(domain.to_owned());
    }
    let inner = domain.trim_end().strip_suffix('.').unwrap_or(domain.trim_end());
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let valid =
        inner.len() < 255 && inner.bytes().any(|b| b.is_ascii_alphabetic()) && inner.split('.').all(label);
    if valid { Ok(inner.to_owned()) } else { Err(format!("{text} is not a valid domain")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_normalised() {
        assert_eq!(ip(" 10.0.0.1 ").as_deref(), Ok("10.0.0.1"));
        assert_eq!(ip("::0:1").as_deref(), Ok("::1"));
        assert!(ip("10.0.0").is_err() && ipv4("::1").is_err() && ipv6("1.2.3.4").is_err());
        assert_eq!(mac("92-D0-c6-0a-29-33").as_deref(), Ok("92:d0:c6:0a:29:33"));
        assert!(mac("92:d0:c6:0a:29").is_err() && mac("92:d0:c6:0a:29:3g").is_err());
    }

    #[test]
    fn search_domains_are_checked() {
        for (text, domain) in [(".", "."), ("example.org.", "example.org"), ("a-b.c", "a-b.c")] {
            assert_eq!(search_domain(text).as_deref(), Ok(domain));
        }
        for bad in ["", "-a.b", "a..b", "1.2", "a b", &"a".repeat(255)] {
            assert!(search_domain(bad).is_err(), "{bad}");
        }
    }
}
