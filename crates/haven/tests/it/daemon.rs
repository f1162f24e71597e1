//! A daemon made of a script: each connection is answered by a closure that sees the requests' heads.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

static COUNT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Daemon {
    directory: PathBuf,
    heard: Arc<Mutex<Vec<String>>>,
}

/// One request as it was heard.
pub(crate) struct Heard {
    /// `GET /v1.41/containers/json`
    pub(crate) line: String,
    pub(crate) body: Vec<u8>,
}

/// A connection, with what was read ahead.
pub(crate) struct Peer {
    reader: BufReader<UnixStream>,
    pub(crate) socket: UnixStream,
    heard: Arc<Mutex<Vec<String>>>,
}

pub(crate) const PONG: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 0\r\n\r\n";

impl Daemon {
    /// Answers every connection by `script`, each in a thread of its own.
    pub(crate) fn start(script: impl Fn(Peer) + Send + Sync + 'static) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("haven-cli-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let listener = UnixListener::bind(directory.join("socket")).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        let notes = Arc::clone(&heard);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let script = Arc::clone(&script);
                let heard = Arc::clone(&notes);
                std::thread::spawn(move || {
                    let reader = BufReader::new(socket.try_clone().unwrap());
                    script(Peer { reader, socket, heard });
                });
            }
        });
        Self { directory, heard }
    }

    /// Greets, and answers each other request by `answer`; an empty answer hangs up.
    pub(crate) fn answering(answer: impl Fn(&Heard) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |mut peer| {
            while let Some(heard) = peer.hear() {
                let reply = if heard.line.ends_with("/_ping") { PONG.into() } else { answer(&heard) };
                if reply.is_empty() || peer.say(&reply).is_err() {
                    return;
                }
            }
        })
    }

    pub(crate) fn path(&self) -> String {
        self.directory.join("socket").display().to_string()
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The request lines heard so far, without version prefixes.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().iter().map(|line| line.replace("/v1.41", "")).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

impl Peer {
    /// The next request; `None` when the client has gone.
    pub(crate) fn hear(&mut self) -> Option<Heard> {
        let mut first = String::new();
        self.reader.read_line(&mut first).ok().filter(|count| *count > 0)?;
        let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        self.heard.lock().unwrap().push(line.clone());
        let (mut length, mut chunked) = (0, false);
        loop {
            let mut field = String::new();
            self.reader.read_line(&mut field).ok()?;
            let field = field.trim_end().to_ascii_lowercase();
            if field.is_empty() {
                break;
            }
            if let Some(digits) = field.strip_prefix("content-length: ") {
                length = digits.parse().unwrap();
            }
            chunked |= field == "transfer-encoding: chunked";
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).ok()?;
        if chunked {
            body = Vec::new();
            // Bodies that the script reads itself begin here.
            if line.contains("unread") {
                return Some(Heard { line, body });
            }
            while let Some(chunk) = self.chunk() {
                if chunk.is_empty() {
                    return Some(Heard { line, body });
                }
                body.extend(chunk);
            }
            body.extend(b"(cut short)");
        }
        Some(Heard { line, body })
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        self.reader.read_line(&mut size).ok().filter(|count| *count > 0)?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        Some(chunk)
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// What the client sends until it ends its side.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        drop(self.reader.read_to_end(&mut rest));
        rest
    }
}

/// A complete answer with a JSON body.
pub(crate) fn json(status: u16, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// One frame of a multiplexed stream.
pub(crate) fn frame(stream: u8, payload: &str) -> Vec<u8> {
    let mut frame = vec![stream, 0, 0, 0];
    frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend(payload.as_bytes());
    frame
}
