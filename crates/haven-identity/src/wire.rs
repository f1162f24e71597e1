//! How what the vault stores is laid out in bytes: numbers big-endian, texts and bytes with their length in front.
//!
//! One form for what is stored and for what is authenticated, so that the two can't differ. Reading is strict: a
//! length beyond the end, a limit exceeded or a byte left over is an error, whatever a hostile store returns.

/// What is wrong with some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Memory for all of it at once, so that a secret written is not left where the vector grew.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(crate) fn number(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// With its length as 32 bits in front.
    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        let length = u32::try_from(value.len()).expect("what is written here was limited when it was made");
        self.raw(&length.to_be_bytes()).raw(value)
    }

    pub(crate) fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(*first)
    }

    /// At most `limit` bytes.
    pub(crate) fn bytes(&mut self, limit: usize) -> Result<&'a [u8], Malformed> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        if length > limit {
            return Err(Malformed("a part of it is too long"));
        }
        let (first, rest) = self.0.split_at_checked(length).ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(first)
    }

    pub(crate) fn text(&mut self, limit: usize) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes(limit)?).map_err(|_| Malformed("a text in it is not UTF-8"))
    }

    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("something follows its end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else() {
        let mut writer = Writer::default();
        writer.byte(7).number(1 << 40).bytes(b"abc");
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.byte(), reader.number(), reader.text(3)), (Ok(7), Ok(1 << 40), Ok("abc")));
        assert_eq!(reader.end(), Ok(()));

        for cut in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..cut]);
            let all = (|| {
                reader.byte()?;
                reader.number()?;
                reader.bytes(3)
            })();
            assert_eq!(all, Err(Malformed("it ends too early")), "cut at {cut}");
        }
    }

    #[test]
    fn limits_and_left_over_bytes_are_refused() {
        let mut writer = Writer::default();
        writer.bytes(b"abcd");
        let bytes = writer.into_bytes();
        assert_eq!(Reader::new(&bytes).bytes(3), Err(Malformed("a part of it is too long")));
        assert_eq!(Reader::new(&bytes).end(), Err(Malformed("something follows its end")));
        assert_eq!(Reader::new(&[0xff; 8]).bytes(usize::MAX), Err(Malformed("it ends too early")));
    }
}
