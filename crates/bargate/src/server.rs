//! Sockets: TLS by our own certificate or by a proxy in front, limits on times and sizes, an orderly end.

use crate::app::App;
use crate::routes;
use haven_spec::{Failure, Outcome};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

/// Most connections at once; the next ones wait in the kernel.
const MOST_CONNECTIONS: usize = 4096;

const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADER: Duration = Duration::from_secs(20);

/// Longest head of a request.
const HEAD_BYTES: usize = 32 << 10;

/// How long requests may go on after the end was asked for.
const FAREWELL: Duration = Duration::from_secs(20);

pub(crate) async fn run(app: Arc<App>) -> Outcome<()> {
    let listener = TcpListener::bind(app.config.listen)
        .await
        .map_err(|error| Failure::host(format!("cannot listen on {}", app.config.listen)).because(error))?;
    let tls = app.config.tls.as_ref().map(|(certificate, key)| acceptor(certificate, key)).transpose()?;
    let address =
        listener.local_addr().map_err(|error| Failure::host("cannot see where we listen").because(error))?;
    tracing::info!(%address, tls = tls.is_some(), "serving");

    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let (end, ended) = watch::channel(false);
    let mut stop = Box::pin(asked_to_stop());
    let mut tidy = tokio::time::interval(Duration::from_secs(15));
    loop {
        let place = tokio::select! {
            () = &mut stop => break,
            _ = tidy.tick() => {
                app.pool.sweep(Instant::now());
                continue;
            }
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = &mut stop => break,
            _ = tidy.tick() => {
                app.pool.sweep(Instant::now());
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors: give those that are open time to end.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (app, tls, ended) = (Arc::clone(&app), tls.clone(), ended.clone());
        tokio::spawn(async move {
            let _place = place;
            drop(stream.set_nodelay(true));
            match tls {
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await {
                        serve(app, stream, peer.ip(), ended).await;
                    }
                }
                None => serve(app, stream, peer.ip(), ended).await,
            }
        });
    }
    tracing::info!("ending");
    end.send(true).ok();
    let all = u32::try_from(MOST_CONNECTIONS).unwrap_or(u32::MAX);
    drop(timeout(FAREWELL, places.acquire_many(all)).await);
    Ok(())
}

async fn serve(
    app: Arc<App>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: IpAddr,
    mut ended: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(routes::answer(app, request, peer).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER).max_buf_size(HEAD_BYTES).half_close(false);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = async { drop(ended.wait_for(|ended| *ended).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke off");
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Outcome<TlsAcceptor> {
    let cannot = |path: &Path| Failure::invalid(format!("cannot use `{}` for TLS", path.display()));
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).map_err(|error| {
            cannot(certificate)
                .because(error.to_string())
                .hint("a certificate chain in PEM, the server's own first")
        })?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        cannot(key).because(error.to_string()).hint("the certificate's private key in PEM")
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::internal("TLS can't be set up").because(error))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| {
            cannot(certificate).because(error).hint("certificate and key have to belong together")
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// SIGTERM, or SIGINT at a terminal.
async fn asked_to_stop() {
    let (Ok(mut term), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}
