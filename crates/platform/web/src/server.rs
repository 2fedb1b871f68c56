//! Listening, serving, going away.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{self, Next};
use axum::serve::ListenerExt;
use platform_primitives::{ErrorKind, Failure, Fault};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::dialect::Dialect;
use crate::edge::{self, EdgeConfig};
use crate::mlflow;
use crate::routes::Surface;

/// Requests worked on at the same time; more get 503 at once instead of a long queue.
const IN_FLIGHT: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("serving failed: {0}")]
    Serve(#[from] std::io::Error),
}

impl Fault for ServeError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "web/listen",
            Self::Serve(_) => "web/serve",
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
    let listener = listener.tap_io(|stream| {
        // Small answers must not wait for the next segment.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
    });
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(shutdown)
        .await?;
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
