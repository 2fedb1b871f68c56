//! Series of metrics for the charts' script, and the same charts as SVG files.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query as UrlQuery, State};
use axum::response::{IntoResponse, Response};
use http::header;
use kernel_series::Band;
use platform_ui::chart::escape;
use platform_web::dialect::ProblemResult;
use serde::{Deserialize, Serialize};

use super::format::{Span, precise, slot};
use super::{RUNS_MAX, id_list};
use crate::model::{RunRecord, RunStatus};
use crate::service::Axis;
use crate::{ExperimentError, Experiments};

const WIDTH: usize = 800;
const WIDTH_MAX: usize = 4_000;
/// Bands of all runs of a chart together: more than a screen shows.
const BANDS_MAX: usize = 24_000;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct SeriesAsk {
    runs: String,
    key: String,
    x: String,
    width: Option<usize>,
    from: Option<f64>,
    to: Option<f64>,
    /// The SVG is to be saved, not shown.
    save: Option<u8>,
}

/// Bands of a run, column by column.
#[derive(Serialize)]
struct RunSeries {
    id: String,
    name: String,
    slot: u32,
    /// More points may come.
    running: bool,
    x: Vec<f64>,
    last: Vec<f64>,
    min: Vec<f64>,
    max: Vec<f64>,
    points: usize,
}

#[derive(Serialize)]
pub(super) struct SeriesAnswer {
    key: String,
    x: &'static str,
    runs: Vec<RunSeries>,
}

struct Drawing {
    axis: Axis,
    lines: Vec<(Arc<RunRecord>, Vec<Band>)>,
}

async fn read(service: &Experiments, ask: &SeriesAsk) -> Result<Drawing, ExperimentError> {
    let axis = Axis::parse(&ask.x)?;
    let ids = id_list(&ask.runs);
    if ask.key.is_empty() {
        return Err(ExperimentError::Missing { field: "key" });
    }
    if ids.is_empty() || ids.len() > RUNS_MAX {
        let rule = format!("expected 1 to {RUNS_MAX} ids of runs, got {}", ids.len());
        return Err(ExperimentError::invalid("runs", "", rule));
    }
    let range = match (ask.from, ask.to) {
        (Some(from), Some(to)) if from < to => Some((from, to)),
        (None, None) => None,
        _ => return Err(ExperimentError::invalid("from", "", "expected from and to, from the smaller one")),
    };
    let width = ask.width.unwrap_or(WIDTH).clamp(16, WIDTH_MAX).min(BANDS_MAX / ids.len());
    let mut lines = Vec::with_capacity(ids.len());
    for record in service.records(ids).await? {
        if record.metrics.get(&ask.key).is_some() {
            let bands = service.chart_range(&record, &ask.key, (axis, range), width).await?;
            lines.push((record, bands));
        }
    }
    Ok(Drawing { axis, lines })
}

/// `GET /api/v1/runs/series?runs=…&key=…&x=step|time|relative&width=…&from=…&to=…`. Runs without the metric are left out; a value
/// that is no number is null.
pub(super) async fn series(
    State(service): State<Experiments>,
    UrlQuery(ask): UrlQuery<SeriesAsk>,
) -> ProblemResult<Json<SeriesAnswer>> {
    let drawing = read(&service, &ask).await?;
    let runs = drawing.lines.iter().map(|(record, bands)| RunSeries {
        id: record.run.id.clone(),
        name: record.run.name.clone(),
        slot: slot(&record.run.id),
        running: record.run.status == RunStatus::Running,
        x: bands.iter().map(|band| band.to).collect(),
        last: bands.iter().map(|band| band.last).collect(),
        min: bands.iter().map(|band| band.min).collect(),
        max: bands.iter().map(|band| band.max).collect(),
        points: bands.iter().map(|band| band.points).sum(),
    });
    Ok(Json(SeriesAnswer { runs: runs.collect(), x: drawing.axis.name(), key: ask.key }))
}

/// The same as one SVG file with its own colours, for papers and for readers without scripts.
pub(super) async fn svg(
    State(service): State<Experiments>,
    UrlQuery(ask): UrlQuery<SeriesAsk>,
) -> ProblemResult<Response> {
    let drawing = read(&service, &ask).await?;
    let lines: Vec<Line<'_>> = drawing
        .lines
        .iter()
        .map(|(record, bands)| Line { name: &record.run.name, slot: slot(&record.run.id), bands })
        .collect();
    let picture = picture(&ask.key, drawing.axis, &lines);
    let disposition = if ask.save.is_some() { "attachment; filename=\"chart.svg\"" } else { "inline" };
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, picture).into_response())
}

