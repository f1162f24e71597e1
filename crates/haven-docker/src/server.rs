//! The HTTP server: accepts connections on a unix socket, bounds what each may cost, and hands requests on.
//!
//! ```text
//! listener ──accept──▶ connection task ──request──▶ Handler ──▶ Reply::Http ──▶ hyper writes it
//!                            ▲                              └─▶ Reply::Hijack
//!                            └──── takes the socket back ◀────────────┘
//! ```
//!
//! It takes its listener, its handler and its stop signal as arguments and knows no route. Limits: the number of
//! connections (some of them kept for root), the size and number of headers, the time a client has to send
//! them. Bodies are bounded where they are read.

use crate::hijack::Hijack;
use crate::peer::Peer;
use crate::reply::Reply;
use crate::socket::{Busy, BusyGuard, GuardedBody, Socket};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// What bounds the server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time, of everybody together.
    pub connections: usize,
    /// Of these, how many only root gets, so that others cannot lock it out.
    pub reserved_for_root: usize,
    /// All headers of a request together.
    pub header_bytes: usize,
    pub headers: usize,
    /// For a whole head, counted from when the connection was made or its last answer ended.
    pub header_timeout: Duration,
    /// How long running requests may go on once the server is to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // An idle one costs some 20 kB.
            connections: 1024,
            reserved_for_root: 64,
            header_bytes: 64 * 1024,
            headers: 100,
            // Docker's clients keep idle connections for 90 s and take a closed one in their stride only when it
            // was closed before they wrote; so outlive them.
            header_timeout: Duration::from_secs(120),
            grace: Duration::from_secs(5),
        }
    }
}

/// Who answers requests.
pub(crate) trait Handler: Send + Sync + 'static {
    fn handle(&self, request: Request<Incoming>, peer: Peer) -> impl Future<Output = Reply> + Send;
}

/// Serves until `stop` resolves, then lets running requests end within the grace period.
pub(crate) async fn run<H: Handler>(
    listener: UnixListener,
    handler: Arc<H>,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors or memory: wait for some to come back instead of spinning.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Reap what has ended, so that the set's length is the number of living connections.
        while connections.try_join_next().is_some() {}
        let Ok(peer) = Peer::of(&stream) else { continue };
        let bound =
            limits.connections.saturating_sub(if peer.uid == 0 { 0 } else { limits.reserved_for_root });
        if connections.len() >= bound {
            tracing::warn!(uid = peer.uid, bound, "refused a connection: too many are open");
            refuse(stream).await;
            continue;
        }
        drop(connections.spawn(talk(stream, peer, Arc::clone(&handler), limits.clone(), stopped.clone())));
    }
    drop(listener);
    // Everybody who listens hears it; that nobody does is no error.
    stopping.send_replace(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, all_ended).await.is_err() {
        tracing::info!("cutting off connections that outlast the grace period");
    }
    connections.shutdown().await;
}

/// Says no without waiting for a request: the client finds the answer when it looks for one.
async fn refuse(mut stream: UnixStream) {
    const BODY: &str = "{\"message\":\"too many connections; try again later\"}\n";
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    // A fresh socket's buffer takes this whole; whoever doesn't read it loses only the explanation.
    drop(tokio::time::timeout(Duration::from_millis(10), stream.write_all(answer.as_bytes())).await);
}

async fn talk<H: Handler>(
    stream: UnixStream,
    peer: Peer,
    handler: Arc<H>,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let (take_over, mut taken_over) = mpsc::channel::<Hijack>(1);
    let busy = Busy::default();
    let socket = Socket::new(stream, busy.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, take_over, guard) = (Arc::clone(&handler), take_over.clone(), busy.begin());
        async move { answer(handler.handle(request, peer).await, take_over, guard).await }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(8192));
    let mut connection = builder.serve_connection(TokioIo::new(socket), service);
    let mut told_to_stop = false;
    loop {
        tokio::select! {
            biased;
            Some(hijack) = taken_over.recv() => {
                // The request has been read and nothing of an answer written: the socket is between two messages.
                let parts = connection.into_parts();
                tokio::select! {
                    () = hijack.run(parts.io.into_inner().into_stream(), parts.read_buf) => {}
                    // Nobody waits for a terminal to end; its client attaches again.
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
                return;
            }
            result = &mut connection => {
                if let Err(error) = result {
                    // Clients that vanish, time out or send rubbish: theirs to know, not ours to warn of.
                    tracing::debug!(uid = peer.uid, pid = peer.pid, %error, "connection ended");
                }
                return;
            }
            _ = stopped.changed(), if !told_to_stop => {
                told_to_stop = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
}

async fn answer(
    reply: Reply,
    take_over: mpsc::Sender<Hijack>,
    guard: BusyGuard,
) -> Result<Response<GuardedBody>, Infallible> {
    match reply {
        Reply::Http(response) => Ok(response.map(|body| GuardedBody { body, guard })),
        Reply::Hijack(hijack) => {
            // The connection's task takes the socket away and drops this future.
            drop(take_over.send(hijack).await);
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests;
