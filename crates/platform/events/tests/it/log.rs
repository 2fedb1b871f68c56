use platform_events::{EventFilter, NewEvent};
use platform_testkit::{TestDb, both_engines};
use serde_json::json;
use tokio::sync::broadcast::error::TryRecvError;

use crate::{AnyError, append};

#[tokio::test]
async fn an_append_in_a_failing_transaction_leaves_nothing() {
    for test in both_engines(&[]).await {
        let engine = test.db.engine();
        let mut ears = test.events.listen();
        for already in 0..2 {
            let events = test.events.clone();
            let refused = test.db.write(move |tx| -> Result<(), AnyError> {
                events.append(tx, NewEvent::new("orders.paid", "anna", "order:1"))?;
                events.append(tx, NewEvent::new("orders.sent", "anna", "order:1"))?;
                Err("refused".into())
            });
            assert_eq!(refused.await.unwrap_err().to_string(), "refused");
            assert_eq!(test.events.verify().await.unwrap(), Ok(already), "{engine:?}");
            assert_eq!(test.events.list(EventFilter::default(), 0, 10).await.unwrap().len() as i64, already);
            assert!(
                matches!(ears.try_recv(), Err(TryRecvError::Empty)),
                "{engine:?}: heard what did not happen"
            );
            let kept = append(&test, NewEvent::new("orders.kept", "anna", "order:2")).await;
            assert_eq!(kept, already + 1, "{engine:?}: the number is not used up");
            assert_eq!(ears.try_recv().unwrap().kind, "orders.kept", "{engine:?}");
        }
    }
}

#[tokio::test]
async fn listeners_hear_after_the_commit_and_in_order() {
    for test in both_engines(&[]).await {
        let engine = test.db.engine();
        let (events, mut ears) = (test.events.clone(), test.events.listen());
        let work = test.db.write(move |tx| -> Result<_, AnyError> {
            for kind in ["orders.paid", "orders.sent"] {
                events.append(tx, NewEvent::new(kind, "anna", "order:1"))?;
            }
            let early = ears.try_recv().is_ok();
            Ok((early, ears))
        });
        let (early, mut ears) = work.await.unwrap();
        assert!(!early, "{engine:?}: heard before the commit");
        let heard: Vec<(i64, String)> = std::iter::from_fn(|| ears.try_recv().ok())
            .map(|event| (event.seq, event.kind.clone()))
            .collect();
        assert_eq!(heard, [(1, "orders.paid".to_owned()), (2, "orders.sent".to_owned())], "{engine:?}");
    }
}

#[tokio::test]
async fn an_event_comes_back_as_it_was_recorded() {
    for test in both_engines(&[]).await {
        let engine = test.db.engine();
        let payload = json!({"z": 1, "a": [null, true, 0.1, "東京 \u{0} \"$1\""], "note": "Grüße"});
        let first = append(&test, NewEvent::new("orders.paid", "anna", "order:1")).await;
        test.clock.advance_millis(86_400_000);
        let event = NewEvent::new("orders.sent", "token:ci", "order:1")
            .project("shop")
            .cause(Some(first))
            .payload(payload.clone());
        append(&test, event).await;
        let all = test.events.list(EventFilter::default(), 0, 10).await.unwrap();
        let [paid, sent] = all.as_slice() else { panic!("{engine:?}: {all:?}") };
        assert_eq!((paid.seq, paid.project.as_str(), paid.cause), (1, "", None), "{engine:?}");
        assert_eq!((sent.seq, sent.project.as_str(), sent.cause), (2, "shop", Some(1)), "{engine:?}");
        assert_eq!((sent.actor.as_str(), sent.kind.as_str()), ("token:ci", "orders.sent"), "{engine:?}");
        assert_eq!(sent.at.since(paid.at), 86_400_000, "{engine:?}");
        assert_eq!(sent.payload, payload, "{engine:?}");
        assert_eq!((sent.text("note"), sent.text("z"), sent.text("absent")), ("Grüße", "", ""));
    }
}

