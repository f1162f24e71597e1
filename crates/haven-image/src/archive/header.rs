//! The 512-byte header block of a tar archive: fields, numbers, checksum. See tar(5) and POSIX pax.

use haven_spec::{Failure, Outcome};

pub(crate) const BLOCK: usize = 512;

/// Which dialect a block is written in: it decides what stands behind the first 257 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    V7,
    Ustar,
    /// As ustar, with a shorter prefix.
    Star,
    Gnu,
}

/// What GNU's own sparse format says in a header.
pub(super) struct GnuSparse {
    /// (offset, length).
    pub(super) pieces: Vec<(i64, i64)>,
    /// Another block of pieces follows.
    pub(super) more: bool,
    pub(super) real_size: i64,
}

/// A header block that isn't all zeros.
#[derive(Debug, Clone)]
pub(super) struct Header {
    block: [u8; BLOCK],
}

impl Header {
    /// Checks the sum; both readings of "sum of bytes" are in use.
    pub(super) fn new(block: [u8; BLOCK]) -> Outcome<Self> {
        let header = Self { block };
        let stored = header.number(148, 8, "checksum")?;
        let mut unsigned = 0_i64;
        let mut signed = 0_i64;
        for (at, byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        if stored != unsigned && stored != signed {
            return Err(Failure::invalid("a tar header is damaged: its checksum doesn't match"));
        }
        Ok(header)
    }

    pub(super) fn dialect(&self) -> Dialect {
        match &self.block[257..265] {
            b"ustar\x0000" if &self.block[508..512] == b"tar\0" => Dialect::Star,
            // Writers differ in the version field.
            magic if magic.starts_with(b"ustar\0") => Dialect::Ustar,
            b"ustar  \0" => Dialect::Gnu,
            _ => Dialect::V7,
        }
    }

    pub(super) fn typeflag(&self) -> u8 {
        self.block[156]
    }

    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.block[0..100]);
        let prefix = match self.dialect() {
            Dialect::Ustar => text(&self.block[345..500]),
            Dialect::Star => text(&self.block[345..476]),
            Dialect::V7 | Dialect::Gnu => b"",
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.block[157..257]).to_vec()
    }

    pub(super) fn mode(&self) -> Outcome<i64> {
        self.number(100, 8, "mode")
    }

    pub(super) fn uid(&self) -> Outcome<i64> {
        self.number(108, 8, "uid")
    }

    pub(super) fn gid(&self) -> Outcome<i64> {
        self.number(116, 8, "gid")
    }

    pub(super) fn size(&self) -> Outcome<i64> {
        self.number(124, 12, "size")
    }

    pub(super) fn modified(&self) -> Outcome<i64> {
        self.number(136, 12, "mtime")
    }

    pub(super) fn device(&self) -> Outcome<(i64, i64)> {
        match self.dialect() {
            Dialect::V7 => Ok((0, 0)),
            _ => Ok((self.number(329, 8, "devmajor")?, self.number(337, 8, "devminor")?)),
        }
    }

    /// The header of a file in GNU's own sparse format.
    pub(super) fn gnu_sparse(&self) -> Outcome<GnuSparse> {
        let pieces = sparse_pieces(&self.block[386..482])?;
        let real_size = self.number(483, 12, "realsize")?;
        Ok(GnuSparse { pieces, more: self.block[482] != 0, real_size })
    }

    fn number(&self, at: usize, length: usize, field: &str) -> Outcome<i64> {
        number(&self.block[at..at + length])
            .ok_or_else(|| Failure::invalid(format!("a tar header's `{field}` is not a number")))
    }
}

/// A block of further pieces of a GNU sparse file, and whether another follows.
pub(super) fn gnu_sparse_block(block: &[u8; BLOCK]) -> Outcome<(Vec<(i64, i64)>, bool)> {
    Ok((sparse_pieces(&block[..504])?, block[504] != 0))
}

fn sparse_pieces(field: &[u8]) -> Outcome<Vec<(i64, i64)>> {
    let refuse = || Failure::invalid("a sparse file's map is not made of numbers");
    let mut pieces = Vec::new();
    for pair in field.as_chunks::<24>().0 {
        if pair[0] == 0 || pair[12] == 0 {
            break;
        }
        pieces.push((number(&pair[..12]).ok_or_else(refuse)?, number(&pair[12..]).ok_or_else(refuse)?));
    }
    Ok(pieces)
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    &field[..end]
}

/// Octal digits with blanks or NULs around, or, with the top bit set, a binary number in two's complement. Nothing
/// at all is 0.
fn number(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let mut value: i64 = if negative { -1 } else { 0 };
        let lead = if negative { first | 0x80 } else { first & 0x7f };
        for byte in std::iter::once(&lead).chain(rest) {
            if value != (value << 8) >> 8 {
                return None;
            }
            value = (value << 8) | i64::from(*byte);
        }
        return (negative == (value < 0)).then_some(value);
    }
    let field = field.trim_ascii_start();
    let end = field.iter().position(|b| !(b'0'..=b'7').contains(b)).unwrap_or(field.len());
    if !field[end..].iter().all(|b| matches!(b, 0 | b' ')) && !matches!(field.get(end), Some(0)) {
        return None;
    }
    let mut value: i64 = 0;
    for digit in &field[..end] {
        value = value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"77777777777"), Some(0o77_777_777_777));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x07"), Some(7));
        assert_eq!(number(b"\x80\0\0\0\x02\0\0\0\0\0\0\0"), Some(2 << 56));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
        assert_eq!(number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(number(b"-1\0"), None);
        assert_eq!(number(b"12x4567\0"), None);
        assert_eq!(number(b"0x12\0\0\0\0"), None);
    }
}
