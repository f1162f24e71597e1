//! Tags and lengths, X.690 as RFC 4511 section 5.1 narrows it: definite lengths, one-byte tags.

use std::fmt;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;

/// What a server sent that is no BER, or not what belongs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotBer;

impl fmt::Display for NotBer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the server sent is no LDAP")
    }
}

impl std::error::Error for NotBer {}

/// Tag and length of an element.
pub(super) fn header(tag: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => bytes.push(short),
        _ => {
            let long = u32::try_from(length).expect("what is sent is limited").to_be_bytes();
            bytes.push(0x84);
            bytes.extend_from_slice(&long);
        }
    }
    bytes
}

pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(tag, content.len());
    bytes.extend_from_slice(content);
    bytes
}

pub(super) fn number(tag: u8, value: u32) -> Vec<u8> {
    let bytes = u64::from(value).to_be_bytes();
    // As few bytes as keep the sign.
    let skipped = bytes.windows(2).take_while(|pair| pair[0] == 0 && pair[1] < 0x80).count();
    element(tag, &bytes[skipped..])
}

#[derive(Clone)]
pub(super) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(super) fn new(content: &'a [u8]) -> Self {
        Self(content)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn next(&mut self) -> Result<(u8, &'a [u8]), NotBer> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>().ok_or(NotBer)?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80)).ok_or(NotBer)?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return Err(NotBer),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(NotBer)?;
        self.0 = rest;
        Ok((tag, content))
    }

    pub(super) fn expect(&mut self, tag: u8) -> Result<&'a [u8], NotBer> {
        match self.next()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(NotBer),
        }
    }

    pub(super) fn number(&mut self, tag: u8) -> Result<u32, NotBer> {
        let content = self.expect(tag)?;
        if content.is_empty() || content.len() > 5 || content[0] >= 0x80 {
            return Err(NotBer);
        }
        let value = content.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        u32::try_from(value).map_err(|_| NotBer)
    }

    /// Text in which what is no UTF-8 is replaced: for messages and for values that are shown.
    pub(super) fn text(&mut self) -> Result<String, NotBer> {
        Ok(String::from_utf8_lossy(self.expect(OCTETS)?).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_as_they_were_written() {
        for length in [0, 1, 127, 128, 300, 70_000] {
            let content = vec![7; length];
            let bytes = element(OCTETS, &content);
            let mut elements = Elements::new(&bytes);
            assert_eq!(elements.expect(OCTETS), Ok(&content[..]));
            assert!(elements.is_empty());
        }
        for value in [0, 1, 127, 128, 255, 256, 0x7fff_ffff, u32::MAX] {
            assert_eq!(Elements::new(&number(INTEGER, value)).number(INTEGER), Ok(value), "{value}");
        }
        assert_eq!(number(INTEGER, 128), [2, 2, 0, 128]);
    }

    #[test]
    fn lengths_beyond_the_end_are_refused() {
        for bad in [
            &[][..],
            &[4],
            &[4, 1],
            &[4, 0x80],
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[4, 0x85, 0, 0, 0, 0, 1, 1],
            &[4, 0x82, 1],
        ] {
            assert_eq!(Elements::new(bad).next(), Err(NotBer), "{bad:?}");
        }
        assert_eq!(Elements::new(&[2, 1, 0x80]).number(INTEGER), Err(NotBer), "negative");
        assert_eq!(Elements::new(&[2, 6, 0, 1, 1, 1, 1, 1]).number(INTEGER), Err(NotBer), "too long");
    }
}
