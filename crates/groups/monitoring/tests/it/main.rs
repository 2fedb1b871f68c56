//! The joined stream: what counts, what does not, and that a new process says the same.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

mod bench;
mod drift;
mod training;

use std::collections::BTreeMap;

use group_monitoring::{LoggedPrediction, MonitoringError};
use serde_json::json;

use bench::{BASELINE_MAE, ENDPOINT, benches, label, minute, row, spec};

const DAY: i64 = 24 * 60;

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-12
}

#[tokio::test]
async fn accuracy_is_exact_on_a_stream_made_by_hand() {
    for bench in benches(&spec()).await {
        let engine = bench.engine();
        // id, x, prediction, truth
        let stream = [
            ("under", 1.0, 10.0, Some(12.0)),
            ("over", 1.0, 20.0, Some(19.0)),
            ("equal", 1.0, 30.0, Some(30.0)),
            ("far under", f64::NAN, 40.0, Some(43.0)),
            ("input out of bounds", 2_000.0, 100.0, Some(0.0)),
            ("truth out of bounds", 1.0, 100.0, Some(600.0)),
            ("never labelled", 1.0, 100.0, None),
        ];
        let mut rows: Vec<LoggedPrediction> = Vec::new();
        let mut labels = Vec::new();
        for (index, (id, x, prediction, truth)) in stream.into_iter().enumerate() {
            let at = minute(index as i64);
            rows.push(row(id, at, x, prediction));
            labels.extend(truth.map(|truth| label(id, truth, at.plus_millis(1))));
        }
        rows.push(row("over", minute(7), 1.0, 77.0));
        bench.monitoring.append(ENDPOINT, rows).await.unwrap();
        // Sent again in a later segment: the first answer counts.
        let again = vec![row("under", minute(8), 1.0, 99.0)];
        bench.monitoring.append(ENDPOINT, again).await.unwrap();
        labels.push(label("nobody asked", 5.0, minute(3)));
        assert_eq!(bench.monitoring.add_labels(ENDPOINT, labels.clone()).await.unwrap(), 7, "{engine:?}");
        labels.iter_mut().for_each(|label| label.1 += 50.0);
        assert_eq!(bench.monitoring.add_labels(ENDPOINT, labels).await.unwrap(), 0, "{engine:?}: known");

        let found = bench.monitoring.assess(ENDPOINT, 1, minute(60)).await.unwrap();
        assert_eq!((found.rows, found.champion, found.at), (4, 1, minute(60)), "{engine:?}");
        for (name, value, expected) in [
            ("mae", found.mae, 1.5),
            ("bias", found.bias, -1.0),
            ("cost", found.cost, (2.0 + 0.5 + 3.0) / 4.0),
            ("coverage", found.coverage, 6.0 / 7.0),
            ("baseline", found.baseline_mae, BASELINE_MAE),
            ("ratio", found.ratio, 0.75),
        ] {
            assert!(close(value, expected), "{engine:?} {name}: {value}, expected {expected}");
        }
        assert!(found.mae_lower < found.mae && found.mae_lower.is_finite(), "{engine:?}: {found:?}");
        assert_eq!(found.change, None, "{engine:?}");

        let months = bench.monitoring.months(ENDPOINT).await.unwrap();
        assert_eq!(months.len(), 1, "{engine:?}: {months:?}");
        let month = &months[0];
        assert_eq!(month.month, "2019-02", "{engine:?}");
        assert_eq!((month.predictions, month.labelled, month.excluded), (7, 6, 2), "{engine:?}");
        assert!(close(month.loop_mae, 1.5) && close(month.loop_bias, -1.0), "{engine:?}: {month:?}");
        assert!((month.loop_cost - 1_375.0).abs() < 1e-9, "{engine:?}: {month:?}");
        assert_eq!(month.answered_by, BTreeMap::from([(1, 7)]), "{engine:?}");

        let kept = bench.monitoring.assessments(ENDPOINT, 10).await.unwrap();
        assert_eq!(json!(kept), json!([found]), "{engine:?}");
        assert_eq!(bench.monitoring.labelled_rows(ENDPOINT, minute(1)).await.unwrap(), 3, "{engine:?}");
    }
}

