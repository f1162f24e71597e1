//! An answer's body under each of HTTP/1.1's framings: a length, chunks, or everything until the connection closes.
//! A body that ends early is an error, never a short result. RFC 9112 section 6.

use super::connection::{Connection, UploadFault, take_fault};
use super::head::Head;
use super::request::Method;
use haven_spec::{Failure, Outcome};
use std::io::{self, Read};

/// Longest line that announces a chunk, extensions included.
const CHUNK_LINE_LIMIT_BYTES: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Framing {
    pub(super) fn of(head: &Head, method: Method, upgrade: bool) -> Outcome<Self> {
        if upgrade && matches!(head.status, 101 | 200) {
            return Ok(Self::UntilClose);
        }
        if method == Method::Head || head.status == 204 || head.status == 304 || head.status < 200 {
            return Ok(Self::Length(0));
        }
        if head.lists("transfer-encoding", "chunked") {
            return Ok(Self::Chunked);
        }
        match head.field("content-length") {
            Some(digits) => digits
                .parse()
                .map(Self::Length)
                .map_err(|_| Failure::internal(format!("the daemon announces a body of `{digits}` bytes"))),
            None => Ok(Self::UntilClose),
        }
    }
}

#[derive(Debug)]
enum State {
    /// So many bytes of the body, or of the present chunk, are still to come.
    Within {
        left: u64,
        chunked: bool,
    },
    /// A chunk's announcement comes next; `first` has no line end of a chunk before it.
    Between {
        first: bool,
    },
    UntilClose,
    /// The end was marked: the connection can serve another request.
    Done,
    /// The end was the connection's.
    Closed,
}

/// Reads one body; afterwards the connection can serve another request.
#[derive(Debug)]
pub(crate) struct BodyReader {
    connection: Connection,
    state: State,
    fault: Option<UploadFault>,
}

fn cut_short() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the daemon closed the connection in the middle of its answer",
    )
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the daemon's answer is malformed: {what}"))
}

impl BodyReader {
    pub(super) fn new(connection: Connection, framing: Framing, fault: Option<UploadFault>) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Within { left, chunked: false },
            Framing::Chunked => State::Between { first: true },
            Framing::UntilClose => State::UntilClose,
        };
        Self { connection, state, fault }
    }

    /// The connection for the next request, if the body was read to its end and an end was marked.
    pub(crate) fn into_idle(self) -> Option<Connection> {
        matches!(self.state, State::Done).then_some(self.connection)
    }

    /// The connection as a raw stream, after an upgrade; bytes that came with the head are pending in it.
    pub(crate) fn into_raw(self) -> Connection {
        self.connection
    }

    /// The descriptor to poll for more of the body. Bytes may be pending already: see [`Self::has_pending`].
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.connection.pending().is_empty() || matches!(self.state, State::Done | State::Closed)
    }

    /// Why the upload that this body answers broke off, if it did on our side.
    pub(crate) fn upload_failure(&self) -> Option<Failure> {
        take_fault(self.fault.as_ref())
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            let pending = self.connection.pending();
            if let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&pending[..end]).trim_end_matches('\r').to_owned();
                self.connection.consume(end + 1);
                return Ok(line);
            }
            if pending.len() > CHUNK_LINE_LIMIT_BYTES {
                return Err(malformed("a chunk's announcement is too long"));
            }
            if self.connection.fill()? == 0 {
                return Err(cut_short());
            }
        }
    }

    fn next_chunk(&mut self, first: bool) -> io::Result<()> {
        if !first && !self.read_line()?.is_empty() {
            return Err(malformed("a chunk is longer than announced"));
        }
        let line = self.read_line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = Some(digits)
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| malformed("a chunk announces no length"))?;
        if length > 0 {
            self.state = State::Within { left: length, chunked: true };
            return Ok(());
        }
        // Trailer fields, then an empty line.
        for _ in 0..super::head::FIELD_LIMIT {
            if self.read_line()?.is_empty() {
                self.state = State::Done;
                return Ok(());
            }
        }
        Err(malformed("its trailer does not end"))
    }
}

impl Read for BodyReader {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state {
                State::Done | State::Closed => return Ok(0),
                _ if space.is_empty() => return Ok(0),
                State::UntilClose => {
                    let count = self.connection.read_some(space)?;
                    if count == 0 {
                        self.state = State::Closed;
                    }
                    return Ok(count);
                }
                State::Between { first } => self.next_chunk(first)?,
                State::Within { left, chunked } => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(space.len());
                    let count = self.connection.read_some(&mut space[..most])?;
                    if count == 0 {
                        return Err(cut_short());
                    }
                    let left = left - count as u64;
                    self.state = match (left, chunked) {
                        (0, true) => State::Between { first: false },
                        (0, false) => State::Done,
                        (left, chunked) => State::Within { left, chunked },
                    };
                    return Ok(count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    fn body(text: &[u8], framing: Framing) -> BodyReader {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(text).unwrap();
        BodyReader::new(Connection::new(near), framing, None)
    }

    #[test]
    fn chunks_are_joined_and_the_connection_is_free_afterwards() {
        let mut reader = body(b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: v\r\n\r\n", Framing::Chunked);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcdefg");
        assert!(reader.into_idle().is_some());
    }

    #[test]
    fn a_body_cut_short_is_an_error() {
        for (bytes, framing) in [
            (&b"abc"[..], Framing::Length(4)),
            (b"3\r\nab", Framing::Chunked),
            (b"3\r\nabc\r\n", Framing::Chunked),
            (b"3\r\nabcX\r\n0\r\n\r\n", Framing::Chunked),
            (b"xyz\r\n", Framing::Chunked),
            (b"\r\n", Framing::Chunked),
            (b"-1\r\n", Framing::Chunked),
            (b"fffffffffffffffff\r\n", Framing::Chunked),
        ] {
            let mut text = Vec::new();
            assert!(body(bytes, framing).read_to_end(&mut text).is_err(), "{bytes:?}");
        }
        let mut text = Vec::new();
        body(b"abc", Framing::UntilClose).read_to_end(&mut text).unwrap();
        assert_eq!(text, b"abc");
    }
}
