//! A whole model over its reference rows: importance and effects, cohorts, slices. Rows are explained once, and kept while
//! model and reference stay the same.

mod http;
mod pages;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel_effects::{Metric, sample_rows};
use platform_ui::Ui;
use platform_ui::chart::escape;
use platform_web::Surface;
use serde::Serialize;

use crate::cohorts::{Cohort, Comparison, compare};
use crate::effects::{self, Answer, Permutation, SEED};
use crate::fairness::{Fairness, Slicing, fairness};
use crate::population::{Population, Values};
use crate::reference::Reference;
use crate::report::{Report, charts};
use crate::service::{MOST_NUMBERS, Ready, apart};
use crate::told::Section;
use crate::{Explain, ExplainError};

type Result<T> = std::result::Result<T, ExplainError>;

/// Numbers of explained rows that are kept, of all endpoints together.
const MOST_KEPT: usize = 2 * MOST_NUMBERS;
/// Rows that permutation importance scores, over all features and repeats.
const MOST_SCORED: usize = 500_000;
const FEWEST_PERMUTED: usize = 500;
const REPEATS: usize = 5;
/// Features whose effects are asked for at once, and that a page shows.
const MOST_EFFECTS: usize = 20;
const SHOWN: usize = 20;

/// By endpoint and version.
type Kept = HashMap<(String, String), Arc<Subject>>;

#[derive(Clone)]
pub(crate) struct Whole {
    pub service: Explain,
    kept: Arc<Mutex<Kept>>,
}

/// A served model with its reference rows, explained.
pub(crate) struct Subject {
    pub ready: Ready,
    reference: Arc<Reference>,
    pub population: Population,
    /// By output: charts that are drawn once.
    drawn: Mutex<HashMap<usize, Arc<Vec<Section>>>>,
    permutation: Mutex<Option<Arc<Permuted>>>,
}

/// Why there is no permutation importance stands in its place.
type Permuted = std::result::Result<Permutation, String>;

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept is whole at any moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Whole {
    pub(crate) fn new(service: &Explain) -> Self {
        Self { service: service.clone(), kept: Arc::default() }
    }

    pub(crate) fn api(&self) -> Surface {
        http::surface(self)
    }

    pub(crate) fn pages(&self, ui: &Ui) -> Surface {
        pages::surface(self, ui)
    }

    /// Heavy work: apart from the answers of others, one request at a time.
    async fn alone<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let permit = Arc::clone(&self.service.tables).acquire_owned().await;
        apart(move || {
            let _permit = permit;
            work()
        })
        .await
    }

    /// `None` where the version has no reference data.
    pub(crate) async fn find(&self, endpoint: &str, version: Option<&str>) -> Result<Option<Arc<Subject>>> {
        let ready = self.service.ready(endpoint, version)?;
        let Some(reference) = self.service.reference(&ready).await? else { return Ok(None) };
        let key = (endpoint.to_owned(), ready.served.version.clone());
        let is_same = |subject: &&Arc<Subject>| {
            Arc::ptr_eq(&subject.reference, &reference)
                && Arc::ptr_eq(&subject.ready.served.ensemble, &ready.served.ensemble)
        };
        let found = held(&self.kept).get(&key).filter(is_same).cloned();
        if found.is_some() {
            return Ok(found);
        }
        let subject = Arc::new(self.alone(move || Subject::new(ready, reference)).await?);
        let mut kept = held(&self.kept);
        let numbers = |subject: &Subject| subject.population.explanations().rows.len() * subject.scores();
        let all: usize = kept.values().map(|subject| numbers(subject)).sum();
        if all + numbers(&subject) > MOST_KEPT {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&subject));
        Ok(Some(subject))
    }

    async fn get(&self, what: &'static str, endpoint: &str, version: Option<&str>) -> Result<Arc<Subject>> {
        match self.find(endpoint, version).await? {
            Some(subject) => Ok(subject),
            None => {
                let version = self.service.ready(endpoint, version)?.served.version;
                Err(ExplainError::NoReference { what, endpoint: endpoint.to_owned(), version })
            }
        }
    }

    async fn compare(
        &self,
        subject: &Arc<Subject>,
        one: Cohort,
        two: Option<Cohort>,
        output: usize,
    ) -> Result<Comparison> {
        let subject = Arc::clone(subject);
        self.alone(move || compare(&subject.population, &one, two.as_ref(), output)).await
    }

    async fn fairness(&self, subject: &Arc<Subject>, slicing: Slicing) -> Result<Fairness> {
        let subject = Arc::clone(subject);
        self.alone(move || fairness(&subject.population, &slicing)).await
    }

    async fn model(&self, subject: &Arc<Subject>, wanted: Wanted) -> Result<ModelFound> {
        let subject = Arc::clone(subject);
        self.alone(move || subject.model(&wanted)).await
    }

    async fn charts(&self, subject: &Arc<Subject>, output: usize) -> Result<Arc<Vec<Section>>> {
        let found = held(&subject.drawn).get(&output).cloned();
        if let Some(found) = found {
            return Ok(found);
        }
        let subject = Arc::clone(subject);
        self.alone(move || Ok(subject.charts(output))).await
    }
}

