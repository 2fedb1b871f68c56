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
use super::format::{Span, precise, query, slot};
use crate::model::RunRecord;
use crate::{ExperimentError, Experiments};

/// Runs drawn; the first ones in the order of the URL.
const RUNS_DRAWN: usize = 2_000;
/// Records in memory at a time.
const RUNS_READ: usize = 100;

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub(super) struct PlotAsk {
    filter: String,
    order: String,
    columns: String,
    view: String,
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
    view: String,
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
    let picture = scatter(&plot);
    let terms: Vec<String> = plot.columns.iter().map(|column| column.term.clone()).collect();
    let shared = query(&[
        ("filter", &ask.filter),
        ("order", &ask.order),
        ("columns", &ask.columns),
        ("view", &ask.view),
    ]);
    let view = PlotsView {
        id,
        name: experiment.name.clone(),
        error,
        columns: terms.join(","),
        terms,
        total: count(plot.total as u64),
        drawn: count(plot.rows.len() as u64),
        scatter: picture,
        points: format!("/experiments/{id}/points?{shared}"),
        back: format!("/experiments/{id}?{shared}"),
        filter: ask.filter.clone(),
        order: ask.order.clone(),
        view: ask.view.clone(),
        colour: ask.colour.clone(),
        x: plot.x.term(),
        y: plot.y.term(),
    };
    let scatter = query(&[("x", &ask.x), ("y", &ask.y), ("colour", &ask.colour)]);
    let head = PageHead {
        section: "runs",
        path: format!("/experiments/{id}/plots?{shared}&{scatter}"),
        title: format!("Plots of {}", experiment.name),
    };
    Ok(pages.ui.page("experiments/plots.html", &head, &view)?)
}

/// What is drawn, read run by run and no more of a run than is drawn: a record may hold thousands of metrics.
#[derive(Default)]
struct Plot {
    total: usize,
    columns: Vec<Column>,
    x: Axis,
    y: Axis,
    colour: Axis,
    rows: Vec<PointRow>,
}

/// A column of the scatter, with what each run has in it.
#[derive(Default)]
struct Axis {
    column: Option<Column>,
    values: Vec<Raw>,
}

impl Axis {
    fn of(term: &str, otherwise: Option<&Column>) -> Result<Self, ExperimentError> {
        let column = match term.trim() {
            "" => otherwise.cloned(),
            term => Some(Column::parse(term)?),
        };
        Ok(Self { column, values: Vec::new() })
    }

    fn term(&self) -> String {
        self.column.as_ref().map(|column| column.term.clone()).unwrap_or_default()
    }

    fn push(&mut self, record: &RunRecord) {
        if let Some(column) = &self.column {
            self.values.push(numeric(column.raw(record)));
        }
    }
}

async fn read(service: &Experiments, id: i64, ask: &PlotAsk) -> Result<Plot, ExperimentError> {
    let order = super::columns::split_terms(&ask.order);
    let shown = super::table::view(&ask.view)?;
    let found = service.found(id, shown, (ask.filter.trim(), &order), (0, RUNS_DRAWN)).await?;
    let mut plot = Plot { total: found.total, ..Plot::default() };
    for (number, page) in found.ids.chunks(RUNS_READ).enumerate() {
        let records = service.records(page.to_vec()).await?;
        if number == 0 {
            plot.choose(ask, &records)?;
        }
        for record in &records {
            [&mut plot.x, &mut plot.y, &mut plot.colour].into_iter().for_each(|axis| axis.push(record));
            plot.rows.push(PointRow {
                id: record.run.id.clone(),
                name: record.run.name.clone(),
                slot: slot(&record.run.id),
                values: plot.columns.iter().map(|column| numeric(column.raw(record))).collect(),
            });
        }
    }
    if found.ids.is_empty() {
        plot.choose(ask, &[])?;
    }
    Ok(plot)
}

impl Plot {
    /// Without a choice: the first metric over the first other column.
    fn choose(&mut self, ask: &PlotAsk, first: &[Arc<RunRecord>]) -> Result<(), ExperimentError> {
        self.columns = match ask.columns.trim() {
            "" => default_columns(first),
            given => parse_columns(given)?,
        };
        let columns = &self.columns;
        let metric = columns.iter().find(|column| column.kind == "metrics").or(columns.first());
        let other = columns.iter().find(|column| column.kind != "metrics");
        self.x = Axis::of(&ask.x, other.or(columns.get(columns.len().min(2) / 2)))?;
        self.y = Axis::of(&ask.y, metric)?;
        self.colour = Axis::of(&ask.colour, None)?;
        Ok(())
    }
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
    Ok(Json(Points { total: plot.total, rows: plot.rows, columns: plot.columns }))
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
    Numbers(Span),
    Texts(Vec<String>),
}

impl Scale {
    fn of(values: &[Raw]) -> Option<Self> {
        let mut texts = BTreeSet::new();
        for value in values {
            match value {
                Raw::Number(number) if number.is_finite() => drop(texts.insert(precise(*number))),
                Raw::Text(text) => drop(texts.insert(text.clone())),
                _ => {}
            }
        }
        if values.iter().any(|value| matches!(value, Raw::Text(_))) {
            return Some(Self::Texts(texts.into_iter().collect()));
        }
        let number = |value: &Raw| match value {
            Raw::Number(number) => Some(*number),
            _ => None,
        };
        Span::of(values.iter().filter_map(number)).map(Self::Numbers)
    }

    /// Between 0 and 1.
    fn place(&self, value: &Raw) -> Option<f64> {
        match (self, value) {
            (Self::Numbers(span), Raw::Number(number)) if number.is_finite() => Some(span.share(*number)),
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
            Self::Numbers(span) => (0..=4)
                .map(|part| f64::from(part) / 4.0)
                .map(|share| (share, precise(span.at(share))))
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
fn scatter(plot: &Plot) -> String {
    let (Some(x_column), Some(y_column)) = (&plot.x.column, &plot.y.column) else { return String::new() };
    let (Some(x_scale), Some(y_scale)) = (Scale::of(&plot.x.values), Scale::of(&plot.y.values)) else {
        return String::new();
    };
    let colour_scale = Scale::of(&plot.colour.values);
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
    for (place, row) in plot.rows.iter().enumerate() {
        let (across, up) = (&plot.x.values[place], &plot.y.values[place]);
        let (Some(left), Some(top)) = (x_scale.place(across), y_scale.place(up)) else { continue };
        let shade = match &colour_scale {
            Some(scale) => match scale.place(&plot.colour.values[place]) {
                Some(share) => format!("q{}", (share * 5.0).clamp(0.0, 4.0) as u32),
                None => "none".to_owned(),
            },
            None => format!("c{}", row.slot),
        };
        draw(
            &mut svg,
            format_args!(
                "<a href=\"/runs/{}\"><circle class=\"{shade}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\"/><title>{}: {} {}, {} {}</title></a>",
                row.id,
                at_x(left),
                at_y(top),
                escape(&row.name),
                escape(&x_column.label),
                escape(&x_column.shown(across).unwrap_or_default()),
                escape(&y_column.label),
                escape(&y_column.shown(up).unwrap_or_default()),
            ),
        );
    }
    svg.push_str("</svg>");
    svg
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
