//! A monitor over a fresh database and store, and streams made by hand.

use std::path::Path;

use bytes::Bytes;
use group_monitoring::{LoggedPrediction, MIGRATIONS, MonitorSpec, Monitoring, NewBaseline};
use platform_blobs::Blobs;
use platform_db::Engine;
use platform_loopfile::{DriftWatch, Feature, FeatureKind, QualityRule, Span, Watch};
use platform_primitives::Timestamp;
use platform_tables::{Column, Table, write_parquet};
use platform_testkit::{TestDb, both_engines};

pub const ENDPOINT: &str = "demand";
pub const BASELINE_MAE: f64 = 2.0;

pub struct Bench {
    pub test: TestDb,
    pub blobs: Blobs,
    pub monitoring: Monitoring,
    _files: tempfile::TempDir,
}

/// Champion 1 is watched, with its baseline, on every engine at hand.
pub async fn benches(spec: &MonitorSpec) -> Vec<Bench> {
    let mut all = Vec::new();
    for test in both_engines(&[MIGRATIONS]).await {
        let files = tempfile::tempdir().unwrap();
        let blobs = open(files.path());
        let monitoring = Monitoring::new(test.db.clone(), test.events.clone(), blobs.clone());
        let bench = Bench { test, blobs, monitoring, _files: files };
        bench.monitoring.configure("omar", "taxi", ENDPOINT, spec.clone()).await.unwrap();
        bench.set_baseline().await;
        all.push(bench);
    }
    all
}

fn open(directory: &Path) -> Blobs {
    Blobs::local(directory).unwrap()
}

impl Bench {
    pub fn engine(&self) -> Engine {
        self.test.db.engine()
    }

    /// What a new process sees.
    pub fn restarted(&self) -> Monitoring {
        Monitoring::new(self.test.db.clone(), self.test.events.clone(), self.blobs.clone())
    }

    pub async fn put(&self, columns: Vec<(&str, Column)>) -> String {
        let columns = columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect();
        let bytes = write_parquet(&Table::new(columns).unwrap()).unwrap();
        self.blobs.put_bytes(Bytes::from(bytes)).await.unwrap().digest.to_string()
    }

    /// 400 rows: x even over 0 to 99, four zones, predictions even over 0 to 99.
    async fn set_baseline(&self) {
        let even: Vec<f64> = (0..400).map(|i| f64::from(i % 100)).collect();
        let zones = (0..400).map(|i| i % 4).collect();
        let training = vec![("x", Column::Real(even.clone())), ("zone", Column::Int(zones))];
        let new = NewBaseline {
            revision: 1,
            training_digest: self.put(training).await,
            predictions_digest: self.put(vec![("prediction", Column::Real(even))]).await,
            mae: BASELINE_MAE,
            since: minute(0),
        };
        self.monitoring.set_baseline(ENDPOINT, new).await.unwrap();
    }
}

/// Minutes since 2019-02-01T05:46:40Z.
pub fn minute(number: i64) -> Timestamp {
    Timestamp::from_millis(1_549_000_000_000).plus_millis(number * 60_000)
}

pub fn spec() -> MonitorSpec {
    let rule = |column: &str, min, max| QualityRule { column: column.to_owned(), min, max };
    MonitorSpec {
        features: vec![
            Feature { name: "x".to_owned(), kind: FeatureKind::Number },
            Feature { name: "zone".to_owned(), kind: FeatureKind::Category },
        ],
        quality: vec![rule("x", Some(0.0), Some(1_000.0)), rule("trips", None, Some(500.0))],
        label: "trips".to_owned(),
        label_lag_ms: 0,
        watch: Watch {
            min_rows: 4,
            drift: DriftWatch { every: Span::days(1), ..DriftWatch::default() },
            ..Watch::default()
        },
        currency: "USD".to_owned(),
        cost_under: 1.0,
        cost_over: 0.5,
        decisions_per_month: 1_000.0,
        alpha: 0.05,
        retention_ms: Span::days(400).as_millis(),
    }
}

/// A row that champion 1 answered alone.
pub fn row(id: &str, at: Timestamp, x: f64, prediction: f64) -> LoggedPrediction {
    LoggedPrediction {
        id: id.to_owned(),
        at,
        inputs: Box::from([x, (x % 4.0).floor()]),
        revision: 1,
        prediction,
        champion: 1,
        champion_prediction: prediction,
        candidate: 0,
        candidate_prediction: f64::NAN,
        reference_prediction: prediction,
    }
}

pub fn label(id: &str, value: f64, observed: Timestamp) -> (String, f64, Timestamp) {
    (id.to_owned(), value, observed)
}
