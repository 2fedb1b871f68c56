//! The one port: routes that cannot exist without naming their permission, the mapping from error kinds to
//! each protocol's errors, and the limits at the edge.

mod body;
pub mod dialect;
mod edge;
mod inside;
pub mod mlflow;
mod routes;
mod server;

pub use body::ApiJson;
pub use edge::{Caller, EdgeConfig};
pub use inside::Inside;
pub use routes::{Access, RouteRow, Routes, Surface};
pub use server::{ServeError, bind, serve};

use platform_db::MigrationSet;

/// What a group hands to the binary.
pub struct Group {
    pub name: &'static str,
    pub migrations: Option<MigrationSet>,
    pub surfaces: Vec<Surface>,
    /// Page templates: name and source.
    pub templates: &'static [(&'static str, &'static str)],
}
