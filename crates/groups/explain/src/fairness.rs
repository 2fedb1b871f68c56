//! What a model does to one slice of the rows and to another. Numbers, and no verdict. Pure.

mod measures;

use std::collections::BTreeMap;

use serde::Serialize;

pub use measures::{Kind, Measure};

use crate::ExplainError;
use crate::cohorts::{FeatureGap, gaps};
use crate::intervals::{Estimate, benjamini_hochberg};
use crate::population::Population;
use crate::slices::{Level, cut};
use measures::{Sample, samples};

type Result<T> = std::result::Result<T, ExplainError>;

pub const THRESHOLD: f64 = 0.5;
/// Slices with fewer rows say little.
pub const LEAST: usize = 30;
/// Features that are named as what sets a slice apart.
const REASONS: usize = 5;
const FOUR_FIFTHS: f64 = 0.8;

/// How rows are sliced, and what is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Slicing {
    /// Columns; several are crossed.
    pub by: Vec<String>,
    /// By column of numbers: where it is cut.
    pub edges: BTreeMap<String, Vec<f64>>,
    /// A prediction of at least this selects.
    pub threshold: f64,
    /// Slices with fewer rows are shown, and count in no summary.
    pub least: usize,
    /// The slice that others are compared with, by its name; the largest without it.
    pub reference: Option<String>,
    pub output: usize,
}

