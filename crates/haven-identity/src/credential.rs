//! What signs a person in to the servers behind: the password or ticket, and what the directory said about the person.
//!
//! Packed to a multiple of 256 bytes before it is sealed, so that the length of what is stored tells nothing about the
//! length of a password.

use crate::secret::Secret;
use crate::wire::{Malformed, Reader, Writer};
use haven_spec::{Failure, Outcome};

/// Granularity of what is stored.
const BUCKET: usize = 256;

/// Longest secret: a credential cache with a few tickets of people in hundreds of groups.
const SECRET_LIMIT: usize = 128 << 10;

/// Most attributes, and the longest one in bytes: people are in thousands of groups with long names.
const MOST_ATTRIBUTES: usize = 4096;
const ATTRIBUTE_LIMIT: usize = 4096;

/// Most bytes of all of it.
const LIMIT: usize = 512 << 10;

pub struct Credential {
    /// A password, or a Kerberos credential cache.
    pub secret: Secret,
    /// Name and value as the directory gave them; a name with several values stands there several times.
    pub attributes: Vec<(String, String)>,
}

impl Credential {
    pub fn new(secret: Secret, attributes: Vec<(String, String)>) -> Outcome<Self> {
        if secret.is_empty() {
            return Err(Failure::invalid("an empty password signs nobody in")
                .hint("directories take it for an anonymous sign-in, which proves nothing"));
        }
        if secret.len() > SECRET_LIMIT {
            return Err(Failure::invalid(format!("a credential is longer than {SECRET_LIMIT} bytes")));
        }
        let size: usize = attributes.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        let too_long = attributes
            .iter()
            .any(|(name, value)| name.len() > ATTRIBUTE_LIMIT || value.len() > ATTRIBUTE_LIMIT);
        if attributes.len() > MOST_ATTRIBUTES || too_long || size > LIMIT - SECRET_LIMIT - BUCKET {
            return Err(Failure::invalid(
                "the directory says more about this person than a session can hold",
            )
            .hint("name fewer attributes in the configuration"));
        }
        Ok(Self { secret, attributes })
    }

    /// The values of an attribute; the case of its name doesn't count, RFC 4512.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn pack(&self) -> Secret {
        let size: usize = self.attributes.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        let exact = size + 8 + 4 + self.secret.len();
        let padded = exact.next_multiple_of(BUCKET);
        let mut writer = Writer::with_room(padded);
        writer.number(self.attributes.len() as u64).bytes(self.secret.reveal());
        for (name, value) in &self.attributes {
            writer.bytes(name.as_bytes()).bytes(value.as_bytes());
        }
        while writer.len() < padded {
            writer.byte(0);
        }
        Secret::new(writer.into_bytes())
    }

    pub(crate) fn unpack(packed: &Secret) -> Result<Self, Malformed> {
        let mut reader = Reader::new(packed.reveal());
        let count = usize::try_from(reader.number()?).unwrap_or(usize::MAX);
        if count > MOST_ATTRIBUTES {
            return Err(Malformed("it has too many attributes"));
        }
        let secret = Secret::copied(reader.bytes(SECRET_LIMIT)?);
        let mut attributes = Vec::new();
        for _ in 0..count {
            let name = reader.text(ATTRIBUTE_LIMIT)?.to_owned();
            attributes.push((name, reader.text(ATTRIBUTE_LIMIT)?.to_owned()));
        }
        Ok(Self { secret, attributes })
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("attributes", &self.attributes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(password: &str) -> Credential {
        let groups = vec![("memberOf".into(), "staff".into()), ("memberOf".into(), "admins".into())];
        Credential::new(Secret::from(password.to_owned()), groups).expect("a credential")
    }

    #[test]
    fn a_credential_is_unpacked_as_it_was_packed() {
        let unpacked = Credential::unpack(&credential("open sesame").pack()).expect("unpacks");
        assert_eq!(unpacked.secret.reveal(), b"open sesame");
        assert_eq!(unpacked.values("MEMBEROF").collect::<Vec<_>>(), ["staff", "admins"]);
    }

    #[test]
    fn the_length_of_a_password_does_not_show() {
        let short = credential("x").pack();
        let long = credential(&"x".repeat(120)).pack();
        assert_eq!((short.len(), long.len()), (256, 256));
        assert_eq!(credential(&"x".repeat(250)).pack().len(), 512);
    }

    #[test]
    fn an_empty_password_and_what_is_too_much_are_refused() {
        assert!(Credential::new(Secret::new(Vec::new()), Vec::new()).is_err());
        assert!(Credential::new(Secret::new(vec![1; SECRET_LIMIT + 1]), Vec::new()).is_err());
        let many = vec![("a".to_owned(), "b".to_owned()); MOST_ATTRIBUTES + 1];
        assert!(Credential::new(Secret::new(vec![1]), many).is_err());
    }

    #[test]
    fn a_damaged_packing_is_refused() {
        let packed = credential("open sesame").pack();
        for cut in 0..80 {
            assert!(Credential::unpack(&Secret::copied(&packed.reveal()[..cut.min(40)])).is_err());
        }
        assert!(Credential::unpack(&Secret::new(vec![0xff; 256])).is_err());
    }
}
