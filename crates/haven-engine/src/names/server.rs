//! Listens at the gateway's address for what containers ask.
//!
//! The address is on every container's interface and on none before the first container, so the sockets are bound
//! without it (`IP_FREEBIND`, see ip(7)). Our own answers are given at once; what goes on to other servers has a task
//! of its own, so many at a time for one caller and so many in all: a flood holds up whoever floods.

use super::directory::Decision;
use super::upstream;
use crate::shared::Shared;
use haven_network::dns::{Heard, Question, Told};
use haven_network::{GATEWAY, resolver};
use haven_spec::{Failure, Outcome};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

const PORT: u16 = 53;
/// Longest question; nobody's is longer than a name and EDNS.
const QUESTION_LIMIT_BYTES: usize = 4096;
/// Under way to other servers, for one caller and in all.
const CALLER_LIMIT: usize = 64;
const TOTAL_LIMIT: usize = 1024;
/// Connections, for one caller and in all; how long one may be silent, and what it may ask.
const CALLER_CONNECTION_LIMIT: usize = 16;
const CONNECTION_LIMIT: usize = 256;
const SILENCE: Duration = Duration::from_secs(10);
const QUESTIONS_PER_CONNECTION: usize = 64;
const BACKLOG: i32 = 128;
/// Another program may have had the port and let go of it.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(10);
/// A server that goes on failing to receive must not take a processor.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// What callers have under way.
#[derive(Debug)]
struct Turnstile {
    limit: usize,
    total: usize,
    inside: Mutex<HashMap<IpAddr, usize>>,
}

/// One who has passed; goes out when it is dropped.
struct Pass {
    turnstile: Arc<Turnstile>,
    caller: IpAddr,
}

impl Turnstile {
    fn new(limit: usize, total: usize) -> Arc<Self> {
        Arc::new(Self { limit, total, inside: Mutex::default() })
    }

    fn enter(self: &Arc<Self>, caller: IpAddr) -> Option<Pass> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let all = inside.values().sum::<usize>();
        let own = inside.get(&caller).copied().unwrap_or(0);
        if own >= self.limit || all >= self.total {
            return None;
        }
        inside.insert(caller, own + 1);
        Some(Pass { turnstile: Arc::clone(self), caller })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.turnstile.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = inside.get_mut(&self.caller) {
            *own -= 1;
            if *own == 0 {
                inside.remove(&self.caller);
            }
        }
    }
}

/// Whether names are looked up here.
#[derive(Debug, Default)]
pub(crate) struct Listening(AtomicBool);

