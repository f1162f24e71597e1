//! The signing key and the public key, in the text forms of the signed-note format, which other tools read too.
//!
//! `NAME+HASH+BASE64`: the name is the log's origin, the hash the first four bytes of SHA-256 over name, newline,
//! algorithm and public key, in hexadecimal. A private key begins with `PRIVATE+KEY+`. The algorithm is 1, Ed25519.
//! See [C2SP signed-note](https://c2sp.org/signed-note).

use crate::directory::Directory;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use haven_spec::{Failure, Outcome};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;

const ED25519: u8 = 1;
const PRIVATE: &str = "PRIVATE+KEY+";

/// The longest name of a log.
const NAME_BYTES: usize = 200;

/// Signs checkpoints. Its memory is wiped when it is dropped.
pub struct Signer {
    key: SigningKey,
    public: PublicKey,
}

impl Signer {
    /// A key from 32 bytes that nobody can guess.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Outcome<Self> {
        let key = SigningKey::from_bytes(seed);
        let public = PublicKey::new(name, key.verifying_key())?;
        Ok(Self { key, public })
    }

    pub fn parse(text: &str) -> Outcome<Self> {
        // The text itself is never repeated: it is secret.
        let refuse = || Failure::invalid("this is not a signing key").hint("restore the file `key`");
        let rest = text.trim_end().strip_prefix(PRIVATE).ok_or_else(refuse)?;
        let (name, id, seed) = parts(rest).ok_or_else(refuse)?;
        let signer = Self::from_seed(name, &seed).map_err(|_| refuse())?;
        if signer.public.id == id { Ok(signer) } else { Err(refuse()) }
    }

    /// What is kept in the file `key`.
    pub(crate) fn to_text(&self) -> String {
        text_of(PRIVATE, &self.public, self.key.as_bytes())
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.key.sign(text).to_bytes()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public)
    }
}

/// All that verifying needs. Shown and read as `NAME+HASH+BASE64`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl PublicKey {
    fn new(name: &str, key: VerifyingKey) -> Outcome<Self> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.len() > NAME_BYTES || name.contains(bad) {
            return Err(Failure::invalid(format!(
                "`{}` is not a name for an audit record",
                name.escape_debug()
            ))
            .hint("without spaces and `+`, like example.org/haven"));
        }
        let mut hasher = Sha256::new();
        hasher.update(name);
        hasher.update([b'\n', ED25519]);
        hasher.update(key.as_bytes());
        let digest = hasher.finalize();
        Ok(Self { name: name.to_owned(), id: [digest[0], digest[1], digest[2], digest[3]], key })
    }

    pub fn parse(text: &str) -> Outcome<Self> {
        let refuse = || {
            Failure::invalid("this is not an audit record's public key")
                .hint("a line like `example.org/haven+1a2b3c4d+ARpc…`, as in the file `key.pub`")
        };
        let (name, id, key) = parts(text.trim_end()).ok_or_else(refuse)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| refuse())?;
        let public = Self::new(name, key).map_err(|_| refuse())?;
        if public.id == id { Ok(public) } else { Err(refuse()) }
    }

    /// The key that lies beside a record. Fit for looking; to check a record against its host, take a key kept elsewhere.
    pub fn beside(record: &Path) -> Outcome<Self> {
        Directory::new(record).public_key()
    }

    /// The name of the record it belongs to: its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Refuses what only sloppy verifiers take (small-order keys, other forms of one signature).
    pub(crate) fn verifies(&self, text: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(text, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text_of("", self, self.key.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn text_of(prefix: &str, public: &PublicKey, key: &[u8; 32]) -> String {
    let mut bytes = vec![ED25519];
    bytes.extend_from_slice(key);
    format!("{prefix}{}+{:08x}+{}", public.name, u32::from_be_bytes(public.id), STANDARD.encode(bytes))
}

/// Name, key id and the 32 bytes of the key.
fn parts(text: &str) -> Option<(&str, [u8; 4], [u8; 32])> {
    // The name has no `+`; base64 may.
    let (name, rest) = text.split_once('+')?;
    let (id, key) = rest.split_once('+')?;
    if id.len() != 8 || key.len() > 64 {
        return None;
    }
    let id = u32::from_str_radix(id, 16).ok()?.to_be_bytes();
    let bytes = STANDARD.decode(key).ok()?;
    let (ED25519, key) = bytes.split_first().map(|(a, k)| (*a, k))? else { return None };
    Some((name, id, key.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let signer = Signer::from_seed("example.org/haven", &[7; 32]).unwrap();
        let again = Signer::parse(&signer.to_text()).unwrap();
        assert_eq!(again.public(), signer.public());
        let public = PublicKey::parse(&format!("{}\n", signer.public())).unwrap();
        assert!(public.verifies(b"text", &signer.sign(b"text")));
        assert!(!public.verifies(b"other", &signer.sign(b"text")));
    }

    #[test]
    fn the_published_example_of_the_format_verifies() {
        // From the documentation of Go's sumdb/note package, where the format comes from.
        let key =
            PublicKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let signature = STANDARD
            .decode("x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=")
            .unwrap();
        assert_eq!(signature[..4], key.id());
        assert!(key.verifies(text.as_bytes(), signature[4..].try_into().unwrap()));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in [
            "",
            "+",
            "a+b",
            "a+00000000+",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert!(PublicKey::parse(bad).is_err(), "{bad}");
            assert!(Signer::parse(&format!("PRIVATE+KEY+{bad}")).is_err(), "{bad}");
        }
        assert!(Signer::from_seed("two words", &[1; 32]).is_err());
    }
}
