//! A loop file is either whole or refused with the line, the key and the rule.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

use platform_loopfile::{LoopFile, PersonRole, Problem, Span};
use platform_primitives::{ErrorKind, Fault};

const MINIMAL: &str = "\
version: 1
project: taxi-duration
business:
  question: Minutes from pickup to dropoff
  currency: USD
  cost_under: 0.5
  cost_over: 0.25
  decisions_per_month: 100000
environment:
  lock: uv.lock
data:
  id: ride_id
  time: pickup
  label: duration
  label_time: dropoff
  features:
    - { name: distance, type: number }
    - { name: zone, type: category }
pipeline:
  stages:
    prepare:
      command: python prepare.py
      deps: [prepare.py]
      outs: [train.parquet, holdout.parquet]
    train:
      command: python train.py
      deps: [train.py, train.parquet]
      trains_model: true
  training_set: train.parquet
  holdout: holdout.parquet
model:
  name: taxi-duration
";

/// [`MINIMAL`] with its one occurrence of `old` replaced.
fn with(old: &str, new: &str) -> String {
    assert_eq!(MINIMAL.matches(old).count(), 1, "{old:?} stands once in the minimal file");
    MINIMAL.replace(old, new)
}

fn problems(text: &str) -> Vec<Problem> {
    LoopFile::parse(text).expect_err("the file is broken").problems
}

/// The number of the one line that contains `part`.
fn line_of(text: &str, part: &str) -> u64 {
    let found: Vec<u64> =
        (1..).zip(text.lines()).filter(|(_, line)| line.contains(part)).map(|(n, _)| n).collect();
    assert_eq!(found.len(), 1, "{part:?} stands on one line of:\n{text}");
    found[0]
}

#[test]
fn the_minimal_file_is_filled_with_defaults() {
    let file = LoopFile::parse(MINIMAL).unwrap();
    assert_eq!((file.version, file.project.as_str()), (1, "taxi-duration"));
    assert!(file.people.is_empty() && file.data.quality.is_empty() && file.pipeline.params.is_empty());
    assert!(file.replay.is_none());
    assert_eq!(file.business.rationale, "");
    assert_eq!(file.business.decisions_per_month, 100_000.0);
    assert_eq!(file.data.label_lag, Span::days(0));
    let names: Vec<&str> = file.data.features.iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(names, ["distance", "zone"]);
    let (prepare, train) = (&file.pipeline.stages["prepare"], &file.pipeline.stages["train"]);
    assert_eq!((prepare.deadline, prepare.retries, prepare.trains_model), (Span::minutes(30), 0, false));
    assert!(train.outs.is_empty() && train.trains_model);
    let gate = &file.model.gate;
    assert_eq!((gate.max_mae, gate.max_cost, gate.improvement, gate.confidence), (None, None, 0.01, 0.95));
    assert_eq!(file.model.approval.role, PersonRole::Approver);
    assert_eq!((file.rollout.shadow_rows, file.rollout.step_rows), (300, 100));
    assert_eq!(file.rollout.canary_steps, [0.1, 0.5]);
    assert_eq!(
        (file.watch.every, file.watch.window, file.watch.min_rows),
        (Span::days(1), Span::days(7), 1000)
    );
    assert_eq!((file.watch.drift.every, file.watch.drift.window), (Span::days(7), Span::days(30)));
    assert_eq!((file.rebuild.window, file.rebuild.min_rows), (Span::days(30), 2000));
    assert_eq!((file.rebuild.budget.attempts, file.rebuild.budget.per), (12, Span::days(365)));
}

#[test]
fn a_part_that_is_given_in_part_keeps_the_other_defaults() {
    let text = format!("{MINIMAL}rollout:\n  step_rows: 7\nwatch:\n  drift:\n    window: 36h\n");
    let file = LoopFile::parse(&text).unwrap();
    assert_eq!((file.rollout.step_rows, file.rollout.shadow_rows), (7, 300));
    assert_eq!(file.watch.drift.window.as_millis(), 36 * 3_600_000);
    assert_eq!((file.watch.drift.every, file.watch.every), (Span::days(7), Span::days(1)));
}

