//! The page of attribution drift.

use axum::extract::{Path, Query, State};
use axum::response::Html;
use platform_auth::Permission::Read;
use platform_primitives::Timestamp;
use platform_ui::chart::{LineChart, Series};
use platform_ui::{PageHead, Ui, count, encoded, percent};
use platform_web::dialect::{Dialect, PageResult};
use platform_web::{Access, Routes, Surface};
use serde::{Deserialize, Serialize};

use crate::drift::{Drift, NDCG_LIMIT};
use crate::whole::Whole;

/// Features whose shares are drawn; the style sheet has so many colours.
const DRAWN: usize = 4;

#[derive(Clone)]
struct Pages {
    whole: Whole,
    ui: Ui,
}

pub(crate) fn surface(whole: &Whole, ui: &Ui) -> Surface {
    Routes::new(Dialect::Page)
        .get("/endpoints/{name}/explain/drift", Access::Needs(Read), drift)
        .with_state(Pages { whole: whole.clone(), ui: ui.clone() })
}

#[derive(Deserialize)]
struct Asked {
    version: Option<String>,
    #[serde(default)]
    output: usize,
}

#[derive(Serialize)]
struct FeatureView {
    name: String,
    baseline_share: String,
    share: String,
    change: String,
    baseline_rank: usize,
    rank: usize,
}

#[derive(Serialize, Default)]
struct DriftView {
    name: String,
    version: String,
    output: usize,
    is_known: bool,
    is_stored: bool,
    has_drifted: bool,
    ndcg: String,
    limit: f64,
    baseline: String,
    day: String,
    rows: String,
    ranking: String,
    shares: String,
    drawn: Vec<String>,
    features: Vec<FeatureView>,
    settings: String,
}

async fn drift(
    State(pages): State<Pages>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> PageResult<Html<String>> {
    let service = &pages.whole.service;
    let version = service.ready(&name, asked.version.as_deref())?.served.version;
    let found = service.drift(&pages.whole, &name, asked.version.as_deref(), asked.output).await?;
    let mut view = DriftView {
        is_stored: service.stores(&name).await?,
        is_known: found.is_some(),
        version,
        output: asked.output,
        limit: NDCG_LIMIT,
        settings: format!("/api/v1/endpoints/{}/explain/settings", encoded(&name)),
        name: name.clone(),
        ..DriftView::default()
    };
    if let Some(found) = &found {
        fill(&mut view, found);
    }
    let version = asked.version.map_or_else(String::new, |version| format!("&version={}", encoded(&version)));
    let head = PageHead {
        section: "endpoints",
        path: format!("/endpoints/{}/explain/drift?output={}{version}", encoded(&name), asked.output),
        title: format!("Drift of the reasons of {name}"),
    };
    Ok(pages.ui.page("explain/drift.html", &head, &view)?)
}

fn fill(view: &mut DriftView, found: &Drift) {
    let Some(newest) = found.days.last() else { return };
    view.has_drifted = newest.has_drifted;
    view.ndcg = format!("{:.3}", newest.ndcg);
    view.day = date(newest.day);
    view.rows = count(newest.rows as u64);
    view.baseline = match found.baseline.source {
        "reference" => format!("{} rows of the reference data", count(found.baseline.rows as u64)),
        _ => format!("the first day with enough rows ({})", count(found.baseline.rows as u64)),
    };
    let mut order: Vec<_> = newest.features.iter().collect();
    order.sort_by_key(|feature| feature.baseline_rank);
    let x = |day: &Timestamp| day.as_millis() as f64;
    let ticks = || {
        let days: Vec<Timestamp> = found.days.iter().map(|day| day.day).collect();
        let step = days.len().div_ceil(6).max(1);
        days.iter().step_by(step).map(|day| (x(day), date(*day))).collect::<Vec<_>>()
    };
    let ranking = LineChart {
        title: "NDCG of the ranking of features, by day",
        height: 200.0,
        series: vec![Series {
            style: 0,
            points: found.days.iter().map(|day| (x(&day.day), day.ndcg)).collect(),
        }],
        marks: Vec::new(),
        threshold: Some(NDCG_LIMIT),
        ticks: ticks(),
    };
    view.ranking = ranking.svg();
    let drawn: Vec<&str> = order.iter().take(DRAWN).map(|feature| feature.feature.as_str()).collect();
    let series = drawn.iter().enumerate().map(|(style, name)| Series {
        style: style as u8,
        points: found
            .days
            .iter()
            .filter_map(|day| {
                Some((x(&day.day), day.features.iter().find(|own| own.feature == *name)?.share))
            })
            .collect(),
    });
    let shares = LineChart {
        title: "Shares of the strongest features, by day",
        height: 200.0,
        series: series.collect(),
        marks: Vec::new(),
        threshold: None,
        ticks: ticks(),
    };
    view.shares = shares.svg();
    view.drawn = drawn.into_iter().map(str::to_owned).collect();
    let feature = |own: &&crate::drift::FeatureDrift| FeatureView {
        name: own.feature.clone(),
        baseline_share: percent(own.baseline_share),
        share: percent(own.share),
        change: format!("{:+.1} points", (own.share - own.baseline_share) * 100.0),
        baseline_rank: own.baseline_rank,
        rank: own.rank,
    };
    view.features = order.iter().map(feature).collect();
}

fn date(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}
