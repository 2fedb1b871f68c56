//! The verbs: where a transaction, its rules and its event meet.

mod datasets;
mod issues;
mod scope;
mod scorers;

use std::sync::Arc;

use platform_db::Db;
use platform_events::Events;

use crate::{EvaluationError, Experiments};

pub(crate) use issues::NewIssue;

type Result<T> = std::result::Result<T, EvaluationError>;

#[derive(Clone)]
pub struct Evaluation {
    db: Db,
    events: Events,
    experiments: Arc<dyn Experiments>,
    /// Nothing outside of it is seen; without one, everything is.
    workspace: Option<Arc<str>>,
}

impl Evaluation {
    pub fn new(db: Db, events: Events, experiments: Arc<dyn Experiments>) -> Self {
        Self { db, events, experiments, workspace: None }
    }
}

/// A name that a person gave.
fn check_name(name: &str) -> Result<()> {
    const MOST: usize = 500;
    if name.trim().is_empty() {
        return Err(EvaluationError::Missing { field: "name" });
    }
    if name.chars().count() > MOST || name.chars().any(char::is_control) {
        let rule = format!("expected at most {MOST} characters, none of them a control character");
        return Err(EvaluationError::invalid("name", name, rule));
    }
    Ok(())
}
