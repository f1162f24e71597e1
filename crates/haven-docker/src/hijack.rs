//! Taking a connection over from HTTP: after the answer's head both sides send raw bytes.
//!
//! Clients ask for it on attach and on starting an exec, some with `Upgrade: tcp` (they get `101 UPGRADED`), some
//! without (they get `200 OK` and raw bytes all the same). No HTTP library has a word for the second form, so both
//! go the same way: the connection's task takes socket and read-ahead bytes back and writes the head itself.

use crate::hangup::HangUp;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue, UPGRADE};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

type Talk = Box<dyn FnOnce(RawConnection) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// How a connection goes on once it is taken over.
pub(crate) struct Hijack {
    head: Vec<u8>,
    talk: Talk,
}

impl fmt::Debug for Hijack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hijack").field("head", &String::from_utf8_lossy(&self.head)).finish_non_exhaustive()
    }
}

impl Hijack {
    /// Answers the request that had `headers` and lets `talk` have the connection. `upgraded` is the content type
    /// for a client that asked for an upgrade; the others always get Docker's raw stream type.
    pub(crate) fn new<F, T>(headers: &HeaderMap, upgraded: &HeaderValue, talk: F) -> Self
    where
        F: FnOnce(RawConnection) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let mut head = Vec::new();
        if headers.contains_key(UPGRADE) {
            head.extend_from_slice(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: ");
            head.extend_from_slice(upgraded.as_bytes());
            head.extend_from_slice(b"\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
        } else {
            head.extend_from_slice(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n",
            );
        }
        Self::with_head(head, talk)
    }

    /// With a head of the caller's own.
    pub(crate) fn with_head<F, T>(head: Vec<u8>, talk: F) -> Self
    where
        F: FnOnce(RawConnection) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        Self { head, talk: Box::new(|connection| Box::pin(talk(connection))) }
    }

    /// Sends the head and talks until the talk is over.
    pub(crate) async fn run(self, mut stream: UnixStream, read_ahead: Bytes) {
        if stream.write_all(&self.head).await.is_err() {
            return;
        }
        (self.talk)(RawConnection::new(stream, read_ahead)).await;
    }
}

/// A connection that no longer speaks HTTP.
#[derive(Debug)]
pub(crate) struct RawConnection {
    stream: UnixStream,
    read_ahead: Bytes,
}

impl RawConnection {
    pub(crate) fn new(stream: UnixStream, read_ahead: Bytes) -> Self {
        Self { stream, read_ahead }
    }

    pub(crate) fn split(self) -> (RawReader, RawWriter) {
        let hang_up = HangUp::of(&self.stream);
        let (read, write) = self.stream.into_split();
        (RawReader { half: read, read_ahead: self.read_ahead }, RawWriter { half: write, hang_up })
    }
}

/// What the client sends.
#[derive(Debug)]
pub(crate) struct RawReader {
    half: OwnedReadHalf,
    /// Came with the request, before the connection was taken over.
    read_ahead: Bytes,
}

impl RawReader {
    /// Bytes from the client; 0 when it will send no more (it may still be reading).
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read_ahead.is_empty() {
            return self.half.read(buffer).await;
        }
        let count = buffer.len().min(self.read_ahead.len());
        buffer[..count].copy_from_slice(&self.read_ahead.split_to(count));
        Ok(count)
    }
}

/// What the client gets.
#[derive(Debug)]
pub(crate) struct RawWriter {
    half: OwnedWriteHalf,
    hang_up: io::Result<HangUp>,
}

impl RawWriter {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.half.write_all(bytes).await
    }

    /// Returns once the client has closed its whole end, not only its sending half.
    pub(crate) async fn gone(&self) {
        match &self.hang_up {
            Ok(hang_up) => hang_up.seen().await,
            // Without a descriptor to spare it is found out by the next write.
            Err(_) => std::future::pending().await,
        }
    }

    /// Tells the client that nothing more comes.
    pub(crate) async fn finish(mut self) {
        // The client may be gone; there is nobody to tell then.
        drop(self.half.shutdown().await);
    }
}