#[tokio::test]
async fn a_label_counts_once_it_is_due() {
    let mut lagged = spec();
    lagged.label_lag_ms = 2 * DAY * 60_000;
    for bench in benches(&lagged).await {
        let engine = bench.engine();
        let rows = (0..4).map(|i| row(&format!("r{i}"), minute(i), 1.0, 10.0)).collect();
        bench.monitoring.append(ENDPOINT, rows).await.unwrap();
        let labels = (0..4).map(|i| label(&format!("r{i}"), 11.0, minute(i + 10))).collect();
        bench.monitoring.add_labels(ENDPOINT, labels).await.unwrap();
        for (now, rows) in
            [(20, 0), (2 * DAY + 9, 0), (2 * DAY + 11, 1), (2 * DAY + 12, 2), (2 * DAY + 60, 4)]
        {
            let found = bench.monitoring.assess(ENDPOINT, 1, minute(now)).await.unwrap();
            // Due exactly at the look is either side's right.
            let just_due = u64::from((2 * DAY + 10..=2 * DAY + 13).contains(&now));
            assert!(
                (rows..=rows + just_due).contains(&found.rows),
                "{engine:?} minute {now}: {}",
                found.rows
            );
            assert!(close(found.coverage, found.rows as f64 / 4.0), "{engine:?} minute {now}: {found:?}");
        }
    }
}

#[tokio::test]
async fn a_label_ahead_of_its_prediction_waits_for_it() {
    for bench in benches(&spec()).await {
        let engine = bench.engine();
        bench.monitoring.add_labels(ENDPOINT, vec![label("early", 12.0, minute(1))]).await.unwrap();
        bench.monitoring.assess(ENDPOINT, 1, minute(5)).await.unwrap();
        // The log is written in segments: this one became durable after the look.
        bench.monitoring.append(ENDPOINT, vec![row("early", minute(0), 1.0, 10.0)]).await.unwrap();
        let found = bench.monitoring.assess(ENDPOINT, 1, minute(10)).await.unwrap();
        let anew = bench.restarted().assess(ENDPOINT, 1, minute(10)).await.unwrap();
        assert_eq!((found.rows, anew.rows), (1, 1), "{engine:?}");
        assert!(close(found.mae, 2.0) && close(anew.mae, 2.0), "{engine:?}: {found:?} {anew:?}");
    }
}