/// What is asked of a whole model.
struct Wanted {
    output: usize,
    /// Features whose effects are asked for.
    effects: Vec<String>,
    metric: Option<Metric>,
}

#[derive(Serialize)]
struct ModelFound {
    /// Rows that were explained, and rows that these were chosen from.
    rows: usize,
    of: usize,
    base_value: f64,
    /// The largest first.
    importance: Vec<ImportanceFound>,
    /// `null` without labels, and of models with several outputs.
    permutation: Option<PermutationFound>,
    effects: Vec<EffectFound>,
}

#[derive(Serialize)]
struct ImportanceFound {
    feature: String,
    mean_absolute: f64,
    mean: f64,
}

#[derive(Serialize)]
struct PermutationFound {
    metric: &'static str,
    /// The metric of the rows as they are.
    score: f64,
    rows: usize,
    /// In the model's order: what the metric loses, with an interval of 95 % over the rows.
    features: Vec<PermutedFeature>,
}

#[derive(Serialize)]
struct PermutedFeature {
    feature: String,
    mean: f64,
    low: f64,
    high: f64,
}

#[derive(Serialize)]
struct EffectFound {
    feature: String,
    /// `null` of a feature that has no two values.
    partial: Option<PartialFound>,
    local: Option<LocalFound>,
}

/// Predictions when the feature is set to a value in every row: the mean, and quantiles over the rows.
#[derive(Serialize)]
struct PartialFound {
    values: Vec<f64>,
    mean: Vec<f64>,
    quantile_10: Vec<f64>,
    median: Vec<f64>,
    quantile_90: Vec<f64>,
    rows: usize,
}

/// Accumulated local effects at the edges, of mean 0; `counts` are the rows between an edge and the next.
#[derive(Serialize)]
struct LocalFound {
    edges: Vec<f64>,
    effects: Vec<f64>,
    counts: Vec<usize>,
}

impl Subject {
    /// Explains the reference rows, path-dependent; a sample of them, always the same, where they are too many.
    fn new(ready: Ready, reference: Arc<Reference>) -> Result<Self> {
        let width = ready.served.inputs.len().max(1);
        let most = (MOST_NUMBERS / (width * ready.served.ensemble.scores().max(1))).max(1);
        let chosen = sample_rows(reference.count, most, SEED);
        let rows = chosen.iter().flat_map(|row| &reference.rows[row * width..][..width]).copied().collect();
        let labels = reference.labels.as_ref().map(|labels| chosen.iter().map(|row| labels[*row]).collect());
        let other = |(name, texts): &(String, Vec<Option<String>>)| {
            let texts = chosen.iter().map(|row| texts[*row].clone()).collect();
            (name.clone(), Values::of_texts(texts))
        };
        let others = reference.others.iter().map(other).collect();
        let explanations = ready.explainer.explain(rows)?;
        let population = Population::new(explanations, labels, others, reference.count);
        let (drawn, permutation) = (Mutex::default(), Mutex::default());
        Ok(Self { ready, reference, population, drawn, permutation })
    }

    fn scores(&self) -> usize {
        self.ready.served.ensemble.scores()
    }

