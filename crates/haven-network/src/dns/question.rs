//! What somebody asks.

use super::reply::{Reply, Told};
use super::{A, AAAA, ANY, DATAGRAM_BYTES, HEADER_BYTES, INTERNET, OPT, PLAIN_DATAGRAM_BYTES, PTR};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name on the wire.
const NAME_LIMIT_BYTES: usize = 255;
/// Records after the question: the one for EDNS, and few that we pass over.
const ADDITIONAL_LIMIT: u16 = 4;

/// What a message turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Question(Question),
    /// No question we can answer; what to say to it.
    Answered(Vec<u8>),
    /// Nothing that should be answered: too short, or an answer itself.
    Noise,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub(super) id: u16,
    /// In small letters, without the dot at its end; bytes no host name has are `?`.
    pub name: String,
    pub(super) kind: u16,
    class: u16,
    pub(super) recursion_desired: bool,
    /// Name, type and class as they were sent.
    pub(super) raw: Vec<u8>,
    /// The largest answer it takes by datagram, if it speaks EDNS.
    pub(super) edns: Option<u16>,
}

impl Question {
    /// Reads a message.
    pub fn read(message: &[u8]) -> Heard {
        let Some(header) = message.first_chunk::<HEADER_BYTES>() else { return Heard::Noise };
        let [i, j, flags, _, q1, q2, a1, a2, n1, n2, r1, r2] = *header;
        if flags & 0x80 != 0 {
            return Heard::Noise;
        }
        let id = u16::from_be_bytes([i, j]);
        let bare = Self {
            id,
            name: String::new(),
            kind: 0,
            class: INTERNET,
            recursion_desired: flags & 1 != 0,
            raw: Vec::new(),
            edns: None,
        };
        let refuse = |told| Heard::Answered(Reply::to(&bare, &told, PLAIN_DATAGRAM_BYTES));
        if flags & 0x78 != 0 {
            return refuse(Told::NotImplemented);
        }
        let [questions, answers, authorities, additional] =
            [[q1, q2], [a1, a2], [n1, n2], [r1, r2]].map(u16::from_be_bytes);
        if questions != 1 || answers != 0 || authorities != 0 || additional > ADDITIONAL_LIMIT {
            return refuse(Told::Malformed);
        }
        let Some((name, after_name)) = name_at(message, HEADER_BYTES) else { return refuse(Told::Malformed) };
        let Some([k1, k2, c1, c2]) =
            message.get(after_name..after_name + 4).and_then(|b| b.first_chunk::<4>())
        else {
            return refuse(Told::Malformed);
        };
        let end = after_name + 4;
        let mut question = Self {
            name,
            kind: u16::from_be_bytes([*k1, *k2]),
            class: u16::from_be_bytes([*c1, *c2]),
            raw: message.get(HEADER_BYTES..end).unwrap_or_default().to_vec(),
            ..bare
        };
        let Some(edns) = read_additional(message, end, additional) else {
            return Heard::Answered(Reply::to(&question, &Told::Malformed, PLAIN_DATAGRAM_BYTES));
        };
        question.edns = edns.map(|edns| edns.payload);
        if edns.is_some_and(|edns| edns.version != 0) {
            return Heard::Answered(Reply::to(&question, &Told::BadVersion, PLAIN_DATAGRAM_BYTES));
        }
        Heard::Question(question)
    }

    /// The largest datagram to answer with.
    pub fn datagram_bytes(&self) -> usize {
        self.edns.map_or(PLAIN_DATAGRAM_BYTES, |payload| {
            usize::from(payload).clamp(PLAIN_DATAGRAM_BYTES, DATAGRAM_BYTES)
        })
    }

    fn asks(&self, kind: u16) -> bool {
        self.class == INTERNET && (self.kind == kind || self.kind == ANY)
    }

    pub fn asks_ipv4(&self) -> bool {
        self.asks(A)
    }

    pub fn asks_ipv6(&self) -> bool {
        self.asks(AAAA)
    }

    /// The address whose name is asked for.
    pub fn asks_name_of(&self) -> Option<IpAddr> {
        if !self.asks(PTR) {
            return None;
        }
        if let Some(rest) = self.name.strip_suffix(".in-addr.arpa") {
            let mut bytes = [0; 4];
            let mut labels = rest.split('.');
            for byte in bytes.iter_mut().rev() {
                *byte = labels.next()?.parse().ok()?;
            }
            return labels.next().is_none().then(|| Ipv4Addr::from(bytes).into());
        }
        let rest = self.name.strip_suffix(".ip6.arpa")?;
        let mut number = 0_u128;
        let mut digits = 0;
        for label in rest.split('.').collect::<Vec<_>>().into_iter().rev() {
            let digit = u128::from_str_radix(label, 16).ok().filter(|_| label.len() == 1)?;
            number = number << 4 | digit;
            digits += 1;
        }
        (digits == 32).then(|| Ipv6Addr::from(number).into())
    }

