//! `loopwright explain`: explains a file of rows by a model file, without a server.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;
use group_explain::{
    Cohort, Condition, Explainer, LEAST, Metric, Permutation, Population, Report, Settings, Slicing,
    THRESHOLD, Table, Values, Wording, add_reasons, compare, fairness, html, text,
};
use kernel_trees::Ensemble;

use crate::cli::{CommandError, note};
use crate::files::{ModelFile, table};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Importance, and the rows asked for
    Text,
    /// What the server's explain call answers
    Json,
    /// A column per feature, with base, score and prediction
    Arrow,
    /// A page of charts that needs nothing else
    Html,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    Accuracy,
    LogLoss,
    Brier,
    Auc,
    Mae,
    Rmse,
    R2,
}

impl From<Measure> for Metric {
    fn from(measure: Measure) -> Self {
        match measure {
            Measure::Accuracy => Self::Accuracy { threshold: 0.5 },
            Measure::LogLoss => Self::LogLoss,
            Measure::Brier => Self::Brier,
            Measure::Auc => Self::Auc,
            Measure::Mae => Self::MeanAbsoluteError,
            Measure::Rmse => Self::RootMeanSquaredError,
            Measure::R2 => Self::RSquared,
        }
    }
}

#[derive(clap::Args, Clone)]
pub struct Options {
    /// A model file (LightGBM text, XGBoost JSON or UBJSON, CatBoost JSON or cbm, ONNX, .trees.json), or an MLflow model's folder
    model: PathBuf,
    /// Rows: Parquet, or CSV with a line of names
    data: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Where to, instead of standard output
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// Rows, like DATA, that an unknown value is taken from; without it the values are path-dependent
    #[arg(long)]
    background: Option<PathBuf>,
    /// A row to show by itself, from 0; may be given again
    #[arg(long = "row")]
    rows: Vec<usize>,
    /// The column of DATA with the truth: adds permutation importance
    #[arg(long)]
    label: Option<String>,
    /// What permutation importance measures; without it log loss of labels 0 and 1, of others the mean absolute error
    #[arg(long, value_enum, requires = "label")]
    metric: Option<Measure>,
    /// Columns of DATA to slice the rows by, crossed where there are several: adds what the model does to each slice
    #[arg(long, value_delimiter = ',')]
    by: Vec<String>,
    /// A prediction of at least this selects a row of a slice
    #[arg(long, default_value_t = THRESHOLD, requires = "by")]
    threshold: f64,
    /// Rows that a slice needs to count in what sums all slices up
    #[arg(long, default_value_t = LEAST, requires = "by")]
    least: usize,
    /// A cohort as COLUMN=VALUE, to be compared with all other rows; given again, all must hold
    #[arg(long = "cohort")]
    cohorts: Vec<String>,
    /// Features shown
    #[arg(long, default_value_t = 20)]
    most: usize,
    /// A JSON file with an endpoint's explanation settings: reasons get codes and words
    #[arg(long)]
    settings: Option<PathBuf>,
    /// The language of reasons, a tag such as de-AT; without it the default one of the settings
    #[arg(long, requires = "settings")]
    language: Option<String>,
}