    fn model(&self, wanted: &Wanted) -> Result<ModelFound> {
        self.population.check_output(wanted.output)?;
        let explanations = self.population.explanations();
        if wanted.effects.len() > MOST_EFFECTS {
            let rule = format!("effects names {} features, at most {MOST_EFFECTS}", wanted.effects.len());
            return Err(ExplainError::request(rule));
        }
        let mut effects = Vec::with_capacity(wanted.effects.len());
        for name in &wanted.effects {
            let place =
                explanations.features.iter().position(|feature| feature == name).ok_or_else(|| {
                    let known = explanations.features.join(", ");
                    let rule = format!("effects names {name:?}, no input of the model; it takes {known}");
                    ExplainError::request(rule)
                })?;
            effects.push(self.effect(place, wanted.output));
        }
        let permutation = match wanted.metric {
            None => self.permutation(),
            Some(metric) => self.permuted(Some(metric)).map(Arc::new),
        };
        let own = &explanations.outputs[wanted.output];
        let (width, count) = (explanations.features.len().max(1), explanations.count().max(1) as f64);
        let mean = |feature: usize| own.values.iter().skip(feature).step_by(width).sum::<f64>() / count;
        let importance = explanations.importance(wanted.output).into_iter();
        Ok(ModelFound {
            rows: self.population.count(),
            of: self.population.of(),
            base_value: own.base,
            importance: importance
                .map(|(feature, mean_absolute)| ImportanceFound {
                    feature: explanations.features[feature].clone(),
                    mean_absolute,
                    mean: mean(feature),
                })
                .collect(),
            permutation: match permutation.as_deref() {
                None => None,
                Some(Ok(permutation)) => Some(PermutationFound::new(permutation, &explanations.features)),
                Some(Err(rule)) => return Err(ExplainError::request(rule.clone())),
            },
            effects,
        })
    }

    fn effect(&self, feature: usize, output: usize) -> EffectFound {
        let explanations = self.population.explanations();
        let ensemble = &self.ready.served.ensemble;
        let several = ensemble.outputs() == explanations.outputs.len();
        let mut answer = Answer { model: ensemble, output: if several { output } else { 0 } };
        let partial = effects::individual(&mut answer, &explanations.rows, feature);
        let local = effects::local(&mut answer, &explanations.rows, feature);
        EffectFound {
            feature: explanations.features[feature].clone(),
            partial: partial.map(|(_, found)| PartialFound {
                mean: found.average(),
                quantile_10: found.quantiles(0.1),
                median: found.quantiles(0.5),
                quantile_90: found.quantiles(0.9),
                rows: found.rows.len(),
                values: found.grid,
            }),
            local: local.map(|(_, found)| LocalFound {
                edges: found.edges,
                effects: found.effects,
                counts: found.counts,
            }),
        }
    }

    /// By the usual metric, made once.
    fn permutation(&self) -> Option<Arc<Permuted>> {
        let mut kept = held(&self.permutation);
        if kept.is_none() {
            *kept = self.permuted(None).map(Arc::new);
        }
        kept.clone()
    }

    /// `None` without labels, and of a model with several outputs. The usual metric is log loss for probabilities against labels of 0 and 1,
    /// else the mean absolute error.
    fn permuted(&self, metric: Option<Metric>) -> Option<Permuted> {
        let explanations = self.population.explanations();
        let labels = self.population.labels().filter(|_| explanations.outputs.len() == 1)?;
        let is_binary = labels.iter().all(|label| label.is_nan() || *label == 0.0 || *label == 1.0);
        let are_probabilities = explanations.predictions.iter().all(|answer| (0.0..=1.0).contains(answer));
        let usual = if is_binary && are_probabilities { Metric::LogLoss } else { Metric::MeanAbsoluteError };
        let most = (MOST_SCORED / (1 + explanations.features.len() * REPEATS)).max(FEWEST_PERMUTED);
        let (model, metric) = (&self.ready.served.ensemble, metric.unwrap_or(usual));
        let found = Permutation::of_some(model, &explanations.rows, labels, metric, most);
        Some(found.map_err(|error| error.to_string()))
    }

    fn charts(&self, output: usize) -> Arc<Vec<Section>> {
        let permutation = self.permutation();
        let found = permutation.as_deref().and_then(|found| found.as_ref().ok());
        let report = Report {
            model: "",
            data: "",
            rows: &[],
            most: SHOWN,
            ensemble: &self.ready.served.ensemble,
            permutation: found,
            wording: None,
            comparison: None,
            fairness: None,
        };
        let mut charts = charts(&report, self.population.explanations(), output);
        if let Some(Err(rule)) = permutation.as_deref() {
            charts.push(("No permutation importance".to_owned(), format!("<p>{}</p>", escape(rule))));
        }
        let charts = Arc::new(charts);
        held(&self.drawn).insert(output, Arc::clone(&charts));
        charts
    }
}

impl PermutationFound {
    fn new(permutation: &Permutation, features: &[String]) -> Self {
        let feature = |(name, found): (&String, &kernel_effects::Importance)| PermutedFeature {
            feature: name.clone(),
            mean: found.mean,
            low: found.over_rows.low,
            high: found.over_rows.high,
        };
        Self {
            metric: permutation.metric.name(),
            score: permutation.found.score,
            rows: permutation.rows,
            features: features.iter().zip(&permutation.found.groups).map(feature).collect(),
        }
    }
}
