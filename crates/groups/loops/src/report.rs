//! The story of a loop: the month table, the time line, why each rebuild happened, why this version serves.

use std::collections::BTreeMap;

use platform_events::Event;
use platform_loopfile::LoopFile;
use platform_primitives::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::kinds;
use crate::model::{Attempt, Cause, LoopState, Phase};
use crate::ports::{Approval, Month};

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub project: String,
    pub model: String,
    pub question: String,
    pub currency: String,
    pub now: Timestamp,
    pub months: Vec<MonthRow>,
    pub timeline: Vec<TimelineEntry>,
    pub attempts: Vec<Attempt>,
    pub promoted: usize,
    pub not_promoted: usize,
    pub why: Option<WhyServing>,
}

#[derive(Debug, Clone, Serialize)]
pub struct MonthRow {
    #[serde(flatten)]
    pub month: Month,
    /// Versions that answered most first, with their share.
    pub answered: Vec<(i64, f64)>,
    pub promoted: Vec<i64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct TimelineEntry {
    /// The loop's time.
    pub at: Timestamp,
    pub title: String,
    pub detail: String,
    /// `good`, `bad`, `warn`, `accent` or empty.
    pub tone: &'static str,
}

/// The answer to "why is this version serving?".
#[derive(Debug, Clone, Serialize)]
pub struct WhyServing {
    pub version: i64,
    pub since: Timestamp,
    pub cause: String,
    pub data: String,
    pub training_digest: String,
    pub code: String,
    pub environment: String,
    pub gate: String,
    pub rollout: String,
    pub approval: Option<Approval>,
    /// The chain as nodes of the lineage graph.
    pub lineage_node: String,
}

pub(crate) fn build(
    project: &str,
    file: &LoopFile,
    state: &LoopState,
    attempts: &[Attempt],
    months: Vec<Month>,
    timeline: Vec<TimelineEntry>,
    approval: Option<Approval>,
) -> Report {
    let mut promoted_in: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for attempt in attempts.iter().filter(|attempt| attempt.phase == Phase::Promoted) {
        if let (Some(ended), Some(version)) = (attempt.ended, attempt.version) {
            promoted_in.entry(ended.month()).or_default().push(version);
        }
    }
    let months = months
        .into_iter()
        .map(|month| {
            let total: u64 = month.answered_by.values().sum();
            let mut answered: Vec<(i64, f64)> = month
                .answered_by
                .iter()
                .map(|(version, rows)| (*version, *rows as f64 / total.max(1) as f64))
                .collect();
            answered.sort_by(|a, b| b.1.total_cmp(&a.1));
            MonthRow { answered, promoted: promoted_in.get(&month.month).cloned().unwrap_or_default(), month }
        })
        .collect();
    let rebuilds =
        || attempts.iter().filter(|attempt| attempt.cause != Cause::First && attempt.phase.is_end());
    Report {
        project: project.to_owned(),
        model: file.model.name.clone(),
        question: file.business.question.clone(),
        currency: file.business.currency.clone(),
        now: state.now,
        months,
        timeline,
        promoted: rebuilds().filter(|attempt| attempt.phase == Phase::Promoted).count(),
        not_promoted: rebuilds().filter(|attempt| attempt.phase != Phase::Promoted).count(),
        why: why(file, state, attempts, approval),
        attempts: attempts.to_vec(),
    }
}

fn why(
    file: &LoopFile,
    state: &LoopState,
    attempts: &[Attempt],
    approval: Option<Approval>,
) -> Option<WhyServing> {
    let attempt =
        attempts.iter().find(|a| a.version == Some(state.champion) && a.phase == Phase::Promoted)?;
    let data = match &attempt.window {
        Some(window) => format!(
            "{} labelled rows from the prediction log, {} to {} ({} more kept for the gate, {} left out by quality rules)",
            window.training_rows,
            window.first.date(),
            window.split.date(),
            window.holdout_rows,
            window.excluded
        ),
        None => format!("{} as the pipeline prepared it", file.pipeline.training_set),
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Some(WhyServing {
        version: state.champion,
        since: state.champion_since,
        cause: attempt.reason.clone(),
        data,
        training_digest: text(&attempt.training_digest),
        code: format!(
            "pipeline run {}, training run {}",
            text(&attempt.pipeline_run),
            text(&attempt.training_run)
        ),
        environment: text(&attempt.environment),
        gate: attempt.gate.as_ref().map(|gate| gate.reason.clone()).unwrap_or_default(),
        rollout: text(&attempt.verdict),
        approval,
        lineage_node: format!("model_version:{}/{}", file.model.name, state.champion),
    })
}

/// An event of the loop as people read it.
pub(crate) fn entry(event: &Event) -> Option<TimelineEntry> {
    let payload = &event.payload;
    let at = Timestamp::from_millis(payload.get("clock").and_then(Value::as_i64)?);
    let version = payload.get("version").and_then(Value::as_i64).unwrap_or_default();
    let reason = event.text("reason").to_owned();
    let (title, detail, tone) = match event.kind.as_str() {
        kinds::INCIDENT_OPENED => {
            let evidence = &payload["evidence"];
            let number = |key: &str| evidence.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
            let detail = format!(
                "error {:.2} over {:.0} labelled rows, {:.2} times the {:.2} of its gate; bias {:+.2}",
                number("mae"),
                number("rows"),
                number("ratio"),
                number("baseline_mae"),
                number("bias")
            );
            ("The live model got worse".to_owned(), detail, "bad")
        }
        kinds::INCIDENT_CLOSED => ("The alarm is over".to_owned(), reason, ""),
        kinds::HELD_BACK => ("Not rebuilding yet".to_owned(), reason, ""),
        kinds::ATTEMPT_OPENED => {
            let drifting: Vec<&str> =
                payload["drifting"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let inputs = match drifting.as_slice() {
                [] if payload["cause"] == "first" => String::new(),
                [] => "; no input moved: only the truths tell".to_owned(),
                list => format!("; inputs moved too: {}", list.join(", ")),
            };
            (format!("Attempt {} begins", payload["attempt"]), format!("{reason}{inputs}"), "warn")
        }
        kinds::GATED => {
            let verdict = &payload["verdict"];
            let passed = verdict["passed"].as_bool().unwrap_or(false);
            let text = verdict["reason"].as_str().unwrap_or_default().to_owned();
            match passed {
                true => (format!("Version {version} passed the gate"), text, "accent"),
                false => (format!("Version {version} refused by the gate"), text, "bad"),
            }
        }
        kinds::SHADOWING => {
            let by = payload["approval"]["by"].as_str().unwrap_or("somebody");
            let why = payload["approval"]["reason"].as_str().unwrap_or_default();
            (format!("Version {version} approved, shadows"), format!("{by}: {why}"), "accent")
        }
        kinds::CANARY => {
            let share = payload["share"].as_f64().unwrap_or_default() * 100.0;
            (format!("Version {version} answers {share:.0} %"), event.text("verdict").to_owned(), "accent")
        }
        kinds::PROMOTED => (format!("Version {version} serves"), reason, "good"),
        kinds::ENDED => match payload["phase"].as_str() {
            Some("rolled_back") => (format!("Version {version} taken back"), reason, "bad"),
            Some("rejected") => (format!("Version {version} rejected"), reason, "bad"),
            _ => (format!("Attempt {} failed", payload["attempt"]), reason, "bad"),
        },
        _ => return None,
    };
    Some(TimelineEntry { at, title, detail, tone })
}
