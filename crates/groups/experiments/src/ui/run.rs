//! One run, by tabs.

use std::sync::Arc;

use axum::extract::{Path, Query as UrlQuery, State};
use axum::response::Html;
use http::HeaderMap;
use platform_ui::{PageHead, short_time};
use platform_web::dialect::PageResult;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::actions::NOTE_TAG;
use super::experiments::tracking_uri;
use super::files::{self, FilesView};
use super::format::{self, MetricLine, encoded, python, slot};
use super::preview::{self, pretty};
use super::run_metrics::{self, MetricsView};
use super::{Pages, columns};
use crate::model::{DatasetInput, LoggedModel, RunRecord};
use crate::store::View;
use crate::{ExperimentError, Experiments};

const PARENT_TAG: &str = "mlflow.parentRunId";
const CHILDREN_SHOWN: usize = 50;
const LINES_SHOWN: usize = 500;
const MODELS_SHOWN: usize = 20;
const LOG_BYTES: usize = 64 * 1024;
const ENVIRONMENT_FILES: [&str; 4] = ["requirements.txt", "conda.yaml", "python_env.yaml", "MLmodel"];

const TABS: [(&str, &str); 8] = [
    ("overview", "Overview"),
    ("metrics", "Metrics"),
    ("system", "System"),
    ("artifacts", "Artifacts"),
    ("models", "Models"),
    ("inputs", "Inputs"),
    ("environment", "Environment"),
    ("logs", "Logs"),
];

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RunAsk {
    tab: String,
    search: String,
    page: usize,
    path: String,
    model: String,
}

#[derive(Serialize)]
struct RunView {
    id: String,
    name: String,
    status: &'static str,
    tone: &'static str,
    slot: u32,
    user: String,
    started: String,
    ended: Option<String>,
    duration: Option<String>,
    deleted: bool,
    experiment: Link,
    source: Option<String>,
    commit: Option<String>,
    parent: Option<Link>,
    note: String,
    tabs: Vec<Tab>,
    tab: &'static str,
    code: String,
    overview: Option<Overview>,
    metrics: Option<MetricsView>,
    files: Option<FilesView>,
    models: Option<Vec<ModelView>>,
    inputs: Option<Vec<InputView>>,
    texts: Option<TextsView>,
}

#[derive(Serialize)]
struct Link {
    label: String,
    href: String,
}

#[derive(Serialize)]
struct Tab {
    key: &'static str,
    label: &'static str,
    href: String,
}

#[derive(Serialize)]
struct Overview {
    search: String,
    params: Vec<(String, String)>,
    metrics: Vec<MetricLine>,
    tags: Vec<(String, String)>,
    /// Lines of the longest table that are not shown.
    left_out: usize,
    children: Vec<Link>,
    children_href: Option<String>,
}

#[derive(Serialize)]
struct ModelView {
    id: String,
    name: String,
    kind: String,
    status: &'static str,
    created: String,
    files: String,
    params: Vec<(String, String)>,
    metrics: Vec<(String, String)>,
    versions: Vec<Link>,
}

#[derive(Serialize)]
struct InputView {
    name: String,
    digest: String,
    source_type: String,
    source: String,
    context: String,
    schema: Vec<(String, String)>,
    schema_text: String,
    profile: String,
}

/// Texts of an environment, or a log.
#[derive(Serialize)]
struct TextsView {
    choices: Vec<(Link, bool)>,
    texts: Vec<(String, String)>,
    whole: bool,
    /// Where the run's files are when they are not on this server; else empty.
    elsewhere: String,
    tags: Vec<(String, String)>,
}

