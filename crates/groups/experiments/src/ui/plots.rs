//! What params do to metrics: a scatter drawn on the server, and the values behind parallel coordinates.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::response::Html;
use platform_primitives::{ErrorKind, Fault as _};
use platform_ui::chart::escape;
use platform_ui::{PageHead, count};
use platform_web::dialect::{PageResult, ProblemResult};
use serde::{Deserialize, Serialize};

use super::Pages;
use super::columns::{Column, Raw, default_columns, parse_columns};
use super::format::{precise, query, slot};
use crate::model::RunRecord;
use crate::store::View;
use crate::{ExperimentError, Experiments};

/// Runs drawn; the first ones in the order of the URL.
const RUNS_DRAWN: usize = 2_000;

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub(super) struct PlotAsk {
    filter: String,
    order: String,
    columns: String,
    /// Columns of the scatter.
    x: String,
    y: String,
    colour: String,
}

#[derive(Serialize)]
struct PlotsView {
    id: i64,
    name: String,
    error: Option<String>,
    filter: String,
    order: String,
    columns: String,
    x: String,
    y: String,
    colour: String,
    terms: Vec<String>,
    total: String,
    drawn: String,
    scatter: String,
    points: String,
    back: String,
}

pub(super) async fn page(
    State(pages): State<Pages>,
    Path(id): Path<i64>,
    UrlQuery(ask): UrlQuery<PlotAsk>,
) -> PageResult<Html<String>> {
    let experiment = pages.service.get_experiment(&id.to_string()).await?;
    let (plot, error) = match read(&pages.service, id, &ask).await {
        Ok(plot) => (plot, None),
        Err(error) if error.kind() == ErrorKind::Invalid => (Plot::default(), Some(error.public_message())),
        Err(error) => return Err(error.into()),
    };
    let term = |place: usize| plot.columns.get(place).map(|column| column.term.clone()).unwrap_or_default();
    let metric = plot.columns.iter().position(|column| column.kind == "metrics").unwrap_or(0);
    let other = plot
        .columns
        .iter()
        .position(|column| column.kind != "metrics")
        .unwrap_or(plot.columns.len().min(2) / 2);
    let x = if ask.x.trim().is_empty() { term(other) } else { ask.x.clone() };
    let y = if ask.y.trim().is_empty() { term(metric) } else { ask.y.clone() };
    let drawn = scatter(&plot.records, &x, &y, &ask.colour);
    let (picture, error) = match drawn {
        Ok(picture) => (picture, error),
        Err(scatter_error) => (String::new(), error.or(Some(scatter_error.public_message()))),
    };
    let terms: Vec<String> = plot.columns.iter().map(|column| column.term.clone()).collect();
    let shared = query(&[("filter", &ask.filter), ("order", &ask.order), ("columns", &ask.columns)]);
    let view = PlotsView {
        id,
        name: experiment.name.clone(),
        error,
        columns: terms.join(","),
        terms,
        total: count(plot.total as u64),
        drawn: count(plot.records.len() as u64),
        scatter: picture,
        points: format!("/experiments/{id}/points?{shared}"),
        back: format!("/experiments/{id}?{shared}"),
        filter: ask.filter.clone(),
        order: ask.order.clone(),
        colour: ask.colour.clone(),
        x,
        y,
    };
    let scatter = query(&[("x", &ask.x), ("y", &ask.y), ("colour", &ask.colour)]);
    let head = PageHead {
        section: "runs",
        path: format!("/experiments/{id}/plots?{shared}&{scatter}"),
        title: format!("Plots of {}", experiment.name),
    };
    Ok(pages.ui.page("experiments/plots.html", &head, &view)?)
}

#[derive(Default)]
struct Plot {
    total: usize,
    records: Vec<Arc<RunRecord>>,
    columns: Vec<Column>,
}

