//! The page that explains a row of an endpoint: change a value, and see the prediction and its reasons move.

mod around;
pub(crate) mod drift;

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::response::Html;
use platform_auth::Permission::Predict;
use platform_ui::explanation::{Factor, Waterfall};
use platform_ui::{PageHead, Ui, encoded, percent};
use platform_web::dialect::{Dialect, PageResult};
use platform_web::{Access, Routes, Surface};
use serde::Serialize;

use crate::Explain;
use crate::model::Explanations;
use crate::reasons::{Direction, MOST, Reason, reasons};
use crate::report::shown;
use crate::rows::check;
use crate::ui::around::{Bound, Changes, Near};
use crate::wording::Wording;

pub(crate) const TEMPLATES: &[(&str, &str)] = &[
    ("explain/row.html", include_str!("../templates/row.html")),
    ("explain/parts.html", include_str!("../templates/parts.html")),
    ("explain/model.html", include_str!("../templates/model.html")),
    ("explain/cohorts.html", include_str!("../templates/cohorts.html")),
    ("explain/drift.html", include_str!("../templates/drift.html")),
    ("explain/fairness.html", include_str!("../templates/fairness.html")),
];

/// Factors that a waterfall shows.
const FACTORS: usize = 12;

#[derive(Clone)]
struct Pages {
    service: Explain,
    ui: Ui,
}

pub(crate) fn surface(service: &Explain, ui: &Ui) -> Surface {
    Routes::new(Dialect::Page)
        .get("/endpoints/{name}/explain", Access::Needs(Predict), row)
        .with_state(Pages { service: service.clone(), ui: ui.clone() })
}

/// One row, output by output: base, what each value added, score.
pub(crate) fn waterfall(explanations: &Explanations, output: usize, row: usize, most: usize) -> Waterfall {
    let own = &explanations.outputs[output];
    let factor = |(feature, contribution): (usize, &f64)| Factor {
        name: explanations.features[feature].clone(),
        value_text: shown(explanations.row(row)[feature]),
        contribution: *contribution,
    };
    Waterfall {
        title: format!("How the score of row {row} comes about"),
        base: own.base,
        base_label: "expected score".to_owned(),
        score: own.scores[row],
        score_label: "score".to_owned(),
        factors: explanations.values(output, row).iter().enumerate().map(factor).collect(),
        most,
    }
}

#[derive(Serialize)]
struct FieldView {
    name: String,
    value: String,
    is_whole: bool,
    is_required: bool,
    error: String,
}

#[derive(Serialize)]
struct OutputView {
    label: String,
    is_shown: bool,
}

#[derive(Serialize)]
struct LanguageView {
    tag: String,
    is_shown: bool,
}

#[derive(Serialize)]
struct ReasonView {
    feature: String,
    /// Empty without settings.
    text: String,
    /// Empty without an entry in the catalogue.
    code: String,
    value: String,
    contribution: String,
    share: String,
}

impl From<Reason> for ReasonView {
    fn from(reason: Reason) -> Self {
        Self {
            feature: reason.feature,
            text: reason.text.unwrap_or_default(),
            code: reason.code.unwrap_or_default(),
            value: shown(reason.value.unwrap_or(f64::NAN)),
            contribution: format!("{:+.4}", reason.contribution),
            share: percent(reason.share),
        }
    }
}

#[derive(Serialize)]
struct RowView {
    name: String,
    version: String,
    fields: Vec<FieldView>,
    outputs: Vec<OutputView>,
    output: usize,
    is_answered: bool,
    prediction: String,
    score: String,
    base: String,
    chart: String,
    up: Vec<ReasonView>,
    down: Vec<ReasonView>,
    reason_head: &'static str,
    /// Which settings made the texts.
    wording: String,
    languages: Vec<LanguageView>,
    has_actions: bool,
    /// As typed.
    at_least: String,
    at_most: String,
    changes: Changes,
    near: Near,
    room: Vec<Bound>,
    example: String,
}

