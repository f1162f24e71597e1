//! Asks other servers in a container's stead.
//!
//! Each question goes out from a port of its own under a number of its own, so that nobody who can't see it can
//! answer it; only an answer to this very question is taken. RFC 5452.

use haven_network::dns::Question;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Servers that are asked before giving up.
const SERVER_LIMIT: usize = 3;
/// Programs wait five seconds for us, so that three servers have to fit.
const PATIENCE: Duration = Duration::from_millis(1500);
const PORT: u16 = 53;
const ANSWER_LIMIT_BYTES: usize = u16::MAX as usize;

/// The first answer that says something, or else the last one that doesn't. `None`: nobody has answered.
pub(super) async fn ask(
    servers: &[IpAddr],
    question: &Question,
    message: &[u8],
    whole: bool,
) -> Option<Vec<u8>> {
    let mut last = None;
    // A datagram can get lost: a lone server is asked again.
    let rounds = if servers.len() == 1 { 2 } else { 1 };
    for server in servers.iter().take(SERVER_LIMIT).cycle().take(servers.len().min(SERVER_LIMIT) * rounds) {
        let to = SocketAddr::new(*server, PORT);
        let Some(answer) = exchange(to, question, message, whole).await else { continue };
        /// SERVFAIL, NOTIMP and REFUSED: another server may know better.
        const SAYS_NOTHING: [u8; 3] = [2, 4, 5];
        if answer.get(3).is_some_and(|code| SAYS_NOTHING.contains(&(code & 0x0f))) {
            last = Some(answer);
        } else {
            return Some(answer);
        }
    }
    last
}

async fn exchange(to: SocketAddr, question: &Question, message: &[u8], whole: bool) -> Option<Vec<u8>> {
    let [a, b, ..] = crate::engine::random();
    let id = u16::from_be_bytes([a, b]);
    let asked = Question::renumbered(message, id);
    let answer = timeout(PATIENCE, by_datagram(to, question, &asked, id)).await.ok()??;
    if !(whole && Question::is_cut(&answer)) {
        return Some(answer);
    }
    timeout(PATIENCE, by_connection(to, question, &asked, id)).await.ok()?
}

async fn by_datagram(to: SocketAddr, question: &Question, asked: &[u8], id: u16) -> Option<Vec<u8>> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.ok()?;
    socket.connect(to).await.ok()?;
    socket.send(asked).await.ok()?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        if let Some(answer) = buffer.get(..length).filter(|answer| question.is_answered_by(answer, id)) {
            return Some(answer.to_vec());
        }
    }
}

async fn by_connection(to: SocketAddr, question: &Question, asked: &[u8], id: u16) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(to).await.ok()?;
    stream.write_u16(u16::try_from(asked.len()).ok()?).await.ok()?;
    stream.write_all(asked).await.ok()?;
    let length = usize::from(stream.read_u16().await.ok()?);
    let mut answer = vec![0; length.min(ANSWER_LIMIT_BYTES)];
    stream.read_exact(&mut answer).await.ok()?;
    question.is_answered_by(&answer, id).then_some(answer)
}
