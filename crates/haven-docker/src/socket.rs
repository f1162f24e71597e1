//! The connection's socket as HTTP sees it: a client that has stopped sending while its request is being answered is
//! still there. Only when it closes altogether is the answer for nobody.
//!
//! HTTP libraries take an end of file in the middle of a message for the end of the client, and rightly drop what
//! they do for it. Clients of this API shut their sending half early and go on reading.

use crate::hangup::HangUp;
use crate::reply::ReplyBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// Whether a request is being answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Busy(Arc<AtomicBool>);

impl Busy {
    /// From now until the guard is dropped.
    pub(crate) fn begin(&self) -> BusyGuard {
        self.0.store(true, Ordering::Relaxed);
        BusyGuard(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
pub(crate) struct BusyGuard(Arc<AtomicBool>);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// An answer's body; the request counts as being answered until it is sent.
#[derive(Debug)]
pub(crate) struct GuardedBody {
    pub(crate) body: ReplyBody,
    #[expect(dead_code, reason = "held for what its end does")]
    pub(crate) guard: BusyGuard,
}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// See above.
pub(crate) struct Socket {
    stream: UnixStream,
    busy: Busy,
    /// Under way once the client has stopped sending.
    hang_up: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Socket {
    pub(crate) fn new(stream: UnixStream, busy: Busy) -> Self {
        Self { stream, busy, hang_up: None }
    }

    pub(crate) fn into_stream(self) -> UnixStream {
        self.stream
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let ended = buffer.filled().len() == before && buffer.remaining() > 0;
        if !ended || !this.busy.0.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        let stream = &this.stream;
        let hang_up = this.hang_up.get_or_insert_with(|| match HangUp::of(stream) {
            Ok(watch) => Box::pin(async move { watch.seen().await }),
            // Without a descriptor to spare it counts as gone.
            Err(_) => Box::pin(std::future::ready(())),
        });
        hang_up.as_mut().poll(context).map(Ok)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }
}
