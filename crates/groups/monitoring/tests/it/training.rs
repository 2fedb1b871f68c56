//! Training sets made from the log.

use bytes::Bytes;
use group_monitoring::{MonitoringError, TrainingWindow};
use platform_blobs::BlobDigest;
use platform_primitives::Timestamp;
use platform_tables::{Column, Table, TableError, read_parquet};

use crate::bench::{Bench, ENDPOINT, benches, label, minute, row, spec};

const NOW: i64 = 100;

/// One row a minute, its truth known a little over half an hour later; row 20 breaks a quality rule.
async fn feed(bench: &Bench) {
    let x = |n: i64| if n == 20 { 2_000.0 } else { n as f64 + 0.5 };
    let rows = (0..NOW).map(|n| row(&format!("r{n:03}"), minute(n), x(n), 10.0)).collect();
    bench.monitoring.append(ENDPOINT, rows).await.unwrap();
    let labels =
        (0..NOW).map(|n| label(&format!("r{n:03}"), n as f64, minute(n + 30).plus_millis(1))).collect();
    bench.monitoring.add_labels(ENDPOINT, labels).await.unwrap();
    bench.monitoring.assess(ENDPOINT, 1, minute(NOW)).await.unwrap();
}

fn template(last: &'static str) -> Vec<(&'static str, Column)> {
    let time = || Column::Time(vec![Some(minute(0))]);
    vec![
        ("zone", Column::Int(vec![1])),
        ("request_id", Column::Text(vec![Some("a".to_owned())])),
        ("at", time()),
        ("x", Column::Real(vec![0.5])),
        ("label_at", time()),
        (last, Column::Real(vec![1.0])),
    ]
}

fn window(min_rows: usize) -> TrainingWindow {
    TrainingWindow {
        from: minute(10),
        holdout: 0.25,
        min_rows,
        id: "request_id".to_owned(),
        time: "at".to_owned(),
        label_time: "label_at".to_owned(),
    }
}

fn times(table: &Table, name: &str) -> Vec<Timestamp> {
    table.times(name).unwrap().into_iter().map(|time| time.expect("no time is missing")).collect()
}

#[tokio::test]
async fn only_known_sound_rows_are_taken_and_the_newest_are_held_out() {
    for bench in benches(&spec()).await {
        let engine = bench.engine();
        feed(&bench).await;
        let columns = template("trips");
        let digest = bench.put(template("trips")).await;
        let (set, training, holdout) =
            bench.monitoring.training_set(ENDPOINT, &digest, &window(59)).await.unwrap();
        // Rows 10 to 69 have a known truth, and row 20 is not sound.
        assert_eq!((set.training_rows, set.holdout_rows, set.excluded), (44, 15, 1), "{engine:?}");
        assert_eq!((set.first, set.split, set.last), (minute(10), minute(55), minute(69)), "{engine:?}");

        let mut ids = Vec::new();
        for (name, bytes, digest, rows) in [
            ("training", &set.training, &training, set.training_rows),
            ("holdout", &set.holdout, &holdout, set.holdout_rows),
        ] {
            let stored = bench.blobs.get_bytes(&BlobDigest::parse(digest).unwrap()).await.unwrap();
            assert_eq!(stored.as_ref(), bytes.as_slice(), "{engine:?} {name}");
            let table = read_parquet(Bytes::from(bytes.clone())).unwrap();
            assert_eq!(table.rows(), rows, "{engine:?} {name}");
            assert_eq!(table.columns().len(), columns.len(), "{engine:?} {name}");
            for ((found, column), (expected, like)) in table.columns().iter().zip(&columns) {
                assert_eq!(found, expected, "{engine:?} {name}");
                let same = std::mem::discriminant(column) == std::mem::discriminant(like);
                assert!(same, "{engine:?} {name} {found}: {column:?}");
            }
            let known = times(&table, "label_at");
            assert!(
                known.iter().all(|at| *at <= minute(NOW)),
                "{engine:?} {name}: from the future: {known:?}"
            );
            let made = times(&table, "at");
            let held_out = name == "holdout";
            assert!(made.iter().all(|at| (*at >= set.split) == held_out), "{engine:?} {name}: {made:?}");
            for (at, truth) in made.iter().zip(table.reals("trips").unwrap()) {
                assert_eq!(minute(truth as i64), *at, "{engine:?} {name}: a truth at the wrong row");
            }
            ids.extend(table.texts("request_id").unwrap().into_iter().flatten());
        }
        let expected: Vec<String> = (10..70).filter(|n| *n != 20).map(|n| format!("r{n:03}")).collect();
        assert_eq!(ids, expected, "{engine:?}");
    }
}

#[tokio::test]
async fn too_few_rows_or_an_unknown_column_make_no_set() {
    for bench in benches(&spec()).await {
        let engine = bench.engine();
        feed(&bench).await;
        let digest = bench.put(template("trips")).await;
        let few = bench.monitoring.training_set(ENDPOINT, &digest, &window(60)).await;
        assert!(
            matches!(few, Err(MonitoringError::TooFewRows { found: 59, least: 60 })),
            "{engine:?}: {:?}",
            few.map(|(set, _, _)| set.training_rows)
        );
        let strange = bench.put(template("weather")).await;
        let unknown = bench.monitoring.training_set(ENDPOINT, &strange, &window(10)).await;
        assert!(
            matches!(
                &unknown,
                Err(MonitoringError::Table(TableError::ColumnMissing { name, .. })) if name == "weather"
            ),
            "{engine:?}: {:?}",
            unknown.map(|(set, _, _)| set.training_rows)
        );
    }
}
