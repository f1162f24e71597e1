//! Addresses of host names: the hosts file and the name servers of `resolv.conf`, asked directly.
//!
//! The C library's `getaddrinfo` loads modules of the host at run time into what is one static file, so nothing here may
//! call it. This is a stub resolver (RFC 1035, 1123): it asks servers that resolve, follows the aliases in their answer, and
//! keeps nothing: those who ask keep their connections. It doesn't validate DNSSEC; whom one speaks to is shown by TLS.

mod message;
mod settings;

use haven_spec::{Failure, Outcome};
use message::{Answer, Query, RecordType};
use settings::Settings;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Most addresses of one name that are looked at.
const MOST_ADDRESSES: usize = 32;

/// The files are read at each question: they are small, they change, and a daemon lives long.
#[derive(Debug, Clone)]
pub struct Resolver {
    hosts: PathBuf,
    resolv_conf: PathBuf,
}

impl Resolver {
    pub fn new(hosts: &Path, resolv_conf: &Path) -> Self {
        Self { hosts: hosts.into(), resolv_conf: resolv_conf.into() }
    }

    /// With the host's own files.
    pub fn of_this_host() -> Self {
        Self::new(Path::new("/etc/hosts"), Path::new("/etc/resolv.conf"))
    }

    /// The addresses of `host`, a name or an address itself; never none.
    pub async fn addresses(&self, host: &str) -> Outcome<Vec<IpAddr>> {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(vec![address]);
        }
        let fail = |why: String| {
            Failure::host(format!("cannot find the address of `{host}`"))
                .because(why)
                .hint("see that the name is right, and that it resolves on this host")
        };
        if !message::is_host_name(host) {
            return Err(Failure::invalid(format!("`{host}` is no host name")));
        }
        let found = settings::hosts_entries(&self.hosts, host);
        if !found.is_empty() {
            return Ok(found);
        }
        // RFC 6761: whoever answers for it, this name is this host.
        if host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let settings = Settings::read(&self.resolv_conf);
        let mut last = String::from("no name server knows it");
        for name in settings.candidates(host) {
            match ask_both(&settings, &name).await {
                Ok(addresses) if !addresses.is_empty() => return Ok(addresses),
                Ok(_) => {}
                Err(error) => last = error.to_string(),
            }
        }
        Err(fail(last))
    }

    /// The addresses of `host` with a port.
    pub async fn sockets(&self, host: &str, port: u16) -> Outcome<Vec<SocketAddr>> {
        let addresses = self.addresses(host).await?;
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }

    /// Connects to the first address that answers.
    pub async fn connect(&self, host: &str, port: u16, within: Duration) -> Outcome<TcpStream> {
        let sockets = self.sockets(host, port).await?;
        let mut problem = io::Error::from(io::ErrorKind::AddrNotAvailable);
        // Each has its share of the time, so that one that is silent doesn't use it all.
        let share = within / u32::try_from(sockets.len().clamp(1, 4)).unwrap_or(4);
        for socket in sockets {
            match timeout(share, TcpStream::connect(socket)).await {
                Ok(Ok(stream)) => {
                    stream
                        .set_nodelay(true)
                        .map_err(|error| Failure::host("cannot set up a connection").because(error))?;
                    return Ok(stream);
                }
                Ok(Err(error)) => problem = error,
                Err(_) => problem = io::Error::from(io::ErrorKind::TimedOut),
            }
        }
        Err(Failure::host(format!("cannot connect to `{host}` on port {port}"))
            .because(problem)
            .hint("see that the server runs, and that no firewall lies between"))
    }
}

/// Both families at once; the older first, since more networks carry it.
async fn ask_both(settings: &Settings, name: &str) -> io::Result<Vec<IpAddr>> {
    let (v4, v6) = tokio::join!(ask(settings, name, RecordType::A), ask(settings, name, RecordType::Aaaa));
    let mut addresses = Vec::new();
    let mut problem = None;
    for answer in [v4, v6] {
        match answer {
            Ok(found) => addresses.extend(found),
            Err(error) => problem = Some(error),
        }
    }
    addresses.truncate(MOST_ADDRESSES);
    match problem {
        Some(error) if addresses.is_empty() => Err(error),
        _ => Ok(addresses),
    }
}

