//! One connection to a directory: TCP, verified TLS, and one question at a time.
//!
//! A password only ever goes over TLS whose certificate was verified, chain and host name. Messages are read to their
//! exact length, so that nothing sent before TLS can count as said under it. Everything has a limit and a time.

use super::ber::NotBer;
use super::message::{self, Ending, Entry, Reply, Search};
use crate::secret::Secret;
use haven_resolve::Resolver;
use haven_spec::{Failure, Outcome};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Longest message: an entry with thousands of groups.
const MESSAGE_LIMIT: usize = 4 << 20;

/// Most entries and references of one answer; two entries are too many already.
const MOST_REPLIES: usize = 64;

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// At once (`ldaps`, port 636).
    Ldaps,
    /// By a request on the plain port (389); refused means no connection.
    StartTls,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    next_id: u32,
    patience: Duration,
}

/// What is needed to reach a server.
pub(super) struct Dialer {
    pub(super) resolver: Resolver,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) patience: Duration,
}

impl Dialer {
    pub(super) async fn connect(&self, host: &str, port: u16, security: Security) -> Outcome<Connection> {
        let stream = self.resolver.connect(host, port, self.patience).await?;
        let mut plain = Connection { stream: Box::new(stream), next_id: 1, patience: self.patience };
        if security == Security::StartTls {
            plain.start_tls().await?;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| {
            Failure::invalid(format!("`{host}` is no name a certificate can have")).because(error)
        })?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let secure = timeout(self.patience, connector.connect(name, plain.stream)).await;
        let untrusted = |error: std::io::Error| {
            Failure::host(format!("no verified TLS with `{host}`")).because(error).hint(
                "its certificate has to be for this host name and from an authority in the configuration; it is never skipped",
            )
        };
        let secure =
            secure.map_err(|_| untrusted(std::io::ErrorKind::TimedOut.into()))?.map_err(untrusted)?;
        Ok(Connection { stream: Box::new(secure), next_id: 1, patience: self.patience })
    }
}

impl Connection {
    /// Tells who we are; the ending says whether the password is right.
    pub(super) async fn bind(&mut self, name: &str, password: &Secret) -> Outcome<Ending> {
        let id = self.take_id();
        let request = message::bind(id, name, password);
        self.send(request.reveal()).await?;
        drop(request);
        match self.reply(id).await? {
            Reply::Bound(ending) => Ok(ending),
            _ => Err(unexpected()),
        }
    }

    /// The entries that were found, and how it ended.
    pub(super) async fn search(&mut self, search: &Search<'_>) -> Outcome<(Vec<Entry>, Ending)> {
        let id = self.take_id();
        self.send(&search.encode(id)).await?;
        let mut entries = Vec::new();
        for _ in 0..MOST_REPLIES {
            match self.reply(id).await? {
                Reply::Entry(entry) => entries.push(entry),
                Reply::Reference => {}
                Reply::SearchDone(ending) => return Ok((entries, ending)),
                _ => return Err(unexpected()),
            }
        }
        Err(Failure::host("the directory's answer has no end")
            .hint("narrow the base and the filter of the search"))
    }

    /// Says good-bye; a server that is gone needs none.
    pub(super) async fn close(mut self) {
        let id = self.take_id();
        drop(self.send(&message::unbind(id)).await);
        drop(timeout(Duration::from_millis(200), self.stream.shutdown()).await);
    }

    async fn start_tls(&mut self) -> Outcome<()> {
        let id = self.take_id();
        self.send(&message::start_tls(id)).await?;
        match self.reply(id).await? {
            Reply::Extended(ending) if ending.code == 0 => Ok(()),
            Reply::Extended(ending) => Err(Failure::host("the directory refuses TLS")
                .because(format!("code {}: {}", ending.code, ending.message))
                .hint("give it a certificate, or use `ldaps`; without TLS no password is sent")),
            _ => Err(unexpected()),
        }
    }

    fn take_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id - 1
    }

    async fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let lost =
            |error: std::io::Error| Failure::host("the directory doesn't take our question").because(error);
        timeout(self.patience, write)
            .await
            .map_err(|_| lost(std::io::ErrorKind::TimedOut.into()))?
            .map_err(lost)
    }

    /// The next reply to the question `id`.
    async fn reply(&mut self, id: u32) -> Outcome<Reply> {
        let lost = |error: std::io::Error| Failure::host("the directory doesn't answer").because(error);
        let read = timeout(self.patience, self.read_message()).await;
        let content = read.map_err(|_| lost(std::io::ErrorKind::TimedOut.into()))?.map_err(lost)?;
        match message::parse(&content) {
            Ok((_, Reply::Disconnected(ending))) => Err(Failure::host("the directory ended the connection")
                .because(format!("code {}: {}", ending.code, ending.message))),
            Ok((found, reply)) if found == id => Ok(reply),
            Ok(_) => Err(unexpected()),
            Err(error) => Err(Failure::host("the directory's answer can't be read").because(error)),
        }
    }

    async fn read_message(&mut self) -> std::io::Result<Vec<u8>> {
        let mut start = [0_u8; 2];
        self.stream.read_exact(&mut start).await?;
        let broken = || std::io::Error::new(std::io::ErrorKind::InvalidData, NotBer);
        let length = match start {
            [0x30, short @ 0..=0x7f] => usize::from(short),
            [0x30, long @ 0x81..=0x84] => {
                let mut bytes = [0_u8; 4];
                self.stream.read_exact(&mut bytes[..usize::from(long - 0x80)]).await?;
                bytes[..usize::from(long - 0x80)]
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte))
            }
            _ => return Err(broken()),
        };
        if length > MESSAGE_LIMIT {
            return Err(broken());
        }
        // Memory grows with what really comes, not with what was announced.
        let mut content = Vec::new();
        let came = (&mut self.stream).take(length as u64).read_to_end(&mut content).await?;
        if came < length { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(content) }
    }
}

fn unexpected() -> Failure {
    Failure::host("the directory answers what it wasn't asked")
}