async fn read(service: &Experiments, id: i64, ask: &PlotAsk) -> Result<Plot, ExperimentError> {
    let order = super::columns::split_terms(&ask.order);
    let place = (0, RUNS_DRAWN);
    let window = service.window(id, View::Active, (ask.filter.trim(), &order), place).await?;
    let columns = match ask.columns.trim() {
        "" => default_columns(&window.records),
        given => parse_columns(given)?,
    };
    Ok(Plot { total: window.total, records: window.records, columns })
}

#[derive(Serialize)]
pub(super) struct Points {
    total: usize,
    columns: Vec<Column>,
    rows: Vec<PointRow>,
}

#[derive(Serialize)]
struct PointRow {
    id: String,
    name: String,
    slot: u32,
    values: Vec<Raw>,
}

/// Values of the columns for parallel coordinates: numbers in full, a number in a param as a number.
pub(super) async fn points(
    State(service): State<Experiments>,
    Path(id): Path<i64>,
    UrlQuery(ask): UrlQuery<PlotAsk>,
) -> ProblemResult<Json<Points>> {
    let plot = read(&service, id, &ask).await?;
    let rows = plot.records.iter().map(|record| PointRow {
        id: record.run.id.clone(),
        name: record.run.name.clone(),
        slot: slot(&record.run.id),
        values: plot.columns.iter().map(|column| numeric(column.raw(record))).collect(),
    });
    Ok(Json(Points { total: plot.total, rows: rows.collect(), columns: plot.columns.clone() }))
}

fn numeric(raw: Raw) -> Raw {
    match raw {
        Raw::Text(text) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Raw::Number(number),
            _ => Raw::Text(text),
        },
        raw => raw,
    }
}

const SIZE: (f64, f64) = (760.0, 420.0);
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 46.0;
const EDGE: f64 = 14.0;

/// Where values lie: numbers by size, texts evenly in alphabetical order.
enum Scale {
    Numbers(f64, f64),
    Texts(Vec<String>),
}

impl Scale {
    fn of(values: &[Raw]) -> Option<Self> {
        let mut texts = BTreeSet::new();
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            match value {
                Raw::Number(number) if number.is_finite() => {
                    (low, high) = (low.min(*number), high.max(*number));
                    texts.insert(precise(*number));
                }
                Raw::Text(text) => {
                    texts.insert(text.clone());
                }
                _ => {}
            }
        }
        let only_numbers = !values.iter().any(|value| matches!(value, Raw::Text(_)));
        match only_numbers {
            _ if texts.is_empty() => None,
            true if low < high => Some(Self::Numbers(low, high)),
            true => Some(Self::Numbers(low - 0.5, high + 0.5)),
            false => Some(Self::Texts(texts.into_iter().collect())),
        }
    }

    /// Between 0 and 1.
    fn place(&self, value: &Raw) -> Option<f64> {
        match (self, value) {
            (Self::Numbers(low, high), Raw::Number(number)) if number.is_finite() => {
                Some((number - low) / (high - low))
            }
            (Self::Texts(texts), value) => {
                let text = match value {
                    Raw::Text(text) => text.clone(),
                    Raw::Number(number) if number.is_finite() => precise(*number),
                    _ => return None,
                };
                let place = texts.binary_search(&text).ok()?;
                Some((place as f64 + 0.5) / texts.len() as f64)
            }
            _ => None,
        }
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Self::Numbers(low, high) => (0..=4)
                .map(|part| f64::from(part) / 4.0)
                .map(|share| (share, precise(low + share * (high - low))))
                .collect(),
            Self::Texts(texts) => {
                let every = texts.len().div_ceil(8);
                let place = |place: usize| (place as f64 + 0.5) / texts.len() as f64;
                let cut = |text: &str| text.chars().take(14).collect::<String>();
                texts
                    .iter()
                    .enumerate()
                    .step_by(every)
                    .map(|(index, text)| (place(index), cut(text)))
                    .collect()
            }
        }
    }
}