#[test]
fn a_file_that_breaks_a_rule_is_refused_with_line_key_and_rule() {
    let quality = |rule: &str| with("  features:\n", &format!("  quality:\n    - {rule}\n  features:\n"));
    let append = |text: &str| format!("{MINIMAL}{text}");
    // What is wrong, the file, a part of the line it is on, the key, a part of the rule.
    let cases = [
        ("version", with("version: 1", "version: 2"), "version: 2", "version", "is 2, expected 1"),
        (
            "project name",
            with("project: taxi-duration", "project: Taxi Duration"),
            "project:",
            "project",
            "is \"Taxi Duration\", expected 1 to 63 lower-case letters, digits and hyphens",
        ),
        (
            "negative cost",
            with("cost_over: 0.25", "cost_over: -0.25"),
            "cost_over:",
            "business.cost_over",
            "is -0.25, expected a number of at least 0",
        ),
        (
            "duplicate feature",
            with("name: zone", "name: distance"),
            "type: category",
            "data.features[1].name",
            "\"distance\" stands twice among the columns",
        ),
        (
            "feature that is the label",
            with("name: zone", "name: duration"),
            "type: category",
            "data.features[1].name",
            "\"duration\" stands twice among the columns",
        ),
        (
            "one column for two times",
            with("label_time: dropoff", "label_time: pickup"),
            "data:",
            "data",
            "must be four columns",
        ),
        (
            "no features",
            with(
                "  features:\n    - { name: distance, type: number }\n    - { name: zone, type: category }\n",
                "  features: []\n",
            ),
            "features: []",
            "data.features",
            "expected at least one feature",
        ),
        (
            "quality rule on an unknown column",
            quality("{ column: tip, min: 0 }"),
            "column: tip",
            "data.quality[0].column",
            "\"tip\" is neither the label nor a feature",
        ),
        (
            "minimum above maximum",
            quality("{ column: duration, min: 5, max: 1 }"),
            "min: 5",
            "data.quality[0]",
            "min 5 lies above max 1",
        ),
        (
            "path out of the project",
            with("deps: [prepare.py]", "deps: [../prepare.py]"),
            "../prepare.py",
            "pipeline.stages.prepare.deps[0]",
            "\"../prepare.py\", expected a path inside the project",
        ),
        (
            "absolute path",
            with("lock: uv.lock", "lock: /etc/passwd"),
            "lock:",
            "environment.lock",
            "\"/etc/passwd\", expected a path inside the project",
        ),
        (
            "unknown parameter",
            with("command: python train.py", "command: python train.py --depth ${params.depth}"),
            "--depth",
            "pipeline.stages.train.command",
            "${params.depth} is not among pipeline.params",
        ),
        (
            "empty command",
            with("command: python prepare.py", "command: \"  \""),
            "command: \"  \"",
            "pipeline.stages.prepare.command",
            "is empty",
        ),
        (
            "two stages that train",
            with("      outs: [train", "      trains_model: true\n      outs: [train"),
            "stages:",
            "pipeline.stages",
            "2 stages have trains_model: true, expected exactly one",
        ),
        (
            "no stage that trains",
            with("trains_model: true", "trains_model: false"),
            "stages:",
            "pipeline.stages",
            "0 stages have trains_model: true, expected exactly one",
        ),
        (
            "training set that nobody writes",
            with("training_set: train.parquet", "training_set: other.parquet"),
            "training_set:",
            "pipeline.training_set",
            "\"other.parquet\" is among no stage's outs",
        ),
        (
            "replay that nobody writes",
            append("replay:\n  table: stream.parquet\n"),
            "table:",
            "replay.table",
            "\"stream.parquet\" is among no stage's outs",
        ),
        (
            "one file written by two stages",
            with("      trains_model: true\n", "      trains_model: true\n      outs: [holdout.parquet]\n"),
            "outs: [holdout.parquet]",
            "pipeline.stages.train.outs[0]",
            "\"holdout.parquet\" is written by two stages",
        ),
        (
            "canary steps not ascending",
            append("rollout:\n  canary_steps: [0.5, 0.1]\n"),
            "canary_steps:",
            "rollout.canary_steps[1]",
            "is 0.1, expected shares between 0 and 1 in ascending order",
        ),
        (
            "canary step of everything",
            append("rollout:\n  canary_steps:\n    - 0.5\n    - 1.0\n"),
            "- 1.0",
            "rollout.canary_steps[1]",
            "is 1, expected shares between 0 and 1",
        ),
        (
            "error rate of one half",
            append("rollout:\n  alpha: 0.5\n"),
            "alpha:",
            "rollout.alpha",
            "is 0.5, expected a number between 0 and 0.5",
        ),
        (
            "span of nothing",
            append("watch:\n  every: 0s\n"),
            "every:",
            "watch.every",
            "is 0, expected a positive span",
        ),
        (
            "negative bound of the gate",
            with(
                "model:\n  name: taxi-duration\n",
                "model:\n  name: taxi-duration\n  gate: { max_mae: -1 }\n",
            ),
            "max_mae",
            "model.gate.max_mae",
            "is -1, expected a number of at least 0",
        ),
        (
            "placeholder without its brace",
            with("command: python train.py", "command: python train.py ${params.depth --fast"),
            "--fast",
            "pipeline.stages.train.command",
            "${params.depth has no closing brace",
        ),
        (
            "stage without time",
            with("      outs: [train", "      deadline: 0s\n      outs: [train"),
            "deadline: 0s",
            "pipeline.stages.prepare.deadline",
            "is 0, expected a positive span",
        ),
        (
            "rollout without time",
            append("rollout:\n  deadline: 0d\n"),
            "deadline:",
            "rollout.deadline",
            "is 0, expected a positive span",
        ),
        (
            "step that is judged on nothing",
            append("rollout:\n  step_rows: 0\n"),
            "step_rows:",
            "rollout.step_rows",
            "is 0, expected at least 1",
        ),
        (
            "shadow of one row",
            append("rollout:\n  shadow_rows: 1\n"),
            "shadow_rows:",
            "rollout.shadow_rows",
            "is 1, expected at least 2",
        ),
        (
            "negative margin",
            append("rollout:\n  margin: -0.1\n"),
            "margin:",
            "rollout.margin",
            "is -0.1, expected a number of at least 0 and below 1",
        ),
        (
            "drift at any distance",
            append("watch:\n  drift:\n    threshold: 0\n"),
            "threshold:",
            "watch.drift.threshold",
            "is 0, expected a number above 0",
        ),
        (
            "negative follow-up",
            append("rebuild:\n  follow_up_factor: -1\n"),
            "follow_up_factor:",
            "rebuild.follow_up_factor",
            "is -1, expected a number of at least 0",
        ),
        (
            "too few rows",
            append("rebuild:\n  min_rows: 9\n"),
            "min_rows:",
            "rebuild.min_rows",
            "is 9, expected at least 10",
        ),
    ];
    for (name, text, at, key, rule) in cases {
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert_eq!((found[0].key.as_str(), found[0].line), (key, line_of(&text, at)), "{name}: {}", found[0]);
        assert!(found[0].rule.contains(rule), "{name}: {}", found[0]);
    }
}

