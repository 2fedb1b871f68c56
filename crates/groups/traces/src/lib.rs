//! Traces of language-model programs: their spans, tags, assessments and numbers, as MLflow's clients log and search
//! them, and as OpenTelemetry exports them.

mod assessment;
mod convention;
mod correlation;
mod error;
mod ingest;
mod json;
mod metrics;
mod mlflow;
mod model;
mod names;
mod otlp;
mod page;
mod ports;
mod preview;
mod service;
mod span;
mod store;

use platform_db::{MigrationSet, migrations};
use platform_web::Group;

pub use assessment::{Assessment, AssessmentKind, JudgeFailure, SourceType, Verdict};
pub use error::TraceError;
pub use model::{Trace, TraceState};
pub use ports::{Experiments, TraceFiles};
pub use service::Traces;

pub const MIGRATIONS: MigrationSet = migrations!("traces", 1 => "0001_traces", 2 => "0002_assessment_keys");

/// Event kinds of this group; the subject is `experiment:ID`.
pub mod kinds {
    pub const DELETED: &str = "traces.deleted";
}

pub fn group(service: &Traces) -> Group {
    Group {
        name: "traces",
        migrations: Some(MIGRATIONS),
        surfaces: vec![mlflow::surface(service), otlp::surface(service)],
        templates: &[],
    }
}