impl Listening {
    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Begins to listen; when that is not possible yet, it is tried again for as long as the engine lives.
pub(crate) async fn start(shared: &Arc<Shared>) {
    if let Err(failure) = listen(shared) {
        tracing::warn!(error = %failure.one_line(), "containers look names up with the host's servers until Haven can answer them");
        let shared = Arc::downgrade(shared);
        drop(tokio::spawn(async move {
            loop {
                tokio::time::sleep(BETWEEN_ATTEMPTS).await;
                match shared.upgrade().map(|shared| listen(&shared)) {
                    Some(Err(_)) => {}
                    Some(Ok(())) | None => return,
                }
            }
        }));
    }
}

fn listen(shared: &Arc<Shared>) -> Outcome<()> {
    let failed = |e: io::Error| {
        Failure::host(format!("cannot listen for names at {GATEWAY}:{PORT}"))
            .because(e)
            .hint("another name server may listen on every address; let it listen on the addresses it serves")
    };
    let datagrams = bound(SocketType::DGRAM).and_then(|fd| UdpSocket::from_std(fd.into())).map_err(failed)?;
    let connections =
        bound(SocketType::STREAM).and_then(|fd| TcpListener::from_std(fd.into())).map_err(failed)?;
    shared.network.offer_names()?;
    shared.listening.0.store(true, Ordering::Release);
    let asking = Turnstile::new(CALLER_LIMIT, TOTAL_LIMIT);
    drop(tokio::spawn(serve_datagrams(Arc::downgrade(shared), Arc::new(datagrams), Arc::clone(&asking))));
    drop(tokio::spawn(serve_connections(Arc::downgrade(shared), connections, asking)));
    Ok(())
}

fn bound(kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, kind, flags, None)?;
    sockopt::set_ip_freebind(&socket, true)?;
    if kind == SocketType::STREAM {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &SocketAddr::new(GATEWAY.into(), PORT))?;
    if kind == SocketType::STREAM {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

async fn serve_datagrams(shared: Weak<Shared>, socket: Arc<UdpSocket>, asking: Arc<Turnstile>) {
    let mut buffer = vec![0; QUESTION_LIMIT_BYTES];
    loop {
        let received = socket.recv_from(&mut buffer).await;
        let Some(shared) = shared.upgrade() else { return };
        let Ok((length, from)) = received else {
            // What could not be delivered to somebody who has gone is reported here, too.
            tokio::time::sleep(AFTER_FAILURE).await;
            continue;
        };
        let message = buffer.get(..length).unwrap_or_default();
        let (question, servers) = match consider(&shared, from.ip(), message) {
            Considered::Answer(question, told) => {
                let limit = question.datagram_bytes();
                send(&socket, &question.answer(&told, limit), from);
                continue;
            }
            Considered::Raw(answer) => {
                send(&socket, &answer, from);
                continue;
            }
            Considered::Nothing => continue,
            Considered::PassOn(question, servers) => (question, servers),
        };
        let limit = question.datagram_bytes();
        let Some(pass) = asking.enter(from.ip()) else {
            send(&socket, &question.answer(&Told::Failed, limit), from);
            continue;
        };
        let (message, socket) = (message.to_vec(), Arc::clone(&socket));
        drop(tokio::spawn(async move {
            let answer = match upstream::ask(&servers, &question, &message, false).await {
                Some(answer) => question.pass_on(&answer, limit),
                None => question.answer(&Told::Failed, limit),
            };
            send(&socket, &answer, from);
            drop(pass);
        }));
    }
}

/// A full send buffer loses the answer; whoever asked asks again.
fn send(socket: &UdpSocket, answer: &[u8], to: SocketAddr) {
    socket.try_send_to(answer, to).ok();
}

enum Considered {
    Answer(Question, Told),
    Raw(Vec<u8>),
    PassOn(Question, Vec<IpAddr>),
    Nothing,
}

fn consider(shared: &Shared, from: IpAddr, message: &[u8]) -> Considered {
    let question = match Question::read(message) {
        Heard::Question(question) => question,
        Heard::Answered(answer) => return Considered::Raw(answer),
        Heard::Noise => return Considered::Nothing,
    };
    match shared.directory.decide(shared, from, &question) {
        Decision::Tell(told) => Considered::Answer(question, told),
        Decision::PassOn(servers) if servers.is_empty() => Considered::PassOn(question, resolver::upstream()),
        Decision::PassOn(servers) => Considered::PassOn(question, servers),
        Decision::Ignore => Considered::Nothing,
    }
}

async fn serve_connections(shared: Weak<Shared>, listener: TcpListener, asking: Arc<Turnstile>) {
    let talking = Turnstile::new(CALLER_CONNECTION_LIMIT, CONNECTION_LIMIT);
    loop {
        let accepted = listener.accept().await;
        if shared.strong_count() == 0 {
            return;
        }
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(AFTER_FAILURE).await;
            continue;
        };
        // One too many is closed at once.
        let Some(pass) = talking.enter(from.ip()) else { continue };
        let (shared, asking) = (shared.clone(), Arc::clone(&asking));
        drop(tokio::spawn(async move {
            // However a conversation ends, nobody is left to be told.
            converse(&shared, stream, from.ip(), &asking).await.ok();
            drop(pass);
        }));
    }
}

async fn converse(
    shared: &Weak<Shared>,
    mut stream: TcpStream,
    from: IpAddr,
    asking: &Arc<Turnstile>,
) -> io::Result<()> {
    const WHOLE: usize = u16::MAX as usize;
    for _ in 0..QUESTIONS_PER_CONNECTION {
        let length = usize::from(timeout(SILENCE, stream.read_u16()).await??);
        if length > QUESTION_LIMIT_BYTES {
            return Ok(());
        }
        let mut message = vec![0; length];
        timeout(SILENCE, stream.read_exact(&mut message)).await??;
        let considered = match shared.upgrade() {
            Some(shared) => consider(&shared, from, &message),
            None => return Ok(()),
        };
        let answer = match considered {
            Considered::Nothing => return Ok(()),
            Considered::Raw(answer) => answer,
            Considered::Answer(question, told) => question.answer(&told, WHOLE),
            Considered::PassOn(question, servers) => {
                let pass = asking.enter(from);
                let asked = match &pass {
                    Some(_) => upstream::ask(&servers, &question, &message, true).await,
                    None => None,
                };
                match asked {
                    Some(answer) => question.pass_on(&answer, WHOLE),
                    None => question.answer(&Told::Failed, WHOLE),
                }
            }
        };
        let length = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&answer);
        timeout(SILENCE, stream.write_all(&framed)).await??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn one_caller_cannot_keep_the_others_out() {
        let turnstile = Turnstile::new(2, 3);
        let caller = |n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
        let mut own = vec![turnstile.enter(caller(1)).unwrap(), turnstile.enter(caller(1)).unwrap()];
        assert!(turnstile.enter(caller(1)).is_none());
        let other = turnstile.enter(caller(2));
        assert!(other.is_some() && turnstile.enter(caller(2)).is_none(), "and there is a limit for all");
        own.pop();
        assert!(turnstile.enter(caller(1)).is_some());
        drop((own, other));
        assert!(turnstile.inside.lock().unwrap().is_empty(), "nothing is kept of those who have gone");
    }
}