struct Line<'a> {
    name: &'a str,
    slot: u32,
    bands: &'a [Band],
}

/// As the style sheet has them for a light page.
const COLOURS: [&str; 12] = [
    "#0f766e", "#b45309", "#4338ca", "#be123c", "#15803d", "#7e22ce", "#0369a1", "#a16207", "#9d174d",
    "#475569", "#c2410c", "#1d4ed8",
];

const PICTURE: (f64, f64) = (800.0, 360.0);
const MARGIN: (f64, f64, f64, f64) = (64.0, 12.0, 28.0, 34.0);

fn picture(title: &str, axis: Axis, lines: &[Line<'_>]) -> String {
    let (width, height) = PICTURE;
    let (left, right, top, bottom) = MARGIN;
    let all = || lines.iter().flat_map(|line| line.bands);
    let across = Span::of(all().flat_map(|band| [band.from, band.to]));
    let upward = Span::of(all().flat_map(|band| [band.min, band.max]));
    let mut svg = String::new();
    draw(
        &mut svg,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\"><title>{0}</title><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\
             <text x=\"{left}\" y=\"18\" font-weight=\"bold\">{0}</text>",
            escape(title)
        ),
    );
    let (Some(across), Some(upward)) = (across, upward) else {
        svg.push_str("<text x=\"64\" y=\"60\" fill=\"#5b6875\">No points.</text></svg>");
        return svg;
    };
    let x = |value: f64| left + across.share(value) * (width - left - right);
    let y = |value: f64| height - bottom - upward.share(value) * (height - top - bottom);
    for part in 0..=4 {
        let share = f64::from(part) / 4.0;
        let (value, place) = (upward.at(share), across.at(share));
        draw(
            &mut svg,
            format_args!(
                "<line x1=\"{left}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#dce1e5\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#5b6875\">{}</text>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#5b6875\">{}</text>",
                width - right,
                left - 6.0,
                y(value) + 4.0,
                precise(value),
                x(place),
                height - bottom + 16.0,
                label(axis, place),
                at = y(value),
            ),
        );
    }
    for line in lines {
        let colour = COLOURS[line.slot as usize % COLOURS.len()];
        draw(
            &mut svg,
            format_args!("<g stroke=\"{colour}\" fill=\"{colour}\"><title>{}</title>", escape(line.name)),
        );
        let finite = || line.bands.iter().filter(|band| band.min.is_finite() && band.max.is_finite());
        let upper = finite().map(|band| format!("{:.1},{:.1}", x(band.to), y(band.max)));
        let lower = finite().rev().map(|band| format!("{:.1},{:.1}", x(band.to), y(band.min)));
        let area: Vec<String> = upper.chain(lower).collect();
        draw(
            &mut svg,
            format_args!("<polygon points=\"{}\" fill-opacity=\"0.15\" stroke=\"none\"/>", area.join(" ")),
        );
        let path: Vec<String> = line
            .bands
            .iter()
            .filter(|band| band.last.is_finite())
            .map(|band| format!("{:.1},{:.1}", x(band.to), y(band.last)))
            .collect();
        draw(
            &mut svg,
            format_args!("<polyline points=\"{}\" fill=\"none\" stroke-width=\"1.5\"/></g>", path.join(" ")),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// A place on the axis as people read it.
fn label(axis: Axis, place: f64) -> String {
    match axis {
        Axis::Step => precise(place),
        Axis::Relative => super::format::duration((place * 1000.0) as i64),
        Axis::Time => {
            platform_ui::short_time(platform_primitives::Timestamp::from_millis((place * 1000.0) as i64))
        }
    }
}

fn draw(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_holds_no_markup_of_users() {
        let band = |x: f64, y: f64| Band { from: x, to: x, first: y, last: y, min: y, max: y, points: 1 };
        let bands = [band(0.0, 1.0), band(1.0, f64::NAN), band(2.0, 3.0)];
        let lines = [Line { name: "<script>", slot: 30, bands: &bands }];
        let svg = picture("a & b", Axis::Step, &lines);
        assert!(svg.contains("a &amp; b") && svg.contains("&lt;script&gt;") && !svg.contains("NaN"), "{svg}");
        assert!(picture("empty", Axis::Time, &[]).contains("No points"));
    }
}
