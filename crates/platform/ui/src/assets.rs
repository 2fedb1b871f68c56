//! Files compiled into the binary.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

/// Changes with every release, so that a browser never mixes two.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

const FILES: [(&str, &str, &str); 5] = [
    ("style.css", CSS, include_str!("../assets/style.css")),
    ("live.js", JS, include_str!("../assets/live.js")),
    ("theme.js", JS, include_str!("../assets/theme.js")),
    ("htmx.min.js", JS, include_str!("../assets/vendor/htmx-4.0.1/htmx.min.js")),
    ("icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
];

pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, _, _)| *file == name) {
        Some((_, kind, body)) => {
            let headers = [(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "public, max-age=3600")];
            (headers, *body).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
