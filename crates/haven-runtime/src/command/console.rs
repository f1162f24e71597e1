//! A terminal's outer side given away: to the socket the caller listens at.

use haven_spec::{Failure, Outcome};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where the terminal goes; connected early, so that a wrong path fails before anything is made.
#[derive(Debug)]
pub(super) struct ConsoleSocket {
    path: PathBuf,
    connection: OwnedFd,
}

impl ConsoleSocket {
    pub(super) fn connect(path: &str) -> Outcome<Self> {
        let connect = || -> rustix::io::Result<OwnedFd> {
            let address = SocketAddrUnix::new(path)?;
            let socket = rustix::net::socket_with(
                AddressFamily::UNIX,
                SocketType::STREAM,
                SocketFlags::CLOEXEC,
                None,
            )?;
            rustix::net::connect(&socket, &address)?;
            Ok(socket)
        };
        match connect() {
            Ok(connection) => Ok(Self { path: PathBuf::from(path), connection }),
            Err(errno) => Err(Failure::invalid(format!("cannot connect to the console socket `{path}`"))
                .because(std::io::Error::from(errno))
                .hint("the caller must listen there for a terminal")),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Sends the descriptor, with the name callers show.
    pub(super) fn send(&self, master: &OwnedFd) -> Outcome<()> {
        let mut space = [MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [master.as_fd()];
        let pushed = ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let sent = if pushed {
            rustix::net::sendmsg(
                &self.connection,
                &[IoSlice::new(b"/dev/ptmx")],
                &mut ancillary,
                SendFlags::NOSIGNAL,
            )
        } else {
            Err(rustix::io::Errno::NOBUFS)
        };
        sent.map(drop).map_err(|errno| {
            Failure::host(format!("cannot send the terminal to `{}`", self.path.display()))
                .because(std::io::Error::from(errno))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_descriptor_arrives_at_the_socket() {
        let path = std::env::temp_dir().join(format!("haven-console-{}.sock", std::process::id()));
        assert!(ConsoleSocket::connect(&path.to_string_lossy()).is_err());
        let listener = UnixListener::bind(&path).unwrap();
        let console = ConsoleSocket::connect(&path.to_string_lossy()).unwrap();
        std::fs::remove_file(console.path()).unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        console.send(&write).unwrap();
        drop(write);
        let (connection, _) = listener.accept().unwrap();
        let mut buffer = [0; 64];
        let packet =
            haven_sys::socket::receive(&connection, &mut buffer, rustix::net::RecvFlags::empty()).unwrap();
        assert_eq!((packet.descriptors.len(), &buffer[..packet.length]), (1, &b"/dev/ptmx"[..]));
        rustix::io::write(&packet.descriptors[0], b"x").unwrap();
        assert_eq!(rustix::io::read(&read, &mut buffer).unwrap(), 1);
    }
}
