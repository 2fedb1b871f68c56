//! Changes that are there are found, and only those.

use group_monitoring::{LoggedPrediction, kinds};
use platform_events::EventFilter;

use crate::DAY;
use crate::bench::{Bench, ENDPOINT, benches, label, minute, row, spec};

/// One row a minute with the error that `error` says, labelled at once.
async fn feed(bench: &Bench, rows: i64, error: impl Fn(i64) -> f64) {
    let stream: Vec<LoggedPrediction> =
        (0..rows).map(|n| row(&format!("r{n}"), minute(n), (n % 100) as f64, 50.0)).collect();
    bench.monitoring.append(ENDPOINT, stream).await.unwrap();
    let labels = (0..rows).map(|n| label(&format!("r{n}"), 50.0 + error(n), minute(n))).collect();
    bench.monitoring.add_labels(ENDPOINT, labels).await.unwrap();
}

/// Errors between 1 and 1.5 without a trend.
fn noise(number: i64) -> f64 {
    1.0 + 0.5 * (number * 7_919 % 101) as f64 / 101.0
}

#[tokio::test]
async fn a_rise_of_the_error_is_found_with_its_onset() {
    const TRUE_ONSET: i64 = 500;
    for bench in benches(&spec()).await {
        let engine = bench.engine();
        feed(&bench, 800, |n| if n < TRUE_ONSET { noise(n) } else { noise(n) + 5.0 }).await;
        let before = bench.monitoring.assess(ENDPOINT, 1, minute(TRUE_ONSET)).await.unwrap();
        assert_eq!(before.change, None, "{engine:?}");
        let after = bench.monitoring.assess(ENDPOINT, 1, minute(801)).await.unwrap();
        let change = after.change.unwrap_or_else(|| panic!("{engine:?}: nothing found in {after:?}"));
        let off = change.onset.since(minute(TRUE_ONSET)) / 60_000;
        assert!(off.abs() <= 64, "{engine:?}: the onset is {off} rows off: {change:?}");
        assert!(
            change.found_at >= minute(TRUE_ONSET) && change.found_at >= change.onset,
            "{engine:?}: {change:?}"
        );
        assert!(change.mean_after > change.mean_before, "{engine:?}: {change:?}");
    }
}

#[tokio::test]
async fn a_fall_or_a_steady_error_is_no_rise() {
    type Shape = fn(i64) -> f64;
    let cases: [(&str, Shape); 2] =
        [("steady", noise), ("fall", |n| if n < 500 { noise(n) + 5.0 } else { noise(n) })];
    for (case, error) in cases {
        for bench in benches(&spec()).await {
            feed(&bench, 800, error).await;
            let found = bench.monitoring.assess(ENDPOINT, 1, minute(801)).await.unwrap();
            assert_eq!((found.rows, found.change), (800, None), "{:?} {case}", bench.engine());
        }
    }
}

#[tokio::test]
async fn drift_is_found_on_the_shifted_column_and_told_once() {
    for bench in benches(&spec()).await {
        let engine = bench.engine();
        let stream = (0..400)
            .map(|n| {
                let even = (n % 100) as f64;
                let mut row = row(&format!("r{n}"), minute(n), even, even);
                row.inputs[0] = even + 60.0;
                row
            })
            .collect();
        bench.monitoring.append(ENDPOINT, stream).await.unwrap();
        let labels = (0..400).map(|n| label(&format!("r{n}"), (n % 100) as f64 + 1.0, minute(n))).collect();
        bench.monitoring.add_labels(ENDPOINT, labels).await.unwrap();

        bench.monitoring.assess(ENDPOINT, 1, minute(401)).await.unwrap();
        bench.monitoring.assess(ENDPOINT, 1, minute(402)).await.unwrap();
        let scores = bench.monitoring.drift_scores(ENDPOINT, 100).await.unwrap();
        assert_eq!(scores.len(), 3, "{engine:?}: one look a day: {scores:?}");
        for (column, method, drifted) in [
            ("x", "normed_wasserstein", true),
            ("zone", "jensen_shannon", false),
            ("prediction", "normed_wasserstein", false),
        ] {
            let score = scores.iter().find(|score| score.column == column).unwrap();
            assert_eq!((score.method.as_str(), score.drifted()), (method, drifted), "{engine:?}: {score:?}");
            assert_eq!((score.rows, score.missing), (400, 0.0), "{engine:?}: {score:?}");
            assert!(score.threshold >= spec().watch.drift.threshold, "{engine:?}: {score:?}");
        }

        bench.monitoring.assess(ENDPOINT, 1, minute(401 + DAY)).await.unwrap();
        bench.restarted().assess(ENDPOINT, 1, minute(401 + 2 * DAY)).await.unwrap();
        assert_eq!(bench.monitoring.drift_scores(ENDPOINT, 100).await.unwrap().len(), 9, "{engine:?}");
        let filter =
            EventFilter { kind_prefix: Some("monitoring.drift".to_owned()), ..EventFilter::default() };
        let told = bench.test.events.list(filter, 0, 100).await.unwrap();
        let told: Vec<_> = told.iter().map(|event| (event.kind.as_str(), event.text("column"))).collect();
        assert_eq!(told, [(kinds::DRIFT_FOUND, "x")], "{engine:?}");
    }
}
