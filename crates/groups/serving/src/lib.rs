//! Endpoints: model versions behind a name, answering over the Open Inference Protocol v2 and MLflow's
//! `/invocations`, in this process and without waiting for a log, a database or a monitor.

mod error;
mod http;
mod invocations;
mod model;
mod oip;
mod package;
mod ports;
mod recorder;
mod runtime;
mod service;
mod store;
mod ui;

use platform_db::{MigrationSet, migrations};
use platform_ui::Ui;
use platform_web::Group;

pub use error::ServingError;
pub use model::{Candidate, ColumnType, Endpoint, InputColumn, Signature, Traffic};
pub use package::LoggedModel;
pub use ports::{ModelSource, PredictionRecord, PredictionSink, RowExplainer, RowExplanations};
pub use runtime::Runtime;
pub use service::Serving;

pub const MIGRATIONS: MigrationSet = migrations!("serving", 1 => "0001_endpoints");

/// Event kinds of this group; the subject is `endpoint:NAME`.
pub mod kinds {
    pub const TRAFFIC_CHANGED: &str = "serving.traffic_changed";
}

pub fn group(service: &Serving, ui: &Ui) -> Group {
    Group {
        name: "serving",
        migrations: Some(MIGRATIONS),
        surfaces: vec![
            oip::surface(service),
            invocations::surface(service),
            http::surface(service),
            http::deploy_surface(service),
            ui::surface(service, ui),
        ],
        templates: ui::TEMPLATES,
    }
}