/// Each run is a link; an empty text when there is nothing to draw.
fn scatter(records: &[Arc<RunRecord>], x: &str, y: &str, colour: &str) -> Result<String, ExperimentError> {
    if x.is_empty() || y.is_empty() {
        return Ok(String::new());
    }
    let values =
        |column: &Column| -> Vec<Raw> { records.iter().map(|record| numeric(column.raw(record))).collect() };
    let (x_column, y_column) = (Column::parse(x)?, Column::parse(y)?);
    let (xs, ys) = (values(&x_column), values(&y_column));
    let colours = match colour.trim() {
        "" => None,
        term => Some(values(&Column::parse(term)?)),
    };
    let (Some(x_scale), Some(y_scale)) = (Scale::of(&xs), Scale::of(&ys)) else { return Ok(String::new()) };
    let colour_scale = colours.as_deref().and_then(Scale::of);
    let (width, height) = SIZE;
    let at_x = |share: f64| LEFT + share * (width - LEFT - EDGE);
    let at_y = |share: f64| height - BOTTOM - share * (height - BOTTOM - EDGE);
    let mut svg = String::new();
    let title = format!("{} by {}", y_column.label, x_column.label);
    draw(
        &mut svg,
        format_args!(
            "<svg class=\"chart scatter\" viewBox=\"0 0 {width} {height}\" role=\"group\" aria-label=\"{0}\"><title>{0}</title>",
            escape(&title)
        ),
    );
    for (share, label) in y_scale.ticks() {
        let place = at_y(share);
        draw(
            &mut svg,
            format_args!(
                "<line class=\"grid-line\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{place:.1}\" y2=\"{place:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                width - EDGE,
                LEFT - 6.0,
                place + 4.0,
                escape(&label)
            ),
        );
    }
    for (share, label) in x_scale.ticks() {
        draw(
            &mut svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                at_x(share),
                height - BOTTOM + 18.0,
                escape(&label)
            ),
        );
    }
    draw(
        &mut svg,
        format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            at_x(0.5),
            height - 8.0,
            escape(&x_column.label)
        ),
    );
    for (place, record) in records.iter().enumerate() {
        let (Some(left), Some(top)) = (x_scale.place(&xs[place]), y_scale.place(&ys[place])) else {
            continue;
        };
        let shade = match (&colour_scale, &colours) {
            (Some(scale), Some(values)) => match scale.place(&values[place]) {
                Some(share) => format!("q{}", (share * 5.0).clamp(0.0, 4.0) as u32),
                None => "none".to_owned(),
            },
            _ => format!("c{}", slot(&record.run.id)),
        };
        let shown = |column: &Column| column.text(record).unwrap_or_default();
        draw(
            &mut svg,
            format_args!(
                "<a href=\"/runs/{}\"><circle class=\"{shade}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\"/><title>{}: {} {}, {} {}</title></a>",
                record.run.id,
                at_x(left),
                at_y(top),
                escape(&record.run.name),
                escape(&x_column.label),
                escape(&shown(&x_column)),
                escape(&y_column.label),
                escape(&shown(&y_column)),
            ),
        );
    }
    svg.push_str("</svg>");
    Ok(svg)
}

fn draw(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_lie_evenly_and_numbers_by_size() {
        let numbers = Scale::of(&[Raw::Number(0.0), Raw::Number(4.0), Raw::Missing]).expect("a scale");
        assert_eq!(numbers.place(&Raw::Number(1.0)), Some(0.25));
        assert_eq!(numbers.place(&Raw::Missing), None);
        let texts = Scale::of(&[Raw::Text("b".to_owned()), Raw::Text("a".to_owned())]).expect("a scale");
        assert_eq!(texts.place(&Raw::Text("a".to_owned())), Some(0.25));
        assert!(Scale::of(&[Raw::Missing]).is_none());
    }
}
