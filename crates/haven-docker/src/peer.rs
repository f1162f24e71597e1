//! Who is at the other end of a connection, as the kernel says (`SO_PEERCRED`, see unix(7)).

use tokio::net::UnixStream;

/// The process that opened the connection. It may have passed the socket on; the kernel doesn't say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    pub(crate) pid: Option<i32>,
}

impl Peer {
    pub(crate) fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        Ok(Self { uid: credentials.uid(), pid: credentials.pid() })
    }
}
