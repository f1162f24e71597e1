//! Builds tar archives by hand, well-formed ones and others.

pub(crate) struct Tarball {
    bytes: Vec<u8>,
}

/// An entry with everything in it; `..Entry::default()` is an empty file owned by root.
#[derive(Clone)]
pub(crate) struct Entry<'a> {
    pub(crate) path: &'a str,
    pub(crate) typeflag: u8,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: u64,
    pub(crate) link: &'a str,
    pub(crate) device: (u32, u32),
    pub(crate) content: &'a [u8],
    /// When it isn't the content's length.
    pub(crate) size: Option<u64>,
    pub(crate) pax: &'a [(&'a str, &'a [u8])],
}

impl Default for Entry<'_> {
    fn default() -> Self {
        Self {
            path: "file",
            typeflag: b'0',
            mode: 0o644,
            uid: 0,
            gid: 0,
            modified: 1_700_000_000,
            link: "",
            device: (0, 0),
            content: b"",
            size: None,
            pax: &[],
        }
    }
}

impl Tarball {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    pub(crate) fn entry(mut self, entry: Entry<'_>) -> Self {
        if !entry.pax.is_empty() {
            let mut records = Vec::new();
            for (key, value) in entry.pax {
                let body = key.len() + value.len() + 3;
                let length =
                    (1..6).map(|digits| body + digits).find(|n| body + n.to_string().len() == *n).unwrap();
                records.extend_from_slice(format!("{length} {key}=").as_bytes());
                records.extend_from_slice(value);
                records.push(b'\n');
            }
            self = self.entry(Entry { path: "pax", typeflag: b'x', content: &records, ..Entry::default() });
        }
        let mut block = [0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        let number = |value: u64, room: usize| {
            let digits = room - 1;
            let octal = format!("{value:0digits$o}\0");
            if octal.len() == room {
                octal.into_bytes()
            } else {
                let mut binary = vec![0x80];
                binary.resize(room - 8, 0);
                binary.extend_from_slice(&value.to_be_bytes());
                if room == 8 {
                    binary = value.to_be_bytes().to_vec();
                    binary[0] |= 0x80;
                }
                binary
            }
        };
        put(0, &entry.path.as_bytes()[..entry.path.len().min(100)]);
        put(100, &number(entry.mode.into(), 8));
        put(108, &number(entry.uid.into(), 8));
        put(116, &number(entry.gid.into(), 8));
        put(124, &number(entry.size.unwrap_or(entry.content.len() as u64), 12));
        put(136, &number(entry.modified, 12));
        put(156, &[entry.typeflag]);
        put(157, &entry.link.as_bytes()[..entry.link.len().min(100)]);
        put(257, b"ustar\x0000");
        put(329, &number(entry.device.0.into(), 8));
        put(337, &number(entry.device.1.into(), 8));
        put(148, b"        ");
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&block);
        self.bytes.extend_from_slice(entry.content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(Entry { path, content, ..Entry::default() })
    }

    pub(crate) fn dir(self, path: &str) -> Self {
        self.entry(Entry { path, typeflag: b'5', mode: 0o755, ..Entry::default() })
    }

    pub(crate) fn symlink(self, path: &str, link: &str) -> Self {
        self.entry(Entry { path, typeflag: b'2', mode: 0o777, link, ..Entry::default() })
    }

    pub(crate) fn hard_link(self, path: &str, link: &str) -> Self {
        self.entry(Entry { path, typeflag: b'1', link, ..Entry::default() })
    }

    /// Without an end marker.
    pub(crate) fn cut(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 1024]);
        self.bytes
    }
}
