//! Rules that types cannot say. Each broken one gives a key and the rule with the value in it.

use std::collections::BTreeSet;

use crate::LoopFile;

type Broken = Vec<(String, String)>;

const NO_SPAN: &str = "is 0, expected a positive span";

pub(crate) fn broken_rules(file: &LoopFile) -> Broken {
    let mut broken = Vec::new();
    if file.version != 1 {
        broken.push(("version".to_owned(), format!("is {}, expected 1", file.version)));
    }
    names(file, &mut broken);
    business(file, &mut broken);
    data(file, &mut broken);
    pipeline(file, &mut broken);
    numbers(file, &mut broken);
    broken
}

fn names(file: &LoopFile, broken: &mut Broken) {
    for (key, name) in [("project", &file.project), ("model.name", &file.model.name)] {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if name.is_empty() || name.len() > 63 || !plain {
            let rule = format!("is {name:?}, expected 1 to 63 lower-case letters, digits and hyphens");
            broken.push((key.to_owned(), rule));
        }
    }
}

fn business(file: &LoopFile, broken: &mut Broken) {
    not_negative("business.cost_under", file.business.cost_under, broken);
    not_negative("business.cost_over", file.business.cost_over, broken);
    not_negative("business.decisions_per_month", file.business.decisions_per_month, broken);
}

fn not_negative(key: &str, value: f64, broken: &mut Broken) {
    if !value.is_finite() || value < 0.0 {
        broken.push((key.to_owned(), format!("is {value}, expected a number of at least 0")));
    }
}

fn data(file: &LoopFile, broken: &mut Broken) {
    let data = &file.data;
    if data.features.is_empty() {
        broken.push(("data.features".to_owned(), "is empty, expected at least one feature".to_owned()));
    }
    let mut seen = BTreeSet::from([&data.id, &data.time, &data.label, &data.label_time]);
    if seen.len() < 4 {
        broken.push(("data".to_owned(), "id, time, label and label_time must be four columns".to_owned()));
    }
    for (index, feature) in data.features.iter().enumerate() {
        if !seen.insert(&feature.name) {
            let rule = format!("{:?} stands twice among the columns", feature.name);
            broken.push((format!("data.features[{index}].name"), rule));
        }
    }
    for (index, rule) in data.quality.iter().enumerate() {
        let known = rule.column == data.label || data.features.iter().any(|f| f.name == rule.column);
        if !known {
            let text = format!("{:?} is neither the label nor a feature", rule.column);
            broken.push((format!("data.quality[{index}].column"), text));
        }
        for (bound, value) in [("min", rule.min), ("max", rule.max)] {
            if value.is_some_and(f64::is_nan) {
                let text = "is NaN, expected a number".to_owned();
                broken.push((format!("data.quality[{index}].{bound}"), text));
            }
        }
        if let (Some(min), Some(max)) = (rule.min, rule.max)
            && min > max
        {
            broken.push((format!("data.quality[{index}]"), format!("min {min} lies above max {max}")));
        }
    }
}

fn pipeline(file: &LoopFile, broken: &mut Broken) {
    let pipeline = &file.pipeline;
    let mut written = BTreeSet::new();
    for (name, stage) in &pipeline.stages {
        let key = format!("pipeline.stages.{name}");
        if stage.command.trim().is_empty() {
            broken.push((format!("{key}.command"), "is empty".to_owned()));
        }
        for placeholder in placeholders(&stage.command) {
            let rule = match placeholder {
                Ok(parameter) if pipeline.params.contains_key(parameter) => continue,
                Ok(parameter) => format!("${{params.{parameter}}} is not among pipeline.params"),
                Err(rest) => format!("${{params.{rest} has no closing brace"),
            };
            broken.push((format!("{key}.command"), rule));
        }
        if stage.deadline.as_millis() == 0 {
            broken.push((format!("{key}.deadline"), NO_SPAN.to_owned()));
        }
        for (list, paths) in [("deps", &stage.deps), ("outs", &stage.outs)] {
            for (index, path) in paths.iter().enumerate() {
                check_path(&format!("{key}.{list}[{index}]"), path, broken);
            }
        }
        for (index, out) in stage.outs.iter().enumerate() {
            if !written.insert(out) {
                broken.push((format!("{key}.outs[{index}]"), format!("{out:?} is written by two stages")));
            }
        }
    }
    let mut produced =
        vec![("pipeline.training_set", &pipeline.training_set), ("pipeline.holdout", &pipeline.holdout)];
    if let Some(replay) = &file.replay {
        produced.push(("replay.table", &replay.table));
    }
    for (key, path) in produced {
        if !written.contains(path) {
            broken.push((key.to_owned(), format!("{path:?} is among no stage's outs")));
        }
    }
    let training: Vec<&String> =
        pipeline.stages.iter().filter(|(_, stage)| stage.trains_model).map(|(name, _)| name).collect();
    if training.len() != 1 {
        let rule = format!("{} stages have trains_model: true, expected exactly one", training.len());
        broken.push(("pipeline.stages".to_owned(), rule));
    }
    check_path("environment.lock", &file.environment.lock, broken);
}

