//! Where the daemon listens: a unix socket, named by `-H`, by `HAVEN_HOST`, or the default.

use super::autostart;
use haven_spec::{Failure, Outcome};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

pub(crate) const DEFAULT_SOCKET: &str = "/run/haven/haven.sock";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    socket: PathBuf,
    /// Nobody chose the place, so a daemon may be started there.
    is_default: bool,
}

impl Endpoint {
    /// From the flag's value, else the environment's, else the default.
    pub(crate) fn choose(flag: Option<&str>, environment: Option<&str>) -> Outcome<Self> {
        match flag.or(environment.filter(|value| !value.is_empty())) {
            None => Ok(Self { socket: DEFAULT_SOCKET.into(), is_default: true }),
            Some(address) => Self::parse(address),
        }
    }

    fn parse(address: &str) -> Outcome<Self> {
        let path = match address.split_once("://") {
            Some(("unix", path)) => path,
            Some((scheme, _)) => {
                return Err(Failure::unsupported(format!("cannot reach a daemon by `{scheme}`"))
                    .because("only unix sockets are supported")
                    .hint("-H unix:///run/haven/haven.sock"));
            }
            None => address,
        };
        if !path.starts_with('/') {
            return Err(Failure::invalid(format!("`{address}` is not the address of a daemon"))
                .because("a socket is named by an absolute path")
                .hint("-H unix:///run/haven/haven.sock"));
        }
        Ok(Self { socket: path.into(), is_default: path == DEFAULT_SOCKET })
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Connects; starts the daemon first if it is ours to start.
    pub(crate) fn connect(&self) -> Outcome<UnixStream> {
        let error = match UnixStream::connect(&self.socket) {
            Ok(socket) => return Ok(socket),
            Err(error) => error,
        };
        let absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
        if absent && self.is_default && rustix::process::geteuid().is_root() {
            return autostart::start(&self.socket);
        }
        Err(self.unreachable(error))
    }

    /// Connects without starting anything.
    pub(crate) fn try_connect(&self) -> Outcome<UnixStream> {
        UnixStream::connect(&self.socket).map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, error: io::Error) -> Failure {
        let failure = Failure::host(format!("cannot reach the daemon at `{}`", self.socket.display()));
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => "become root or a member of the group `haven`",
            io::ErrorKind::NotFound if self.is_default => "start it as root: haven daemon",
            io::ErrorKind::NotFound => "check the address given with -H or HAVEN_HOST",
            _ => "see whether it runs, and what its log says",
        };
        failure.because(error).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment_and_both_over_the_default() {
        let path = |flag, environment| Endpoint::choose(flag, environment).unwrap().socket;
        assert_eq!(path(None, None), Path::new(DEFAULT_SOCKET));
        assert_eq!(path(None, Some("")), Path::new(DEFAULT_SOCKET));
        assert_eq!(path(None, Some("unix:///a")), Path::new("/a"));
        assert_eq!(path(Some("/b"), Some("unix:///a")), Path::new("/b"));
        for bad in ["tcp://127.0.0.1:2375", "relative", "ssh://x", "unix://relative", ""] {
            assert!(Endpoint::choose(Some(bad), None).is_err(), "{bad}");
        }
    }
}
