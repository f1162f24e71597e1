//! The Docker Engine API, versions 1.24 to 1.51, over the engine: wire shapes become engine commands, snapshots and
//! events become wire shapes, and nothing else happens here.
//!
//! ```text
//! unix socket ─▶ server ─▶ call (version, path, query) ─▶ route ─▶ handler ─▶ engine
//!                  ▲                                                  │
//!                  └────── reply: whole, streamed, or hijacked ◀──────┘
//! ```
//!
//! Requests are read as Go reads them (`wire`): unknown members are passed over, wrong ones refused by name. What
//! Haven doesn't offer and would change what happens is refused by name too, never passed over. Answers are written
//! by hand with every member Docker has, and are held to recorded answers of real daemons by `tests/`.
//!
//! It knows no policy, keeps no state and reads no file but what it tells about the host. The API itself is described
//! at <https://docs.docker.com/reference/api/engine/>.

mod build;
mod call;
mod caller;
mod container;
mod doctor;
mod event;
mod exec;
mod filter;
mod frame;
#[cfg(test)]
mod golden;
mod hangup;
mod hijack;
mod image;
mod network;
mod own;
mod peer;
mod query;
mod refusal;
mod reply;
mod route;
mod server;
mod socket;
mod stream;
mod swarm;
mod system;
mod time;
mod transfer;
mod version;
mod volume;
mod websocket;
mod wire;

pub use doctor::{Check, CheckStatus, Doctor};
pub use server::Limits;

use call::Call;
use haven_engine::{Caller, Engine};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue, SERVER};
use peer::Peer;
use reply::Reply;
use std::sync::Arc;
use system::host::Host;
use tokio::net::UnixListener;
use version::ApiVersion;

/// What handlers have at hand.
pub(crate) struct Api {
    pub(crate) engine: Engine,
    pub(crate) doctor: Arc<dyn Doctor>,
    pub(crate) host: Host,
}

impl Api {
    /// The same for one request: what it changes is recorded as its sender's.
    fn on_behalf_of(&self, caller: Caller) -> Self {
        Self {
            engine: self.engine.on_behalf_of(caller),
            doctor: Arc::clone(&self.doctor),
            host: self.host.clone(),
        }
    }

    /// A network's id by the engine's name of it; empty when there is none.
    pub(crate) fn network_id(&self, name: &str) -> String {
        self.engine.network(name).map(|network| network.id).unwrap_or_default()
    }

    /// The id of the image `name` names; `name` itself when there is none.
    pub(crate) fn image_id(&self, name: &str) -> String {
        self.engine.images().resolve(name).map_or_else(|_| name.to_owned(), |image| image.id.to_string())
    }
}

/// Serves the API on `listener` until `stop` resolves.
pub async fn serve(
    listener: UnixListener,
    engine: Engine,
    doctor: Arc<dyn Doctor>,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let api = Arc::new(Api { engine, doctor, host: Host::read() });
    server::run(listener, api, limits, stop).await;
}

const API_VERSION: HeaderName = HeaderName::from_static("api-version");
const EXPERIMENTAL: HeaderName = HeaderName::from_static("docker-experimental");
const OS_TYPE: HeaderName = HeaderName::from_static("ostype");

impl server::Handler for Api {
    async fn handle(&self, request: Request<Incoming>, peer: Peer) -> Reply {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let own = (!route::is_reading(&method)).then(|| self.on_behalf_of(caller::of(&request, peer)));
        let api = own.as_ref().unwrap_or(self);
        let reply = match Call::read(request) {
            Ok(call) => route::answer(api, Call { caller_uid: Some(peer.uid), ..call }).await,
            Err(refusal) => Err(refusal),
        };
        let status = match &reply {
            Ok(Reply::Http(response)) => response.status().as_u16(),
            Ok(Reply::Hijack(_)) => 101,
            Err(refusal) => refusal.status.as_u16(),
        };
        if route::is_reading(&method) {
            tracing::debug!(uid = peer.uid, pid = peer.pid, %method, path, status, "request");
        } else {
            tracing::info!(uid = peer.uid, pid = peer.pid, %method, path, status, "request");
        }
        let mut reply = reply.unwrap_or_else(Reply::from);
        if let Reply::Http(response) = &mut reply {
            let headers = response.headers_mut();
            headers.insert(API_VERSION, HeaderValue::from_static(ApiVersion::NEWEST_TEXT));
            headers.insert(EXPERIMENTAL, HeaderValue::from_static("false"));
            headers.insert(OS_TYPE, HeaderValue::from_static("linux"));
            headers.insert(
                SERVER,
                HeaderValue::from_static(concat!("Haven/", env!("CARGO_PKG_VERSION"), " (linux)")),
            );
        }
        reply
    }
}
