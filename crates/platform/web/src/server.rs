//! Listening, serving, going away.

use std::net::SocketAddr;
use std::sync::Arc;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{self, Next};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use platform_primitives::{ErrorKind, Failure, Fault};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::Service as _;

use crate::dialect::Dialect;
use crate::edge::{self, EdgeConfig};
use crate::mlflow;
use crate::routes::Surface;

/// Requests worked on at the same time; more get 503 at once instead of a long queue.
const IN_FLIGHT: usize = 4096;

/// Connections that are open at the same time; more wait to be accepted.
const CONNECTIONS: usize = 8_192;

/// A connection that says nothing more is closed: before a request, or within its head.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

impl Fault for ServeError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "web/listen",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { source, address } if source.kind() == std::io::ErrorKind::AddrInUse => {
                Some(format!(
                    "another program listens on port {}; choose one with --listen HOST:PORT",
                    address.port()
                ))
            }
            _ => None,
        }
    }
}

pub async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

/// Serves every surface until `shutdown` resolves, then lets running requests finish.
pub async fn serve(
    listener: TcpListener,
    surfaces: Vec<Surface>,
    config: EdgeConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    let app = surfaces
        .into_iter()
        .fold(Router::new(), |router, surface| router.merge(surface.router))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(move |peer: ConnectInfo<SocketAddr>, request: Request, next: Next| {
            edge::check(config.clone(), peer, request, next)
        }))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let permits = Arc::clone(&permits);
            async move {
                match permits.try_acquire_owned() {
                    Ok(_permit) => next.run(request).await,
                    Err(_) => Dialect::of_path(request.uri().path()).render(&Failure::new(
                        ErrorKind::Unavailable,
                        "web/overloaded",
                        format!("more than {IN_FLIGHT} requests are in flight"),
                    )),
                }
            }
        }));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE);
    let running = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accept => accepted,
            () = &mut shutdown => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // No file descriptors, most likely: they come back when connections end.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Small answers must not wait for the next segment.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let app = app.clone();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            app.clone().call(request)
        });
        let connection = running.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    running.shutdown().await;
    Ok(())
}

async fn not_found(request: Request) -> axum::response::Response {
    let path = request.uri().path();
    let dialect = Dialect::of_path(path);
    if dialect == Dialect::Mlflow {
        return mlflow::no_route(request.method(), path);
    }
    let message = format!("no route {} {path}", request.method());
    dialect.render(&Failure::new(ErrorKind::NotFound, "web/no-route", message))
}

async fn wrong_method(request: Request) -> axum::response::Response {
    let message = format!("{} is not answered at {}", request.method(), request.uri().path());
    let failure = Failure::new(ErrorKind::Invalid, "web/method", message);
    Dialect::of_path(request.uri().path()).render_with(&failure, http::StatusCode::METHOD_NOT_ALLOWED)
}
