use async_trait::async_trait;
use bytes::Bytes;
use group_loops::{
    Assessment, Monitoring as MonitoringPort, Month, NewBaseline, Paired, PortResult, TrainingSet,
};
use group_monitoring::{LoggedPrediction, MonitorSpec, Monitoring, TrainingWindow};
use group_serving::{PredictionRecord, PredictionSink};
use platform_blobs::{BlobDigest, Blobs};
use platform_loopfile::LoopFile;
use platform_primitives::Timestamp;
use platform_tables::{Column, Table, read_parquet, write_parquet};

use super::failure;

/// Kept beyond the longest window, so that late labels still find their prediction.
const SLACK_MS: i64 = 7 * 86_400_000;

/// The prediction log as serving sees it.
pub struct LoggedPredictions(pub Monitoring);

#[async_trait]
impl PredictionSink for LoggedPredictions {
    async fn append(&self, endpoint: &str, records: Vec<PredictionRecord>) -> PortResult<()> {
        let rows = records
            .into_iter()
            .map(|record| LoggedPrediction {
                id: record.id,
                at: record.at,
                inputs: record.inputs.into_boxed_slice(),
                revision: record.revision,
                prediction: record.prediction,
                champion: record.champion,
                champion_prediction: record.champion_prediction,
                candidate: record.candidate,
                candidate_prediction: record.candidate_prediction,
                reference_prediction: record.reference_prediction,
            })
            .collect();
        self.0.append(endpoint, rows).await.map_err(failure)
    }
}

pub(super) struct EndpointWatch {
    pub monitoring: Monitoring,
    pub blobs: Blobs,
}

impl EndpointWatch {
    async fn table(&self, digest: &str) -> PortResult<Table> {
        let digest = BlobDigest::parse(digest).map_err(failure)?;
        let bytes = self.blobs.get_bytes(&digest).await.map_err(failure)?;
        read_parquet(bytes).map_err(failure)
    }
}

fn spec(file: &LoopFile) -> MonitorSpec {
    let longest = [
        (file.rebuild.window.as_millis() as f64 * file.rebuild.follow_up_factor.max(1.0)) as i64,
        file.watch.window.as_millis(),
        file.watch.drift.window.as_millis(),
    ];
    MonitorSpec {
        features: file.data.features.clone(),
        quality: file.data.quality.clone(),
        label: file.data.label.clone(),
        label_lag_ms: file.data.label_lag.as_millis(),
        watch: file.watch.clone(),
        currency: file.business.currency.clone(),
        cost_under: file.business.cost_under,
        cost_over: file.business.cost_over,
        decisions_per_month: file.business.decisions_per_month,
        alpha: file.rebuild.alpha,
        retention_ms: longest.into_iter().max().unwrap_or(0) + SLACK_MS,
    }
}

#[async_trait]
impl MonitoringPort for EndpointWatch {
    async fn configure(&self, project: &str, file: &LoopFile) -> PortResult<()> {
        let configured = self.monitoring.configure("platform:loop", project, &file.model.name, spec(file));
        configured.await.map_err(failure)
    }

    async fn set_baseline(&self, endpoint: &str, baseline: NewBaseline) -> PortResult<()> {
        let new = group_monitoring::NewBaseline {
            revision: baseline.revision,
            training_digest: baseline.training_digest,
            predictions_digest: baseline.predictions_digest,
            mae: baseline.mae,
            since: baseline.since,
        };
        self.monitoring.set_baseline(endpoint, new).await.map_err(failure)
    }

    async fn assess(&self, endpoint: &str, champion: i64, now: Timestamp) -> PortResult<Assessment> {
        let found = self.monitoring.assess(endpoint, champion, now).await.map_err(failure)?;
        Ok(Assessment {
            rows: found.rows,
            coverage: found.coverage,
            mae: found.mae,
            bias: found.bias,
            cost: found.cost,
            mae_lower: found.mae_lower,
            baseline_mae: found.baseline_mae,
            ratio: found.ratio,
            onset: found.change.map(|change| change.onset),
            found_at: found.change.map(|change| change.found_at),
        })
    }

    async fn paired(&self, endpoint: &str, candidate: i64, step_since: Timestamp) -> PortResult<Paired> {
        let evidence = self.monitoring.paired(endpoint, candidate, step_since).await.map_err(failure)?;
        Ok(Paired {
            difference: evidence.difference,
            candidate_mae: evidence.candidate_mae,
            champion_mae: evidence.champion_mae,
            served: evidence.served,
        })
    }

    async fn labelled_rows(&self, endpoint: &str, from: Timestamp) -> PortResult<u64> {
        Ok(self.monitoring.labelled_rows(endpoint, from).await.map_err(failure)? as u64)
    }

    async fn training_set(
        &self,
        file: &LoopFile,
        template: &str,
        from: Timestamp,
    ) -> PortResult<TrainingSet> {
        let window = TrainingWindow {
            from,
            holdout: file.rebuild.holdout,
            min_rows: usize::try_from(file.rebuild.min_rows).unwrap_or(usize::MAX),
            id: file.data.id.clone(),
            time: file.data.time.clone(),
            label_time: file.data.label_time.clone(),
        };
        let made = self.monitoring.training_set(&file.model.name, template, &window).await;
        let (set, training, holdout) = made.map_err(failure)?;
        Ok(TrainingSet {
            training,
            holdout,
            training_rows: set.training_rows as u64,
            holdout_rows: set.holdout_rows as u64,
            excluded: set.excluded as u64,
            first: set.first,
            split: set.split,
            last: set.last,
        })
    }

    async fn months(&self, endpoint: &str, now: Timestamp) -> PortResult<Vec<Month>> {
        self.monitoring.catch_up_to(endpoint, now).await.map_err(failure)?;
        let months = self.monitoring.months(endpoint).await.map_err(failure)?;
        Ok(months
            .into_iter()
            .map(|line| Month {
                month: line.month,
                predictions: line.predictions,
                labelled: line.labelled,
                excluded: line.excluded,
                loop_mae: line.loop_mae,
                loop_bias: line.loop_bias,
                loop_cost: line.loop_cost,
                static_mae: line.static_mae,
                static_bias: line.static_bias,
                static_cost: line.static_cost,
                answered_by: line.answered_by,
            })
            .collect())
    }

    async fn drifting(&self, endpoint: &str) -> PortResult<Vec<String>> {
        let scores = self.monitoring.drift_scores(endpoint, 200).await.map_err(failure)?;
        let newest = scores.first().map(|score| score.at);
        let drifting = scores.iter().filter(|score| Some(score.at) == newest && score.drifted());
        Ok(drifting
            .map(|score| format!("{} {:.2} (over {:.2})", score.column, score.score, score.threshold))
            .collect())
    }

    async fn labels_of(&self, file: &LoopFile, table: &str) -> PortResult<Vec<f64>> {
        self.table(table).await?.reals(&file.data.label).map_err(failure)
    }

    async fn keep_predictions(&self, predictions: &[f64]) -> PortResult<String> {
        let column = ("prediction".to_owned(), Column::Real(predictions.to_vec()));
        let table = Table::new(vec![column]).map_err(failure)?;
        let bytes = write_parquet(&table).map_err(failure)?;
        Ok(self.blobs.put_bytes(Bytes::from(bytes)).await.map_err(failure)?.digest.to_string())
    }
}
