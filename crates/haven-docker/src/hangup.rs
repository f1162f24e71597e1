//! Noticing that the other end of a connection is closed, not merely done sending.
//!
//! A client that has sent everything shuts its sending half and goes on reading; the kernel says so with `EPOLLRDHUP`
//! and an end of file. One that has closed altogether gives `EPOLLHUP`. Asking for that on the connection's own
//! registration would mean taking its readiness for writing away again and again, and with it the wake-up a writer
//! waits for; so a second descriptor of the same socket is registered for the purpose.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Watches one connection.
#[derive(Debug)]
pub(crate) struct HangUp(UnixStream);

impl HangUp {
    pub(crate) fn of(stream: impl AsFd) -> io::Result<Self> {
        let twin = StdStream::from(stream.as_fd().try_clone_to_owned()?);
        // It shares the flags of the first, which is non-blocking already.
        Ok(Self(UnixStream::from_std(twin)?))
    }

    /// Returns once the client has closed its whole end.
    pub(crate) async fn seen(&self) {
        loop {
            match self.0.ready(Interest::WRITABLE).await {
                Ok(ready) if ready.is_write_closed() => return,
                Err(_) => return,
                // Writable now; forget that, so that the next wait is for a change.
                Ok(_) => forget_writable(&self.0),
            }
        }
    }
}

/// Forgetting a readiness is done by reporting that an operation would have blocked.
fn forget_writable(stream: &UnixStream) {
    drop(stream.try_io(Interest::WRITABLE, || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_client_that_stops_sending_is_not_gone_until_it_closes() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let hang_up = HangUp::of(&here).unwrap();
        there.shutdown().await.unwrap();
        assert_eq!(here.read(&mut [0; 8]).await.unwrap(), 0);
        let early = tokio::time::timeout(Duration::from_millis(100), hang_up.seen()).await;
        assert!(early.is_err(), "taken for gone while it was listening");
        // Having been watched, it can still be written to.
        here.write_all(b"still here").await.unwrap();
        let mut heard = [0; 10];
        there.read_exact(&mut heard).await.unwrap();
        drop(there);
        tokio::time::timeout(Duration::from_secs(5), hang_up.seen()).await.unwrap();
    }
}
