//! What somebody is told.

use super::question::Question;
use super::{A, AAAA, DATAGRAM_BYTES, HEADER_BYTES, INTERNET, OPT, PTR};
use std::net::IpAddr;

/// Links come and go: nobody should remember an answer for long.
const LIFETIME_S: u32 = 5;
/// `Blocked`, RFC 8914.
const BLOCKED: u16 = 15;
const EXPLANATION_OPTION: u16 = 15;

/// The substance of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The name's addresses; none means that it has none of the kind asked for.
    Addresses(Vec<IpAddr>),
    /// The address's names.
    Names(Vec<String>),
    NoSuchName,
    /// It is known and may not be, with the reason.
    Refused(String),
    /// Nobody who could be asked has answered.
    Failed,
    Malformed,
    NotImplemented,
    /// A version of EDNS that does not exist yet.
    BadVersion,
    /// The answer doesn't fit a datagram.
    TooLong,
}

impl Told {
    /// Response codes of RFC 1035 and 6891.
    fn code(&self) -> u16 {
        match self {
            Self::Addresses(_) | Self::Names(_) | Self::TooLong => 0,
            Self::Malformed => 1,
            Self::Failed => 2,
            Self::NoSuchName => 3,
            Self::NotImplemented => 4,
            Self::Refused(_) => 5,
            Self::BadVersion => 16,
        }
    }
}

/// Writes answers.
#[derive(Debug)]
pub struct Reply;

impl Reply {
    pub(super) fn to(question: &Question, told: &Told, limit_bytes: usize) -> Vec<u8> {
        let code = told.code();
        let mut message = Vec::with_capacity(128);
        message.extend_from_slice(&question.id.to_be_bytes());
        // An answer; recursion is there.
        message.push(0x80 | u8::from(question.recursion_desired));
        message.push(0x80 | u8::try_from(code & 0x0f).unwrap_or(0));
        message.extend_from_slice(&[0, u8::from(!question.raw.is_empty()), 0, 0, 0, 0, 0, 0]);
        message.extend_from_slice(&question.raw);
        let extra = question.edns.map(|_| edns(told, code)).unwrap_or_default();
        let room = limit_bytes.saturating_sub(extra.len());
        let mut count = 0_u16;
        let mut cut = *told == Told::TooLong;
        for record in records(question, told) {
            if message.len() + record.len() > room || count == u16::MAX {
                cut = true;
                break;
            }
            message.extend_from_slice(&record);
            count += 1;
        }
        if let Some(header) = message.first_chunk_mut::<HEADER_BYTES>() {
            if cut {
                header[2] |= 0x02;
            }
            let [high, low] = count.to_be_bytes();
            (header[6], header[7]) = (high, low);
            header[11] = u8::from(!extra.is_empty());
        }
        message.extend_from_slice(&extra);
        message
    }
}

fn records(question: &Question, told: &Told) -> Vec<Vec<u8>> {
    match told {
        Told::Addresses(addresses) => addresses
            .iter()
            .filter_map(|address| match address {
                IpAddr::V4(v4) if question.asks_ipv4() => Some(record(A, &v4.octets())),
                IpAddr::V6(v6) if question.asks_ipv6() => Some(record(AAAA, &v6.octets())),
                _ => None,
            })
            .collect(),
        Told::Names(names) => names.iter().filter_map(|name| Some(record(PTR, &encoded(name)?))).collect(),
        _ => Vec::new(),
    }
}

/// A record of the name that was asked for.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    /// A pointer to the question's name, right after the header.
    const ASKED_NAME: [u8; 2] = [0xc0, 12];
    let mut record = ASKED_NAME.to_vec();
    record.extend_from_slice(&kind.to_be_bytes());
    record.extend_from_slice(&INTERNET.to_be_bytes());
    record.extend_from_slice(&LIFETIME_S.to_be_bytes());
    record.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    record.extend_from_slice(data);
    record
}

/// A name on the wire; `None` when it can't be one.
fn encoded(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    (bytes.len() <= 255).then_some(bytes)
}

/// The record of EDNS, with the reason of a refusal.
fn edns(told: &Told, code: u16) -> Vec<u8> {
    let mut options = Vec::new();
    if let Told::Refused(why) = told {
        let length = u16::try_from(why.len() + 2).unwrap_or(2);
        options.extend_from_slice(&EXPLANATION_OPTION.to_be_bytes());
        options.extend_from_slice(&length.to_be_bytes());
        options.extend_from_slice(&BLOCKED.to_be_bytes());
        options.extend_from_slice(&why.as_bytes()[..usize::from(length) - 2]);
    }
    let mut record = vec![0];
    record.extend_from_slice(&OPT.to_be_bytes());
    record.extend_from_slice(&u16::try_from(DATAGRAM_BYTES).unwrap_or(0).to_be_bytes());
    record.extend_from_slice(&[u8::try_from(code >> 4).unwrap_or(0), 0, 0, 0]);
    record.extend_from_slice(&u16::try_from(options.len()).unwrap_or(0).to_be_bytes());
    record.extend_from_slice(&options);
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::question::tests::question;
    use std::net::Ipv4Addr;

    #[test]
    fn addresses_are_told_of_the_kind_asked_for() {
        let both = Told::Addresses(vec![Ipv4Addr::new(10, 210, 0, 7).into(), "fd00::7".parse().unwrap()]);
        let answer = question("db", A, None).answer(&both, 512);
        assert_eq!(answer[2..12], [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert!(answer.ends_with(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 210, 0, 7]));
        assert_eq!(question("db", AAAA, None).answer(&both, 512)[7], 1);
        let none = question("db", AAAA, None).answer(&Told::Addresses(vec![Ipv4Addr::LOCALHOST.into()]), 512);
        assert_eq!((none[3] & 0x0f, none[7]), (0, 0), "it exists, without such an address");
    }

    #[test]
    fn a_refusal_says_why_to_those_who_understand_it() {
        let refused = Told::Refused("no link leads from `web` to `db`".into());
        let answer = question("db", A, Some(1232)).answer(&refused, 1232);
        assert_eq!(answer[3] & 0x0f, 5);
        assert!(answer.ends_with(b"\x00\x0fno link leads from `web` to `db`"));
        let plain = question("db", A, None).answer(&refused, 512);
        assert_eq!((plain[3] & 0x0f, plain[11]), (5, 0));
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        let many = Told::Addresses((0..200).map(|n| Ipv4Addr::new(10, 0, 0, n).into()).collect());
        for edns in [None, Some(1232)] {
            let asked = question("web", A, edns);
            let answer = asked.answer(&many, asked.datagram_bytes());
            assert!(answer.len() <= asked.datagram_bytes() && Question::is_cut(&answer));
            let whole = asked.answer(&many, usize::from(u16::MAX));
            assert_eq!((whole[7], Question::is_cut(&whole)), (200, false));
        }
    }

    #[test]
    fn names_are_told_for_addresses() {
        let told = Told::Names(vec!["db.shop".into(), "x".repeat(64), String::new()]);
        let answer = question("7.0.210.10.in-addr.arpa", PTR, None).answer(&told, 512);
        assert_eq!(answer[7], 1, "what can't be a name is left out");
        assert!(answer.ends_with(b"\x02db\x04shop\x00"));
    }
}
