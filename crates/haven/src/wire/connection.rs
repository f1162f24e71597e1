//! One connection to the daemon: writes a request, reads the answer's head, and hands the connection on to the body
//! reader or, after an upgrade, to the caller as a raw stream.

use super::answer::Answer;
use super::body::{BodyReader, Framing};
use super::head::{HEAD_LIMIT_BYTES, Head};
use super::request::{Method, Payload, Request};
use haven_spec::{Failure, Outcome};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const READ_CHUNK_BYTES: usize = 64 * 1024;
/// Reads below this size go through the buffer.
const SMALL_READ_BYTES: usize = 8 * 1024;
const UPLOAD_CHUNK_BYTES: usize = 256 * 1024;
/// Answers between the request and the final one (`100 Continue`) that are passed over.
const INTERIM_LIMIT: usize = 8;

/// Where an upload thread leaves the reason why its source could not be read.
pub(crate) type UploadFault = Arc<Mutex<Option<io::Error>>>;

/// A socket and the bytes read from it that nobody has taken yet.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: UnixStream,
    buffer: Vec<u8>,
    /// Where in `buffer` the untaken bytes begin.
    start: usize,
}

impl Connection {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket, buffer: Vec::new(), start: 0 }
    }

    /// Gives up on a read that takes longer; `None` waits for ever.
    pub(crate) fn limit_reads(&self, limit: Option<Duration>) -> Outcome<()> {
        self.socket
            .set_read_timeout(limit)
            .map_err(|error| Failure::host("cannot set the connection's time limit").because(error))
    }

    /// Sends `request` with `prefix` before its target and reads the head of the answer.
    pub(crate) fn exchange(mut self, prefix: &str, request: Request) -> Outcome<Answer> {
        let fault = self.write(prefix, request.method, request)?;
        let method = fault.method;
        let read = self.read_final_head(fault.upgrade);
        let head = match (read, fault.take()) {
            (_, Some(error)) => return Err(error),
            (read, None) => read?,
        };
        let framing = Framing::of(&head, method, fault.upgrade)?;
        Ok(Answer { head, body: BodyReader::new(self, framing, fault.fault) })
    }

    fn write(&mut self, prefix: &str, method: Method, request: Request) -> Outcome<Sent> {
        let mut text = format!(
            "{} {prefix}{} HTTP/1.1\r\nHost: haven\r\nUser-Agent: haven/{}\r\n",
            method.word(),
            request.target,
            env!("CARGO_PKG_VERSION"),
        );
        for (name, value) in &request.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if request.upgrade {
            text.push_str("Connection: Upgrade\r\nUpgrade: tcp\r\n");
        }
        let mut sent = Sent { method, upgrade: request.upgrade, fault: None };
        let mut bytes = Vec::new();
        match request.payload {
            Payload::None => {
                if matches!(method, Method::Post | Method::Put) {
                    text.push_str("Content-Length: 0\r\n");
                }
                text.push_str("\r\n");
                bytes.extend_from_slice(text.as_bytes());
                self.send(&bytes)?;
            }
            Payload::Json(document) => {
                text.push_str(&format!(
                    "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    document.len()
                ));
                bytes.extend_from_slice(text.as_bytes());
                bytes.extend_from_slice(&document);
                self.send(&bytes)?;
            }
            Payload::Stream(source) => {
                text.push_str("Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n");
                self.send(text.as_bytes())?;
                sent.fault = Some(self.upload(source)?);
            }
        }
        Ok(sent)
    }

    fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        match self.socket.write_all(bytes) {
            Ok(()) => Ok(()),
            // The daemon may have answered and hung up before reading everything: the answer says more.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
            {
                Ok(())
            }
            Err(error) => Err(Failure::host("cannot send to the daemon").because(error)),
        }
    }

    /// Sends `source` in chunks from a thread of its own, so that progress can be read meanwhile and an early refusal
    /// is seen although the source may still block.
    fn upload(&self, mut source: Box<dyn Read + Send>) -> Outcome<UploadFault> {
        let fault: UploadFault = Arc::new(Mutex::new(None));
        let note = Arc::clone(&fault);
        let mut socket = self
            .socket
            .try_clone()
            .map_err(|error| Failure::host("cannot duplicate the connection").because(error))?;
        let spawned = std::thread::Builder::new().name("upload".into()).spawn(move || {
            let mut chunk = vec![0; UPLOAD_CHUNK_BYTES];
            loop {
                match source.read(&mut chunk) {
                    Ok(0) => {
                        // A failure here shows as a missing answer on the reading side.
                        drop(socket.write_all(b"0\r\n\r\n"));
                        return;
                    }
                    Ok(count) => {
                        let mut frame = format!("{count:x}\r\n").into_bytes();
                        frame.extend_from_slice(&chunk[..count]);
                        frame.extend_from_slice(b"\r\n");
                        if socket.write_all(&frame).is_err() {
                            return;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        if let Ok(mut slot) = note.lock() {
                            *slot = Some(error);
                        }
                        // Ends the body without its last chunk, so that the daemon sees that it is incomplete.
                        drop(socket.shutdown(Shutdown::Both));
                        return;
                    }
                }
            }
        });
        spawned.map_err(|error| Failure::host("cannot start the upload").because(error))?;
        Ok(fault)
    }

    fn read_final_head(&mut self, upgrade: bool) -> Outcome<Head> {
        for _ in 0..INTERIM_LIMIT {
            let head = self.read_head()?;
            if head.status >= 200 || (upgrade && head.status == 101) {
                return Ok(head);
            }
        }
        Err(Failure::internal("the daemon sends interim answers without end"))
    }

    fn read_head(&mut self) -> Outcome<Head> {
        let mut searched = 0;
        loop {
            if let Some((end, next)) = head_end(self.pending(), searched) {
                let head = Head::parse(&self.pending()[..end])?;
                self.start += next;
                return Ok(head);
            }
            searched = self.pending().len().saturating_sub(3);
            if self.pending().len() > HEAD_LIMIT_BYTES {
                return Err(Failure::internal(format!(
                    "the daemon's answer has more than {HEAD_LIMIT_BYTES} bytes of header"
                )));
            }
            let none_yet = self.pending().is_empty();
            let count = self.fill().map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    Failure::host("the daemon does not answer").hint("look at its log, or restart it")
                }
                _ => vanished(none_yet).because(error),
            })?;
            if count == 0 {
                return Err(vanished(none_yet));
            }
        }
    }

    /// Bytes read and not yet taken.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Takes `count` pending bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.buffer.len());
    }

    /// Reads more bytes behind the pending ones; 0 at the end.
    pub(crate) fn fill(&mut self) -> io::Result<usize> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let old = self.buffer.len();
        self.buffer.resize(old + READ_CHUNK_BYTES, 0);
        let read = loop {
            match self.socket.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(old + read.as_ref().map_or(0, |count| *count));
        read
    }

    /// Reads into `space`: what is pending, else large pieces straight from the socket and small ones by way of the
    /// buffer, so that eight bytes of a header do not cost a system call of their own.
    pub(crate) fn read_some(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if self.pending().is_empty() {
            if space.len() >= SMALL_READ_BYTES {
                loop {
                    match self.socket.read(space) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        other => return other,
                    }
                }
            }
            if space.is_empty() || self.fill()? == 0 {
                return Ok(0);
            }
        }
        let count = space.len().min(self.pending().len());
        space[..count].copy_from_slice(&self.pending()[..count]);
        self.consume(count);
        Ok(count)
    }

    pub(crate) fn socket(&self) -> &UnixStream {
        &self.socket
    }
}

