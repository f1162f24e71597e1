//! One name of a layer, and its form in bytes: numbers as variable-length integers, strings with their length.

use crate::archive::Piece;
use haven_sys::root::Time;
use std::io::{self, Read};

/// The longest string: an extended attribute's value, a path.
const STRING_LIMIT: u64 = 1 << 20;

/// One name in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: Time,
    pub(crate) node: Node,
    /// Sorted by name.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Directory {
        opaque: bool,
    },
    File {
        size: u64,
        /// Of the content; for a sparse file, of its pieces one after the other.
        sha256: [u8; 32],
        pieces: Option<Vec<Piece>>,
        /// A further name of a file that is in the manifest under another.
        linked: bool,
    },
    Symlink {
        target: Vec<u8>,
    },
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    Whiteout,
}

impl Record {
    pub(super) fn encode(&self, to: &mut Vec<u8>) {
        let kind = match self.node {
            Node::Directory { opaque: false } => b'd',
            Node::Directory { opaque: true } => b'D',
            Node::File { linked: false, pieces: None, .. } => b'f',
            Node::File { linked: true, pieces: None, .. } => b'F',
            Node::File { linked: false, pieces: Some(_), .. } => b's',
            Node::File { linked: true, pieces: Some(_), .. } => b'S',
            Node::Symlink { .. } => b'l',
            Node::CharDevice(..) => b'c',
            Node::BlockDevice(..) => b'b',
            Node::Fifo => b'p',
            Node::Whiteout => b'w',
        };
        to.push(kind);
        for number in [self.mode, self.uid, self.gid, self.modified.nanoseconds] {
            put_number(to, number.into());
        }
        to.extend_from_slice(&self.modified.seconds.to_be_bytes());
        match &self.node {
            Node::File { size, sha256, pieces, .. } => {
                put_number(to, *size);
                to.extend_from_slice(sha256);
                if let Some(pieces) = pieces {
                    put_number(to, pieces.len() as u64);
                    for piece in pieces {
                        put_number(to, piece.offset);
                        put_number(to, piece.length);
                    }
                }
            }
            Node::Symlink { target } => put_bytes(to, target),
            Node::CharDevice(major, minor) | Node::BlockDevice(major, minor) => {
                put_number(to, (*major).into());
                put_number(to, (*minor).into());
            }
            Node::Directory { .. } | Node::Fifo | Node::Whiteout => {}
        }
        put_number(to, self.xattrs.len() as u64);
        for (name, value) in &self.xattrs {
            put_bytes(to, name);
            put_bytes(to, value);
        }
    }

    pub(super) fn decode(from: &mut impl Read) -> io::Result<Self> {
        let kind = byte(from)?;
        let (mode, uid, gid, nanoseconds) = (small(from)?, small(from)?, small(from)?, small(from)?);
        let mut seconds = [0; 8];
        from.read_exact(&mut seconds)?;
        let node = match kind {
            b'd' | b'D' => Node::Directory { opaque: kind == b'D' },
            b'f' | b'F' | b's' | b'S' => {
                let size = number(from)?;
                let mut sha256 = [0; 32];
                from.read_exact(&mut sha256)?;
                let mut pieces = None;
                if matches!(kind, b's' | b'S') {
                    let mut list = Vec::new();
                    for _ in 0..number(from)? {
                        list.push(Piece { offset: number(from)?, length: number(from)? });
                    }
                    pieces = Some(list);
                }
                Node::File { size, sha256, pieces, linked: matches!(kind, b'F' | b'S') }
            }
            b'l' => Node::Symlink { target: bytes(from)? },
            b'c' => Node::CharDevice(small(from)?, small(from)?),
            b'b' => Node::BlockDevice(small(from)?, small(from)?),
            b'p' => Node::Fifo,
            b'w' => Node::Whiteout,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let mut xattrs = Vec::new();
        for _ in 0..number(from)? {
            xattrs.push((bytes(from)?, bytes(from)?));
        }
        let modified = Time { seconds: i64::from_be_bytes(seconds), nanoseconds };
        Ok(Self { mode, uid, gid, modified, node, xattrs })
    }
}

/// Seven bits a byte, the lowest first, the top bit set on all but the last.
pub(crate) fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push((number & 0x7f) as u8);
}

pub(crate) fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

pub(crate) fn number(from: &mut impl Read) -> io::Result<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = byte(from)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

pub(crate) fn bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = number(from)?;
    if length > STRING_LIMIT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    if from.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

fn byte(from: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn small(from: &mut impl Read) -> io::Result<u32> {
    u32::try_from(number(from)?).map_err(|_| io::ErrorKind::InvalidData.into())
}