/// Names in `${params.NAME}`; an error with the next word where the brace is not closed.
fn placeholders(command: &str) -> impl Iterator<Item = Result<&str, &str>> {
    command.split("${params.").skip(1).map(|rest| match rest.split_once('}') {
        Some((name, _)) => Ok(name),
        None => Err(rest.split_whitespace().next().unwrap_or_default()),
    })
}

fn check_path(key: &str, path: &str, broken: &mut Broken) {
    let inside = !path.is_empty()
        && !path.starts_with('/')
        && !path.contains('\\')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !inside {
        let rule = format!("is {path:?}, expected a path inside the project without . or ..");
        broken.push((key.to_owned(), rule));
    }
}

fn numbers(file: &LoopFile, broken: &mut Broken) {
    let (gate, rollout, watch, rebuild) = (&file.model.gate, &file.rollout, &file.watch, &file.rebuild);
    let mut between = |key: &str, value: f64, low: f64, high: f64| {
        if !(value > low && value < high) {
            broken.push((key.to_owned(), format!("is {value}, expected a number between {low} and {high}")));
        }
    };
    between("model.gate.confidence", gate.confidence, 0.5, 1.0);
    between("model.gate.improvement", gate.improvement, -1.0, 1.0);
    between("rollout.alpha", rollout.alpha, 0.0, 0.5);
    between("watch.drift.false_alarm_rate", watch.drift.false_alarm_rate, 0.0, 0.5);
    between("rebuild.error_ratio", rebuild.error_ratio, 1.0, 1e6);
    between("rebuild.alpha", rebuild.alpha, 0.0, 0.5);
    between("rebuild.holdout", rebuild.holdout, 0.0, 0.9);
    if !(rollout.margin >= 0.0 && rollout.margin < 1.0) {
        let rule = format!("is {}, expected a number of at least 0 and below 1", rollout.margin);
        broken.push(("rollout.margin".to_owned(), rule));
    }
    let threshold = watch.drift.threshold;
    if !threshold.is_finite() || threshold <= 0.0 {
        let rule = format!("is {threshold}, expected a number above 0");
        broken.push(("watch.drift.threshold".to_owned(), rule));
    }
    not_negative("rebuild.follow_up_factor", rebuild.follow_up_factor, broken);
    not_negative("model.gate.max_mae", gate.max_mae.unwrap_or_default(), broken);
    not_negative("model.gate.max_cost", gate.max_cost.unwrap_or_default(), broken);
    let mut last = 0.0;
    for (index, step) in rollout.canary_steps.iter().enumerate() {
        if !(*step > last && *step < 1.0) {
            let rule = format!("is {step}, expected shares between 0 and 1 in ascending order");
            broken.push((format!("rollout.canary_steps[{index}]"), rule));
        }
        last = *step;
    }
    for (key, span) in [
        ("rollout.deadline", rollout.deadline),
        ("watch.every", watch.every),
        ("watch.window", watch.window),
        ("watch.drift.every", watch.drift.every),
        ("watch.drift.window", watch.drift.window),
        ("rebuild.window", rebuild.window),
        ("rebuild.budget.per", rebuild.budget.per),
    ] {
        if span.as_millis() == 0 {
            broken.push((key.to_owned(), NO_SPAN.to_owned()));
        }
    }
    for (key, rows, least) in [
        // A mean difference has a variance from two pairs on.
        ("rollout.shadow_rows", rollout.shadow_rows, 2),
        ("rollout.step_rows", rollout.step_rows, 1),
        ("rebuild.min_rows", rebuild.min_rows, 10),
    ] {
        if rows < least {
            broken.push((key.to_owned(), format!("is {rows}, expected at least {least}")));
        }
    }
}
