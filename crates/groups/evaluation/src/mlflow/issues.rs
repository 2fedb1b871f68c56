use axum::Json;
use axum::extract::Path;
use platform_web::Caller;
use platform_web::mlflow::{MlflowJson, Scoped, optional_int64};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ask, required};
use crate::service::NewIssue;
use crate::{Evaluation, EvaluationError, Issue, IssueChange, IssueSeverity, IssueStatus};

fn issue_json(issue: &Issue) -> Value {
    let mut body = json!({
        "issue_id": issue.id,
        "experiment_id": issue.experiment,
        "name": issue.name,
        "description": issue.description,
        "status": issue.status.name(),
        "root_causes": issue.root_causes,
        "categories": issue.categories,
        "created_timestamp": issue.created,
        "last_updated_timestamp": issue.updated,
    });
    let mut put = |field: &str, value: Option<&str>| {
        if let Some(value) = value {
            body[field] = value.into();
        }
    };
    put("severity", issue.severity.map(IssueSeverity::name));
    put("source_run_id", issue.source_run.as_deref());
    put("created_by", issue.created_by.as_deref());
    body
}

fn status(name: Option<&str>) -> Result<Option<IssueStatus>, EvaluationError> {
    name.map(IssueStatus::parse).transpose()
}

fn severity(name: Option<&str>) -> Result<Option<IssueSeverity>, EvaluationError> {
    name.map(IssueSeverity::parse).transpose()
}

#[derive(Deserialize)]
pub(super) struct Create {
    experiment_id: Option<String>,
    name: Option<String>,
    description: Option<String>,
    status: Option<String>,
    severity: Option<String>,
    #[serde(default)]
    root_causes: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    source_run_id: Option<String>,
    created_by: Option<String>,
}

pub(super) async fn create(
    Scoped(service): Scoped<Evaluation>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Create>,
) -> Answer {
    let new = NewIssue {
        experiment: required(body.experiment_id, "experiment_id")?,
        name: required(body.name, "name")?,
        description: required(body.description, "description")?,
        status: status(body.status.as_deref())?.unwrap_or(IssueStatus::Pending),
        severity: severity(body.severity.as_deref())?,
        root_causes: body.root_causes,
        categories: body.categories,
        source_run: body.source_run_id,
        created_by: body.created_by,
    };
    let issue = service.create_issue(&caller.name, new).await?;
    Ok(Json(json!({"issue": issue_json(&issue)})))
}

pub(super) async fn get(Scoped(service): Scoped<Evaluation>, Path(id): Path<String>) -> Answer {
    Ok(Json(json!({"issue": issue_json(&service.get_issue(&id).await?)})))
}

#[derive(Deserialize)]
pub(super) struct Update {
    name: Option<String>,
    description: Option<String>,
    status: Option<String>,
    severity: Option<String>,
}

pub(super) async fn update(
    Scoped(service): Scoped<Evaluation>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    MlflowJson(body): MlflowJson<Update>,
) -> Answer {
    let change = IssueChange {
        name: body.name,
        description: body.description,
        status: status(body.status.as_deref())?,
        severity: severity(body.severity.as_deref())?,
    };
    let issue = service.update_issue(&caller.name, &id, change).await?;
    Ok(Json(json!({"issue": issue_json(&issue)})))
}

#[derive(Deserialize)]
pub(super) struct Search {
    experiment_id: Option<String>,
    filter_string: Option<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    max_results: Option<i64>,
    page_token: Option<String>,
}

pub(super) async fn search(
    Scoped(service): Scoped<Evaluation>,
    MlflowJson(body): MlflowJson<Search>,
) -> Answer {
    let ask = ask(body.filter_string, Vec::new(), body.max_results, body.page_token)?;
    let experiment = body.experiment_id.filter(|id| !id.is_empty());
    let (found, token) = service.search_issues(experiment.as_deref(), &ask).await?;
    let issues: Vec<Value> = found.iter().map(issue_json).collect();
    Ok(Json(json!({"issues": issues, "next_page_token": token.unwrap_or_default()})))
}
