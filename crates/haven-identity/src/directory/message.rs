//! The messages a sign-in needs: bind, search, StartTLS, unbind, and their answers. RFC 4511 section 4.

use super::ber::{BOOLEAN, ENUMERATED, Elements, INTEGER, NotBer, OCTETS, SEQUENCE, element, header, number};
use super::filter::Filter;
use crate::secret::Secret;

const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// draft-behera-ldap-password-policy: the server says why a password isn't taken.
const PASSWORD_POLICY: &[u8] = b"1.3.6.1.4.1.42.2.27.8.5.1";

const MOST_ATTRIBUTES: usize = 256;
const MOST_VALUES: usize = 8192;

/// How far below `base` to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Base = 0,
    Subtree = 2,
}

/// A simple bind. The only message with a secret: made in one piece of memory, which is wiped.
pub(super) fn bind(id: u32, name: &str, password: &Secret) -> Secret {
    let control = element(SEQUENCE, &element(OCTETS, PASSWORD_POLICY));
    let controls = element(0xa0, &control);
    let start = [number(INTEGER, 3), element(OCTETS, name.as_bytes()), header(0x80, password.len())].concat();
    let id = number(INTEGER, id);
    let request = header(0x60, start.len() + password.len());
    let whole = id.len() + request.len() + start.len() + password.len() + controls.len();
    let outer = header(SEQUENCE, whole);
    let mut bytes = Vec::with_capacity(outer.len() + whole);
    for part in [&outer, &id, &request, &start, password.reveal(), &controls] {
        bytes.extend_from_slice(part);
    }
    Secret::new(bytes)
}

pub(super) fn start_tls(id: u32) -> Vec<u8> {
    message(id, &element(0x77, &element(0x80, START_TLS)))
}

pub(super) fn unbind(id: u32) -> Vec<u8> {
    message(id, &element(0x42, &[]))
}

pub(super) struct Search<'a> {
    pub(super) base: &'a str,
    pub(super) scope: Scope,
    pub(super) filter: &'a Filter,
    /// What `{user}` in the filter stands for.
    pub(super) user: &'a str,
    pub(super) attributes: &'a [String],
    pub(super) limit: u32,
    pub(super) seconds: u32,
}

impl Search<'_> {
    pub(super) fn encode(&self, id: u32) -> Vec<u8> {
        // `1.1` is no attribute: none at all would mean all of them.
        let none = [element(OCTETS, b"1.1")];
        let names: Vec<Vec<u8>> =
            self.attributes.iter().map(|name| element(OCTETS, name.as_bytes())).collect();
        let names = if names.is_empty() { none.concat() } else { names.concat() };
        let content = [
            element(OCTETS, self.base.as_bytes()),
            number(ENUMERATED, self.scope as u32),
            // Aliases are not followed: who may make one could be somebody else.
            number(ENUMERATED, 0),
            number(INTEGER, self.limit),
            number(INTEGER, self.seconds),
            element(BOOLEAN, &[0]),
            self.filter.encode(self.user),
            element(SEQUENCE, &names),
        ]
        .concat();
        message(id, &element(0x63, &content))
    }
}

fn message(id: u32, operation: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&number(INTEGER, id), operation].concat())
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) code: u32,
    pub(super) message: String,
    /// Of the password policy, if the server has one.
    pub(super) policy_error: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Bound(Ending),
    Entry(Entry),
    SearchDone(Ending),
    Extended(Ending),
    /// Elsewhere; never followed: credentials go to servers on the list only.
    Reference,
    /// The server says good-bye, section 4.4.1.
    Disconnected(Ending),
}

/// Message id and reply, from the content of one message's outer sequence.
pub(super) fn parse(content: &[u8]) -> Result<(u32, Reply), NotBer> {
    let mut elements = Elements::new(content);
    let id = elements.number(INTEGER)?;
    let (tag, operation) = elements.next()?;
    let mut policy_error = None;
    while !elements.is_empty() {
        if let (0xa0, controls) = elements.next()? {
            policy_error = policy_error.or(password_policy(controls)?);
        }
    }
    let ending = || {
        let mut parts = Elements::new(operation);
        let code = parts.number(ENUMERATED)?;
        parts.text()?;
        Ok(Ending { code, message: parts.text()?, policy_error })
    };
    let reply = match tag {
        0x61 => Reply::Bound(ending()?),
        0x64 => Reply::Entry(entry(operation)?),
        0x65 => Reply::SearchDone(ending()?),
        0x73 => Reply::Reference,
        0x78 if id == 0 => Reply::Disconnected(ending()?),
        0x78 => Reply::Extended(ending()?),
        _ => return Err(NotBer),
    };
    Ok((id, reply))
}

