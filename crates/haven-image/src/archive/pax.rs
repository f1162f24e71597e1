//! Extended headers: `LENGTH KEY=VALUE\n` records that replace or add to the next entry's header. See pax(1).

use super::entry::Piece;
use crate::limits::Limits;
use haven_spec::{Failure, Outcome};
use haven_sys::root::Time;

/// The records that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) modified: Option<Time>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: PaxSparse,
}

/// The three ways GNU tar wrote sparse files into extended headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PaxSparse {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    /// The real name; the header's has a prefix for tar programs that don't know.
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    pub(super) count: Option<u64>,
    pub(super) pieces: Vec<Piece>,
    /// A piece's offset that waits for its length.
    pending: Option<u64>,
}

impl Pax {
    pub(super) fn parse(mut bytes: &[u8], limits: &Limits) -> Outcome<Self> {
        let mut pax = Self::default();
        while !bytes.is_empty() {
            let (key, value, rest) =
                record(bytes).ok_or_else(|| Failure::invalid("an extended header is malformed"))?;
            pax.take(key, value, limits)?;
            bytes = rest;
        }
        if pax.sparse.pending.is_some() {
            return Err(Failure::invalid("a sparse file's map is incomplete"));
        }
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8], limits: &Limits) -> Outcome<()> {
        let refuse = || {
            Failure::invalid(format!("an extended header's `{}` can't be read", String::from_utf8_lossy(key)))
        };
        let number = || decimal(value).ok_or_else(refuse);
        match key {
            // An empty value takes back what an earlier record said.
            b"path" => self.path = present(without_nul(value).ok_or_else(refuse)?),
            b"linkpath" => self.link = present(without_nul(value).ok_or_else(refuse)?),
            b"size" => self.size = Some(number()?),
            b"uid" => self.uid = Some(number()?),
            b"gid" => self.gid = Some(number()?),
            b"mtime" => self.modified = Some(time(value).ok_or_else(refuse)?),
            b"GNU.sparse.major" => self.sparse.major = Some(number()?),
            b"GNU.sparse.minor" => self.sparse.minor = Some(number()?),
            b"GNU.sparse.name" => self.sparse.name = present(without_nul(value).ok_or_else(refuse)?),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.real_size = Some(number()?),
            b"GNU.sparse.numblocks" => self.sparse.count = Some(number()?),
            b"GNU.sparse.offset" if self.sparse.pending.is_none() => self.sparse.pending = Some(number()?),
            b"GNU.sparse.numbytes" => {
                let offset = self.sparse.pending.take().ok_or_else(refuse)?;
                self.sparse.add(offset, number()?, limits)?;
            }
            b"GNU.sparse.map" => {
                let mut numbers = value.split(|b| *b == b',').filter(|n| !n.is_empty());
                while let Some(offset) = numbers.next() {
                    let length = numbers.next().ok_or_else(refuse)?;
                    let (offset, length) =
                        (decimal(offset).ok_or_else(refuse)?, decimal(length).ok_or_else(refuse)?);
                    self.sparse.add(offset, length, limits)?;
                }
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.add_xattr(name, value, limits)?;
                }
            }
        }
        Ok(())
    }

    fn add_xattr(&mut self, name: &[u8], value: &[u8], limits: &Limits) -> Outcome<()> {
        let shown = String::from_utf8_lossy(name);
        if name.is_empty() || name.contains(&0) {
            return Err(Failure::invalid("an extended attribute has no name"));
        }
        if value.len() > limits.xattr_bytes {
            return Err(Failure::invalid(format!(
                "the extended attribute `{shown}` has {} bytes, more than the {} allowed",
                value.len(),
                limits.xattr_bytes
            )));
        }
        if let Some(known) = self.xattrs.iter_mut().find(|(known, _)| known == name) {
            known.1 = value.to_vec();
        } else if self.xattrs.len() < limits.xattrs {
            self.xattrs.push((name.to_vec(), value.to_vec()));
        } else {
            return Err(Failure::invalid(format!(
                "more than the {} extended attributes allowed",
                limits.xattrs
            )));
        }
        Ok(())
    }
}

impl PaxSparse {
    fn add(&mut self, offset: u64, length: u64, limits: &Limits) -> Outcome<()> {
        if self.pieces.len() >= limits.sparse_pieces {
            return Err(too_many_pieces(limits));
        }
        self.pieces.push(Piece { offset, length });
        Ok(())
    }
}

pub(super) fn too_many_pieces(limits: &Limits) -> Failure {
    Failure::invalid(format!("a sparse file has more than the {} pieces allowed", limits.sparse_pieces))
}

fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(20).position(|b| *b == b' ')?;
    let length = usize::try_from(decimal(&bytes[..blank])?).ok()?;
    let body = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|b| *b == b'=')?;
    Some((&body[..equals], &body[equals + 1..], &bytes[length..]))
}

fn present(value: &[u8]) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.to_vec())
}

fn without_nul(value: &[u8]) -> Option<&[u8]> {
    (!value.contains(&0)).then_some(value)
}

pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `[-]SECONDS[.FRACTION]`; digits past nanoseconds are cut off.
fn time(value: &[u8]) -> Option<Time> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |b| *b == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let mut nanoseconds = 0_u32;
    if let Some(fraction) = parts.next() {
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        for at in 0..9 {
            nanoseconds = nanoseconds * 10 + fraction.get(at).map_or(0, |digit| u32::from(digit - b'0'));
        }
    }
    Some(match (negative, nanoseconds) {
        (false, _) => Time { seconds, nanoseconds },
        (true, 0) => Time { seconds: -seconds, nanoseconds },
        // Nanoseconds count upwards from the second before.
        (true, _) => Time { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Outcome<Pax> {
        Pax::parse(text.as_bytes(), &Limits { xattr_bytes: 4, xattrs: 2, ..Limits::default() })
    }

    #[test]
    fn records_are_read_by_their_length() {
        let pax =
            parse("12 path=a\nb\n27 SCHILY.xattr.user.x=1=2\n21 mtime=-1.50000000\n14 comment=ok\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a\nb"[..]));
        assert_eq!(pax.xattrs, [(b"user.x".to_vec(), b"1=2".to_vec())]);
        assert_eq!(pax.modified, Some(Time { seconds: -2, nanoseconds: 500_000_000 }));
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            "x",
            "5 a\n",
            "99 path=a\n",
            "8 path=a",
            "8 path=ab\n",
            "10 size=-1\n",
            "11 mtime=x\n",
            "12 path=a\0b\n",
            "0 ",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn extended_attributes_are_limited_in_size_and_number() {
        assert!(parse("28 SCHILY.xattr.user.x=1234\n").is_ok());
        assert!(parse("29 SCHILY.xattr.user.x=12345\n").is_err());
        let two = "25 SCHILY.xattr.user.a=1\n25 SCHILY.xattr.user.b=1\n";
        assert!(parse(two).is_ok());
        assert!(parse(&format!("{two}25 SCHILY.xattr.user.b=2\n")).is_ok());
        assert!(parse(&format!("{two}25 SCHILY.xattr.user.c=1\n")).is_err());
    }
}
