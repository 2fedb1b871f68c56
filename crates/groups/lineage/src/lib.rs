//! The graph of data, code, runs, versions, endpoints and people, read off the event log.
//!
//! Other groups do not know this one: it follows their events and can be rebuilt from them.

mod edges;
mod error;
mod http;
mod service;
mod store;

use platform_db::{MigrationSet, migrations};
use platform_web::Group;

pub use error::LineageError;
pub use service::{Edge, Lineage};

pub const MIGRATIONS: MigrationSet = migrations!("lineage", 1 => "0001_lineage");

pub fn group(service: &Lineage) -> Group {
    Group {
        name: "lineage",
        migrations: Some(MIGRATIONS),
        surfaces: vec![http::surface(service)],
        templates: &[],
    }
}