pub fn run(options: &Options) -> Result<ExitCode, CommandError> {
    if options.format == Format::Arrow && !(options.by.is_empty() && options.cohorts.is_empty()) {
        return Err("--by and --cohort have no place in --format arrow".into());
    }
    let ensemble = ModelFile::read(&options.model)?.ensemble;
    let data = table(&options.data)?;
    let features = features(&ensemble, &data, options)?;
    let rows = data.rows(&features)?;
    if let Some(row) = options.rows.iter().find(|row| **row >= data.count) {
        return Err(
            format!("row {row} is not there: {} has {} rows", options.data.display(), data.count).into()
        );
    }
    let wording = match &options.settings {
        None => None,
        Some(path) => {
            let settings = Settings::from_json(&fs_err::read(path)?)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            Some(Wording::new(Arc::new(settings), None, options.language.as_deref())?)
        }
    };
    let model = Arc::new(ensemble);
    let labels = match &options.label {
        None => None,
        Some(label) => Some(data.rows(std::slice::from_ref(label))?),
    };
    let permutation = match &labels {
        None => None,
        Some(labels) => {
            let is_binary = labels.iter().all(|label| label.is_nan() || *label == 0.0 || *label == 1.0);
            let usual = if is_binary { Metric::LogLoss } else { Metric::MeanAbsoluteError };
            let metric = options.metric.map_or(usual, Metric::from);
            Some(Permutation::new(&model, &rows, labels, metric)?)
        }
    };
    let explainer = match &options.background {
        None => Explainer::new(Arc::clone(&model), features),
        Some(path) => {
            let background = table(path)?.rows(&features)?;
            Explainer::against(Arc::clone(&model), features, &background)?
        }
    };
    let mut explanations = explainer.explain(rows)?;
    let (mut comparison, mut slices) = (None, None);
    if !options.by.is_empty() || !options.cohorts.is_empty() {
        let count = explanations.count();
        let population = Population::new(explanations, labels, others(&data), count);
        if let Some(cohort) = cohort(&options.cohorts)? {
            comparison = Some(compare(&population, &cohort, None, 0)?);
        }
        if !options.by.is_empty() {
            let (threshold, least) = (options.threshold, options.least);
            let slicing = Slicing { threshold, least, ..Slicing::by(options.by.clone()) };
            slices = Some(fairness(&population, &slicing)?);
        }
        explanations = population.into_explanations();
    }
    let (name, data) = (options.model.display().to_string(), options.data.display().to_string());
    let report = Report {
        model: &name,
        data: &data,
        rows: &options.rows,
        most: options.most,
        ensemble: &model,
        permutation: permutation.as_ref(),
        wording: wording.as_ref(),
        comparison: comparison.as_ref(),
        fairness: slices.as_ref(),
    };
    let bytes = match options.format {
        Format::Text => text(&report, &explanations).into_bytes(),
        Format::Html => html(&report, &explanations).into_bytes(),
        Format::Json => {
            let mut answer = group_explain::json(&explanations);
            if let Some(wording) = &wording {
                add_reasons(&mut answer, &explanations, wording);
            }
            if let Some(comparison) = &comparison {
                answer["cohorts"] = serde_json::to_value(comparison)?;
            }
            if let Some(slices) = &slices {
                answer["fairness"] = serde_json::to_value(slices)?;
            }
            serde_json::to_vec(&answer)?
        }
        Format::Arrow => explanations.arrow()?,
    };
    match &options.output {
        Some(path) => {
            fs_err::write(path, bytes)?;
            note(&format!("{} rows explained in {}", explanations.count(), path.display()));
        }
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(&bytes)?;
            out.flush()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The model's names; where it has none, the file's columns must be its features.
fn features(model: &Ensemble, data: &Table, options: &Options) -> Result<Vec<String>, CommandError> {
    if let Some(names) = model.feature_names() {
        return Ok(names.to_vec());
    }
    let names = data.columns.iter().map(|(name, _)| name.clone());
    let names: Vec<String> = names.filter(|name| Some(name) != options.label.as_ref()).collect();
    if names.len() != model.features() {
        return Err(format!(
            "{} has {} columns of numbers besides the label, and the model names none of its {} features",
            options.data.display(),
            names.len(),
            model.features()
        )
        .into());
    }
    Ok(names)
}

/// Everything that cohorts and slices may be told by; of two columns of a name, an input counts.
fn others(data: &Table) -> Vec<(String, Values)> {
    let numbers = data.columns.iter().map(|(name, values)| (name.clone(), Values::Numbers(values.clone())));
    let texts = data.texts.iter().map(|(name, values)| (name.clone(), Values::Texts(values.clone())));
    numbers.chain(texts).collect()
}

/// `None` where there is no condition.
fn cohort(conditions: &[String]) -> Result<Option<Cohort>, CommandError> {
    let condition = |text: &String| -> Result<Condition, CommandError> {
        let (column, value) = text
            .split_once('=')
            .filter(|(column, value)| !column.is_empty() && !value.is_empty())
            .ok_or_else(|| format!("--cohort is {text:?}, expected COLUMN=VALUE"))?;
        let is = Some(serde_json::Value::String(value.to_owned()));
        Ok(Condition { column: column.to_owned(), is, ..Condition::default() })
    };
    let conditions = conditions.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    Ok((!conditions.is_empty()).then_some(Cohort { name: None, conditions }))
}
