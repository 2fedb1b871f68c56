//! The report at the end: a table a person can read, or JSON.

use std::fmt::Write as _;

use platform_primitives::Timestamp;
use serde_json::{Value, json};

use crate::cli::{CommandError, say};

/// The loop mended the model when, over the months in which the first model was surely worse than at its gate, its
/// error is clearly below that of the model never rebuilt.
const MENDED: f64 = 0.9;

/// Shows the report; whether the loop mended the model.
pub fn show(report: &Value, as_json: bool) -> Result<bool, CommandError> {
    let summary = summary(report);
    let mended = summary["mended"].as_bool().unwrap_or(false);
    if as_json {
        let mut whole = report.clone();
        whole["summary"] = summary;
        say(&serde_json::to_string_pretty(&whole)?)?;
    } else {
        say(&text(report, &summary))?;
    }
    Ok(mended)
}

fn months(report: &Value) -> impl Iterator<Item = &Value> {
    report["months"].as_array().into_iter().flatten()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// Means over the months from the first incident on.
fn summary(report: &Value) -> Value {
    let timeline = report["timeline"].as_array();
    let shock = timeline
        .into_iter()
        .flatten()
        .find(|entry| {
            entry["title"].as_str().is_some_and(|title| title.ends_with("serves"))
                && entry["detail"].as_str() != Some("the first version takes all traffic")
        })
        .and_then(|entry| entry["at"].as_i64())
        .map(|at| Timestamp::from_millis(at).month());
    let after: Vec<&Value> = months(report)
        .filter(|month| shock.as_deref().is_some_and(|shock| month["month"].as_str() >= Some(shock)))
        .collect();
    let mean = |key: &str| after.iter().map(|month| number(&month[key])).sum::<f64>() / after.len() as f64;
    let (static_mae, loop_mae) = (mean("static_mae"), mean("loop_mae"));
    // Without a rebuild all is well only if no alarm was left standing.
    let mended = if after.is_empty() { !alarm_stands(report) } else { loop_mae < MENDED * static_mae };
    json!({
        "from": shock, "months": after.len(), "static_mae": static_mae, "loop_mae": loop_mae,
        "static_cost": mean("static_cost"), "loop_cost": mean("loop_cost"),
        "promoted": report["promoted"], "not_promoted": report["not_promoted"], "mended": mended,
    })
}

/// The model got worse, and neither a promotion nor quiet weeks followed.
fn alarm_stands(report: &Value) -> bool {
    let entries = report["timeline"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let last = |title: &str| entries.iter().rposition(|entry| entry["title"] == title);
    last("The live model got worse") > last("The alarm is over")
}

fn text(report: &Value, summary: &Value) -> String {
    let currency = report["currency"].as_str().unwrap_or_default();
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("\n{}", report["question"].as_str().unwrap_or_default()));
    line(format!(
        "\n{:<8} {:>9} | {:>10} {:>8} | {:>10} {:>8} | {:>12} {:>12} | answered by",
        "month", "requests", "MAE static", "loop", "bias stat.", "loop", "cost static", "loop"
    ));
    for month in months(report) {
        let mut answered = String::new();
        for pair in month["answered"].as_array().into_iter().flatten() {
            let share = number(&pair[1]) * 100.0;
            write!(answered, "v{} {share:.0}% ", pair[0]).expect("writing to a String cannot fail");
        }
        let promoted = month["promoted"].as_array().is_some_and(|list| !list.is_empty());
        line(format!(
            "{:<8} {:>9} | {:>10.2} {:>8.2} | {:>+10.2} {:>+8.2} | {:>12.0} {:>12.0} | {}{}",
            month["month"].as_str().unwrap_or_default(),
            month["predictions"],
            number(&month["static_mae"]),
            number(&month["loop_mae"]),
            number(&month["static_bias"]),
            number(&month["loop_bias"]),
            number(&month["static_cost"]),
            number(&month["loop_cost"]),
            answered.trim_end(),
            if promoted { "  <- promoted" } else { "" }
        ));
    }
    line(format!("(cost: {currency} a month at the configured volume)"));
    line("\nWhat happened".to_owned());
    for entry in report["timeline"].as_array().into_iter().flatten() {
        let at = entry["at"].as_i64().map_or(String::new(), |at| Timestamp::from_millis(at).date());
        let (title, detail) =
            (entry["title"].as_str().unwrap_or_default(), entry["detail"].as_str().unwrap_or_default());
        line(format!("{at}  {title}{}{detail}", if detail.is_empty() { "" } else { ": " }));
    }
    let why = &report["why"];
    if why.is_object() {
        line(format!("\nWhy is version {} serving?", why["version"]));
        for key in ["cause", "data", "training_digest", "code", "environment", "gate", "rollout"] {
            line(format!("  {:<16} {}", key.replace('_', " "), why[key].as_str().unwrap_or_default()));
        }
        let approval = &why["approval"];
        line(format!(
            "  {:<16} {} ({})",
            "approved by",
            approval["by"].as_str().unwrap_or("nobody"),
            approval["reason"].as_str().unwrap_or_default()
        ));
    }
    if let Some(from) = summary["from"].as_str() {
        line(format!(
            "\nFrom {from} on: MAE {:.2} with the loop, {:.2} without; {} rebuilds promoted, {} candidates not; \
             {:.0} {currency} a month saved.",
            number(&summary["loop_mae"]),
            number(&summary["static_mae"]),
            summary["promoted"],
            summary["not_promoted"],
            number(&summary["static_cost"]) - number(&summary["loop_cost"]),
        ));
    } else {
        let text = match summary["mended"].as_bool() {
            Some(true) => "The model stayed as good as it was; nothing had to be rebuilt.",
            _ => "The model got worse and no candidate was good enough to replace it.",
        };
        line(format!("\n{text}"));
    }
    out
}