impl Slicing {
    pub fn by(columns: Vec<String>) -> Self {
        let (edges, reference) = (BTreeMap::new(), None);
        Self { by: columns, edges, threshold: THRESHOLD, least: LEAST, reference, output: 0 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fairness {
    pub kind: Kind,
    pub output: usize,
    pub by: Vec<String>,
    pub threshold: f64,
    pub least: usize,
    /// Rows that were looked at, and rows that these were chosen from.
    pub rows: usize,
    pub of: usize,
    /// The slice that others are compared with.
    pub reference: String,
    pub slices: Vec<Slice>,
    /// Slices of fewer rows than `least`, and how many rows these hold.
    pub small_slices: usize,
    pub small_rows: usize,
    pub summaries: Vec<Summary>,
    pub four_fifths: Option<FourFifths>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slice {
    pub name: String,
    pub levels: Vec<Level>,
    pub rows: usize,
    /// Rows whose label is known.
    pub labelled: usize,
    pub is_small: bool,
    pub is_reference: bool,
    pub figures: Vec<Figure>,
    /// Features whose attributions differ most between the slice and all other rows, the largest difference first. None of small slices.
    pub why: Vec<FeatureGap>,
}

/// A measure of a slice. What compares it is `null` for the reference slice, and tests for small slices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    pub measure: Measure,
    pub estimate: Estimate,
    /// Rows that it is a share or a mean of.
    pub count: u64,
    /// Less that of the reference slice.
    pub difference: Option<Estimate>,
    /// As a multiple of that of the reference slice; rates only.
    pub ratio: Option<Estimate>,
    pub p_value: Option<f64>,
    /// By Benjamini and Hochberg over the slices.
    pub p_adjusted: Option<f64>,
}

/// One number for all slices that are not small.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    pub name: &'static str,
    pub title: &'static str,
    pub definition: &'static str,
    pub value: f64,
    /// Slices that it is taken of: those for which the measure exists.
    pub slices: usize,
}

/// What the four-fifths rule looks at. It is a rule of thumb of US guidelines on selecting employees (29 CFR 1607.4 D), and no verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FourFifths {
    /// Smallest selection rate as a share of the largest.
    pub ratio: f64,
    pub is_below: bool,
    pub smallest: String,
    pub largest: String,
}

/// Slices of the rows, each measured, tested against the reference slice, and summed up.
///
/// Kinds: labels of 0 and 1 only are a classification, other labels a regression; of a model with several outputs an output's class
/// stands against the rest. The first summaries are those of `fairlearn.metrics` (between groups, worst case). A rate that a slice does not have
/// (no row of its kind) leaves the slice out of it, where fairlearn takes 0. O(rows × (columns + features × slices)).
///
/// Fails by the rules of the slices, where the reference slice is not there or small, where all slices are small, and with a model that
/// names a class.
pub fn fairness(population: &Population, slicing: &Slicing) -> Result<Fairness> {
    population.check_output(slicing.output)?;
    if !slicing.threshold.is_finite() {
        let rule = format!("threshold is {}, expected a finite number", slicing.threshold);
        return Err(ExplainError::request(rule));
    }
    let predictions = population.predictions(slicing.output).ok_or_else(|| {
        let outputs = population.explanations().outputs.len();
        ExplainError::request(format!(
            "the model has {outputs} scores and names a class; slices need a number for each output"
        ))
    })?;
    let truths = population.truths(slicing.output);
    let kind = kind(&predictions, truths.as_deref());
    let cuts = cut(population, &slicing.by, &slicing.edges)?;
    let sampled: Vec<Vec<(Measure, Sample)>> = cuts
        .iter()
        .map(|cut| samples(kind, &predictions, truths.as_deref(), &cut.rows, slicing.threshold))
        .collect();
    let names: Vec<String> = cuts.iter().map(|cut| cut.name()).collect();
    let sizes: Vec<usize> = cuts.iter().map(|cut| cut.rows.len()).collect();
    let reference = reference(slicing, &names, &sizes)?;
    let is_small = |slice: usize| sizes[slice] < slicing.least;
    let mut slices = Vec::with_capacity(cuts.len());
    for (place, cut) in cuts.into_iter().enumerate() {
        let is_known = |row: &&usize| truths.as_ref().is_some_and(|truths| !truths[**row].is_nan());
        slices.push(Slice {
            name: names[place].clone(),
            rows: cut.rows.len(),
            labelled: cut.rows.iter().filter(is_known).count(),
            is_small: is_small(place),
            is_reference: place == reference,
            figures: figures(&sampled[place], &sampled[reference], place == reference, is_small(place)),
            why: if is_small(place) { Vec::new() } else { why(population, slicing.output, &cut.rows)? },
            levels: cut.levels,
        });
    }
    adjust(&mut slices);
    let small = || slices.iter().filter(|slice| slice.is_small);
    let (small_slices, small_rows) = (small().count(), small().map(|slice| slice.rows).sum());
    Ok(Fairness {
        kind,
        output: slicing.output,
        by: slicing.by.clone(),
        threshold: slicing.threshold,
        least: slicing.least,
        rows: population.count(),
        of: population.of(),
        reference: names[reference].clone(),
        small_slices,
        small_rows,
        summaries: summaries(kind, &slices),
        four_fifths: four_fifths(&slices),
        slices,
    })
}

fn kind(predictions: &[f64], truths: Option<&[f64]>) -> Kind {
    let is_binary = |truth: &f64| truth.is_nan() || *truth == 0.0 || *truth == 1.0;
    match truths {
        Some(truths) if truths.iter().all(is_binary) => Kind::Classification,
        Some(_) => Kind::Regression,
        None if predictions.iter().all(|prediction| (0.0..=1.0).contains(prediction)) => Kind::Probabilities,
        None => Kind::Numbers,
    }
}

/// The slice that is named, or the largest; of equal ones the first.
fn reference(slicing: &Slicing, names: &[String], sizes: &[usize]) -> Result<usize> {
    let found = match &slicing.reference {
        Some(name) => names.iter().position(|known| known == name).ok_or_else(|| {
            let known = names.join("; ");
            ExplainError::request(format!("there is no slice {name:?} to compare with; there is {known}"))
        })?,
        None => (0..sizes.len()).rev().max_by_key(|slice| sizes[*slice]).unwrap_or(0),
    };
    match sizes.get(found) {
        Some(size) if *size >= slicing.least.max(1) => Ok(found),
        Some(size) => Err(ExplainError::request(format!(
            "slice {:?} has {size} rows, fewer than the {} that a slice to compare with needs",
            names[found],
            slicing.least.max(1)
        ))),
        None => Err(ExplainError::request("the data has no rows")),
    }
}

fn figures(
    own: &[(Measure, Sample)],
    reference: &[(Measure, Sample)],
    is_reference: bool,
    is_small: bool,
) -> Vec<Figure> {
    let figure = |((measure, sample), (_, other)): (&(Measure, Sample), &(Measure, Sample))| {
        let contrast = if is_reference { None } else { sample.against(other) };
        let p_value = contrast.filter(|_| !is_small).map(|contrast| contrast.p_value);
        Figure {
            measure: *measure,
            estimate: sample.estimate(),
            count: sample.count(),
            difference: contrast.map(|contrast| contrast.difference),
            ratio: contrast.and_then(|contrast| contrast.ratio),
            p_value: p_value.filter(|p_value| !p_value.is_nan()),
            p_adjusted: None,
        }
    };
    own.iter().zip(reference).map(figure).collect()
}

/// Each measure's tests are a family.
fn adjust(slices: &mut [Slice]) {
    let measures = slices.first().map_or(0, |slice| slice.figures.len());
    for measure in 0..measures {
        let p_values: Vec<f64> =
            slices.iter().map(|slice| slice.figures[measure].p_value.unwrap_or(f64::NAN)).collect();
        for (slice, adjusted) in slices.iter_mut().zip(benjamini_hochberg(&p_values)) {
            slice.figures[measure].p_adjusted = Some(adjusted).filter(|adjusted| !adjusted.is_nan());
        }
    }
}

fn why(population: &Population, output: usize, rows: &[usize]) -> Result<Vec<FeatureGap>> {
    let mut is_own = vec![false; population.count()];
    rows.iter().for_each(|row| is_own[*row] = true);
    let rest: Vec<usize> = (0..population.count()).filter(|row| !is_own[*row]).collect();
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let mut features = gaps(population, output, rows, &rest)?;
    features.sort_by(|before, after| after.difference.value.abs().total_cmp(&before.difference.value.abs()));
    features.retain(|gap| gap.difference.value != 0.0);
    features.truncate(REASONS);
    Ok(features)
}

/// A measure of the slices that are not small and have it.
fn spread(slices: &[Slice], measure: Measure) -> Vec<(&Slice, f64)> {
    let of_slice = |slice: &Slice| {
        let figure = slice.figures.iter().find(|figure| figure.measure == measure)?;
        Some(figure.estimate.value).filter(|value| !value.is_nan())
    };
    let counted = slices.iter().filter(|slice| !slice.is_small);
    counted.filter_map(|slice| Some((slice, of_slice(slice)?))).collect()
}

/// Smallest and largest, where there are two.
fn ends<'s>(values: &[(&'s Slice, f64)]) -> Option<[(&'s Slice, f64); 2]> {
    let by_value = |one: &&(&Slice, f64), other: &&(&Slice, f64)| one.1.total_cmp(&other.1);
    let (least, largest) = (values.iter().min_by(by_value)?, values.iter().max_by(by_value)?);
    (values.len() > 1).then_some([*least, *largest])
}

fn range(slices: &[Slice], measure: Measure) -> Option<(f64, usize)> {
    let values = spread(slices, measure);
    let [least, largest] = ends(&values)?;
    Some((largest.1 - least.1, values.len()))
}

fn summaries(kind: Kind, slices: &[Slice]) -> Vec<Summary> {
    let ranged = |name, title, definition, measure| {
        let (value, slices) = range(slices, measure)?;
        Some(Summary { name, title, definition, value, slices })
    };
    let mean_prediction = || {
        ranged(
            "mean_prediction_range",
            "Mean prediction range",
            "Largest less smallest mean prediction of the slices.",
            Measure::MeanPrediction,
        )
    };
    let found = match kind {
        Kind::Numbers => vec![mean_prediction()],
        Kind::Regression => vec![
            mean_prediction(),
            ranged(
                "mean_error_range",
                "Mean error range",
                "Largest less smallest mean of prediction less label.",
                Measure::MeanError,
            ),
            ranged(
                "mean_absolute_error_range",
                "Mean absolute error range",
                "Largest less smallest mean absolute error of the slices.",
                Measure::MeanAbsoluteError,
            ),
        ],
        Kind::Classification | Kind::Probabilities => vec![
            ranged(
                "demographic_parity_difference",
                "Demographic parity difference",
                "Largest less smallest selection rate of the slices; 0 where all are selected alike.",
                Measure::SelectionRate,
            ),
            four_fifths(slices).map(|found| Summary {
                name: "demographic_parity_ratio",
                title: "Demographic parity ratio",
                definition: "Smallest selection rate as a share of the largest; 1 where all are selected alike.",
                value: found.ratio,
                slices: spread(slices, Measure::SelectionRate).len(),
            }),
            ranged(
                "equal_opportunity_difference",
                "Equal opportunity difference",
                "Largest less smallest true positive rate of the slices.",
                Measure::TruePositiveRate,
            ),
            equalized_odds(slices),
            ranged(
                "predictive_parity_difference",
                "Predictive parity difference",
                "Largest less smallest precision of the slices.",
                Measure::Precision,
            ),
            ranged(
                "calibration_gap_range",
                "Calibration gap range",
                "Largest less smallest mean of prediction less label.",
                Measure::CalibrationGap,
            ),
        ],
    };
    found.into_iter().flatten().collect()
}

fn equalized_odds(slices: &[Slice]) -> Option<Summary> {
    let (hits, with_hits) = range(slices, Measure::TruePositiveRate)?;
    let (alarms, with_alarms) = range(slices, Measure::FalsePositiveRate)?;
    Some(Summary {
        name: "equalized_odds_difference",
        title: "Equalized odds difference",
        definition: "The larger of two differences between slices: of true positive rates and of false positive rates.",
        value: hits.max(alarms),
        slices: with_hits.min(with_alarms),
    })
}

/// `None` where nothing is selected, or one slice counts.
fn four_fifths(slices: &[Slice]) -> Option<FourFifths> {
    let values = spread(slices, Measure::SelectionRate);
    let [least, largest] = ends(&values)?;
    let ratio = least.1 / largest.1;
    (!ratio.is_nan()).then(|| FourFifths {
        ratio,
        is_below: ratio < FOUR_FIFTHS,
        smallest: least.0.name.clone(),
        largest: largest.0.name.clone(),
    })
}
