//! A small internet in throw-away namespaces: a host, somebody outside, and containers.
//!
//! ```text
//! outside 203.0.113.2 ──veth── 203.0.113.1 host ──hv…── containers
//! ```
//! Namespaces are held by descriptors alone, so they go with the test, however it ends. Nothing happens in the
//! namespace the tests are started in.

use haven_network::{Endpoint, Identity, Network, NetworkConfig, Published};
use haven_spec::{ContainerId, Ipv4Net, PortKey};
use haven_sys::network_namespace;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

pub(crate) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// Long enough on a busy machine; what is refused is refused at once.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1500);

/// A namespace with whatever is in it.
pub(crate) struct Place(OwnedFd);

impl Place {
    fn new() -> Option<Self> {
        match network_namespace::create() {
            Ok(fd) => Some(Self(fd)),
            Err(errno) => {
                eprintln!("skipped: a network namespace takes root ({errno})");
                None
            }
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        network_namespace::within(self.fd(), work).unwrap()
    }

    /// Runs a program here and returns what it printed.
    pub(crate) fn run(&self, line: &str) -> String {
        let output = self.shell(line);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "`{line}` failed: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// Whether it succeeded, and what it complained of.
    pub(crate) fn try_run(&self, line: &str) -> (bool, String) {
        let output = self.shell(line);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn shell(&self, line: &str) -> Output {
        self.inside(|| Command::new("sh").args(["-c", line]).output().unwrap())
    }

    /// A path to this namespace for programs that take one.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    pub(crate) fn listen(&self, address: &str) -> TcpListener {
        // See `is_free`.
        let deadline = Instant::now() + Duration::from_secs(5);
        self.inside(|| {
            loop {
                match TcpListener::bind(address) {
                    Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    bound => return bound.unwrap(),
                }
            }
        })
    }

    /// Connects and exchanges a word with whoever accepts on `listener`; `None` when the connection is refused.
    pub(crate) fn talk(&self, to: SocketAddr, listener: &TcpListener) -> Option<SocketAddr> {
        let mut client = match self.inside(|| TcpStream::connect_timeout(&to, PATIENCE)) {
            Ok(client) => client,
            Err(error) => {
                let refused =
                    [ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable];
                assert!(refused.contains(&error.kind()), "refused, but not at once: {error}");
                return None;
            }
        };
        let (mut server, peer) = accept(listener);
        exchange(&mut client, &mut server).unwrap();
        Some(peer)
    }

    pub(crate) fn reaches(&self, to: impl Into<std::net::IpAddr>, port: u16, listener: &TcpListener) -> bool {
        self.talk(SocketAddr::new(to.into(), port), listener).is_some()
    }

    /// A connection that stays.
    pub(crate) fn connection(&self, to: SocketAddr, listener: &TcpListener) -> (TcpStream, TcpStream) {
        let client = self.inside(|| TcpStream::connect_timeout(&to, PATIENCE)).unwrap();
        let server = accept(listener).0;
        (client, server)
    }

    /// Sends a datagram and says whether it came back from the one who listens.
    pub(crate) fn datagram(&self, to: SocketAddr, listener: &UdpSocket) -> bool {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let client = self.inside(|| UdpSocket::bind(any).unwrap());
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        listener.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        client.send_to(b"ping", to).unwrap();
        let mut word = [0; 4];
        let Ok((4, from)) = listener.recv_from(&mut word) else { return false };
        listener.send_to(b"pong", from).unwrap();
        client.recv(&mut word).is_ok_and(|length| length == 4) && word == *b"pong"
    }
}

/// The connection that was just opened; it must have come here and nowhere else.
fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    listener.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                stream.set_nonblocking(false).unwrap();
                return (stream, peer);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("somebody else has accepted the connection: {error}"),
        }
    }
}

pub(crate) fn exchange(client: &mut TcpStream, server: &mut TcpStream) -> std::io::Result<()> {
    let mut word = [0; 4];
    for stream in [&*client, &*server] {
        stream.set_read_timeout(Some(PATIENCE))?;
    }
    client.write_all(b"ping")?;
    server.read_exact(&mut word)?;
    server.write_all(b"pong")?;
    client.read_exact(&mut word)
}

/// Host and outside, connected; Haven runs on the host.
pub(crate) struct Lab {
    pub(crate) host: Place,
    pub(crate) outside: Place,
    pub(crate) network: Network,
}