pub(super) async fn page(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    UrlQuery(ask): UrlQuery<RunAsk>,
    headers: HeaderMap,
) -> PageResult<Html<String>> {
    let service = &pages.service;
    let record = service.get_record(&id).await?;
    let run = &record.run;
    let (tab, label) = TABS.into_iter().find(|(key, _)| *key == ask.tab).unwrap_or(TABS[0]);
    let experiment = service.get_experiment(&run.experiment_id.to_string()).await?;
    let tag = |key: &str| record.tags.get(key).filter(|value| !value.is_empty()).cloned();
    let parent = match tag(PARENT_TAG) {
        None => None,
        Some(parent) => {
            let found = service.records(vec![parent.clone()]).await?.pop();
            let label = found.map_or_else(|| parent.clone(), |found| found.run.name.clone());
            Some(Link { label, href: format!("/runs/{parent}") })
        }
    };
    let mut view = RunView {
        id: id.clone(),
        name: run.name.clone(),
        status: run.status.name(),
        tone: format::tone(run.status),
        slot: slot(&run.id),
        user: run.user.clone(),
        started: short_time(run.start),
        ended: run.end.map(short_time),
        duration: format::run_duration(&record),
        deleted: run.deleted,
        experiment: Link { href: format!("/experiments/{}", experiment.id), label: experiment.name },
        source: tag("mlflow.source.name"),
        commit: tag("mlflow.source.git.commit"),
        parent,
        note: tag(NOTE_TAG).unwrap_or_default(),
        tabs: tabs(&record),
        tab,
        code: code(&record, &tracking_uri(&headers)),
        overview: None,
        metrics: None,
        files: None,
        models: None,
        inputs: None,
        texts: None,
    };
    match tab {
        "metrics" => view.metrics = Some(run_metrics::view(&record, false, &ask.search, ask.page)),
        "system" => view.metrics = Some(run_metrics::view(&record, true, &ask.search, ask.page)),
        "artifacts" => {
            let models = models(service, &record).await?.into_iter().map(|model| (model.id, model.name));
            let models: Vec<(String, String)> = models.collect();
            view.files = Some(files::view(service, &id, &models, (&ask.model, &ask.path)).await?);
        }
        "models" => {
            let found = models(service, &record).await?;
            view.models = Some(found.into_iter().map(|model| model_view(&id, model)).collect());
        }
        "inputs" => view.inputs = Some(record.inputs.iter().map(input_view).collect()),
        "environment" => view.texts = Some(environment(service, &record).await?),
        "logs" => view.texts = Some(logs(service, &record, &ask.path).await?),
        _ => view.overview = Some(overview(service, &record, &ask.search).await?),
    }
    let path = format!(
        "/runs/{id}?tab={tab}&search={}&page={}&path={}&model={}",
        encoded(&ask.search),
        ask.page,
        encoded(&ask.path),
        encoded(&ask.model)
    );
    let title = match tab {
        "overview" => format!("Run {}", record.run.name),
        _ => format!("{label} of run {}", record.run.name),
    };
    let head = PageHead { section: "runs", path, title };
    Ok(pages.ui.page("experiments/run.html", &head, &view)?)
}

/// Tabs with something in them.
fn tabs(record: &RunRecord) -> Vec<Tab> {
    let system = record.metrics.iter().any(|(key, _)| format::is_system(key));
    let shown = |key: &str| match key {
        "system" => system,
        "inputs" => !record.inputs.is_empty(),
        "models" => !record.outputs.is_empty(),
        _ => true,
    };
    let href = |key: &str| format!("/runs/{}?tab={key}", record.run.id);
    let tabs = TABS.into_iter().filter(|(key, _)| shown(key));
    tabs.map(|(key, label)| Tab { key, label, href: href(key) }).collect()
}