#[test]
fn a_file_of_the_wrong_shape_is_refused_with_its_line() {
    // What is wrong, the file, a part of the line it is on, a part of the rule.
    let cases = [
        (
            "unknown key",
            with("  currency: USD", "  currency: USD\n  colour: red"),
            "colour:",
            "unknown field `colour`",
        ),
        (
            "unknown key at the top",
            format!("{MINIMAL}rolout:\n  alpha: 0.1\n"),
            "rolout:",
            "unknown field `rolout`",
        ),
        ("number that is none", with("cost_under: 0.5", "cost_under: much"), "cost_under:", "invalid"),
        ("whole number that is none", with("version: 1", "version: one"), "version:", "invalid"),
        ("flag that is none", with("trains_model: true", "trains_model: 3"), "trains_model:", "invalid"),
        ("list that is none", with("deps: [prepare.py]", "deps: prepare.py"), "deps: prepare.py", "sequence"),
        ("text that is a list", with("currency: USD", "currency: [USD]"), "currency:", "scalar"),
        (
            "unknown kind of feature",
            with("type: category", "type: colour"),
            "colour",
            "unknown variant `colour`",
        ),
        (
            "bad span",
            format!("{MINIMAL}watch:\n  window: 7 days\n"),
            "7 days",
            "\"7 days\" is not a span of time: expected a whole number and s, m, h or d",
        ),
        (
            "span without a unit",
            format!("{MINIMAL}rebuild:\n  budget:\n    per: 30\n"),
            "per: 30",
            "\"30\" is not a span of time",
        ),
        ("key given twice", format!("{MINIMAL}  name: other\n"), "name: other", "duplicate mapping key"),
    ];
    for (name, text, at, rule) in cases {
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert_eq!(found[0].line, line_of(&text, at), "{name}: {}", found[0]);
        assert!(found[0].rule.contains(rule), "{name}: {}", found[0]);
    }
}

#[test]
fn a_missing_key_is_named_and_placed_in_the_block_it_is_missing_from() {
    // The line left out, the block by its first and last line, what is missing.
    let cases = [
        ("  currency: USD\n", "business:", "decisions_per_month:", "missing field `currency`"),
        ("  label: duration\n", "data:", "type: category", "missing field `label`"),
        ("      deps: [prepare.py]\n", "prepare:", "outs:", "missing field `deps`"),
        ("project: taxi-duration\n", "version:", "  name: taxi-duration", "missing field `project`"),
    ];
    for (left_out, first, last, rule) in cases {
        let text = with(left_out, "");
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        let block = line_of(&text, first)..=line_of(&text, last);
        assert!(block.contains(&found[0].line), "{} is not on lines {block:?}", found[0]);
        assert!(found[0].rule.contains(rule), "{}", found[0]);
    }
}