impl Lab {
    /// `None` where namespaces can't be made, which says so.
    pub(crate) fn new() -> Option<Self> {
        let (host, outside) = (Place::new()?, Place::new()?);
        // New namespaces begin with the settings the machine has.
        host.run("ip link set lo up; sysctl -qw net.ipv4.ip_forward=0");
        outside.run("ip link set lo up");
        host.run(&format!("ip link add uplink type veth peer name eth0 netns {}", outside.path()));
        host.run("ip addr add 203.0.113.1/24 dev uplink && ip link set uplink up");
        host.run("ip -6 addr add 2001:db8::1/64 dev uplink nodad");
        outside.run("ip addr add 203.0.113.2/24 dev eth0 && ip link set eth0 up");
        outside.run("ip -6 addr add 2001:db8::2/64 dev eth0 nodad");
        host.run("ip route add default via 203.0.113.2");
        // An outsider who knows where the containers are and tries to reach them past the published ports.
        outside.run("ip route add 10.0.0.0/8 via 203.0.113.1");
        outside.run("ip -6 route add fd00::/8 via 2001:db8::1");
        let network = host.inside(|| Network::open(NetworkConfig::default()).unwrap());
        Some(Self { host, outside, network })
    }

    /// A daemon that starts after another has died.
    pub(crate) fn reopened(self) -> Self {
        let Self { host, outside, network } = self;
        // The old one's memory, threads and sockets go; the kernel's objects stay.
        drop(network);
        let network = host.inside(|| Network::open(NetworkConfig::default()).unwrap());
        Self { host, outside, network }
    }

    /// A namespace that is connected to nothing.
    pub(crate) fn place(&self) -> Place {
        Place::new().unwrap()
    }

    pub(crate) fn attach(&self, endpoint: &Endpoint) -> Place {
        let place = self.place();
        self.host.inside(|| self.network.attach(place.fd(), endpoint)).unwrap();
        place
    }

    /// Everything the kernel has that could be ours, as programs of others list it.
    pub(crate) fn kernel_state(&self) -> String {
        // Counters and handles move by themselves; a veth's end may be unreachable a moment longer.
        self.host.run("nft -s list ruleset; ip -o -4 addr show; ip route show table main | sed 's/ linkdown//'; ip -o link show | sed 's/@.*<.*//; s/mtu.*//'")
    }

    pub(crate) fn spoofed(&self) -> u64 {
        self.host.inside(|| self.network.status()).unwrap().spoofed_packets
    }

    /// Packets travel while the sender goes on; waits until more than `before` were found to be forged.
    pub(crate) fn expect_spoofed_beyond(&self, before: u64, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.spoofed() <= before {
            assert!(Instant::now() < deadline, "nothing was dropped: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn elements(&self, set: &str) -> String {
        let kind = if self.host.try_run(&format!("nft list set inet haven {set}")).0 { "set" } else { "map" };
        self.host.run(&format!("nft list {kind} inet haven {set}"))
    }
}

/// Endpoint number `n`, which may go out.
pub(crate) fn endpoint(n: u8) -> Endpoint {
    Endpoint {
        container: ContainerId::from_bytes(&[n; 32]),
        network: "default".into(),
        ipv4: Ipv4Addr::new(10, 210, 0, n + 1),
        ipv6: None,
        identity: Identity::new(n.into()).unwrap(),
        mac: None,
        interface: "eth0".into(),
        subnet: None,
        gateway: true,
        internal: false,
        egress: true,
        published: Vec::new(),
        sources: std::collections::BTreeMap::new(),
    }
}

pub(crate) fn publish(host_address: &str, host_port: u16, container: &str) -> Published {
    Published {
        container: PortKey::parse(container).unwrap(),
        host_address: host_address.parse().unwrap(),
        host_port,
    }
}

pub(crate) fn pool() -> Ipv4Net {
    Ipv4Net::parse("10.210.0.0/16").unwrap()
}

/// Compares long texts and shows the first line that differs.
pub(crate) fn same(found: &str, wanted: &str) {
    let (mut found, mut wanted) = (found.lines(), wanted.lines());
    loop {
        match (found.next(), wanted.next()) {
            (None, None) => return,
            (found, wanted) => assert_eq!(found, wanted),
        }
    }
}

/// The port is nobody's. A program that another test is just starting has a copy of every descriptor of this
/// process until it executes, so what was closed may be held a moment longer.
pub(crate) fn is_free(place: &Place, address: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    let bound = || TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok();
    while !place.inside(bound) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}