    /// The answer to it.
    pub fn answer(&self, told: &Told, limit_bytes: usize) -> Vec<u8> {
        Reply::to(self, told, limit_bytes)
    }

    /// Whether a message from another server answers this question, sent there under the number `id`.
    pub fn is_answered_by(&self, message: &[u8], id: u16) -> bool {
        let Some(header) = message.first_chunk::<HEADER_BYTES>() else { return false };
        let question = message.get(HEADER_BYTES..HEADER_BYTES + self.raw.len());
        header[..2] == id.to_be_bytes()
            && header[2] & 0x80 != 0
            && header[4..6] == [0, 1]
            && question == Some(self.raw.as_slice())
    }

    /// The message under another number.
    pub fn renumbered(message: &[u8], id: u16) -> Vec<u8> {
        let mut copy = message.to_vec();
        if let Some(number) = copy.first_chunk_mut::<2>() {
            *number = id.to_be_bytes();
        }
        copy
    }

    /// Another server's answer for whoever asked: under its number, and cut to nothing when it is too long for a
    /// datagram, so that it is asked for again over a connection.
    pub fn pass_on(&self, message: &[u8], limit_bytes: usize) -> Vec<u8> {
        if message.len() <= limit_bytes {
            return Self::renumbered(message, self.id);
        }
        Reply::to(self, &Told::TooLong, limit_bytes)
    }

    /// Whether another server's answer was cut, and has to be asked for over a connection.
    pub fn is_cut(message: &[u8]) -> bool {
        message.get(2).is_some_and(|flags| flags & 0x02 != 0)
    }
}

#[derive(Debug, Clone, Copy)]
struct Edns {
    payload: u16,
    version: u8,
}

/// What the records after the question say of EDNS. `None`: they are malformed.
fn read_additional(message: &[u8], mut at: usize, count: u16) -> Option<Option<Edns>> {
    let mut edns = None;
    for _ in 0..count {
        let root = *message.get(at)? == 0;
        let (_, after_name) = name_at(message, at)?;
        let [t1, t2, c1, c2, _, version, _, _, l1, l2] = *message.get(after_name..)?.first_chunk::<10>()?;
        at = after_name + 10 + usize::from(u16::from_be_bytes([l1, l2]));
        if at > message.len() {
            return None;
        }
        if u16::from_be_bytes([t1, t2]) == OPT {
            if !root || edns.is_some() {
                return None;
            }
            edns = Some(Edns { payload: u16::from_be_bytes([c1, c2]), version });
        }
    }
    Some(edns)
}

