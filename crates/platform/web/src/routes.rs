//! Registration of routes. `Routes::route` has no variant without an [`Access`]: that is the mechanism
//! behind "no route without a permission".

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use http::{Method, header};
use platform_auth::Permission;
use platform_primitives::{ErrorKind, Failure, Fault};

use crate::body::in_time;
use crate::dialect::Dialect;
use crate::edge::Identity;
use crate::mlflow;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Needs(Permission),
    /// Anybody; the text says why that is safe.
    Open(&'static str),
}

/// A row of the route table, for tests and documentation.
#[derive(Debug, Clone)]
pub struct RouteRow {
    pub method: Method,
    pub path: String,
    pub access: Access,
}

/// Routes of one surface: one dialect for errors, one state, one set of limits.
pub struct Routes<S> {
    dialect: Dialect,
    router: Router<S>,
    table: Vec<RouteRow>,
    body_limit_bytes: Option<usize>,
    deadline: Option<Duration>,
}

/// Finished routes of a group.
pub struct Surface {
    pub router: Router,
    pub table: Vec<RouteRow>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Bodies up to 2 MiB and 60 s per request, until said otherwise.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            router: Router::new(),
            table: Vec::new(),
            body_limit_bytes: Some(2 * 1024 * 1024),
            deadline: Some(Duration::from_secs(60)),
        }
    }

    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit_bytes = Some(bytes);
        self
    }

    /// For work that grows with stored bytes: the answer may take as long as it takes. Each piece of the body still has its
    /// deadline, and the body its limit.
    pub fn without_deadline(mut self) -> Self {
        self.deadline = None;
        self
    }

    /// For uploads and streams: the handler reads piece by piece and bounds itself.
    pub fn streaming(mut self) -> Self {
        self.body_limit_bytes = None;
        self.deadline = None;
        self
    }

    pub fn get<H, T>(self, path: &str, access: Access, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.route(Method::GET, path, access, handler)
    }

    pub fn post<H, T>(self, path: &str, access: Access, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.route(Method::POST, path, access, handler)
    }

    pub fn route<H, T>(mut self, method: Method, path: &str, access: Access, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let dialect = self.dialect;
        let filter = MethodFilter::try_from(method.clone()).expect("a standard HTTP method");
        let guard =
            middleware::from_fn(move |request: Request, next: Next| guard(access, dialect, request, next));
        self.router = self.router.route(path, on(filter, handler).route_layer(guard));
        self.table.push(RouteRow { method, path: path.to_owned(), access });
        self
    }

    pub fn with_state(self, state: S) -> Surface {
        let dialect = self.dialect;
        let limit = match self.body_limit_bytes {
            Some(bytes) => DefaultBodyLimit::max(bytes),
            None => DefaultBodyLimit::disable(),
        };
        let most = self.body_limit_bytes;
        let mut router = self.router.layer(limit).layer(middleware::from_fn(
            move |request: Request, next: Next| async move {
                if let Some(failure) = declared_too_large(&request, most) {
                    return dialect.render(&failure);
                }
                dialect.translate(next.run(request).await).await
            },
        ));
        router = match self.deadline {
            Some(deadline) => router.layer(middleware::from_fn(move |request: Request, next: Next| {
                within(deadline, dialect, request, next)
            })),
            None => router,
        };
        router = router
            .layer(middleware::from_fn(move |request: Request, next: Next| in_time(dialect, request, next)));
        Surface { router: router.with_state(state), table: self.table }
    }
}

/// A body that says it is too large is refused before a byte of it is read.
fn declared_too_large(request: &Request, most: Option<usize>) -> Option<Failure> {
    let most = most?;
    let declared = request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse::<u64>().ok()?;
    let message = format!("the body has {declared} bytes, at most {most} are taken");
    (declared > most as u64).then(|| Failure::new(ErrorKind::TooLarge, "web/body-too-large", message))
}

async fn guard(access: Access, dialect: Dialect, mut request: Request, next: Next) -> Response {
    // For extractors that refuse by themselves.
    request.extensions_mut().insert(dialect);
    let Access::Needs(permission) = access else { return next.run(request).await };
    let refusal = match request.extensions().get::<Identity>() {
        Some(Identity(Ok(principal))) if principal.may(permission) => None,
        Some(Identity(Ok(principal))) => Some(Failure::new(
            ErrorKind::Forbidden,
            "auth/not-permitted",
            format!("{} may not do this: it needs the permission {permission:?}", principal.name),
        )),
        Some(Identity(Err(failure))) => Some(failure.clone()),
        None => Some(Failure::new(ErrorKind::Internal, "web/no-identity", "the edge did not run")),
    };
    match refusal.or_else(|| mlflow::refusal(dialect, request.extensions())) {
        None => next.run(request).await,
        Some(failure) => dialect.render(&failure as &dyn Fault).into_response(),
    }
}

async fn within(deadline: Duration, dialect: Dialect, request: Request, next: Next) -> Response {
    match tokio::time::timeout(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let message = format!("no answer within {} ms", deadline.as_millis());
            dialect.render(&Failure::new(ErrorKind::Timeout, "web/deadline", message))
        }
    }
}
