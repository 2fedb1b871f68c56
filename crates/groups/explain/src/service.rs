//! Explaining what answers on endpoints. An explainer is made once for a model and kept while it is served.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use platform_db::Db;
use platform_events::Events;
use tokio::sync::Semaphore;

use crate::ExplainError;
use crate::explainer::Explainer;
use crate::model::Explanations;
use crate::ports::{Endpoints, Served, TrainingData};
use crate::reference::KeptReferences;
use crate::settings::KeptSettings;

type Result<T> = std::result::Result<T, ExplainError>;

/// Numbers that an answer may hold: rows × outputs × features.
pub(crate) const MOST_NUMBERS: usize = 4 << 20;
/// Rows of a background that a request brings.
pub(crate) const MOST_BACKGROUND: usize = 1_000;
/// So few rows are explained where the request is; more do not keep others waiting.
const FEW: usize = 8;
/// Explainers that are kept.
const KEPT: usize = 64;

/// By endpoint and version.
type Kept = HashMap<(String, String), Arc<Explainer>>;

#[derive(Clone)]
pub struct Explain {
    pub(crate) db: Db,
    pub(crate) events: Events,
    pub(crate) endpoints: Arc<dyn Endpoints>,
    pub(crate) training: Option<Arc<dyn TrainingData>>,
    pub(crate) references: Arc<KeptReferences>,
    pub(crate) settings: Arc<KeptSettings>,
    ready: Arc<Mutex<Kept>>,
    /// Tables take much memory, those against a background and those that are put, and whole models much time: one request at a
    /// time makes them.
    pub(crate) tables: Arc<Semaphore>,
    /// Logged rows that were not explained.
    pub(crate) passed_over: Arc<AtomicU64>,
}

/// What explains an endpoint, and what it is.
#[derive(Clone)]
pub(crate) struct Ready {
    pub served: Served,
    pub explainer: Arc<Explainer>,
}

impl Explain {
    pub fn new(db: Db, events: Events, endpoints: Arc<dyn Endpoints>) -> Self {
        Self {
            db,
            events,
            endpoints,
            training: None,
            references: Arc::default(),
            settings: Arc::default(),
            ready: Arc::default(),
            tables: Arc::new(Semaphore::new(1)),
            passed_over: Arc::default(),
        }
    }

    /// Training tables are reference data where nobody put any.
    pub fn with_training(mut self, training: Arc<dyn TrainingData>) -> Self {
        self.training = Some(training);
        self
    }

    pub(crate) fn ready(&self, endpoint: &str, version: Option<&str>) -> Result<Ready> {
        let served = self.endpoints.served(endpoint, version)?;
        let key = (endpoint.to_owned(), served.version.clone());
        let found = self.kept().get(&key).cloned();
        if let Some(explainer) = found.filter(|kept| Arc::ptr_eq(kept.model(), &served.ensemble)) {
            return Ok(Ready { served, explainer });
        }
        let names = served.inputs.iter().map(|input| input.name.clone()).collect();
        let explainer = Arc::new(Explainer::new(Arc::clone(&served.ensemble), names));
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&explainer));
        Ok(Ready { served, explainer })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // What is kept is whole at any moment.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Path-dependent values of rows that were just answered: outputs, values by row, output and feature, bases by row and output.
    pub fn attach(&self, endpoint: &str, version: &str, rows: &[f64]) -> Result<(usize, Vec<f64>, Vec<f64>)> {
        let ready = self.ready(endpoint, Some(version))?;
        let width = ready.explainer.features().len().max(1);
        let count = rows.len() / width;
        let explain = || ready.explainer.explain(rows.to_vec());
        // Other requests go on meanwhile.
        let explanations = match ready.explainer.is_made() && count <= FEW {
            true => explain()?,
            false => tokio::task::block_in_place(explain)?,
        };
        let outputs = &explanations.outputs;
        let of_row = |row: usize| outputs.iter().flat_map(move |own| &own.values[row * width..][..width]);
        let values = (0..count).flat_map(of_row).copied().collect();
        let bases = (0..count).flat_map(|_| outputs.iter().map(|own| own.base)).collect();
        Ok((outputs.len(), values, bases))
    }

    /// Explains whole rows, path-dependent, or against the rows of a background.
    pub(crate) async fn explain(
        &self,
        ready: &Ready,
        rows: Vec<f64>,
        background: Option<Vec<f64>>,
    ) -> Result<Explanations> {
        let width = ready.explainer.features().len().max(1);
        let numbers = rows.len() * ready.served.ensemble.scores();
        if numbers > MOST_NUMBERS {
            let most = MOST_NUMBERS / (width * ready.served.ensemble.scores());
            let count = rows.len() / width;
            return Err(ExplainError::request(format!(
                "the request has {count} rows, of this model at most {most}"
            )));
        }
        let Some(background) = background else {
            if rows.len() <= FEW * width && ready.explainer.is_made() {
                return ready.explainer.explain(rows);
            }
            let explainer = Arc::clone(&ready.explainer);
            return apart(move || explainer.explain(rows)).await;
        };
        let permit = Arc::clone(&self.tables).acquire_owned().await;
        let (model, features) = (Arc::clone(&ready.served.ensemble), ready.explainer.features().to_vec());
        apart(move || {
            let _permit = permit;
            Explainer::against(model, features, &background)?.explain(rows)
        })
        .await
    }
}

/// Work that must not hold up the answers of others.
pub(crate) async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