/// The name that begins at `at`, and where it ends. A question has nothing before it that a name could refer to, so
/// names that are cut short by a pointer are malformed.
fn name_at(message: &[u8], at: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut position = at;
    loop {
        let length = usize::from(*message.get(position)?);
        position += 1;
        if length == 0 {
            return Some((name, position));
        }
        if length > 63 || position + length - at > NAME_LIMIT_BYTES - 1 {
            return None;
        }
        let label = message.get(position..position + length)?;
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte.to_ascii_lowercase()),
            _ => '?',
        }));
        position += length;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A message that asks for `name`.
    pub(in crate::dns) fn asking(name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
        for label in name.split('.').filter(|label| !label.is_empty()) {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&INTERNET.to_be_bytes());
        if let Some(payload) = edns {
            message.extend_from_slice(&[0, 0, 41]);
            message.extend_from_slice(&payload.to_be_bytes());
            message.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
        }
        message
    }

    pub(in crate::dns) fn question(name: &str, kind: u16, edns: Option<u16>) -> Question {
        match Question::read(&asking(name, kind, edns)) {
            Heard::Question(question) => question,
            other => panic!("{other:?}"),
        }
    }

    fn code(heard: Heard) -> u8 {
        let Heard::Answered(answer) = heard else { panic!("{heard:?}") };
        assert!(answer[2] & 0x80 != 0 && answer[..2] == [0x12, 0x34]);
        answer[3] & 0x0f
    }

    #[test]
    fn a_question_is_read_as_it_is_meant() {
        let asked = question("Db.Shop", A, Some(4096));
        assert_eq!(asked.name, "db.shop");
        assert!(asked.asks_ipv4() && !asked.asks_ipv6());
        assert_eq!(asked.datagram_bytes(), DATAGRAM_BYTES);
        assert_eq!(question("x", AAAA, Some(100)).datagram_bytes(), PLAIN_DATAGRAM_BYTES);
        assert_eq!(question("x", AAAA, None).datagram_bytes(), PLAIN_DATAGRAM_BYTES);
        assert!(question("x", ANY, None).asks_ipv4());
        assert_eq!(question("a b.x", A, None).name, "a?b.x");
    }

    #[test]
    fn addresses_are_asked_for_backwards() {
        let name_of = |name: &str| question(name, PTR, None).asks_name_of();
        assert_eq!(name_of("7.0.210.10.in-addr.arpa"), Some(Ipv4Addr::new(10, 210, 0, 7).into()));
        let six = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        assert_eq!(name_of(six), Some("2001:db8::2".parse().unwrap()));
        for other in [
            "in-addr.arpa",
            "0.210.10.in-addr.arpa",
            "1.7.0.210.10.in-addr.arpa",
            "999.0.0.1.in-addr.arpa",
            "x.ip6.arpa",
            "a",
        ] {
            assert_eq!(name_of(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_no_question_is_refused_or_passed_over() {
        let good = asking("db", A, None);
        let with = |at: usize, byte: u8| {
            let mut message = good.clone();
            message[at] = byte;
            message
        };
        assert_eq!(Question::read(&good[..11]), Heard::Noise);
        assert_eq!(Question::read(&with(2, 0x80)), Heard::Noise, "an answer is not answered");
        assert_eq!(code(Question::read(&with(2, 0x28))), 4, "not a query");
        assert_eq!(code(Question::read(&with(5, 0))), 1);
        assert_eq!(code(Question::read(&with(5, 2))), 1);
        assert_eq!(code(Question::read(&with(7, 1))), 1);
        assert_eq!(code(Question::read(&with(11, 200))), 1);
        assert_eq!(code(Question::read(&with(12, 64))), 1, "a label is at most 63 bytes");
        assert_eq!(code(Question::read(&with(12, 0xc0))), 1, "there is nothing to point to");
        assert_eq!(code(Question::read(&good[..good.len() - 1])), 1);
        let long = asking(&"abcdefgh.".repeat(29), A, None);
        assert_eq!(code(Question::read(&long)), 1, "a name is at most 255 bytes");
        let mut twice = asking("db", A, Some(1232));
        twice.extend_from_slice(&[0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0]);
        twice[11] = 2;
        assert_eq!(code(Question::read(&twice)), 1, "EDNS is said once");
        let mut newer = asking("db", A, Some(1232));
        let version = newer.len() - 5;
        newer[version] = 1;
        let Heard::Answered(answer) = Question::read(&newer) else { panic!() };
        assert_eq!(answer[answer.len() - 6], 1, "BADVERS is 16: its higher bits are in the EDNS record");
    }

    #[test]
    fn no_bytes_do_more_than_be_refused() {
        let seeds = [asking("db.shop.example", A, Some(1232)), asking("7.0.210.10.in-addr.arpa", PTR, None)];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % bound as u64).unwrap()
        };
        for round in 0..200_000 {
            let mut message = seeds[round % 2].clone();
            for _ in 0..next(6) {
                let at = next(message.len());
                message[at] = u8::try_from(next(256)).unwrap();
            }
            message.truncate(next(message.len() + 8));
            if let Heard::Question(question) = Question::read(&message) {
                question.asks_name_of();
                let answer = question.answer(&Told::Failed, question.datagram_bytes());
                assert!(question.is_answered_by(&answer, question.id) && answer.len() <= DATAGRAM_BYTES);
            }
        }
    }

    #[test]
    fn only_the_answer_to_this_question_is_taken() {
        let asked = question("db.example", A, None);
        let mut answer = asked.answer(&Told::NoSuchName, 512);
        answer[..2].copy_from_slice(&[9, 9]);
        assert!(asked.is_answered_by(&answer, 0x0909));
        assert!(!asked.is_answered_by(&answer, 0x0908), "the number differs");
        assert!(!question("dc.example", A, None).is_answered_by(&answer, 0x0909), "another name");
        assert!(!question("db.example", AAAA, None).is_answered_by(&answer, 0x0909), "another type");
        assert!(!asked.is_answered_by(&asking("db.example", A, None), 0x1234), "a question is no answer");
        assert_eq!(asked.pass_on(&answer, 512)[..2], [0x12, 0x34]);
        let cut = asked.pass_on(&[0; 600], 512);
        assert!(Question::is_cut(&cut) && cut.len() < 100);
    }
}
