//! Files compiled into the binary.

use axum::extract::{Path, RawQuery};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

/// Changes with every release, so that a browser never mixes two.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// The style sheet of all pages, for pages that stand alone.
pub const STYLE: &str = include_str!("../assets/style.css");

const FILES: [(&str, &str, &str); 13] = [
    ("style.css", CSS, STYLE),
    ("runs.css", CSS, include_str!("../assets/runs.css")),
    ("uplot.min.css", CSS, include_str!("../assets/vendor/uplot-1.6.32/uplot.min.css")),
    ("live.js", JS, include_str!("../assets/live.js")),
    ("theme.js", JS, include_str!("../assets/theme.js")),
    ("page.js", JS, include_str!("../assets/page.js")),
    ("complete.js", JS, include_str!("../assets/complete.js")),
    ("table.js", JS, include_str!("../assets/table.js")),
    ("chart.js", JS, include_str!("../assets/chart.js")),
    ("parallel.js", JS, include_str!("../assets/parallel.js")),
    ("htmx.min.js", JS, include_str!("../assets/vendor/htmx-4.0.1/htmx.min.js")),
    ("uplot.min.js", JS, include_str!("../assets/vendor/uplot-1.6.32/uplot.min.js")),
    ("icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
];

pub(crate) async fn asset(Path(name): Path<String>, RawQuery(version): RawQuery) -> Response {
    match FILES.iter().find(|(file, _, _)| *file == name) {
        Some((_, kind, body)) => {
            // What modules import of each other carries no version: it is asked for again each time.
            let caching = if version.is_some() { "public, max-age=3600" } else { "no-cache" };
            let headers = [(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, caching)];
            (headers, *body).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
