//! What a person changes on these pages: one run's name, note and tags, and many runs at once.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use futures_util::StreamExt as _;
use futures_util::stream;
use platform_web::Caller;
use platform_web::dialect::PageResult;
use serde::Deserialize;

use super::table::Ask;
use super::{Pages, back_to, id_list};
use crate::service::Batch;
use crate::{ExperimentError, Experiments};

/// Runs changed by one click; each is a transaction with its event.
const BULK_MAX: usize = 10_000;
/// Changes under way at a time: they share commits.
const AT_ONCE: usize = 64;

pub(super) const NOTE_TAG: &str = "mlflow.note.content";

#[derive(Deserialize)]
pub(super) struct BulkForm {
    action: String,
    /// Ids between commas.
    #[serde(default)]
    runs: String,
    /// `all`: every run that matches `filter` and `view`, whatever `runs` says.
    #[serde(default)]
    select: String,
    #[serde(default)]
    filter: String,
    #[serde(default)]
    view: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
    /// The query of the page the form stands on.
    #[serde(default)]
    back: String,
}

#[derive(Clone)]
enum Change {
    SetDeleted(bool),
    Tag(String, String),
}

pub(super) async fn bulk(
    State(pages): State<Pages>,
    Path(id): Path<i64>,
    Caller(caller): Caller,
    Form(form): Form<BulkForm>,
) -> PageResult<Redirect> {
    let change = match form.action.as_str() {
        "delete" => Change::SetDeleted(true),
        "restore" => Change::SetDeleted(false),
        "tag" if form.key.trim().is_empty() => {
            return Err(ExperimentError::invalid("key", "", "expected the key of a tag").into());
        }
        "tag" => Change::Tag(form.key.trim().to_owned(), form.value.clone()),
        other => {
            return Err(ExperimentError::invalid("action", other, "expected delete, restore or tag").into());
        }
    };
    let runs = match form.select.as_str() {
        "all" => {
            let ask = Ask { filter: form.filter.clone(), view: form.view.clone(), ..Ask::default() };
            pages.service.matching_runs(id, ask.view()?, (ask.filter(), &[])).await?
        }
        _ => id_list(&form.runs),
    };
    if runs.is_empty() {
        return Err(ExperimentError::invalid("runs", "", "select at least one run first").into());
    }
    if runs.len() > BULK_MAX {
        return Err(ExperimentError::BatchTooLarge { what: "runs", found: runs.len(), most: BULK_MAX }.into());
    }
    let actor: Arc<str> = caller.name.as_str().into();
    let one = |run| apply(pages.service.clone(), Arc::clone(&actor), run, change.clone());
    let changes: Vec<_> = runs.into_iter().map(one).collect();
    let asked = changes.len();
    // One that cannot be changed keeps no other from it: the answer says how many were.
    let outcomes: Vec<_> = stream::iter(changes).buffer_unordered(AT_ONCE).collect().await;
    let refused: Vec<ExperimentError> = outcomes.into_iter().filter_map(Result::err).collect();
    let count = refused.len();
    if let Some(first) = refused.into_iter().next() {
        return Err(ExperimentError::PartlyChanged { asked, refused: count, first: Box::new(first) }.into());
    }
    Ok(back_to(&format!("/experiments/{id}"), &form.back))
}

async fn apply(
    service: Experiments,
    actor: Arc<str>,
    run: String,
    change: Change,
) -> Result<(), ExperimentError> {
    match change {
        Change::SetDeleted(deleted) => service.set_run_deleted(&actor, &run, deleted).await.map(drop),
        Change::Tag(key, value) => {
            let batch = Batch { tags: vec![(key, value)], ..Batch::default() };
            service.log_batch(&run, batch).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct NameForm {
    name: String,
}

pub(super) async fn rename(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Caller(caller): Caller,
    Form(form): Form<NameForm>,
) -> PageResult<Redirect> {
    let name = form.name.trim().to_owned();
    if name.is_empty() {
        return Err(ExperimentError::invalid("name", "", "a run needs a name").into());
    }
    pages.service.update_run(&caller.name, &id, None, None, Some(name)).await?;
    Ok(back_to(&format!("/runs/{id}"), ""))
}

#[derive(Deserialize)]
pub(super) struct NoteForm {
    note: String,
}

pub(super) async fn note(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Form(form): Form<NoteForm>,
) -> PageResult<Redirect> {
    put_tag(&pages, &id, NOTE_TAG.to_owned(), form.note).await
}

#[derive(Deserialize)]
pub(super) struct TagForm {
    key: String,
    value: String,
}

pub(super) async fn tag(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Form(form): Form<TagForm>,
) -> PageResult<Redirect> {
    put_tag(&pages, &id, form.key.trim().to_owned(), form.value).await
}

async fn put_tag(pages: &Pages, id: &str, key: String, value: String) -> PageResult<Redirect> {
    let batch = Batch { tags: vec![(key, value)], ..Batch::default() };
    pages.service.log_batch(id, batch).await?;
    Ok(back_to(&format!("/runs/{id}"), ""))
}
