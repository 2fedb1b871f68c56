//! Points before, during and after folding.

use std::time::Duration;

use serde_json::json;

use crate::servers;

/// Until nothing waits for folding; folding is a background task with no deadline of its own.
async fn folded(server: &crate::Server) {
    for _ in 0..600 {
        let rows = server.test.db.read("SELECT COUNT(*) FROM metric_tail", Vec::new()).await.unwrap();
        if rows[0].int(0).unwrap() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("points are not folded");
}

#[tokio::test(flavor = "multi_thread")]
async fn folding_changes_nothing_that_is_read() {
    for server in servers().await {
        let engine = server.engine();
        let run = server.run().await;
        tokio::spawn(server.experiments.clone().fold_points());
        let keys = ["loss", "acc", "lr"];
        let mut expected = 0;
        // Out of order, with points that come twice and NaN among them; enough for several folds and a merge.
        for batch in 0..120i64 {
            let metrics: Vec<_> = (0..900i64)
                .map(|n| {
                    let step = (batch * 300 + n / 3) % 30_000;
                    let value = if step == 77 { json!("NaN") } else { json!((step as f64 * 0.37).sin()) };
                    json!({"key": keys[(n % 3) as usize], "value": value, "timestamp": 1_000_000 + step, "step": step})
                })
                .collect();
            let answer = server.post("/runs/log-batch", json!({"run_id": run, "metrics": metrics})).await;
            assert_eq!(answer.status, 200, "{engine:?}: {answer:?}");
            expected = expected.max((batch + 1) * 300).min(30_000);
            if batch % 40 == 7 {
                let points = server.experiments.history(&run, "acc").await.unwrap();
                assert_eq!(points.len() as i64, expected, "{engine:?} after batch {batch}");
            }
        }
        let before = server.experiments.history(&run, "loss").await.unwrap();
        server
            .experiments
            .update_run("alice", &run, Some(group_experiments::RunStatus::Finished), None, None)
            .await
            .unwrap();
        folded(&server).await;
        let after = server.experiments.history(&run, "loss").await.unwrap();
        assert_eq!(before, after, "{engine:?}");
        assert_eq!(after.len(), 30_000, "{engine:?}");
        assert!(after[77].value.is_nan() && after[78].value == (78.0f64 * 0.37).sin(), "{engine:?}");
        let record = server.experiments.get_record(&run).await.unwrap();
        assert_eq!(record.metrics.get("lr").unwrap().latest.step, 29_999, "{engine:?}");
        let rows =
            server.test.db.read("SELECT COUNT(*), MAX(level) FROM metric_chunks", Vec::new()).await.unwrap();
        assert!(rows[0].int(0).unwrap() < 24, "{engine:?}: {rows:?}");
        let bands = server.experiments.chart(&run, "loss", 320).await.unwrap();
        assert_eq!(bands.iter().map(|band| band.points).sum::<usize>(), 30_000, "{engine:?}");
    }
}
