//! Events on their way: bodies, signatures, repetitions, restarts.

use group_webhooks::{MOST_ATTEMPTS, kinds};
use platform_db::args;
use platform_events::EventFilter;
use serde_json::{Value, json};

use crate::receiver::{Receiver, Request};
use crate::{Server, event, servers};

const LONGER_THAN_ANY_PAUSE_MS: i64 = 3_700_000;
const DAY_MS: i64 = 86_400_000;

async fn subscribed(server: &Server, receiver: &Receiver) -> String {
    let body = json!({"name": "w", "url": receiver.url(), "events": [event("REGISTERED_MODEL", "CREATED")]});
    server.create(body).await
}

#[tokio::test]
async fn an_event_arrives_signed_and_once() {
    for server in servers().await {
        let mut receiver = Receiver::start().await;
        server.create_model("before the webhook").await;
        let body = json!({"name": "w", "url": receiver.url(), "secret": "test-secret-key",
            "events": [event("REGISTERED_MODEL", "CREATED"), event("APPROVAL", "PROMOTED")]});
        let id = server.create(body).await;
        server.create_model("demand").await;
        // Of no interest to this webhook.
        server.happen("registry.alias_set", "model:demand", json!({"alias": "a", "version": 1})).await;
        let payload = json!({"before": null, "after": 1, "reason": "better"});
        server.happen("registry.promoted", "model_version:demand/1", payload).await;
        server.webhooks.settle().await.unwrap();
        server.webhooks.settle().await.unwrap();

        let received = receiver.received();
        let bodies: Vec<Value> = received.iter().map(Request::json).collect();
        let timestamp = "2019-02-01T05:46:40.000+00:00";
        let expected = [
            json!({"entity": "registered_model", "action": "created", "timestamp": timestamp,
                "data": {"name": "demand", "tags": {}, "description": ""}}),
            json!({"entity": "approval", "action": "promoted", "timestamp": timestamp,
                "data": {"name": "demand", "version": "1", "actor": "ines", "reason": "better"}}),
        ];
        assert_eq!(bodies, expected, "{:?}", server.engine());
        let deliveries = server.deliveries(&id).await;
        assert_eq!(deliveries.len(), 2);
        for request in &received {
            assert!(request.head.starts_with("POST /hook HTTP/1.1"), "{request:?}");
            assert_eq!(request.header("content-type"), Some("application/json"));
            assert_eq!(request.header("x-mlflow-timestamp"), Some("1549000000"));
            let signature = request.header("x-mlflow-signature").unwrap();
            assert!(signature.starts_with("v1,") && signature.len() == 47, "{signature}");
            let delivery_id = request.header("x-mlflow-delivery-id").unwrap();
            let delivery = deliveries.iter().find(|delivery| delivery["id"] == delivery_id).unwrap();
            assert_eq!(delivery["state"], "delivered");
            assert_eq!(delivery["response_status"], 200);
        }
    }
}

#[tokio::test]
async fn a_busy_receiver_is_asked_again_under_the_same_id() {
    for server in servers().await {
        let mut receiver = Receiver::start().await;
        receiver.plan(&["503 Service Unavailable", "429 Too Many Requests\r\nRetry-After: 120"]);
        let id = subscribed(&server, &receiver).await;
        server.create_model("demand").await;
        server.webhooks.settle().await.unwrap();
        server.webhooks.settle().await.unwrap();
        let first = receiver.received();
        assert_eq!(first.len(), 1, "not before its time");
        let delivery = server.deliveries(&id).await.remove(0);
        assert_eq!((delivery["state"].as_str(), delivery["attempts"].as_i64()), (Some("pending"), Some(1)));

        server.test.clock.advance_millis(3_000);
        server.webhooks.settle().await.unwrap();
        let second = receiver.received();
        assert_eq!(second.len(), 1);
        server.test.clock.advance_millis(60_000);
        server.webhooks.settle().await.unwrap();
        assert!(receiver.received().is_empty(), "it asked for two minutes");
        server.test.clock.advance_millis(62_000);
        server.webhooks.settle().await.unwrap();
        let third = receiver.received();
        assert_eq!(third.len(), 1);
        for repeated in [&second[0], &third[0]] {
            assert_eq!(repeated.header("x-mlflow-delivery-id"), first[0].header("x-mlflow-delivery-id"));
            assert_eq!(repeated.body, first[0].body);
        }
        assert_eq!(third[0].header("x-mlflow-timestamp"), Some("1549000125"), "of the attempt");
        assert_eq!(server.deliveries(&id).await[0]["state"], "delivered", "{:?}", server.engine());
    }
}

#[tokio::test]
async fn a_delivery_is_given_up_and_stays_to_be_seen() {
    for server in servers().await {
        let mut receiver = Receiver::start().await;
        let id = subscribed(&server, &receiver).await;
        let most = usize::try_from(MOST_ATTEMPTS).unwrap();
        receiver.plan(&vec!["500 Internal Server Error"; most]);
        server.create_model("demand").await;
        for _ in 0..most + 2 {
            server.webhooks.settle().await.unwrap();
            server.test.clock.advance_millis(LONGER_THAN_ANY_PAUSE_MS);
        }
        assert_eq!(receiver.received().len(), most, "{:?}", server.engine());
        let delivery = server.deliveries(&id).await.remove(0);
        assert_eq!(delivery["state"], "failed");
        assert_eq!(delivery["attempts"], MOST_ATTEMPTS);
        assert_eq!(delivery["error"], "the receiver answered 500");
        let filter =
            EventFilter { kind_prefix: Some(kinds::DELIVERY_FAILED.to_owned()), ..EventFilter::default() };
        let failures = server.test.events.list(filter, 0, 10).await.unwrap();
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].subject, format!("webhook:{id}"));

        // A no of the receiver's, and a redirection, are final at once.
        receiver.plan(&["404 Not Found", "302 Found\r\nLocation: /elsewhere"]);
        server.create_model("supply").await;
        server.create_model("price").await;
        server.webhooks.settle().await.unwrap();
        assert_eq!(receiver.received().len(), 2);
        let states: Vec<Value> =
            server.deliveries(&id).await.iter().map(|delivery| delivery["state"].clone()).collect();
        assert_eq!(states, ["failed", "failed", "failed"]);

        server.test.clock.advance_millis(31 * DAY_MS);
        server.webhooks.settle().await.unwrap();
        assert!(server.deliveries(&id).await.is_empty(), "failed ones go after a month");
    }
}

