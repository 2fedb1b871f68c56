//! Explanations: how much each value of a row moved a prediction, exactly, for the models behind endpoints and for model files.

mod counterfactuals;
mod effects;
mod error;
mod explainer;
mod http;
mod kserve;
mod model;
mod ports;
mod reasons;
mod report;
mod rows;
mod service;
mod ui;

use platform_ui::Ui;
use platform_web::Group;

pub use effects::Permutation;
pub use error::ExplainError;
pub use explainer::Explainer;
pub use http::json;
pub use kernel_effects::Metric;
pub use model::{Attributions, Explanations, Method};
pub use ports::{Endpoints, Input, Served};
pub use reasons::{Direction, Reason, reasons};
pub use report::{Report, html, text};
pub use rows::{Table, parse_csv};
pub use service::Explain;

pub fn group(service: &Explain, ui: &Ui) -> Group {
    Group {
        name: "explain",
        migrations: None,
        surfaces: vec![
            http::surface(service),
            counterfactuals::surface(service),
            kserve::surface(service),
            ui::surface(service, ui),
        ],
        templates: ui::TEMPLATES,
    }
}