#[tokio::test]
async fn after_quiet_weeks_the_assessments_can_still_be_read() {
    for bench in benches(&spec()).await {
        let engine = bench.engine();
        let rows = (0..6).map(|i| row(&format!("r{i}"), minute(i), 1.0, 10.0)).collect();
        bench.monitoring.append(ENDPOINT, rows).await.unwrap();
        let labels = (0..6).map(|i| label(&format!("r{i}"), 11.0, minute(i))).collect();
        bench.monitoring.add_labels(ENDPOINT, labels).await.unwrap();
        // Nothing lies in the window: the look reaches back to the least number of rows.
        let found = bench.monitoring.assess(ENDPOINT, 1, minute(30 * DAY)).await.unwrap();
        assert_eq!(found.rows, 4, "{engine:?}: {found:?}");
        let kept = bench.monitoring.assessments(ENDPOINT, 10).await;
        assert!(matches!(&kept, Ok(kept) if kept.len() == 1), "{engine:?}: {kept:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_label_is_refused_whole() {
    for bench in benches(&spec()).await {
        let engine = bench.engine();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let labels = vec![label("good", 1.0, minute(0)), label("bad", value, minute(0))];
            let refused = bench.monitoring.add_labels(ENDPOINT, labels).await;
            assert!(
                matches!(&refused, Err(MonitoringError::LabelValue { id, .. }) if id == "bad"),
                "{engine:?} {value}: {refused:?}"
            );
        }
        let good = vec![label("good", 1.0, minute(0))];
        assert_eq!(bench.monitoring.add_labels(ENDPOINT, good.clone()).await.unwrap(), 1, "{engine:?}");
        let unknown = bench.monitoring.add_labels("nowhere", good).await;
        assert!(matches!(unknown, Err(MonitoringError::NotMonitored { .. })), "{engine:?}: {unknown:?}");
        let no_baseline = bench.monitoring.assess(ENDPOINT, 2, minute(1)).await;
        assert!(
            matches!(no_baseline, Err(MonitoringError::NoBaseline { revision: 2, .. })),
            "{engine:?}: {no_baseline:?}"
        );
    }
}

/// Row `number` of a stream in which candidate 2 runs beside champion 1 from row 300 on and answers every third.
fn paired_row(number: i64) -> LoggedPrediction {
    let mut row = row(&format!("r{number}"), minute(number * 60), (number % 100) as f64, 50.0);
    if number >= 300 {
        row.candidate = 2;
        row.candidate_prediction = 51.0;
        if number % 3 == 0 {
            row.revision = 2;
            row.prediction = row.candidate_prediction;
        }
    }
    row
}

#[tokio::test]
async fn a_new_process_says_the_same() {
    for bench in benches(&spec()).await {
        let engine = bench.engine();
        for first in (0..600).step_by(100) {
            let rows = (first..first + 100).map(paired_row).collect();
            bench.monitoring.append(ENDPOINT, rows).await.unwrap();
            let truth = |number: i64| 53.0 + (number * 37 % 11) as f64 / 7.0;
            let labels = (first..first + 100)
                .map(|number| label(&format!("r{number}"), truth(number), minute(number * 60 + 30)))
                .collect();
            bench.monitoring.add_labels(ENDPOINT, labels).await.unwrap();
            bench.monitoring.assess(ENDPOINT, 1, minute((first + 100) * 60)).await.unwrap();
        }
        let now = minute(600 * 60);
        let anew = bench.restarted();
        let before = bench.monitoring.assess(ENDPOINT, 1, now).await.unwrap();
        let after = anew.assess(ENDPOINT, 1, now).await.unwrap();
        assert_eq!(json!(before), json!(after), "{engine:?}");
        assert_eq!(before.rows, 7 * 24, "{engine:?}: the window's hours");
        let before = json!(bench.monitoring.months(ENDPOINT).await.unwrap());
        let after = json!(anew.months(ENDPOINT).await.unwrap());
        assert_eq!(before, after, "{engine:?}");
        let labelled: u64 =
            after.as_array().unwrap().iter().map(|month| month["labelled"].as_u64().unwrap()).sum();
        assert_eq!(labelled, 600, "{engine:?}: {after}");

        for (since, served) in [(0, 100), (450, 50), (600, 0)] {
            let before = bench.monitoring.paired(ENDPOINT, 2, minute(since * 60)).await.unwrap();
            let after = anew.paired(ENDPOINT, 2, minute(since * 60)).await.unwrap();
            assert_eq!(before.difference, after.difference, "{engine:?}");
            assert_eq!(before.served, served, "{engine:?} since {since}");
            assert_eq!(after.served, served, "{engine:?} since {since}");
            assert_eq!(before.candidate_mae, after.candidate_mae, "{engine:?}");
            assert_eq!(before.champion_mae, after.champion_mae, "{engine:?}");
            assert_eq!(before.difference.count(), 300, "{engine:?}");
            // Every truth lies above both answers, and the candidate's is one nearer.
            assert!((before.difference.mean() + 1.0).abs() < 1e-9, "{engine:?}: {before:?}");
        }
        let none = anew.paired(ENDPOINT, 3, minute(0)).await.unwrap();
        assert_eq!((none.difference.count(), none.served), (0, 0), "{engine:?}");
    }
}