#[tokio::test]
async fn a_server_that_died_is_succeeded_by_one_that_goes_on() {
    for server in servers().await {
        let mut receiver = Receiver::start().await;
        receiver.plan(&["503 Service Unavailable"]);
        subscribed(&server, &receiver).await;
        server.create_model("put off").await;
        server.webhooks.settle().await.unwrap();
        server.create_model("while it was dead").await;
        server.test.clock.advance_millis(2_500);
        server.restarted().settle().await.unwrap();
        server.restarted().settle().await.unwrap();
        let names: Vec<Value> =
            receiver.received().iter().map(|request| request.json()["data"]["name"].clone()).collect();
        assert_eq!(names, ["put off", "put off", "while it was dead"], "{:?}", server.engine());
        let row = server.test.db.read_one("SELECT seq FROM webhook_cursor", args![]).await.unwrap().unwrap();
        let newest = server.test.events.latest(EventFilter::default(), 1).await.unwrap();
        assert_eq!(row.int(0).unwrap(), newest[0].seq);
    }
}

#[tokio::test]
async fn the_dispatcher_wakes_by_itself() {
    for server in servers().await {
        let mut receiver = Receiver::start().await;
        subscribed(&server, &receiver).await;
        let dispatcher = tokio::spawn(server.restarted().run());
        for name in ["demand", "supply"] {
            server.create_model(name).await;
            assert_eq!(receiver.next().await.json()["data"]["name"], name);
        }
        dispatcher.abort();
    }
}

#[tokio::test]
async fn a_disabled_webhook_hears_of_nothing_even_later() {
    for server in servers().await {
        let mut receiver = Receiver::start().await;
        let id = subscribed(&server, &receiver).await;
        let path = format!("/{id}");
        server.mlflow("PATCH", &path, json!({"status": "DISABLED"})).await;
        server.create_model("asleep").await;
        server.mlflow("PATCH", &path, json!({"status": "ACTIVE"})).await;
        server.create_model("awake").await;
        server.webhooks.settle().await.unwrap();
        let names: Vec<Value> =
            receiver.received().iter().map(|request| request.json()["data"]["name"].clone()).collect();
        assert_eq!(names, ["awake"], "{:?}", server.engine());
    }
}

#[tokio::test]
async fn an_address_that_became_private_gets_nothing() {
    for server in servers().await {
        let body = json!({"name": "w", "url": "https://hooks.test/",
            "events": [event("REGISTERED_MODEL", "CREATED")]});
        let id = server.create(body).await;
        // As if the name had been moved after it was checked.
        let moved = "UPDATE webhooks SET url = 'http://localhost:9/hook'";
        server.test.db.write(move |tx| tx.execute(moved, args![])).await.unwrap();
        server.create_model("demand").await;
        server.webhooks.settle().await.unwrap();
        let delivery = server.deliveries(&id).await.remove(0);
        assert_eq!(delivery["state"], "failed", "{delivery}");
        assert!(delivery["error"].as_str().unwrap().contains("non-public"), "{delivery}");

        let result = server.mlflow("POST", &format!("/{id}/test"), json!({})).await.json()["result"].clone();
        assert_eq!(result["success"], false);
        let message = result["error_message"].as_str().unwrap();
        assert!(message.contains("must not resolve to a non-public"), "{message}");
    }
}

#[tokio::test]
async fn a_test_sends_an_example_and_tells_the_answer() {
    for server in servers().await {
        let mut receiver = Receiver::start().await;
        let body = json!({"name": "w", "url": receiver.url(),
            "events": [event("MODEL_VERSION", "CREATED"), event("MODEL_VERSION_TAG", "SET")]});
        let id = server.create(body).await;
        let path = format!("/{id}/test");
        let tag = json!({"event": event("MODEL_VERSION_TAG", "SET")});
        receiver.plan(&["200 OK", "201 Created", "404 Not Found"]);
        let table = [
            (Value::Null, "model_version", json!({"success": true, "response_status": 200})),
            (tag, "model_version_tag", json!({"success": true, "response_status": 201})),
            (json!({}), "model_version", json!({"success": false, "response_status": 404})),
        ];
        for (body, entity, mut expected) in table {
            expected["response_body"] = "received".into();
            let answer = server.mlflow("POST", &path, body).await;
            assert_eq!(answer.json(), json!({"result": expected}), "{:?}", server.engine());
            let request = receiver.received().remove(0);
            assert_eq!(request.json()["entity"], entity);
            assert_eq!(request.header("x-mlflow-signature"), None);
        }
        assert!(server.deliveries(&id).await.is_empty(), "a test is no delivery");
    }
}
