//! Attributes of messages from the kernel: type, length, value. No length is believed before it is checked.

use super::{NESTED, aligned, read_u16};

/// Length of `struct nlattr`.
const HEADER_BYTES: usize = 4;
const KIND_MASK: u16 = 0x3fff;

/// Reads a list of attributes. A length that is too small or points past the end ends the list.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The value of the first attribute of this kind.
    pub fn first(mut self, kind: u16) -> Option<Value<'a>> {
        self.find(|(k, _)| *k == kind).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(read_u16(self.rest, 0)?);
        let kind = read_u16(self.rest, 2)?;
        let bytes = self.rest.get(HEADER_BYTES..length)?;
        self.rest = self.rest.get(aligned(length)..).unwrap_or(&[]);
        Some((kind & KIND_MASK, Value { bytes, nested: kind & NESTED != 0 }))
    }
}

/// An attribute's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    pub bytes: &'a [u8],
    /// Marked as holding attributes. The kernel's older answers leave the mark out.
    pub nested: bool,
}

impl<'a> Value<'a> {
    pub fn u8(self) -> Option<u8> {
        self.bytes.first().copied()
    }

    pub fn u16(self) -> Option<u16> {
        read_u16(self.bytes, 0)
    }

    pub fn u32(self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    pub fn u64(self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    pub fn be32(self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn be64(self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The text before the first NUL, if it is UTF-8.
    pub fn text(self) -> Option<&'a str> {
        let end = self.bytes.iter().position(|b| *b == 0).unwrap_or(self.bytes.len());
        std::str::from_utf8(self.bytes.get(..end)?).ok()
    }

    /// The attributes it holds.
    pub fn attributes(self) -> Attributes<'a> {
        Attributes::new(self.bytes)
    }

    fn array<const N: usize>(self) -> Option<[u8; N]> {
        self.bytes.get(..N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_with_impossible_lengths_end_the_list() {
        for bytes in [
            &[][..],
            &[4][..],
            &[3, 0, 1, 0][..],             // shorter than its own header
            &[9, 0, 1, 0, 1, 2, 3, 4][..], // longer than the buffer
            &[255, 255, 1, 0][..],
        ] {
            assert_eq!(Attributes::new(bytes).count(), 0, "{bytes:?}");
        }
        // One good attribute, then a lie.
        let mut listed = Attributes::new(&[5, 0, 7, 0, 42, 0, 0, 0, 200, 0, 8, 0]);
        assert_eq!(listed.next(), Some((7, Value { bytes: &[42], nested: false })));
        assert_eq!(listed.next(), None);
    }
}
