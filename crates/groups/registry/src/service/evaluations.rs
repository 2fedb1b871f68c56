//! Evaluations: predictions of a version on rows with their truth.

use platform_tables::{Column, Table, read_parquet, write_parquet};
use serde_json::json;

use super::{Registry, Result};
use crate::evaluation::{Evaluation, EvaluationKind, Loss, Paired, Rows, compare};
use crate::model::VersionState;
use crate::names::check_length;
use crate::{RegistryError, kinds, store};

/// Most evaluations of a version that are listed and looked through.
const SHOWN: usize = 1_000;

impl Registry {
    /// Keeps the rows as one Parquet file, and their metrics.
    pub(crate) async fn evaluate(
        &self,
        actor: &str,
        model: &str,
        version: i64,
        dataset: &str,
        rows: Rows,
    ) -> Result<Evaluation> {
        if dataset.trim().is_empty() {
            return Err(RegistryError::Missing { field: "dataset" });
        }
        check_length("dataset", dataset, 500)?;
        self.get_version(model, version).await?;
        let port = &self.governed("evaluations")?.files;
        let name = dataset.to_owned();
        let work = move || -> Result<_> {
            rows.check(&name)?;
            let (kind, count, metrics) = (rows.kind, rows.ids.len() as i64, rows.metrics());
            let table = Table::new(vec![
                ("id".to_owned(), Column::Text(rows.ids.into_iter().map(Some).collect())),
                ("truth".to_owned(), Column::Real(rows.truth)),
                ("prediction".to_owned(), Column::Real(rows.prediction)),
            ])?;
            Ok((kind, count, metrics, write_parquet(&table)?))
        };
        let (kind, count, metrics, bytes) = blocking(dataset, work).await?;
        let digest = port.keep(bytes.into()).await?;
        let evaluation = Evaluation {
            id: store::new_evaluation_id(),
            dataset: dataset.to_owned(),
            kind,
            rows: count,
            digest,
            metrics,
            actor: actor.to_owned(),
            at: self.events.now(),
        };
        let kept = evaluation.clone();
        self.change_version(actor, model, version, move |registry, tx, actor, model, row| {
            // Later versions are judged against it: nobody puts another one before it.
            let is_decided = !matches!(
                row.state,
                VersionState::Registered | VersionState::Refused | VersionState::AwaitingApproval
            );
            if is_decided && store::has_evaluation(tx, row, &kept.dataset)? {
                let rule = format!("the version is {}: its evaluation stays", row.state.name());
                return Err(RegistryError::Evaluation { dataset: kept.dataset, rule });
            }
            store::insert_evaluation(tx, row, &kept)?;
            let payload = json!({"dataset": kept.dataset, "rows": kept.rows, "digest": kept.digest,
                "metrics": kept.metrics});
            registry.announce(tx, model, (kinds::EVALUATED, row.subject()), actor, payload)
        })
        .await?;
        Ok(evaluation)
    }

    /// Newest first.
    pub async fn evaluations(&self, model: &str, version: i64) -> Result<Vec<Evaluation>> {
        store::evaluations(&self.db, model, version, SHOWN).await
    }

    /// The newest evaluations of two versions on a data set, row by row; differences are the first minus the second.
    pub async fn compare(
        &self,
        model: &str,
        (a, b): (i64, i64),
        dataset: &str,
        loss: Loss,
        confidence: f64,
    ) -> Result<Paired> {
        let (left, right) = (self.rows_of(model, a, dataset).await?, self.rows_of(model, b, dataset).await?);
        let name = dataset.to_owned();
        blocking(dataset, move || compare(&name, &left, &right, loss, confidence)).await
    }

    async fn rows_of(&self, model: &str, version: i64, dataset: &str) -> Result<Rows> {
        let found = self.evaluations(model, version).await?;
        let newest = found.into_iter().find(|evaluation| evaluation.dataset == dataset);
        let newest = newest.ok_or_else(|| RegistryError::NotEvaluated {
            model: model.to_owned(),
            version,
            dataset: dataset.to_owned(),
        })?;
        let bytes = self.governed("evaluations")?.files.read(&newest.digest).await?;
        blocking(dataset, move || rows(newest.kind, bytes)).await
    }
}

fn rows(kind: EvaluationKind, bytes: bytes::Bytes) -> Result<Rows> {
    let table = read_parquet(bytes)?;
    let ids = table.texts("id")?.into_iter().map(Option::unwrap_or_default).collect();
    Ok(Rows { kind, ids, truth: table.reals("truth")?, prediction: table.reals("prediction")? })
}

/// A million rows are sorted beside the threads that answer.
async fn blocking<T: Send + 'static>(
    dataset: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| RegistryError::Evaluation {
        dataset: dataset.to_owned(),
        rule: format!("the work did not end: {error}"),
    })?
}
