//! Questions and answers on the wire, RFC 1035 section 4. Whatever a server sends is read with limits: names are followed
//! for a bounded number of steps, and what doesn't fit its length is no answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name in its text form.
const NAME_LIMIT: usize = 253;

/// Most steps through compressed names, and most aliases followed.
const MOST_JUMPS: usize = 32;
const MOST_ALIASES: usize = 8;

const HEADER: usize = 12;
const ALIAS: u16 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordType {
    A = 1,
    Aaaa = 28,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Addresses(Vec<IpAddr>),
    NoSuchName,
    /// It did not fit a datagram.
    Truncated,
    /// Another code: the server can't or won't.
    Refused(u8),
    Malformed,
}

/// Letters, digits, hyphens and underscores (which Windows hosts have) in labels of up to 63.
pub(crate) fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    !name.is_empty()
        && name.len() <= NAME_LIMIT
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

pub(crate) struct Query {
    bytes: Vec<u8>,
    name: String,
    kind: RecordType,
}

impl Query {
    /// `name` is a host name, see [`is_host_name`].
    pub(crate) fn new(id: u16, name: &str, kind: RecordType) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + name.len() + 6);
        bytes.extend_from_slice(&id.to_be_bytes());
        // Recursion desired, one question.
        bytes.extend_from_slice(&[0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
        for label in name.split('.') {
            bytes.push(u8::try_from(label.len()).unwrap_or(0));
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.extend_from_slice(&[0, 0, kind as u8, 0, 1]);
        Self { bytes, name: name.to_ascii_lowercase(), kind }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `None` when this is no answer to this very question.
    pub(crate) fn answer(&self, message: &[u8]) -> Option<Answer> {
        let header = message.first_chunk::<HEADER>()?;
        let is_answer = header[2] & 0x80 != 0;
        let question = message.get(HEADER..self.bytes.len())?;
        let same_question = question.eq_ignore_ascii_case(&self.bytes[HEADER..]);
        if header[..2] != self.bytes[..2] || !is_answer || !same_question {
            return None;
        }
        if header[2] & 0x02 != 0 {
            return Some(Answer::Truncated);
        }
        Some(match header[3] & 0x0f {
            0 => self.addresses(message).map_or(Answer::Malformed, Answer::Addresses),
            3 => Answer::NoSuchName,
            code => Answer::Refused(code),
        })
    }

    fn addresses(&self, message: &[u8]) -> Option<Vec<IpAddr>> {
        let count = usize::from(u16::from_be_bytes([message[6], message[7]]));
        let mut at = self.bytes.len();
        let mut aliases: Vec<(String, String)> = Vec::new();
        let mut found: Vec<(String, IpAddr)> = Vec::new();
        for _ in 0..count {
            let owner = name_at(message, &mut at)?;
            let fixed = message.get(at..at + 10)?;
            let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
            let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
            let start = at + 10;
            let data = message.get(start..start + length)?;
            at = start + length;
            if kind == ALIAS {
                aliases.push((owner, name_at(message, &mut start.clone())?));
            } else if kind == self.kind as u16 {
                found.push((owner, address(self.kind, data)?));
            }
        }
        let mut name = self.name.clone();
        for _ in 0..MOST_ALIASES {
            match aliases.iter().find(|(owner, _)| *owner == name) {
                Some((_, target)) => name.clone_from(target),
                None => break,
            }
        }
        Some(found.into_iter().filter(|(owner, _)| *owner == name).map(|(_, address)| address).collect())
    }
}

fn address(kind: RecordType, data: &[u8]) -> Option<IpAddr> {
    match kind {
        RecordType::A => Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
        RecordType::Aaaa => Some(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
    }
}

/// The name at `at`, which is moved past it; in lower case.
fn name_at(message: &[u8], at: &mut usize) -> Option<String> {
    let mut name = String::new();
    let mut position = *at;
    let mut after = None;
    for _ in 0..MOST_JUMPS + 128 {
        let length = *message.get(position)?;
        match length {
            0 => {
                *at = after.unwrap_or(position + 1);
                return Some(name);
            }
            1..=63 => {
                let label = message.get(position + 1..position + 1 + usize::from(length))?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                if name.len() > 2 * NAME_LIMIT {
                    return None;
                }
                position += 1 + usize::from(length);
            }
            0xc0.. => {
                let target = usize::from(length & 0x3f) << 8 | usize::from(*message.get(position + 1)?);
                after = after.or(Some(position + 2));
                position = target;
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An answer to `question` with these records (type, data), all of the name asked for.
    pub(crate) fn reply(question: &[u8], records: &[(u8, &[u8])]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2] |= 0x80;
        message[7] = u8::try_from(records.len()).expect("few");
        for (kind, data) in records {
            message.extend_from_slice(&[0xc0, 12, 0, *kind, 0, 1, 0, 0, 0, 60, 0]);
            message.push(u8::try_from(data.len()).expect("short"));
            message.extend_from_slice(data);
        }
        message
    }

    fn query() -> Query {
        Query::new(7, "files.example", RecordType::A)
    }

    #[test]
    fn an_answer_is_read_with_its_aliases() {
        let query = query();
        let plain = reply(query.bytes(), &[(1, &[192, 0, 2, 1])]);
        assert_eq!(
            query.answer(&plain),
            Some(Answer::Addresses(vec!["192.0.2.1".parse().expect("an address")]))
        );
        // files.example is an alias of x, which has an address.
        let mut aliased = reply(query.bytes(), &[(5, &[1, b'x', 0])]);
        aliased[7] = 2;
        aliased.extend_from_slice(&[1, b'X', 0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 9]);
        assert_eq!(
            query.answer(&aliased),
            Some(Answer::Addresses(vec!["192.0.2.9".parse().expect("an address")]))
        );
        // An address of a name that nobody asked for is none.
        let mut foreign = reply(query.bytes(), &[]);
        foreign[7] = 1;
        foreign.extend_from_slice(&[1, b'x', 0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 9]);
        assert_eq!(query.answer(&foreign), Some(Answer::Addresses(Vec::new())));
    }

    #[test]
    fn what_answers_another_question_is_passed_over() {
        let query = query();
        let good = reply(query.bytes(), &[]);
        assert!(query.answer(query.bytes()).is_none(), "a question is no answer");
        let mut other_id = good.clone();
        other_id[0] ^= 1;
        assert!(query.answer(&other_id).is_none());
        let other_name = reply(Query::new(7, "files.exampel", RecordType::A).bytes(), &[]);
        assert!(query.answer(&other_name).is_none());
    }

    #[test]
    fn hostile_answers_end() {
        let query = query();
        let mut good = reply(query.bytes(), &[(1, &[192, 0, 2, 1])]);
        for cut in 0..good.len() {
            assert_ne!(query.answer(&good[..cut]), query.answer(&good), "cut at {cut}");
        }
        // A name that points at itself.
        let at = query.bytes().len();
        good[at + 1] = u8::try_from(at).expect("short");
        assert_eq!(query.answer(&good), Some(Answer::Malformed));
        for seed in 0..2000_u32 {
            let mut noise = reply(query.bytes(), &[(1, &[1, 2, 3, 4]), (5, &[0xc0, 12])]);
            for (index, byte) in noise.iter_mut().enumerate().skip(at) {
                let mixed = seed
                    .wrapping_mul(2_654_435_761)
                    .wrapping_add(u32::try_from(index).expect("short") * 40_503);
                if mixed % 5 == 0 {
                    *byte = mixed.to_be_bytes()[1];
                }
            }
            drop(query.answer(&noise));
        }
    }

    #[test]
    fn names_are_host_names() {
        for good in ["a", "files.example", "files.example.", "NAS_1"] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in ["", ".", "a..b", "a b", "ü", "a/b", &"a".repeat(64), &"a.".repeat(200)] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }
}