/// Every server in turn, as often as the settings say.
async fn ask(settings: &Settings, name: &str, kind: RecordType) -> io::Result<Vec<IpAddr>> {
    let mut problem = io::Error::other("there is no name server in resolv.conf");
    for _ in 0..settings.attempts {
        for server in &settings.servers {
            match timeout(settings.patience, ask_one(*server, name, kind)).await {
                Ok(Ok(Answer::Addresses(addresses))) => return Ok(addresses),
                Ok(Ok(Answer::NoSuchName)) => return Ok(Vec::new()),
                Ok(Ok(other)) => problem = io::Error::other(format!("{server} answered {other:?}")),
                Ok(Err(error)) => problem = io::Error::new(error.kind(), format!("{server}: {error}")),
                Err(_) => {
                    problem = io::Error::new(io::ErrorKind::TimedOut, format!("{server} doesn't answer"))
                }
            }
        }
    }
    Err(problem)
}

/// By datagram, and again by stream when the answer doesn't fit one.
async fn ask_one(server: SocketAddr, name: &str, kind: RecordType) -> io::Result<Answer> {
    let mut id = [0_u8; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    let query = Query::new(u16::from_be_bytes(id), name, kind);
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(query.bytes()).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What doesn't answer this question is somebody else's, or somebody's guess: the right answer may still come.
        match query.answer(&buffer[..length]) {
            None => {}
            Some(Answer::Truncated) => return ask_by_stream(server, &query).await,
            Some(answer) => return Ok(answer),
        }
    }
}

async fn ask_by_stream(server: SocketAddr, query: &Query) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.bytes().len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], query.bytes()].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    query.answer(&answer).ok_or_else(|| io::Error::other("the answer is to another question"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name server on loopback that answers as it is told; it lives as long as the test.
    async fn server(reply: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let address = socket.local_addr().expect("an address");
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                for answer in reply(&buffer[..length]) {
                    drop(socket.send_to(&answer, from).await);
                }
            }
        });
        address
    }

    fn settings(server: SocketAddr) -> Settings {
        Settings {
            servers: vec![server],
            search: Vec::new(),
            dots: 1,
            attempts: 1,
            patience: Duration::from_millis(500),
        }
    }

    #[tokio::test]
    async fn both_families_are_asked_and_guesses_are_passed_over() {
        let server = server(|question| {
            let mut guess = message::tests::reply(question, &[(1, &[6, 6, 6, 6])]);
            guess[0] ^= 0xff;
            let kind = question[question.len() - 3];
            let right = match kind {
                1 => message::tests::reply(question, &[(1, &[192, 0, 2, 1]), (1, &[192, 0, 2, 2])]),
                _ => message::tests::reply(question, &[(28, &Ipv6Addr::LOCALHOST.octets())]),
            };
            vec![guess, b"nonsense".to_vec(), right]
        })
        .await;
        let found = ask_both(&settings(server), "files.example").await.expect("finds");
        let expected: Vec<IpAddr> =
            ["192.0.2.1", "192.0.2.2", "::1"].iter().map(|a| a.parse().expect("an address")).collect();
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn a_silent_server_is_an_error_in_time() {
        let server = server(|_| Vec::new()).await;
        let error = ask_both(&settings(server), "files.example").await.expect_err("fails");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn addresses_and_this_host_need_no_server() {
        let resolver = Resolver::new(Path::new("/nonexistent"), Path::new("/nonexistent"));
        assert_eq!(resolver.addresses("[2001:db8::1]").await.expect("finds").len(), 1);
        assert!(resolver.addresses("localhost").await.expect("finds")[0].is_loopback());
        let failure = resolver.addresses("bad name").await.expect_err("is refused");
        assert_eq!(failure.kind(), haven_spec::Kind::Invalid);
    }
}
