//! What each kind of event says about who came from what. Kinds not listed say nothing about lineage.

use platform_events::Event;
use serde_json::Value;

/// `source` went into `target`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewEdge {
    pub source: String,
    pub target: String,
    pub relation: &'static str,
}

fn edge(source: String, target: String, relation: &'static str) -> NewEdge {
    NewEdge { source, target, relation }
}

fn digests(value: &Value) -> impl Iterator<Item = (String, String)> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(path, digest)| Some((path.clone(), digest.as_str()?.to_owned())))
}

pub(crate) fn of(event: &Event) -> Vec<NewEdge> {
    let subject = || event.subject.clone();
    match event.kind.as_str() {
        "pipelines.started" => {
            vec![edge(format!("environment:{}", event.text("environment")), subject(), "ran in")]
        }
        "pipelines.step_started" => {
            let mut edges: Vec<NewEdge> = digests(&event.payload["deps"])
                .map(|(path, digest)| edge(format!("file:{digest}"), subject(), relation_of(&path)))
                .collect();
            if let Some(run) = event.payload["run"].as_str() {
                edges.push(edge(subject(), format!("run:{run}"), "trained"));
            }
            edges
        }
        "pipelines.step_ended" => digests(&event.payload["outs"])
            .map(|(_, digest)| edge(subject(), format!("file:{digest}"), "wrote"))
            .collect(),
        "monitoring.training_set_made" => ["training", "holdout"]
            .into_iter()
            .map(|key| edge(subject(), format!("file:{}", event.text(key)), "logged rows"))
            .collect(),
        "experiments.input_logged" => {
            vec![edge(
                format!("dataset:{}@{}", event.text("dataset"), event.text("digest")),
                subject(),
                "input of",
            )]
        }
        "registry.version_registered" if !event.text("run").is_empty() => {
            vec![edge(format!("run:{}", event.text("run")), subject(), "made")]
        }
        "registry.approved" => vec![edge(format!("person:{}", event.actor), subject(), "approved")],
        "registry.promoted" => {
            let model = subject().replace("model_version:", "");
            // The number stands behind the last slash; a workspace may stand before the name.
            let endpoint = model.rsplit_once('/').map_or(model.as_str(), |(name, _)| name).to_owned();
            vec![edge(subject(), format!("endpoint:{endpoint}"), "serves")]
        }
        _ => Vec::new(),
    }
}

fn relation_of(path: &str) -> &'static str {
    if path.ends_with(".py") || path.ends_with(".yaml") || path.ends_with(".toml") {
        "code of"
    } else {
        "data of"
    }
}

#[cfg(test)]
mod tests {
    use platform_primitives::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn events_tell_where_things_come_from() {
        let event = |kind: &str, subject: &str, payload: Value| Event {
            seq: 1,
            at: Timestamp::from_millis(0),
            actor: "dana".to_owned(),
            kind: kind.to_owned(),
            project: "p".to_owned(),
            subject: subject.to_owned(),
            cause: None,
            payload,
        };
        let started = event(
            "pipelines.step_started",
            "pipeline_run:1",
            json!({"deps": {"train.py": "aa", "data/x.parquet": "bb"}, "run": "r1"}),
        );
        let edges = of(&started);
        assert_eq!(edges.len(), 3);
        assert!(edges.contains(&edge("file:aa".into(), "pipeline_run:1".into(), "code of")));
        assert!(edges.contains(&edge("pipeline_run:1".into(), "run:r1".into(), "trained")));
        let approved = event("registry.approved", "model_version:m/2", json!({}));
        assert_eq!(of(&approved), [edge("person:dana".into(), "model_version:m/2".into(), "approved")]);
        assert!(of(&event("jobs.started", "job:1", json!({}))).is_empty());
    }
}
