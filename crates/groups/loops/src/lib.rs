//! The controller: keeps reality equal to the loop file.
//!
//! It moves attempts (a build, its gate, approval, rollout) one transition at a time. Every step reads its state from
//! the database and can be done again, so a server killed anywhere goes on where it was.

mod error;
mod gate;
mod http;
mod model;
mod policy;
mod ports;
mod report;
mod rollout;
mod service;
mod store;
mod ui;

use platform_db::{MigrationSet, migrations};
use platform_ui::Ui;
use platform_web::Group;

pub use error::LoopError;
pub use model::*;
pub use ports::*;
pub use report::{MonthRow, Report, TimelineEntry, WhyServing};
pub use service::{Loops, Ports};

pub const MIGRATIONS: MigrationSet = migrations!("loops", 1 => "0001_loops");

/// Event kinds of this group; the subject is `loop:PROJECT`.
pub mod kinds {
    pub const INCIDENT_OPENED: &str = "loops.incident_opened";
    pub const INCIDENT_CLOSED: &str = "loops.incident_closed";
    pub const HELD_BACK: &str = "loops.held_back";
    pub const ATTEMPT_OPENED: &str = "loops.attempt_opened";
    pub const TRAINING: &str = "loops.training";
    pub const GATED: &str = "loops.gated";
    pub const SHADOWING: &str = "loops.shadowing";
    pub const CANARY: &str = "loops.canary";
    pub const PROMOTED: &str = "loops.promoted";
    pub const ENDED: &str = "loops.ended";
}

pub fn group(service: &Loops, ui: &Ui) -> Group {
    Group {
        name: "loops",
        migrations: Some(MIGRATIONS),
        surfaces: vec![http::surface(service), ui::surface(service, ui)],
        templates: ui::TEMPLATES,
    }
}