fn entry(content: &[u8]) -> Result<Entry, NotBer> {
    let mut parts = Elements::new(content);
    let name = parts.text()?;
    let mut list = Elements::new(parts.expect(SEQUENCE)?);
    let mut attributes = Vec::new();
    for _ in 0..MOST_ATTRIBUTES {
        if list.is_empty() {
            return Ok(Entry { name, attributes });
        }
        let mut attribute = Elements::new(list.expect(SEQUENCE)?);
        let kind = attribute.text()?;
        let mut values = Elements::new(attribute.expect(0x31)?);
        while !values.is_empty() {
            let value = values.expect(OCTETS)?;
            // What is no text (a picture, a certificate) is nothing that a place in a configuration can use.
            if let Ok(value) = std::str::from_utf8(value) {
                attributes.push((kind.clone(), value.to_owned()));
            }
            if attributes.len() > MOST_VALUES {
                return Err(NotBer);
            }
        }
    }
    Err(NotBer)
}

/// The error in a password policy's answer.
fn password_policy(controls: &[u8]) -> Result<Option<u32>, NotBer> {
    let mut controls = Elements::new(controls);
    while !controls.is_empty() {
        let mut control = Elements::new(controls.expect(SEQUENCE)?);
        if control.expect(OCTETS)? != PASSWORD_POLICY {
            continue;
        }
        while !control.is_empty() {
            if let (OCTETS, value) = control.next()? {
                let mut parts = Elements::new(Elements::new(value).expect(SEQUENCE)?);
                while !parts.is_empty() {
                    if let (0x81, error) = parts.next()? {
                        return Ok(error.first().map(|code| u32::from(*code)));
                    }
                }
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(message: &[u8]) -> &[u8] {
        Elements::new(message).expect(SEQUENCE).expect("a message")
    }

    #[test]
    fn a_bind_is_one_message_with_its_password() {
        let bytes = bind(7, "cn=a", &Secret::from(String::from("pw")));
        let mut elements = Elements::new(content(bytes.reveal()));
        assert_eq!(elements.number(INTEGER), Ok(7));
        let mut request = Elements::new(elements.expect(0x60).expect("a bind"));
        assert_eq!(request.number(INTEGER), Ok(3));
        assert_eq!(request.text().expect("a name"), "cn=a");
        assert_eq!(request.expect(0x80), Ok(&b"pw"[..]));
        let mut controls = Elements::new(elements.expect(0xa0).expect("controls"));
        let mut control = Elements::new(controls.expect(SEQUENCE).expect("a control"));
        assert_eq!(control.expect(OCTETS), Ok(PASSWORD_POLICY));
        assert!(elements.is_empty());
    }

    #[test]
    fn replies_are_read() {
        let ending = [number(ENUMERATED, 49), element(OCTETS, b""), element(OCTETS, b"data 532")].concat();
        let bound = message(1, &element(0x61, &ending));
        let expected = Ending { code: 49, message: "data 532".into(), policy_error: None };
        assert_eq!(parse(content(&bound)), Ok((1, Reply::Bound(expected))));

        let values = [element(OCTETS, b"x"), element(OCTETS, b"\xff"), element(OCTETS, b"y")].concat();
        let attribute = element(SEQUENCE, &[element(OCTETS, b"mail"), element(0x31, &values)].concat());
        let found = element(0x64, &[element(OCTETS, b"cn=a"), element(SEQUENCE, &attribute)].concat());
        let attributes = vec![("mail".into(), "x".into()), ("mail".into(), "y".into())];
        let message = message(2, &found);
        assert_eq!(
            parse(content(&message)),
            Ok((2, Reply::Entry(Entry { name: "cn=a".into(), attributes })))
        );
    }

    #[test]
    fn a_locked_account_is_read_from_the_policy() {
        let value = element(SEQUENCE, &element(0x81, &[1]));
        let control =
            element(SEQUENCE, &[element(OCTETS, PASSWORD_POLICY), element(OCTETS, &value)].concat());
        let ending = [number(ENUMERATED, 49), element(OCTETS, b""), element(OCTETS, b"")].concat();
        let content = [number(INTEGER, 1), element(0x61, &ending), element(0xa0, &control)].concat();
        match parse(&content) {
            Ok((1, Reply::Bound(Ending { policy_error: Some(1), .. }))) => {}
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn hostile_replies_are_errors() {
        let ending = [number(ENUMERATED, 0), element(OCTETS, b""), element(OCTETS, b"")].concat();
        let good = message(1, &element(0x61, &ending));
        for cut in 0..good.len() - 2 {
            assert!(parse(&content(&good)[..cut]).is_err(), "cut at {cut}");
        }
        for seed in 0..3000_u32 {
            let mut noise = good.clone();
            for (index, byte) in noise.iter_mut().enumerate() {
                let mixed = seed
                    .wrapping_mul(2_654_435_761)
                    .wrapping_add(u32::try_from(index).expect("short") * 40_503);
                if mixed % 4 == 0 {
                    *byte = mixed.to_be_bytes()[1];
                }
            }
            drop(parse(&noise));
        }
    }
}
