//! Searching runs: the index against a plain reading of the same rules.

use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::{Server, servers};
use platform_testkit::http::ask;

/// Runs with a metric, a param and a tag that some of them lack.
async fn seed(server: &Server, runs: usize) -> String {
    let experiment = server.post("/experiments/create", json!({"name": "searched"})).await.json();
    let experiment = experiment["experiment_id"].as_str().unwrap().to_owned();
    for n in 0..runs {
        let body = json!({
            "experiment_id": experiment,
            "start_time": 1_000 + (n / 2) as i64,
            "run_name": format!("run {n:03}"),
            "tags": [{"key": "team", "value": if n % 3 == 0 { "taxi" } else { "Bus" }}],
        });
        let run = server.post("/runs/create", body).await.json()["run"]["info"]["run_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let mut batch = json!({"run_id": run, "metrics": [], "params": []});
        if n % 5 != 0 {
            let value = if n % 7 == 0 { json!("NaN") } else { json!((n % 10) as f64 * 0.5) };
            batch["metrics"] = json!([
                {"key": "mae", "value": 9.5, "timestamp": 1, "step": 0},
                {"key": "mae", "value": value, "timestamp": 2, "step": 1},
            ]);
        }
        if n % 4 != 0 {
            batch["params"] = json!([{"key": "booster", "value": if n % 2 == 0 { "gbdt" } else { "dart" }}]);
        }
        assert_eq!(server.post("/runs/log-batch", batch).await.status, 200);
    }
    experiment
}

async fn names(server: &Server, experiment: &str, filter: &str, order: &[&str], page: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut token = Value::Null;
    loop {
        let body = json!({
            "experiment_ids": [experiment], "filter": filter, "order_by": order, "max_results": page, "page_token": token,
        });
        let answer = server.post("/runs/search", body).await;
        assert_eq!(answer.status, 200, "{filter}: {answer:?}");
        let answer = answer.json();
        for run in answer["runs"].as_array().unwrap() {
            found.push(run["info"]["run_name"].as_str().unwrap()[4..].to_owned());
        }
        token = answer["next_page_token"].clone();
        if token.is_null() {
            return found;
        }
    }
}

#[tokio::test]
async fn filters_and_orders_page_by_key() {
    for server in servers().await {
        let engine = server.engine();
        let runs = 60;
        let experiment = seed(&server, runs).await;
        let has = |n: usize| !n.is_multiple_of(5);
        let nan = |n: usize| n.is_multiple_of(7);
        let mae = |n: usize| (n % 10) as f64 * 0.5;
        type Test = Box<dyn Fn(usize) -> bool>;
        let cases: Vec<(&str, Test)> = vec![
            ("", Box::new(|_| true)),
            ("metrics.mae < 2", Box::new(move |n| has(n) && !nan(n) && mae(n) < 2.0)),
            ("metrics.mae IS NULL", Box::new(move |n| !has(n))),
            ("params.booster = 'gbdt' AND tags.team = 'taxi'", Box::new(|n| n % 4 == 2 && n % 3 == 0)),
            ("params.booster != 'gbdt'", Box::new(|n| n % 2 == 1)),
            ("tags.team ILIKE 'B%'", Box::new(|n| n % 3 != 0)),
            ("tags.team LIKE 'b%'", Box::new(|_| false)),
            (
                "(metrics.mae < 1 OR metrics.mae > 4) and not params.booster = 'dart'",
                Box::new(move |n| has(n) && !nan(n) && (mae(n) < 1.0 || mae(n) > 4.0) && n % 2 == 0),
            ),
            ("attributes.run_name IN ('run 003', 'run 004')", Box::new(|n| n == 3 || n == 4)),
            ("max(metrics.mae) = 9.5", Box::new(has)),
            (
                "min(metrics.mae) <= 0.5 and start_time >= 1002",
                Box::new(move |n| has(n) && !nan(n) && mae(n) <= 0.5 && n >= 4),
            ),
        ];
        for (filter, test) in cases {
            let mut expected: Vec<String> =
                (0..runs).filter(|n| test(*n)).map(|n| format!("{n:03}")).collect();
            for page in [7, 1_000] {
                let mut found = names(&server, &experiment, filter, &[], page).await;
                found.sort();
                expected.sort();
                assert_eq!(found, expected, "{engine:?} {filter} by {page}");
            }
        }
        for (order, up) in [("metrics.mae ASC", true), ("metrics.mae DESC", false)] {
            let rank = |n: usize| match (has(n), nan(n)) {
                (false, _) => 2e9,
                (true, true) => 1e9,
                _ if up => mae(n),
                _ => -mae(n),
            };
            let mut expected: Vec<usize> = (0..runs).collect();
            expected.sort_by(|a, b| rank(*a).total_cmp(&rank(*b)).then((b / 2).cmp(&(a / 2))));
            for page in [1, 7, 1_000] {
                let found = names(&server, &experiment, "", &[order], page).await;
                let keys = |list: &mut dyn Iterator<Item = usize>| {
                    list.map(|n| (rank(n), n / 2)).collect::<Vec<_>>()
                };
                let found = keys(&mut found.iter().map(|name| name.parse().unwrap()));
                assert_eq!(found, keys(&mut expected.iter().copied()), "{engine:?} {order} by {page}");
            }
        }
    }
}

#[tokio::test]
async fn a_search_sees_every_acknowledged_write() {
    for server in servers().await {
        let engine = server.engine();
        let experiment = seed(&server, 4).await;
        let count =
            async |filter: &str| names(&server, &experiment, filter, &["metrics.mae ASC"], 100).await.len();
        assert_eq!(count("metrics.mae > 100").await, 0, "{engine:?}");
        let body = json!({"experiment_id": experiment, "run_name": "run 100"});
        let run = server.post("/runs/create", body).await.json()["run"]["info"]["run_id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(count("").await, 5, "{engine:?}");
        for (step, expected) in [(1, 1), (2, 1)] {
            let metric =
                json!({"run_id": run, "key": "mae", "value": 101.0, "timestamp": step, "step": step});
            assert_eq!(server.post("/runs/log-metric", metric).await.status, 200, "{engine:?}");
            assert_eq!(count("metrics.mae > 100").await, expected, "{engine:?}");
        }
        server.post("/runs/set-tag", json!({"run_id": run, "key": "team", "value": "tram"})).await;
        assert_eq!(count("tags.team = 'tram'").await, 1, "{engine:?}");
        server.post("/runs/delete", json!({"run_id": run})).await;
        assert_eq!(count("metrics.mae > 100").await, 0, "{engine:?}");
        let purge = async |body: Value| {
            ask(
                server.address,
                "POST /api/v1/runs/purge",
                &[("Content-Type", "application/json")],
                &body.to_string(),
            )
            .await
        };
        let young = purge(json!({"deleted_for_ms": 1_000_000})).await;
        assert_eq!(young.json(), json!({"purged": 0}), "{engine:?}");
        let number: i64 = experiment.parse().unwrap();
        assert_eq!(
            purge(json!({"experiment_id": number + 1})).await.json(),
            json!({"purged": 0}),
            "{engine:?}"
        );
        assert_eq!(purge(json!({"experiment_id": number})).await.json(), json!({"purged": 1}), "{engine:?}");
        assert_eq!(purge(json!({"since": 1})).await.status, 400, "{engine:?}");
        let answer = server.post("/runs/restore", json!({"run_id": run})).await;
        assert_eq!(answer.code(), "RESOURCE_DOES_NOT_EXIST", "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_sees_every_acknowledged_write_while_columns_are_loaded() {
    for server in servers().await {
        let engine = server.engine();
        let experiment = seed(&server, 600).await;
        let ask =
            |filter: String| json!({"experiment_ids": [experiment], "filter": filter, "max_results": 1000});
        let answer = server.post("/runs/search", ask("metrics.mae > 0".to_owned())).await.json();
        let runs: Vec<Value> = answer["runs"].as_array().unwrap().clone();
        let ids: Vec<&str> = runs.iter().map(|run| run["info"]["run_id"].as_str().unwrap()).collect();
        for (n, id) in ids.iter().cycle().take(120).enumerate() {
            // The column is loaded by the first search that names it; the second one takes the mark of the write meanwhile.
            let load = server.post("/runs/search", ask(format!("metrics.k{n} >= 0")));
            let write = async {
                let metric = json!({"run_id": id, "key": format!("k{n}"), "value": n, "timestamp": 1});
                assert_eq!(server.post("/runs/log-metric", metric).await.status, 200, "{engine:?}");
                server.post("/runs/search", ask("metrics.mae > 100".to_owned())).await
            };
            let (loaded, searched) = tokio::join!(load, write);
            assert_eq!((loaded.status, searched.status), (200, 200), "{engine:?}");
            let answer = server.post("/runs/search", ask(format!("metrics.k{n} = {n}"))).await.json();
            assert_eq!(answer["runs"].as_array().map(Vec::len), Some(1), "{engine:?}: k{n} of {id}");
        }
    }
}

// On one thread: nothing else can end what one poll began.
#[tokio::test]
async fn a_search_that_is_given_up_hides_no_write_from_the_next_one() {
    for server in servers().await {
        let engine = server.engine();
        let experiment = server.experiments.ensure_experiment("alice", "given up").await.unwrap();
        for count in 1..=20 {
            let new = group_experiments::NewRun { experiment_id: experiment, ..Default::default() };
            server.experiments.create_run("alice", new).await.unwrap();
            // Polled once and dropped, as when a client closes its connection.
            let given_up = server.experiments.recent_runs(experiment, 100);
            assert!(given_up.now_or_never().is_none(), "{engine:?}: it was not given up half-way");
            let found = server.experiments.recent_runs(experiment, 100).await.unwrap();
            assert_eq!(found.len(), count, "{engine:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_searched_is_refused_with_its_reason() {
    for server in servers().await {
        let experiment = seed(&server, 1).await;
        for (field, value, part) in [
            ("filter", json!("metrics.mae = 'x'"), "numeric"),
            ("filter", json!("params.a > 'x'"), "Invalid comparator"),
            ("filter", json!("wheels.a = 'x'"), "Invalid entity type"),
            ("filter", json!("color = 'x'"), "Invalid attribute key"),
            ("filter", json!("median(metrics.mae) > 1"), "Invalid aggregate"),
            ("filter", json!("  "), "Invalid"),
            ("order_by", json!(["dataset.name"]), "no order"),
            ("order_by", json!(["metrics.a", "metrics.a DESC"]), "duplicate"),
            ("max_results", json!(0), "max_results"),
            ("max_results", json!(123456789), "Invalid value 123456789 for parameter 'max_results' supplied"),
            ("page_token", json!("?"), "page_token"),
        ] {
            let mut body = json!({"experiment_ids": [experiment]});
            body[field] = value.clone();
            let answer = server.post("/runs/search", body).await;
            assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_PARAMETER_VALUE"), "{value}");
            assert!(answer.body.contains(part), "{value}: {answer:?}");
        }
    }
}