/// What was sent, as far as reading the answer depends on it.
struct Sent {
    method: Method,
    upgrade: bool,
    fault: Option<UploadFault>,
}

impl Sent {
    fn take(&self) -> Option<Failure> {
        take_fault(self.fault.as_ref())
    }
}

/// The failure of an upload's source, if it had one.
pub(crate) fn take_fault(fault: Option<&UploadFault>) -> Option<Failure> {
    let error = fault?.lock().ok()?.take()?;
    Some(Failure::host("cannot read what is to be sent").because(error))
}

fn vanished(before_answer: bool) -> Failure {
    let what = if before_answer {
        "the daemon closed the connection without an answer"
    } else {
        "the daemon closed the connection in the middle of its answer"
    };
    Failure::host(what).hint("see whether the daemon still runs: haven doctor")
}

/// End of the head's text and begin of what follows, searching from `from`.
fn head_end(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    for (index, byte) in bytes.iter().enumerate().skip(from) {
        if *byte == b'\n' {
            if bytes[index + 1..].starts_with(b"\r\n") {
                return Some((index, index + 3));
            }
            if bytes[index + 1..].starts_with(b"\n") {
                return Some((index, index + 2));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_the_first_empty_line() {
        assert_eq!(head_end(b"a\r\nb\r\n\r\nc", 0), Some((5, 8)));
        assert_eq!(head_end(b"a\n\nc", 0), Some((1, 3)));
        assert_eq!(head_end(b"a\r\nb\r\n\r", 0), None);
    }

    #[test]
    fn a_request_is_written_and_its_answer_read() {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiX")
            .unwrap();
        let request = Request::post("/x?y=1").json(&serde_json::json!({"a": 1}));
        let mut answer = Connection::new(near).exchange("/v1.41", request).unwrap();
        let mut text = String::new();
        answer.body.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hi");
        let mut sent = vec![0; 4096];
        let count = far.read(&mut sent).unwrap();
        let sent = String::from_utf8_lossy(&sent[..count]).into_owned();
        assert!(sent.starts_with("POST /v1.41/x?y=1 HTTP/1.1\r\nHost: haven\r\n"), "{sent}");
        assert!(sent.ends_with("Content-Length: 7\r\n\r\n{\"a\":1}"), "{sent}");
    }
}
