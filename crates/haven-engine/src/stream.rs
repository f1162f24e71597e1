//! A process's standard streams, as an attached client sees them.
//!
//! The keeper hands out one SEQPACKET socket per attached client. Each message is one frame: a byte naming the
//! stream and the data; message borders are the frames'. A client may attach before there is a process.

use crate::request::OutputKind;
use haven_spec::{Exit, Failure, Outcome};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};

use haven_runtime::{FRAME_BYTES, STREAM_STDERR, STREAM_STDIN};

type Socket = Arc<AsyncFd<OwnedFd>>;

/// Streams of a running process, or of one that is to be started. Dropping it detaches; the process goes on.
#[derive(Debug)]
pub struct Attached {
    pub output: OutputStream,
    pub input: Option<InputSink>,
    /// One raw stream, no telling of output from errors.
    pub tty: bool,
}

/// What the process writes.
#[derive(Debug)]
pub struct OutputStream {
    socket: Pending,
    buffer: Vec<u8>,
}

/// What the process reads.
#[derive(Debug)]
pub struct InputSink {
    socket: Pending,
    buffer: Vec<u8>,
}

/// The keeper's socket, once there is a keeper.
#[derive(Debug, Clone)]
struct Pending(watch::Receiver<Option<Socket>>);

impl Pending {
    async fn socket(&mut self) -> Option<Socket> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// Delivers the socket to an [`Attached`] that waits for it; dropped without, the streams just end.
#[derive(Debug)]
pub(crate) struct StreamsSender(watch::Sender<Option<Socket>>);

impl StreamsSender {
    pub(crate) fn ready(&self, socket: OwnedFd) -> Outcome<()> {
        let wrap = || -> std::io::Result<AsyncFd<OwnedFd>> {
            rustix::io::ioctl_fionbio(&socket, true)?;
            #[expect(
                deprecated,
                reason = "an `OwnedFd` stays open until dropped, which is what `register` asks for"
            )]
            AsyncFd::new(socket)
        };
        let socket = wrap().map_err(|e| Failure::host("cannot attach").because(e))?;
        self.0.send_replace(Some(Arc::new(socket)));
        Ok(())
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

impl Attached {
    /// Streams whose socket comes later through the sender.
    pub(crate) fn pending(stdin: bool, tty: bool) -> (StreamsSender, Self) {
        let (sender, receiver) = watch::channel(None);
        let socket = Pending(receiver);
        let input = stdin.then(|| InputSink { socket: socket.clone(), buffer: Vec::new() });
        let output = OutputStream { socket, buffer: vec![0; FRAME_BYTES] };
        (StreamsSender(sender), Self { output, input, tty })
    }
}

impl OutputStream {
    /// The next piece; `None` when both streams have ended.
    pub async fn next(&mut self) -> Option<(OutputKind, Vec<u8>)> {
        let socket = self.socket.socket().await?;
        loop {
            let mut ready = socket.readable().await.ok()?;
            match rustix::net::recv(socket.get_ref().as_fd(), self.buffer.as_mut_slice(), RecvFlags::empty())
            {
                Ok((0, _)) => return None,
                Ok((count, _)) => {
                    let kind =
                        if self.buffer[0] == STREAM_STDERR { OutputKind::Stderr } else { OutputKind::Stdout };
                    return Some((kind, self.buffer[1..count.min(self.buffer.len())].to_vec()));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }
}

impl InputSink {
    /// Hands over `bytes`; waits while the process doesn't read.
    pub async fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        for piece in bytes.chunks(FRAME_BYTES - 1) {
            self.buffer.clear();
            self.buffer.push(STREAM_STDIN);
            self.buffer.extend_from_slice(piece);
            self.send().await?;
        }
        Ok(())
    }

    /// Ends the process's standard input; its output goes on.
    pub async fn close(mut self) -> Outcome<()> {
        self.buffer.clear();
        self.buffer.push(STREAM_STDIN);
        self.send().await?;
        Ok(())
    }

    async fn send(&mut self) -> Outcome<()> {
        let gone = || Failure::conflict("the process no longer reads its input");
        let failed = |e: std::io::Error| gone().because(e);
        let socket = self.socket.socket().await.ok_or_else(gone)?;
        loop {
            let mut ready = socket.writable().await.map_err(failed)?;
            match rustix::net::send(socket.get_ref().as_fd(), &self.buffer, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
    }
}

/// Somebody waiting for a container to end. Registered when it is made.
#[derive(Debug)]
pub struct Waiter(pub(crate) oneshot::Receiver<Exit>);

impl Waiter {
    /// How it ended; a failure only when the daemon stops meanwhile.
    pub async fn done(self) -> Outcome<Exit> {
        self.0.await.map_err(|_| Failure::host("the daemon is stopping").hint("ask again once it runs"))
    }
}