/// Values stand in the address as `x.NAME`, so that a row can be sent to somebody.
async fn row(
    State(pages): State<Pages>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> PageResult<Html<String>> {
    let ready = pages.service.ready(&name, None)?;
    let typed = |key: &str| query.get(key).map(|text| text.trim()).unwrap_or_default();
    let language = Some(typed("lang")).filter(|language| !language.is_empty());
    let settings = pages.service.find_settings(&name, None).await?;
    let wording =
        settings.map(|found| Wording::new(found.settings, Some(found.version), language)).transpose()?;
    let plan = pages.service.settled_plan(&ready).await?;
    let outputs = ready.served.ensemble.scores();
    let output = query.get("output").and_then(|text| text.parse().ok()).filter(|output| *output < outputs);
    let output = output.unwrap_or(0);
    // A row that somebody had, where there are any.
    let reference = pages.service.reference(&ready).await.ok().flatten();
    let usual = reference.as_ref().map(|reference| reference.usual());
    let is_made_up = usual.is_none();
    let middle = usual.unwrap_or_else(|| ready.explainer.middle());
    let mut values = Vec::with_capacity(middle.len());
    let mut fields = Vec::with_capacity(middle.len());
    for (input, middle) in ready.served.inputs.iter().zip(middle) {
        let given = query.get(&format!("x.{}", input.name)).map(|text| text.trim());
        let middle = match (is_made_up, input.is_whole) {
            (false, _) => middle,
            (true, true) => middle.round(),
            (true, false) => short(middle),
        };
        let (value, error) = match given {
            None => (middle, String::new()),
            Some("") => (f64::NAN, String::new()),
            Some(text) => match text.parse::<f64>() {
                Ok(value) => (value, String::new()),
                Err(_) => (f64::NAN, format!("{text:?} is no number")),
            },
        };
        let error = if error.is_empty() { check(input, value).err().unwrap_or_default() } else { error };
        fields.push(FieldView {
            name: input.name.clone(),
            value: given.map_or_else(|| typed_as(middle), str::to_owned),
            is_whole: input.is_whole,
            is_required: input.is_required,
            error,
        });
        values.push(value);
    }
    let mut view = RowView {
        example: example(
            &name,
            &ready.served.inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(),
            &values,
        ),
        name: name.clone(),
        version: ready.served.version.clone(),
        reason_head: if wording.is_some() { "Reason" } else { "Input" },
        wording: wording.as_ref().map(worded_by).unwrap_or_default(),
        languages: wording.as_ref().map(languages).unwrap_or_default(),
        has_actions: plan.is_some(),
        at_least: typed("at_least").to_owned(),
        at_most: typed("at_most").to_owned(),
        changes: Changes::default(),
        near: Near::default(),
        room: Vec::new(),
        outputs: (0..outputs)
            .map(|number| OutputView { label: format!("output {number}"), is_shown: number == output })
            .collect(),
        output,
        is_answered: fields.iter().all(|field| field.error.is_empty()),
        fields,
        prediction: String::new(),
        score: String::new(),
        base: String::new(),
        chart: String::new(),
        up: Vec::new(),
        down: Vec::new(),
    };
    if view.is_answered {
        let explanations = pages.service.explain(&ready, values, None).await?;
        let own = &explanations.outputs[output];
        let predicted: Vec<String> = explanations.predicted(0).iter().copied().map(shown).collect();
        view.prediction = predicted.join(", ");
        (view.score, view.base) = (shown(own.scores[0]), shown(own.base));
        view.chart = waterfall(&explanations, output, 0, FACTORS).svg();
        let of = |direction| -> Vec<ReasonView> {
            let found = match &wording {
                Some(wording) => wording.reasons(&explanations, output, 0, direction, MOST),
                None => reasons(&explanations, output, 0, direction, MOST),
            };
            found.into_iter().map(ReasonView::from).collect()
        };
        (view.up, view.down) = (of(Direction::Up), of(Direction::Down));
        let row = explanations.row(0);
        view.room = around::room(&ready, row, output);
        view.near = around::near(&pages.service, &ready, row).await?;
        if let Some(plan) = plan {
            let target = (view.at_least.as_str(), view.at_most.as_str());
            view.changes = around::changes(&pages.service, &ready, row, plan, output, target).await?;
        }
    }
    let head = PageHead {
        section: "endpoints",
        path: format!("/endpoints/{}/explain", encoded(&name)),
        title: format!("Explain a row of {name}"),
    };
    Ok(pages.ui.page("explain/row.html", &head, &view)?)
}

fn worded_by(wording: &Wording) -> String {
    let version = wording.version().unwrap_or(0);
    format!("Reasons are worded by version {version} of the settings, in {}.", wording.language())
}

fn languages(wording: &Wording) -> Vec<LanguageView> {
    let view = |tag: &str| LanguageView { tag: tag.to_owned(), is_shown: tag == wording.language() };
    wording.settings().languages().into_iter().map(view).collect()
}

/// What is missing is left empty.
fn typed_as(value: f64) -> String {
    if value.is_nan() { String::new() } else { value.to_string() }
}

/// With five figures: nobody types more.
fn short(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

fn example(endpoint: &str, names: &[&str], values: &[f64]) -> String {
    let fields: serde_json::Map<String, serde_json::Value> = names
        .iter()
        .zip(values)
        .map(|(name, value)| ((*name).to_owned(), serde_json::json!(value)))
        .collect();
    let body = serde_json::json!({"instances": [fields]});
    format!(
        "curl -s http://127.0.0.1:8600/v1/models/{}:explain -H 'Content-Type: application/json' -d '{body}'",
        encoded(endpoint)
    )
}
