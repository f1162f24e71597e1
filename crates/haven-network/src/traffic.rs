//! What may be spoken over a link, as people write it: `5432/tcp`, `8000-8010/udp`, `tcp`, `icmp`, `any`.

use crate::Traffic;
use haven_spec::{Failure, Outcome, PortProtocol};
use std::fmt;

impl Traffic {
    /// A port or a range with its protocol (`tcp` when there is none), a protocol alone for all its ports, `icmp`, or `any`.
    pub fn parse(text: &str) -> Outcome<Self> {
        let refuse = |why: &str| {
            Failure::invalid(format!("`{text}` is no traffic a link can permit"))
                .because(why.to_owned())
                .hint("a port like 5432/tcp, a range like 8000-8010/udp, a protocol (tcp, udp, sctp, icmp), or any")
        };
        match text.to_ascii_lowercase().as_str() {
            "any" | "all" => return Ok(Self::All),
            "icmp" => return Ok(Self::Icmp),
            word @ ("tcp" | "udp" | "sctp") => return Ok(Self::Protocol(PortProtocol::parse(word)?)),
            _ => {}
        }
        let (ports, protocol) = match text.split_once('/') {
            Some((_, "")) => return Err(refuse("the protocol is missing")),
            Some((ports, protocol)) => (ports, protocol),
            None => (text, "tcp"),
        };
        let protocol =
            PortProtocol::parse(protocol).map_err(|_| refuse("the protocol is not tcp, udp or sctp"))?;
        let port = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let number = if digits { text.parse::<u16>().ok() } else { None };
            number.filter(|n| *n != 0).ok_or_else(|| refuse("ports are numbers from 1 to 65535"))
        };
        let (first, last) = match ports.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(ports)?, port(ports)?),
        };
        if first > last {
            return Err(refuse("the range ends before it begins"));
        }
        Ok(Self::Ports { protocol, first, last })
    }

    /// Whether what `other` is for a connection is permitted by this.
    pub fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Icmp, Self::Icmp) => true,
            (Self::Protocol(own), Self::Protocol(theirs) | Self::Ports { protocol: theirs, .. }) => {
                own == theirs
            }
            (
                Self::Ports { protocol, first, last },
                Self::Ports { protocol: theirs, first: from, last: to },
            ) => protocol == theirs && first <= from && to <= last,
            _ => false,
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("any"),
            Self::Icmp => f.write_str("icmp"),
            Self::Protocol(protocol) => f.write_str(protocol.word()),
            Self::Ports { protocol, first, last } if first == last => {
                write!(f, "{first}/{}", protocol.word())
            }
            Self::Ports { protocol, first, last } => write!(f, "{first}-{last}/{}", protocol.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_read_and_shown_alike() {
        for (text, shown) in [
            ("5432", "5432/tcp"),
            ("53/UDP", "53/udp"),
            ("8000-8010/sctp", "8000-8010/sctp"),
            ("80-80", "80/tcp"),
            ("tcp", "tcp"),
            ("ICMP", "icmp"),
            ("any", "any"),
        ] {
            assert_eq!(Traffic::parse(text).unwrap().to_string(), shown);
        }
        for bad in
            ["", "0", "70000", "80/", "80/xtp", "9-8", "-1", "+5", "1-", "1-2-3", "/tcp", "a", "80/tcp/udp"]
        {
            assert!(Traffic::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_wider_covers_the_narrower() {
        let covers =
            |wide: &str, narrow: &str| Traffic::parse(wide).unwrap().covers(Traffic::parse(narrow).unwrap());
        for (wide, narrow) in
            [("any", "icmp"), ("any", "80"), ("tcp", "80-90"), ("80-90", "85"), ("icmp", "icmp")]
        {
            assert!(covers(wide, narrow) && (wide == narrow || !covers(narrow, wide)), "{wide} {narrow}");
        }
        assert!(!covers("tcp", "53/udp") && !covers("80-90", "89-91"));
    }
}