/// Kind, project, subject; the first has number 1.
const LOG: [(&str, &str, &str); 7] = [
    ("loops.applied", "taxi", "loop:taxi"),
    ("registry.version_created", "taxi", "model:taxi"),
    ("loops.applied", "bikes", "loop:bikes"),
    ("loopsy.applied", "taxi", "loop:taxi"),
    ("loops.promoted", "taxi", "loop:taxi"),
    ("registry.alias_set", "bikes", "model:bikes"),
    ("server.started", "", "server:main"),
];

async fn write_log(test: &TestDb) {
    for (kind, project, subject) in LOG {
        append(test, NewEvent::new(kind, "anna", subject).project(project)).await;
    }
}

fn filter(project: Option<&str>, subject: Option<&str>, kind_prefix: Option<&str>) -> EventFilter {
    EventFilter {
        project: project.map(str::to_owned),
        subject: subject.map(str::to_owned),
        kind_prefix: kind_prefix.map(str::to_owned),
    }
}

#[tokio::test]
async fn filters_choose_the_same_events_in_both_directions() {
    let cases = [
        ("no filter", filter(None, None, None), vec![1, 2, 3, 4, 5, 6, 7]),
        ("project", filter(Some("taxi"), None, None), vec![1, 2, 4, 5]),
        ("empty project", filter(Some(""), None, None), vec![7]),
        ("unknown project", filter(Some("tax"), None, None), vec![]),
        ("subject", filter(None, Some("loop:taxi"), None), vec![1, 4, 5]),
        ("kind prefix", filter(None, None, Some("loops.")), vec![1, 3, 5]),
        ("whole kind", filter(None, None, Some("loops.promoted")), vec![5]),
        ("kind prefix in capitals", filter(None, None, Some("LOOPS.")), vec![]),
        ("project and kind", filter(Some("bikes"), None, Some("registry.")), vec![6]),
        ("all three", filter(Some("taxi"), Some("loop:taxi"), Some("loops.")), vec![1, 5]),
    ];
    for test in both_engines(&[]).await {
        let engine = test.db.engine();
        write_log(&test).await;
        for (name, filter, expected) in &cases {
            let oldest_first: Vec<i64> = test
                .events
                .list(filter.clone(), 0, 100)
                .await
                .unwrap()
                .iter()
                .map(|event| event.seq)
                .collect();
            assert_eq!(oldest_first, *expected, "{engine:?}: {name}");
            let newest_first: Vec<i64> = test
                .events
                .latest(filter.clone(), 100)
                .await
                .unwrap()
                .iter()
                .map(|event| event.seq)
                .collect();
            let reversed: Vec<i64> = expected.iter().rev().copied().collect();
            assert_eq!(newest_first, reversed, "{engine:?}: {name}");
        }
    }
}

#[tokio::test]
async fn a_kind_prefix_is_text_and_not_a_pattern() {
    for test in both_engines(&[]).await {
        write_log(&test).await;
        for prefix in ["%", "l_ops.", "%promoted", "loops\\."] {
            let found = test.events.list(filter(None, None, Some(prefix)), 0, 100).await.unwrap();
            assert!(found.is_empty(), "{:?}: {prefix:?} found {found:?}", test.db.engine());
        }
    }
}

#[tokio::test]
async fn pages_follow_each_other_by_number() {
    // After, limit, expected numbers of project taxi (1, 2, 4, 5).
    let cases = [
        (0, 2, vec![1, 2]),
        (2, 2, vec![4, 5]),
        (5, 2, vec![]),
        (3, 100, vec![4, 5]),
        (0, 1, vec![1]),
        (99, 5, vec![]),
    ];
    for test in both_engines(&[]).await {
        let engine = test.db.engine();
        write_log(&test).await;
        for (after, limit, expected) in &cases {
            let page = test.events.list(filter(Some("taxi"), None, None), *after, *limit).await.unwrap();
            let numbers: Vec<i64> = page.iter().map(|event| event.seq).collect();
            assert_eq!(numbers, *expected, "{engine:?}: {limit} after {after}");
        }
        let newest = test.events.latest(filter(Some("taxi"), None, None), 3).await.unwrap();
        assert_eq!(newest.iter().map(|event| event.seq).collect::<Vec<_>>(), [5, 4, 2], "{engine:?}");
    }
}
