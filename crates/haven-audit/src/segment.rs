//! A segment: the lines of one file, how they are written, and how any bytes are read.
//!
//! ```text
//! # {"version":1,"origin":"example.org/haven","first":0,"peaks":[],"open":[]}     what the tree was at its beginning
//! = 0 47DEQpj8…uFU= 5nYl…Cg==                                                     a head: size, root, signature
//! {"sequence":0,"time":"2026-…","intent":{…}}                                     a record: the leaf is this line
//! = 1 bjQLnP+z…oB0= u8Sx…Ag==
//! ```
//!
//! A record and the head over it are one write. So what follows the last head was never acknowledged.

use crate::limits::LINE_BYTES;
use crate::merkle::{Frontier, Hash};
use crate::{Record, SignedCheckpoint};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// The first line of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    version: u32,
    pub(crate) origin: String,
    /// The sequence of its first record.
    pub(crate) first: u64,
    peaks: Vec<String>,
    /// Intents of earlier segments that had no ending yet.
    pub(crate) open: Vec<u64>,
}

impl Header {
    pub(crate) fn new(origin: &str, frontier: &Frontier, open: Vec<u64>) -> Self {
        let peaks = frontier.peaks().iter().map(|peak| STANDARD.encode(peak)).collect();
        Self { version: VERSION, origin: origin.to_owned(), first: frontier.size(), peaks, open }
    }

    /// The tree at the segment's beginning.
    pub(crate) fn frontier(&self) -> Option<Frontier> {
        let peaks = self.peaks.iter().map(|peak| hash(peak)).collect::<Option<Vec<Hash>>>()?;
        Frontier::new(self.first, peaks)
    }

    pub(crate) fn line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = b"# ".to_vec();
        serde_json::to_writer(&mut line, self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// The line of a signed head.
pub(crate) fn head_line(head: &SignedCheckpoint) -> String {
    format!("= {} {} {}\n", head.size(), STANDARD.encode(head.root()), STANDARD.encode(head.signature()))
}

#[derive(Debug)]
pub(crate) enum Line<'a> {
    Header(Header),
    Head {
        size: u64,
        root: Hash,
        signature: Box<[u8; 64]>,
    },
    /// The leaf's bytes; they are parsed where that is wanted.
    Record(&'a [u8]),
    /// What is none of these.
    Nonsense,
}

/// A line and where it ends, its line feed included.
#[derive(Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) line: Line<'a>,
    pub(crate) end: usize,
}

/// The complete lines of a segment, in order. What follows the last line feed is left out.
pub(crate) fn lines(bytes: &[u8]) -> impl DoubleEndedIterator<Item = Placed<'_>> {
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let start = bytes.as_ptr() as usize;
    bytes[..complete].split_inclusive(|byte| *byte == b'\n').map(move |line| Placed {
        end: line.as_ptr() as usize - start + line.len(),
        line: read(line.strip_suffix(b"\n").unwrap_or(line)),
    })
}

fn read(line: &[u8]) -> Line<'_> {
    if line.len() > LINE_BYTES {
        return Line::Nonsense;
    }
    let understood = match line {
        [b'{', ..] => Some(Line::Record(line)),
        [b'#', b' ', header @ ..] => {
            let header = serde_json::from_slice::<Header>(header).ok();
            header.filter(|header| header.version == VERSION).map(Line::Header)
        }
        [b'=', b' ', head @ ..] => read_head(head),
        _ => None,
    };
    understood.unwrap_or(Line::Nonsense)
}

fn read_head(text: &[u8]) -> Option<Line<'_>> {
    let mut words = std::str::from_utf8(text).ok()?.split(' ');
    let (size, root, signature) = (words.next()?, words.next()?, words.next()?);
    let signature = STANDARD.decode(signature).ok()?.try_into().ok()?;
    let head = Line::Head { size: size.parse().ok()?, root: hash(root)?, signature: Box::new(signature) };
    words.next().is_none().then_some(head)
}

fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// The record a leaf holds.
pub(crate) fn record(leaf: &[u8]) -> Option<Record> {
    serde_json::from_slice(leaf).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::leaf_hash;

    #[test]
    fn lines_are_told_apart_and_know_where_they_end() {
        let mut frontier = Frontier::default();
        frontier.push(leaf_hash(b"a"));
        let header = Header::new("example.org/haven", &frontier, vec![0]);
        let mut bytes = header.line().unwrap();
        bytes.extend_from_slice(b"{\"x\":1}\nnonsense\n= 1 x y\n{\"torn\":");
        let found: Vec<_> = lines(&bytes).collect();
        assert_eq!(found.len(), 4);
        let Line::Header(read) = &found[0].line else { panic!("{found:?}") };
        assert_eq!(*read, header);
        assert_eq!(read.frontier().unwrap(), frontier);
        assert!(matches!(found[1].line, Line::Record(b"{\"x\":1}")));
        assert!(matches!((&found[2].line, &found[3].line), (Line::Nonsense, Line::Nonsense)));
        assert_eq!(found[3].end, bytes.len() - "{\"torn\":".len());
    }

    #[test]
    fn a_header_with_another_number_of_peaks_has_no_tree() {
        let header = r##"# {"version":1,"origin":"o","first":3,"peaks":[],"open":[]}"##;
        let Line::Header(header) = read(header.as_bytes()) else { panic!() };
        assert!(header.frontier().is_none());
        assert!(matches!(
            read(br#"# {"version":2,"origin":"o","first":0,"peaks":[],"open":[]}"#),
            Line::Nonsense
        ));
    }
}
