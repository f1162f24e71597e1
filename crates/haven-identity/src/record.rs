//! One session as the store holds it: the facts, since when it has proved itself, and the sealed credential.
//!
//! The store sees no secret in it and can't change it unseen: the facts are bound into both seals, and the one thing
//! that changes during a session, the time of the last proof, carries a mark that only the session's key makes.

use crate::facts::Facts;
use crate::moment::Moment;
use crate::seal;
use crate::secret::Key;
use crate::wire::{Malformed, Reader, Writer};

const FORM: u8 = 1;
const SEALED_LIMIT: usize = 1 << 20;
const PROOF_PURPOSE: &str = "bargate/proved/v1";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) facts: Facts,
    /// The very bytes of the facts: what the seals are bound to.
    pub(crate) facts_bytes: Vec<u8>,
    pub(crate) proved: Moment,
    proved_mark: [u8; 32],
    pub(crate) sealed: Vec<u8>,
}

impl Record {
    pub(crate) fn new(facts: Facts, sid: &[u8], session_key: &Key, sealed: Vec<u8>, proved: Moment) -> Self {
        let facts_bytes = facts.to_bytes();
        let mut record = Self { facts, facts_bytes, proved, proved_mark: [0; 32], sealed };
        record.set_proved(proved, sid, session_key);
        record
    }

    pub(crate) fn set_proved(&mut self, proved: Moment, sid: &[u8], session_key: &Key) {
        self.proved = proved;
        self.proved_mark = seal::mark(&proof_mark_key(session_key), &[sid, &proved.as_ms().to_be_bytes()]);
    }

    /// Whether the time of the last proof was written by who held the session's key.
    pub(crate) fn proved_is_ours(&self, sid: &[u8], session_key: &Key) -> bool {
        seal::marked(
            &proof_mark_key(session_key),
            &[sid, &self.proved.as_ms().to_be_bytes()],
            &self.proved_mark,
        )
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::with_room(self.facts_bytes.len() + self.sealed.len() + 64);
        writer
            .byte(FORM)
            .bytes(&self.facts_bytes)
            .number(self.proved.as_ms())
            .raw(&self.proved_mark)
            .bytes(&self.sealed);
        writer.into_bytes()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != FORM {
            return Err(Malformed("it is of a form this version doesn't know"));
        }
        let facts_bytes = reader.bytes(Facts::LIMIT)?.to_vec();
        let facts = Facts::from_bytes(&facts_bytes)?;
        let proved = Moment::from_ms(reader.number()?);
        let proved_mark = reader.array()?;
        let sealed = reader.bytes(SEALED_LIMIT)?.to_vec();
        reader.end()?;
        Ok(Self { facts, facts_bytes, proved, proved_mark, sealed })
    }
}

fn proof_mark_key(session_key: &Key) -> Key {
    seal::derive(session_key, PROOF_PURPOSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::facts;

    #[test]
    fn a_record_is_read_as_it_was_written_and_damage_is_refused() {
        let key = Key::random();
        let record = Record::new(facts(), b"sid", &key, vec![1, 2, 3], Moment::from_ms(5));
        let bytes = record.to_bytes();
        assert_eq!(Record::from_bytes(&bytes), Ok(record));
        for cut in 0..bytes.len() {
            assert!(Record::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_later_proof_than_there_was_is_seen() {
        let key = Key::random();
        let mut record = Record::new(facts(), b"sid", &key, Vec::new(), Moment::from_ms(5));
        assert!(record.proved_is_ours(b"sid", &key));
        assert!(!record.proved_is_ours(b"other", &key));
        record.proved = Moment::from_ms(6);
        assert!(!record.proved_is_ours(b"sid", &key));
    }
}