async fn overview(
    service: &Experiments,
    record: &RunRecord,
    search: &str,
) -> Result<Overview, ExperimentError> {
    let needle = search.trim().to_lowercase();
    let matches = |key: &str| needle.is_empty() || key.to_lowercase().contains(&needle);
    let pairs = |map: &std::collections::BTreeMap<String, String>| -> Vec<(String, String)> {
        let found = map.iter().filter(|(key, _)| matches(key) && !key.starts_with("mlflow.log-model"));
        found.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let (mut params, mut tags) = (pairs(&record.params), pairs(&record.tags));
    let own = record.metrics.iter().filter(|(key, _)| matches(key) && !format::is_system(key));
    let mut metrics: Vec<MetricLine> = own.map(|(key, summary)| MetricLine::new(key, summary)).collect();
    let longest = params.len().max(tags.len()).max(metrics.len());
    params.truncate(LINES_SHOWN);
    tags.truncate(LINES_SHOWN);
    metrics.truncate(LINES_SHOWN);
    let filter = format!("{} = '{}'", columns::spelled("tags", PARENT_TAG), record.run.id);
    let place = (0, CHILDREN_SHOWN);
    let window = service.window(record.run.experiment_id, View::Active, (&filter, &[]), place).await?;
    let children = window
        .records
        .iter()
        .map(|child| Link { label: child.run.name.clone(), href: format!("/runs/{}", child.run.id) });
    let all = format!("/experiments/{}?filter={}", record.run.experiment_id, encoded(&filter));
    Ok(Overview {
        search: search.to_owned(),
        params,
        metrics,
        tags,
        left_out: longest.saturating_sub(LINES_SHOWN),
        children: children.collect(),
        children_href: (window.total > 0).then_some(all),
    })
}

async fn models(service: &Experiments, record: &RunRecord) -> Result<Vec<LoggedModel>, ExperimentError> {
    let mut found = Vec::new();
    for output in record.outputs.iter().take(MODELS_SHOWN) {
        match service.get_logged_model(&output.model_id).await {
            Ok(model) => found.push(model),
            // Deleted since.
            Err(ExperimentError::LoggedModelNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn model_view(run: &str, model: LoggedModel) -> ModelView {
    let registered = model.tags.get("mlflow.modelVersions").and_then(|text| serde_json::from_str(text).ok());
    let registered: Vec<Value> = registered.unwrap_or_default();
    let versions = registered.iter().filter_map(|entry| {
        let name = entry.get("name")?.as_str()?;
        // Written as a number by us, as a text by some clients.
        let version = entry.get("version")?.to_string().trim_matches('"').to_owned();
        let href = format!("/models/{}/{}", encoded(name), encoded(&version));
        Some(Link { label: format!("{name} version {version}"), href })
    });
    ModelView {
        versions: versions.collect(),
        files: format!("/runs/{run}?tab=artifacts&model={}", encoded(&model.id)),
        status: model.status.name(),
        created: short_time(model.created),
        params: model.params.into_iter().collect(),
        metrics: model
            .metrics
            .iter()
            .map(|metric| (metric.key.clone(), format::precise(metric.value)))
            .collect(),
        kind: model.model_type,
        id: model.id,
        name: model.name,
    }
}

fn input_view(input: &DatasetInput) -> InputView {
    let parsed =
        |text: &Option<String>| text.as_ref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let schema = parsed(&input.schema);
    let columns = schema.as_ref().and_then(|schema| schema.get("mlflow_colspec")?.as_array());
    let text = |column: &Value, key: &str| {
        column
            .get(key)
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .unwrap_or_default()
    };
    let columns: Vec<(String, String)> = columns
        .map(|columns| columns.iter().map(|column| (text(column, "name"), text(column, "type"))).collect())
        .unwrap_or_default();
    InputView {
        name: input.name.clone(),
        digest: input.digest.clone(),
        source_type: input.source_type.clone(),
        source: input.source.clone(),
        context: input.tags.get("mlflow.data.context").cloned().unwrap_or_default(),
        schema_text: if columns.is_empty() {
            schema.as_ref().map(indented).unwrap_or_default()
        } else {
            String::new()
        },
        schema: columns,
        profile: parsed(&input.profile).as_ref().map(indented).unwrap_or_default(),
    }
}

fn indented(value: &Value) -> String {
    pretty(value).unwrap_or_else(|| value.to_string())
}

/// Packages and interpreter of the models that were logged, and where the code came from.
async fn environment(service: &Experiments, record: &RunRecord) -> Result<TextsView, ExperimentError> {
    let (mut folders, mut elsewhere) = (Vec::new(), String::new());
    match record.run.artifact_folder() {
        Ok(root) => {
            folders.extend([(String::new(), root.clone()), ("model/".to_owned(), format!("{root}/model"))])
        }
        Err(_) => elsewhere = record.run.artifact_uri(),
    }
    for model in models(service, record).await? {
        if let Ok(folder) = model.artifact_folder() {
            folders.push((format!("{}/", model.name), folder));
        }
    }
    let mut texts = Vec::new();
    for (shown, folder) in folders {
        for entry in service.list_artifacts(&folder).await? {
            if ENVIRONMENT_FILES.contains(&entry.name.as_str()) {
                let (_, stream) = service.get_artifact(&format!("{folder}/{}", entry.name)).await?;
                let (bytes, _) = preview::beginning(stream, LOG_BYTES).await?;
                texts.push((format!("{shown}{}", entry.name), String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    let about = |key: &str| {
        key.starts_with("mlflow.source.") || key.starts_with("mlflow.user") || key.contains("git")
    };
    let tags = record.tags.iter().filter(|(key, _)| about(key));
    let tags = tags.map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok(TextsView { choices: Vec::new(), texts, whole: true, elsewhere, tags })
}

/// The end of a log: files in `logs/`, and files that are called `.log`.
async fn logs(service: &Experiments, record: &RunRecord, path: &str) -> Result<TextsView, ExperimentError> {
    let Ok(root) = record.run.artifact_folder() else {
        let elsewhere = record.run.artifact_uri();
        return Ok(TextsView {
            choices: Vec::new(),
            texts: Vec::new(),
            whole: true,
            elsewhere,
            tags: Vec::new(),
        });
    };
    let mut names = Vec::new();
    for (folder, prefix) in [(root.clone(), ""), (format!("{root}/logs"), "logs/")] {
        for entry in service.list_artifacts(&folder).await? {
            if !entry.is_folder && (!prefix.is_empty() || entry.name.ends_with(".log")) {
                names.push(format!("{prefix}{}", entry.name));
            }
        }
    }
    let chosen = names.iter().find(|name| **name == path).or(names.first()).cloned();
    let (mut texts, mut whole) = (Vec::new(), true);
    if let Some(name) = &chosen {
        let (_, stream) = service.get_artifact(&format!("{root}/{name}")).await?;
        let (bytes, all) = preview::end(stream, LOG_BYTES).await?;
        whole = all;
        texts.push((name.clone(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    let id = &record.run.id;
    let choice = |name: String| {
        let current = chosen.as_ref() == Some(&name);
        (Link { href: format!("/runs/{id}?tab=logs&path={}", encoded(&name)), label: name }, current)
    };
    let choices = names.iter().cloned().map(choice).collect();
    Ok(TextsView { choices, texts, whole, elsewhere: String::new(), tags: Vec::new() })
}

/// The same run in Python.
fn code(record: &Arc<RunRecord>, uri: &str) -> String {
    let (id, uri) = (&record.run.id, python(uri));
    let first = record.metrics.iter().map(|(key, _)| key).find(|key| !format::is_system(key));
    let mut code =
        format!("import mlflow\n\nmlflow.set_tracking_uri({uri})\nrun = mlflow.get_run(\"{id}\")\n");
    if let Some(key) = first {
        let call = format!("mlflow.MlflowClient().get_metric_history(\"{id}\", {})", python(key));
        code.push_str(&format!("history = {call}\n"));
    }
    code
}