#[test]
fn text_that_is_no_loop_file_at_all_is_refused() {
    let cases = [
        ("a sentence", "this is not a loop file\n", "mapping"),
        ("a list", "- version: 1\n", "mapping"),
        ("an open bracket", "version: [1, 2\nproject: taxi\n", ""),
        ("a stray quote", "version: \"1\nproject: taxi\n", ""),
        ("a tab for an indent", "business:\n\tquestion: why\n", ""),
    ];
    for (name, text, rule) in cases {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert!(found[0].line >= 1, "{name}: {}", found[0]);
        assert!(!found[0].rule.is_empty() && found[0].rule.contains(rule), "{name}: {}", found[0]);
    }
    assert!(problems("")[0].rule.contains("end of file"));
}

#[test]
fn a_value_of_the_wrong_type_is_told_by_its_key_or_its_text() {
    let cases = [
        (with("cost_under: 0.5", "cost_under: much"), "cost_under", "much"),
        (with("version: 1", "version: one"), "version", "one"),
        (with("deps: [prepare.py]", "deps: prepare.py"), "deps", "prepare.py"),
        (with("  trains_model: true", "  trains_model: 3"), "trains_model", "3"),
    ];
    for (text, key, value) in cases {
        let found = problems(&text).remove(0);
        let is_told = found.key.ends_with(key)
            || found.rule.contains(key)
            || found.rule.contains(&format!("{value:?}"));
        assert!(is_told, "neither {key} nor {value:?} in: {found}");
    }
}

#[test]
fn a_problem_of_shape_names_the_key_and_repeats_no_place() {
    let cases = [
        (
            with("cost_under: 0.5", "cost_under: much"),
            "business.cost_under",
            "invalid number, found \"much\"",
        ),
        (with("version: 1", "version: one"), "version", "invalid whole number, found \"one\""),
        (
            with("deps: [prepare.py]", "deps: prepare.py"),
            "pipeline.stages.prepare.deps",
            "expected sequence start, found \"prepare.py\"",
        ),
        (
            with("currency: USD", "currency: [USD]"),
            "business.currency",
            "expected string scalar, found a list",
        ),
    ];
    for (text, key, rule) in cases {
        let found = problems(&text).remove(0);
        assert_eq!((found.key.as_str(), found.rule.as_str()), (key, rule));
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused_with_their_line() {
    for value in [".inf", "-.inf", ".nan"] {
        let text = with("cost_under: 0.5", &format!("cost_under: {value}"));
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        let place = (found[0].key.as_str(), found[0].line);
        assert_eq!(place, ("business.cost_under", line_of(&text, "cost_under:")), "{}", found[0]);
    }
}

#[test]
fn all_broken_rules_are_told_at_once() {
    let text = with("version: 1", "version: 3")
        .replace("cost_over: 0.25", "cost_over: -1")
        .replace("holdout: holdout.parquet", "holdout: other.parquet");
    let error = LoopFile::parse(&text).unwrap_err();
    let keys: Vec<&str> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["version", "business.cost_over", "pipeline.holdout"]);
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "loopfile/invalid"));
    let message = error.to_string();
    for problem in &error.problems {
        assert!(
            message.contains(&format!("\n  line {}: {}: {}", problem.line, problem.key, problem.rule)),
            "{message}"
        );
    }
}

#[test]
fn the_schema_describes_every_top_level_key_and_refuses_others() {
    let text = LoopFile::schema();
    assert!(text.ends_with("}\n"));
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "version",
            "project",
            "business",
            "people",
            "environment",
            "data",
            "pipeline",
            "model",
            "rollout",
            "watch",
            "rebuild",
            "replay"
        ]
    );
    assert_eq!(schema["additionalProperties"], false);
    let required: Vec<&str> =
        schema["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    assert_eq!(required, ["version", "project", "business", "environment", "data", "pipeline", "model"]);
}

/// A file of the repository this crate is part of.
fn of_repository(path: &str) -> String {
    fs_err::read_to_string(format!("{}/../../../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let committed = of_repository("docs/reference/loopwright.schema.json");
    assert_eq!(committed, LoopFile::schema(), "run `cargo xtask schema` and read what changed");
}

#[test]
fn the_example_is_valid() {
    let file = LoopFile::parse(&of_repository("examples/taxi/loopwright.yaml")).unwrap();
    assert_eq!((file.project.as_str(), file.data.features.len()), ("taxi", 8));
}
