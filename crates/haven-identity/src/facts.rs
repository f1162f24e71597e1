//! What is true of a session from its beginning to its end, and therefore authenticated with everything sealed in it.
//!
//! The store holds these in the clear (they are no secret) and could change them; but session key and password were
//! sealed with these very bytes bound in, so a row with another user, a later expiry, a weaker lock or another proof
//! key opens nothing.

use crate::address_lock::{Network, read_address, write_address};
use crate::moment::{Moment, ms};
use crate::proof::ProofKey;
use crate::wire::{Malformed, Reader, Writer};
use haven_spec::{Failure, Outcome};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

const FORM: u8 = 1;

/// Longest note of which browser it was; longer ones are cut.
const CLIENT_LIMIT: usize = 256;

/// A person's name as the directory writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct User(String);

impl User {
    /// Longest name in bytes: Active Directory's longest principal name in four-byte characters.
    pub const LIMIT: usize = 1024;

    pub fn parse(name: &str) -> Outcome<Self> {
        let refused = |why: &str| Failure::invalid("this is no user name").because(why.to_owned());
        if name.trim().is_empty() {
            return Err(refused("it is empty"));
        }
        if name.len() > Self::LIMIT {
            return Err(refused("it is longer than 1,024 bytes"));
        }
        if name.chars().any(char::is_control) {
            return Err(refused("it has a control character"));
        }
        Ok(Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same for every way of writing the name that directories take for one: letters' case doesn't count.
    pub(crate) fn folded(&self) -> String {
        self.0.trim().to_lowercase()
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// By which means a person was recognised, and so what the sealed credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// A password that a directory accepted.
    Ldap,
    /// A password that a file server accepted.
    Smb,
    /// A password that a KDC accepted.
    Kerberos,
    /// No password: a ticket, as a credential cache.
    KerberosTicket,
}

impl Authentication {
    const ALL: [Self; 4] = [Self::Ldap, Self::Smb, Self::Kerberos, Self::KerberosTicket];

    fn code(self) -> u8 {
        match self {
            Self::Ldap => 1,
            Self::Smb => 2,
            Self::Kerberos => 3,
            Self::KerberosTicket => 4,
        }
    }
}

/// What was asked for besides the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondFactor {
    None,
    Totp,
    Passkey,
}

impl SecondFactor {
    const ALL: [Self; 3] = [Self::None, Self::Totp, Self::Passkey];

    fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Totp => 1,
            Self::Passkey => 2,
        }
    }
}

/// See the file's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) user: User,
    pub(crate) authentication: Authentication,
    pub(crate) second_factor: SecondFactor,
    pub(crate) created: Moment,
    pub(crate) expires: Moment,
    pub(crate) idle: Duration,
    /// Where it was begun.
    pub(crate) address: IpAddr,
    /// What the browser calls itself.
    pub(crate) client: String,
    pub(crate) lock: Option<Network>,
    pub(crate) proof_key: Option<ProofKey>,
}

impl Facts {
    pub(crate) const LIMIT: usize = 2048;

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer
            .byte(FORM)
            .bytes(self.user.as_str().as_bytes())
            .byte(self.authentication.code())
            .byte(self.second_factor.code())
            .number(self.created.as_ms())
            .number(self.expires.as_ms())
            .number(ms(self.idle));
        write_address(self.address, &mut writer);
        writer.bytes(shortened(&self.client).as_bytes());
        match self.lock {
            Some(network) => network.write(writer.byte(1)),
            None => _ = writer.byte(0),
        }
        match &self.proof_key {
            Some(key) => writer.byte(1).raw(key.as_bytes()),
            None => writer.byte(0),
        };
        writer.into_bytes()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != FORM {
            return Err(Malformed("it is of a form this version doesn't know"));
        }
        let user = User::parse(reader.text(User::LIMIT)?).map_err(|_| Malformed("its user name is none"))?;
        let facts = Self {
            user,
            authentication: known(&Authentication::ALL, reader.byte()?, Authentication::code)?,
            second_factor: known(&SecondFactor::ALL, reader.byte()?, SecondFactor::code)?,
            created: Moment::from_ms(reader.number()?),
            expires: Moment::from_ms(reader.number()?),
            idle: Duration::from_millis(reader.number()?),
            address: read_address(&mut reader)?,
            client: reader.text(CLIENT_LIMIT)?.to_owned(),
            lock: optional(&mut reader, Network::read)?,
            proof_key: optional(&mut reader, |reader| {
                let point = reader.array::<{ ProofKey::LENGTH }>()?;
                ProofKey::parse(&point).map_err(|_| Malformed("its proof key is none"))
            })?,
        };
        reader.end()?;
        Ok(facts)
    }
}

/// Cut to the limit at a character, without control characters: it is shown in lists and logs.
pub(crate) fn shortened(client: &str) -> String {
    let mut text: String = client.chars().filter(|c| !c.is_control()).take(CLIENT_LIMIT).collect();
    while text.len() > CLIENT_LIMIT {
        text.pop();
    }
    text
}

fn known<T: Copy>(all: &[T], code: u8, code_of: impl Fn(T) -> u8) -> Result<T, Malformed> {
    all.iter()
        .copied()
        .find(|one| code_of(*one) == code)
        .ok_or(Malformed("it has a code this version doesn't know"))
}

fn optional<T>(
    reader: &mut Reader<'_>,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    match reader.byte()? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        _ => Err(Malformed("it has a code this version doesn't know")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn facts() -> Facts {
        let mut point = [9; 65];
        point[0] = 4;
        Facts {
            user: User::parse("Älice").expect("a name"),
            authentication: Authentication::Ldap,
            second_factor: SecondFactor::Totp,
            created: Moment::from_ms(1_000),
            expires: Moment::from_ms(9_000),
            idle: Duration::from_secs(2),
            address: "192.0.2.1".parse().expect("an address"),
            client: "Firefox".into(),
            lock: Some(Network::new("192.0.2.1".parse().expect("an address"), 24)),
            proof_key: Some(ProofKey::parse(&point).expect("a form")),
        }
    }

    #[test]
    fn facts_are_read_as_they_were_written() {
        let all = facts();
        assert_eq!(Facts::from_bytes(&all.to_bytes()), Ok(all.clone()));
        let few = Facts { lock: None, proof_key: None, client: String::new(), ..all };
        assert_eq!(Facts::from_bytes(&few.to_bytes()), Ok(few));
    }

    #[test]
    fn damaged_facts_are_refused_and_never_panic() {
        let bytes = facts().to_bytes();
        for at in 0..bytes.len() {
            assert!(Facts::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert_ne!(Facts::from_bytes(&changed).ok(), Some(facts()), "bit {bit} of byte {at}");
            }
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert!(Facts::from_bytes(&longer).is_err());
    }

    #[test]
    fn a_browser_that_calls_itself_at_length_is_cut_short() {
        assert_eq!(shortened(&"ü".repeat(1000)).len(), 256);
        assert_eq!(shortened("a\r\nb\u{1b}[31m"), "ab[31m");
        let long = Facts { client: "x".repeat(5000), ..facts() };
        assert!(long.to_bytes().len() <= Facts::LIMIT);
        assert!(Facts::from_bytes(&long.to_bytes()).is_ok());
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for bad in ["", "  ", "a\0b", "a\nb", &"x".repeat(1025)] {
            assert!(User::parse(bad).is_err());
        }
        assert_eq!(
            User::parse("Alice ").expect("a name").folded(),
            User::parse("aLICE").expect("a name").folded()
        );
    }
}
