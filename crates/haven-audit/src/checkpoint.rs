//! What the tree was at a size, and the signature under it: what somebody keeps elsewhere to hold the record to it.
//!
//! ```text
//! example.org/haven          the record's name
//! 4711                       how many records
//! CsUYapGGPo4d…qxI=          the tree's root
//!
//! — example.org/haven Az3g…  the signature over all lines above
//! ```

use crate::limits::NOTE_BYTES;
use crate::merkle::Hash;
use crate::{PublicKey, Signer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use haven_spec::{Failure, Outcome};
use std::fmt;

/// The state of a record: after so many entries its tree had this root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

impl Checkpoint {
    /// What is signed.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    pub(crate) fn sign(self, signer: &Signer) -> SignedCheckpoint {
        let signature = signer.sign(self.text().as_bytes());
        SignedCheckpoint { checkpoint: self, key_id: signer.public().id(), signature }
    }
}

/// A checkpoint whose signature was made or checked. Shown as a signed note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    key_id: [u8; 4],
    signature: [u8; 64],
}

impl SignedCheckpoint {
    /// Puts together what a segment's line holds. `None` when the signature is not `key`'s.
    pub(crate) fn assemble(size: u64, root: Hash, signature: [u8; 64], key: &PublicKey) -> Option<Self> {
        let checkpoint = Checkpoint { origin: key.name().to_owned(), size, root };
        key.verifies(checkpoint.text().as_bytes(), &signature).then(|| Self {
            checkpoint,
            key_id: key.id(),
            signature,
        })
    }

    /// Reads a signed note and checks its signature; signatures of others (witnesses) are passed over.
    pub fn open(note: &str, key: &PublicKey) -> Outcome<Self> {
        let refuse = |why: &str| {
            Failure::invalid("this is not a checkpoint of this audit record").because(why.to_owned()).hint(
                "give a file that holds one signed checkpoint, and the public key of the record it is of",
            )
        };
        if note.len() > NOTE_BYTES {
            return Err(refuse("it is too long"));
        }
        // The text may hold blank lines of its own as far as the format goes: the signatures follow the last one.
        let (text, signatures) = note.rsplit_once("\n\n").ok_or_else(|| refuse("it has no signature"))?;
        let text = format!("{text}\n");
        let mut lines = text.split('\n');
        let mut next = || lines.next().filter(|line| !line.is_empty());
        let (Some(origin), Some(size), Some(root)) = (next(), next(), next()) else {
            return Err(refuse("it has fewer than three lines"));
        };
        if origin != key.name() {
            return Err(refuse(&format!("it is of `{}`", origin.escape_debug())));
        }
        let number = size.parse::<u64>().ok().filter(|number| number.to_string() == size);
        let size = number.ok_or_else(|| refuse("its second line is not a number"))?;
        let root = STANDARD.decode(root).ok().and_then(|bytes| Hash::try_from(bytes).ok());
        let root = root.ok_or_else(|| refuse("its third line is not a root hash"))?;
        let ours = signatures.lines().filter_map(|line| {
            let (name, signature) = line.strip_prefix("— ")?.rsplit_once(' ')?;
            let bytes = STANDARD.decode(signature).ok()?;
            let (id, signature) = bytes.split_at_checked(4)?;
            (name == key.name() && id == key.id()).then(|| <[u8; 64]>::try_from(signature).ok())?
        });
        for signature in ours {
            if key.verifies(text.as_bytes(), &signature) {
                let checkpoint = Checkpoint { origin: origin.to_owned(), size, root };
                // Lines beside the three would be lost when it is shown again, and with them the signature's truth.
                if text != checkpoint.text() {
                    return Err(refuse("it has lines that this version does not know"));
                }
                return Ok(Self { checkpoint, key_id: key.id(), signature });
            }
        }
        Err(refuse("no signature in it was made by this key"))
    }

    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    pub fn root(&self) -> Hash {
        self.checkpoint.root
    }

    pub(crate) fn signature(&self) -> &[u8; 64] {
        &self.signature
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key_id.to_vec();
        bytes.extend_from_slice(&self.signature);
        let origin = &self.checkpoint.origin;
        writeln!(f, "{}\n— {origin} {}", self.checkpoint.text(), STANDARD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (Signer, SignedCheckpoint) {
        let signer = Signer::from_seed("example.org/haven", &[3; 32]).unwrap();
        let checkpoint = Checkpoint { origin: "example.org/haven".into(), size: 12, root: [9; 32] };
        let signed = checkpoint.sign(&signer);
        (signer, signed)
    }

    #[test]
    fn a_checkpoint_is_read_as_it_is_shown() {
        let (signer, signed) = signed();
        let note = signed.to_string();
        assert!(note.starts_with("example.org/haven\n12\nCQkJ"), "{note}");
        assert!(note.contains("\n\n— example.org/haven ") && note.ends_with("=\n"), "{note}");
        assert_eq!(SignedCheckpoint::open(&note, signer.public()).unwrap(), signed);
        let witnessed = format!("{note}— witness.example AAAAAAAA\n");
        assert_eq!(SignedCheckpoint::open(&witnessed, signer.public()).unwrap(), signed);
    }

    #[test]
    fn an_altered_checkpoint_is_refused() {
        let (signer, signed) = signed();
        let note = signed.to_string();
        for altered in [
            note.replace("12", "13"),
            note.replace("12", "012"),
            note.replace("CQkJ", "CQkK"),
            note.replacen("example.org", "example.com", 1),
            note.replace("\n\n", "\n"),
            note.replace("\n\n", "\nextension\n\n"),
            note.replace('—', "-"),
            String::new(),
            "\n\n".into(),
            "x".repeat(NOTE_BYTES + 1),
        ] {
            assert!(SignedCheckpoint::open(&altered, signer.public()).is_err(), "{altered}");
        }
        let other = Signer::from_seed("example.org/haven", &[4; 32]).unwrap();
        assert!(SignedCheckpoint::open(&note, other.public()).is_err());
    }
}
